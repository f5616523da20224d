"""What the control API promises about probes, in the simplest words: the model that the real agent is held to.

It knows no time but "over" and "not over", no threads, and just the expressions of `CONDITIONS`.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from tests.support.live import WIDE_OPEN

OUTCOMES = (
    "emitted",
    "conditionFalse",
    "conditionError",
    "rateLimited",
    "overBudget",
    "captureError",
    "dropped",
    "reentrant",
)

#: Condition as sent → what it is for a given ``n``; None is an error (UNKNOWN_NAME).
CONDITIONS: Dict[Optional[str], Callable[[int], Optional[bool]]] = {
    None: lambda n: True,
    "  ": lambda n: True,
    "n > 1": lambda n: n > 1,
    "n == 0": lambda n: n == 0,
    "nobody > n": lambda n: None,
}

#: Message as sent → what it is for a given ``n``.
MESSAGES: Dict[str, Callable[[int], str]] = {
    "n={n}": lambda n: f"n={n}",
    "{{{n:03d}}} & more": lambda n: f"{{{n:03d}}} & more",
}

_DEFAULT_SNAPSHOT = {"maxDepth": 3, "maxProperties": 100, "maxStringLength": 1024, "maxFrames": 20}


#: An ``expireSeconds`` that is over by the time that anybody looks.
OVER_AT_ONCE = 1e-6


class Place(NamedTuple):
    """A tagged line of a module."""

    module: str
    tag: str


class Hit(NamedTuple):
    """What is foreseen of a hit: ``shown`` is the message, or the local ``n``."""

    point: str
    type: str
    shown: Any
    ordinal: int


class Point:
    """One probe. ``fields`` are those that a client sees and may change."""

    def __init__(self, id: str, type: str, place: Place, sent: Dict[str, Any]) -> None:
        self.id, self.type, self.place = id, type, place
        self.fields: Dict[str, Any] = {
            "condition": None,
            "tags": [],
            "enabled": True,
            "rateLimit": {"limitPerSecond": 10, "burst": 10},
            "maxHits": None,
            "expireSeconds": 3600,
        }
        if type == "logpoint":
            self.fields.update(message=None, level="INFO")
        else:
            self.fields.update(snapshot=dict(_DEFAULT_SNAPSHOT), watch=[])
        if "rateLimit" in sent and "burst" not in sent["rateLimit"]:
            self.fields["rateLimit"]["burst"] = 1
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.timed_out = False
        self.tokens = 0
        #: Code of the last failed evaluation, until the condition is another.
        self.error: Optional[str] = None
        self.change(sent)
        self.tokens = self.fields["rateLimit"]["burst"]

    def change(self, sent: Dict[str, Any]) -> None:
        """A create or update that is accepted."""
        before = copy.deepcopy(self.fields)
        for name, value in sent.items():
            if name in ("rateLimit", "snapshot"):
                self.fields[name].update(value)
            elif name == "condition":
                self.fields[name] = value if value and value.strip() else None
            elif name == "tags":
                self.fields[name] = list(dict.fromkeys(value))
            else:
                self.fields[name] = value
        if self.fields["rateLimit"] != before["rateLimit"]:
            self.tokens = self.fields["rateLimit"]["burst"]
        if self.fields["condition"] != before["condition"]:
            self.error = None
        if "expireSeconds" in sent:
            self.timed_out = sent["expireSeconds"] == OVER_AT_ONCE

    @property
    def expired(self) -> bool:
        """Its time is over, or its hits are used up."""
        limit = self.fields["maxHits"]
        return self.timed_out or (limit is not None and self.counts["emitted"] >= limit)

    def state(self, imported: bool) -> str:
        """The first that is true, in the order of the specification."""
        if self.expired:
            return "expired"
        if not self.fields["enabled"]:
            return "disabled"
        return "active" if imported else "pending"

    def arrive(self, n: int) -> Optional[Hit]:
        """One arrival at its line while it is on; the hit, if it is one."""
        truth = CONDITIONS[self.fields["condition"]](n)
        if truth is None:
            self.error = "UNKNOWN_NAME"
            return self._count("conditionError")
        if not truth:
            return self._count("conditionFalse")
        if not self.tokens:
            return self._count("rateLimited")
        self.tokens -= 1
        self._count("emitted")
        if self.type == "tracepoint" and "nobody" in self.fields["watch"]:
            self.error = "UNKNOWN_NAME"
        shown = MESSAGES[self.fields["message"]](n) if self.type == "logpoint" else n
        return Hit(self.id, self.type, shown, self.counts["emitted"])

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1


class Model:
    """All probes of one process."""

    def __init__(self, imported: Iterable[str]) -> None:
        self.points: Dict[str, Point] = {}
        self.awake = True
        self.imported: Set[str] = set(imported)
        #: All hits so far.
        self.hits: List[Hit] = []
        #: (action, outcome) of every change asked for.
        self.audits: List[Tuple[str, str]] = []

    def copy(self) -> Model:
        """What a forked child has."""
        return copy.deepcopy(self)

    def state(self, point: Point) -> str:
        """The state that the API shows."""
        return point.state(point.place.module in self.imported)

    def is_on(self, point: Point) -> bool:
        """Whether an arrival at its line counts."""
        return self.awake and self.state(point) == "active"

    def watched(self, module: str, tags: Iterable[str]) -> bool:
        """Whether any probe on these lines is on."""
        wanted = [Place(module, tag) for tag in tags]
        return any(point.place in wanted and self.is_on(point) for point in self.points.values())

    def arrive(self, place: Place, n: int) -> None:
        """The application reaches a line."""
        for point in self.points.values():
            if point.place == place and self.is_on(point):
                hit = point.arrive(n)
                if hit is not None:
                    self.hits.append(hit)

    def carrying(self, tags: Iterable[str]) -> List[Point]:
        """The points that carry any of the tags."""
        return [p for p in self.points.values() if not set(p.fields["tags"]).isdisjoint(tags)]


def wide_open(fields: Dict[str, Any]) -> Dict[str, Any]:
    """A body whose rate, unless it is given, never holds a hit back."""
    return {"rateLimit": dict(WIDE_OPEN), **fields}
