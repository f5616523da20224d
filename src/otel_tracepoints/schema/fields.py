"""The table of a point's fields: what docs, validation, answers and OpenAPI are made from."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from otel_tracepoints.model import (
    LEVELS,
    CaptureLimits,
    Outcome,
    Probe,
    ProbeState,
    ProbeType,
    RateLimit,
)
from otel_tracepoints.schema.compound import Group, Member, Nullable, Texts
from otel_tracepoints.schema.kinds import Choice, Flag, Integer, Kind, Number, Path, Text

#: Ids that would be other paths of the API.
RESERVED_IDS = ("validate", ".", "..")
#: The longest list of tags and of watches.
MAX_TAGS, MAX_WATCHES = 50, 8

IDENTIFIER = Text(
    "1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and '-', other than " + ", ".join(RESERVED_IDS),
    low=1,
    high=128,
    pattern=r"[A-Za-z0-9._:-]+",
    reserved=RESERVED_IDS,
)
TYPE = Choice(*(type_.value for type_ in ProbeType))
STATE = Choice(*(state.value for state in ProbeState))
TAG = Text("a string of 1 to 64 characters", low=1, high=64, redacted=True)
TAGS = Texts(TAG, high=MAX_TAGS, distinct=True)
LINE = Integer(1)


class Field(NamedTuple):
    """A field of a point.

    Attributes:
        name: As in JSON.
        kind: How its value is checked, shown and described; None where the agent sets it.
        about: A sentence for the OpenAPI document.
        only: The type of probe that has it; None is both.
        required: A create call must give it.
        immutable: An update may only repeat it.
        agent_schema: JSON Schema of a field that the agent sets.
    """

    name: str
    kind: Optional[Kind]
    about: str
    only: Optional[ProbeType] = None
    required: bool = False
    immutable: bool = False
    agent_schema: Mapping[str, Any] = {}

    @property
    def attribute(self) -> str:
        """The attribute of `Probe` that holds it."""
        return _ATTRIBUTES.get(self.name, self.name)

    def default(self) -> Any:
        """What a probe has where nothing is given (None also where there is no default)."""
        return _DEFAULTS.get(self.attribute)

    def belongs_to(self, type_: ProbeType) -> bool:
        """Whether probes of this type have it."""
        return self.only is None or self.only is type_


_ATTRIBUTES = {
    "rateLimit": "rate_limit",
    "maxHits": "max_hits",
    "expireSeconds": "expire_seconds",
}
_DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Probe)
    if field.default is not dataclasses.MISSING
}
_OBJECT_OR_NULL: Dict[str, Any] = {"type": ["object", "null"]}
_TIME = {"type": "string", "format": "date-time"}

_SOURCE = Text("a string", redacted=True)

#: In the order in which checks run and answers show them.
FIELDS: Tuple[Field, ...] = (
    Field("id", IDENTIFIER, "Chosen by the client, else a UUID.", immutable=True),
    Field("type", TYPE, "What a hit does; a create call has it in its path.", immutable=True),
    Field(
        "file",
        Path("the path of a file", low=1),
        "Path or path suffix, with / or \\.",
        required=True,
        immutable=True,
    ),
    Field("line", LINE, "From 1.", required=True, immutable=True),
    Field(
        "resolved",
        None,
        "Where it was placed; null until then.",
        agent_schema={
            "type": ["object", "null"],
            "properties": {
                "file": {"type": "string"},
                "line": {"type": "integer", "minimum": 1},
                "functions": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["file", "line", "functions"],
        },
    ),
    Field(
        "condition",
        Nullable(_SOURCE, blank=True),
        "Only an arrival for which this expression is true is a hit; blank is null.",
    ),
    Field(
        "message",
        _SOURCE,
        "Template with {expression}; {{ and }} are literal braces.",
        only=ProbeType.LOGPOINT,
        required=True,
    ),
    Field("level", Choice(*LEVELS), "Severity of the log record.", only=ProbeType.LOGPOINT),
    Field("tags", TAGS, f"At most {MAX_TAGS} different ones."),
    Field("enabled", Flag(), "Whether hits are taken."),
    Field(
        "rateLimit",
        Group(
            RateLimit,
            Member(
                "limitPerSecond",
                "limit_per_second",
                Number("a number above 0, at most 1000000000", above=0, high=1e9),
            ),
            Member("burst", "burst", Integer(1, 10**9), alone=1),
        ),
        "Token bucket of this probe; a limit given without a burst has burst 1.",
    ),
    Field(
        "snapshot",
        Group(
            CaptureLimits,
            Member("maxDepth", "max_depth", Integer(1, 10)),
            Member("maxProperties", "max_properties", Integer(1, 10_000)),
            Member("maxStringLength", "max_string_length", Integer(1, 65_536)),
            Member("maxFrames", "max_frames", Integer(0, 200)),
        ),
        "How much of each value is taken.",
        only=ProbeType.TRACEPOINT,
    ),
    Field(
        "watch",
        Texts(_SOURCE, high=MAX_WATCHES),
        "Expressions captured beside the locals.",
        only=ProbeType.TRACEPOINT,
    ),
    Field("maxHits", Nullable(Integer(1)), "After that many emitted hits it is expired."),
    Field(
        "expireSeconds",
        Nullable(Number("a number above 0", above=0)),
        "From creation, or from the update that set it; null is never.",
    ),
    Field("state", None, "The first that is true.", agent_schema=STATE.schema()),
    Field("error", None, "The last error, with at.", agent_schema=_OBJECT_OR_NULL),
    Field("created", None, "RFC 3339, UTC.", agent_schema=_TIME),
    Field(
        "lastHit",
        None,
        "RFC 3339, UTC; null before the first.",
        agent_schema={**_TIME, "type": ["string", "null"]},
    ),
    Field("hitCount", None, "Emitted hits.", agent_schema={"type": "integer", "minimum": 0}),
    Field(
        "counts",
        None,
        "Every arrival at the line, by what became of it.",
        agent_schema={
            "type": "object",
            "properties": {o.value: {"type": "integer", "minimum": 0} for o in Outcome},
            "required": [o.value for o in Outcome],
        },
    ),
)


def settable(type_: ProbeType) -> List[Field]:
    """Fields that a create call for a probe of this type may give."""
    return [field for field in FIELDS if field.kind is not None and field.belongs_to(type_)]
