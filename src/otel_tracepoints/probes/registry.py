"""Which probes exist, and what became of each.

A `Probe` is what the user defined; an `Entry` is that probe's life in this process: where it
was placed, how often it was reached, what went wrong. Only the control path calls in here; the
hit path knows an entry's counters and nothing else.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.errors import DuplicateId, PointNotFound
from otel_tracepoints.limits import Clock, Count, HitBudget
from otel_tracepoints.model import Location, Outcome, Probe, ProbeState


class LastError(NamedTuple):
    """The last thing that went wrong with a probe, as the API shows it."""

    code: str
    message: str
    at_ns: int


class Counting(NamedTuple):
    """What arrivals are counted with: in Python, or compiled where gates are."""

    counter: Callable[[], Count] = Count
    #: Of how many hits there may be, and how many there were.
    budget: Callable[[int, int], HitBudget] = HitBudget


IN_PYTHON = Counting()


class Counts:
    """How each arrival ended; every arrival is in exactly one of these."""

    __slots__ = tuple(outcome.name.lower() for outcome in Outcome)

    emitted: Count
    condition_false: Count
    condition_error: Count
    rate_limited: Count
    over_budget: Count
    capture_error: Count
    dropped: Count
    reentrant: Count

    def __init__(self, counter: Callable[[], Count] = Count) -> None:
        for name in self.__slots__:
            setattr(self, name, counter())

    def as_dict(self) -> Dict[str, int]:
        """The numbers by the names that the API uses."""
        return {outcome.value: getattr(self, outcome.name.lower()).value for outcome in Outcome}


class Entry:
    """A probe and what became of it. Changed under the registry's lock, read without."""

    __slots__ = (
        "budget",
        "counts",
        "created_ns",
        "error",
        "expires_at",
        "functions",
        "imported",
        "last_hit_ns",
        "location",
        "path",
        "probe",
    )

    def __init__(self, probe: Probe, path: str, now: float, counting: Counting = IN_PYTHON) -> None:
        self.probe = probe
        #: The file that the client's path was matched with.
        self.path = path
        self.created_ns = time.time_ns()
        self.last_hit_ns: Optional[int] = None
        self.counts = Counts(counting.counter)
        self.budget = _budget(counting, probe.max_hits)
        #: On the registry's monotonic clock.
        self.expires_at = _deadline(probe, now)
        self.location: Optional[Location] = None
        #: The functions that hold the line, placed or not.
        self.functions: Tuple[str, ...] = ()
        #: Whether the file's code is in this process.
        self.imported = False
        #: Failed placing is a state; a failed evaluation is only shown.
        self.error: Optional[LastError] = None

    def expired(self, now: float) -> bool:
        """Whether its hits are used up or its time is over."""
        return self.budget.exhausted or (self.expires_at is not None and now >= self.expires_at)


#: Errors that mean "not placed", and so are a state.
PLACING_ERRORS = frozenset({"PLACING_FAILED", "INVALID_REDACTION"})


class PointFilter(NamedTuple):
    """Which points to list; None is no filter. Tags: any of them."""

    type: Optional[str] = None
    enabled: Optional[bool] = None
    tags: Tuple[str, ...] = ()
    file: Optional[str] = None
    state: Optional[str] = None


class Registry:
    """id → entry, in the order of creation."""

    def __init__(self, clock: Clock = time.monotonic, counting: Counting = IN_PYTHON) -> None:
        self._clock = clock
        self._counting = counting
        self._entries: Dict[str, Entry] = {}
        #: Arrivals of probes that are gone, by (type, outcome): a metric never goes back.
        self._past: Dict[Tuple[str, str], int] = {}
        self._lock = unpatched.Lock()

    def add(self, probe: Probe, path: str) -> Entry:
        """A new entry.

        Raises:
            DuplicateId: the id is taken.
        """
        with self._lock:
            if probe.id in self._entries:
                raise DuplicateId(f"A point with the id {probe.id} exists already.", {"id": probe.id})
            entry = self._entries[probe.id] = Entry(probe, path, self._clock(), self._counting)
            return entry

    def get(self, id: str) -> Entry:
        """The entry of this id.

        Raises:
            PointNotFound: there is none.
        """
        entry = self._entries.get(id)
        if entry is None:
            raise PointNotFound(f"There is no point with the id {id}.", {"id": id})
        return entry

    def find(self, id: str) -> Optional[Entry]:
        """The entry of this id, if there is one."""
        return self._entries.get(id)

    def has(self, id: str) -> bool:
        """Whether the id is taken."""
        return id in self._entries

    def remove(self, id: str) -> Entry:
        """Forget an entry, and answer it; of two that race, one gets `PointNotFound`."""
        with self._lock:
            entry = self.get(id)
            del self._entries[id]
            _add(self._past, entry)
            return entry

    def replace(self, entry: Entry, probe: Probe) -> None:
        """Give an entry its updated definition; counts stay, and count against a new ``max_hits``."""
        with self._lock:
            before = entry.probe
            if probe.max_hits != before.max_hits:
                entry.budget = _budget(self._counting, probe.max_hits, entry.counts.emitted.value)
            entry.probe = probe

    def set_expiry(self, entry: Entry) -> None:
        """Count ``expireSeconds`` from now: an update that sends it means that, whatever its value."""
        entry.expires_at = _deadline(entry.probe, self._clock())

    def entries(self) -> List[Entry]:
        """All of them, as of now."""
        with self._lock:
            return list(self._entries.values())

    def hit_counts(self) -> Dict[Tuple[str, str], int]:
        """Arrivals so far by (probe type, outcome), those of removed probes included."""
        with self._lock:
            totals = dict(self._past)
            for entry in self._entries.values():
                _add(totals, entry)
            return totals

    def state(self, entry: Entry) -> ProbeState:
        """The first that is true of: expired, disabled, error, pending, active."""
        if entry.expired(self._clock()):
            return ProbeState.EXPIRED
        if not entry.probe.enabled:
            return ProbeState.DISABLED
        if entry.error is not None and entry.error.code in PLACING_ERRORS:
            return ProbeState.ERROR
        if not entry.imported:
            return ProbeState.PENDING
        return ProbeState.ACTIVE

    def select(self, wanted: PointFilter, same_file: Callable[[Entry, str], bool]) -> List[Entry]:
        """The entries that pass every filter given."""
        return [entry for entry in self.entries() if self._passes(entry, wanted, same_file)]

    def after_fork_in_child(self) -> None:
        """Another thread may have held the lock when the process forked."""
        self._lock = unpatched.Lock()

    def _passes(self, entry: Entry, wanted: PointFilter, same_file: Callable[[Entry, str], bool]) -> bool:
        probe = entry.probe
        return (
            (wanted.type is None or probe.type.value == wanted.type)
            and (wanted.enabled is None or probe.enabled == wanted.enabled)
            and (not wanted.tags or carries_any(probe, wanted.tags))
            and (wanted.state is None or self.state(entry).value == wanted.state)
            and (wanted.file is None or same_file(entry, wanted.file))
        )


def carries_any(probe: Probe, tags: Iterable[str]) -> bool:
    """Whether the probe carries at least one of the tags."""
    return not set(probe.tags).isdisjoint(tags)


#: One for all: it has nothing to count.
_UNLIMITED = HitBudget(None)


def _budget(counting: Counting, limit: Optional[int], used: int = 0) -> HitBudget:
    return _UNLIMITED if limit is None else counting.budget(limit, used)


def _deadline(probe: Probe, now: float) -> Optional[float]:
    return None if probe.expire_seconds is None else now + probe.expire_seconds


def _add(totals: Dict[Tuple[str, str], int], entry: Entry) -> None:
    for outcome, count in entry.counts.as_dict().items():
        key = (entry.probe.type.value, outcome)
        totals[key] = totals.get(key, 0) + count
