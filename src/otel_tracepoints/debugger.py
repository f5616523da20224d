"""The control path in one class: what the REST API, the Python API and the agent call.

JSON-like in, JSON-like out; errors are `TracepointsError`. One lock orders all changes. Two
things never wait for it: reading, and going to sleep.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints import pipeline, schema
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.emission import Emitter
from otel_tracepoints.engine.base import Engine
from otel_tracepoints.errors import DuplicateId, TracepointsError
from otel_tracepoints.limits import Governor, TokenBucket
from otel_tracepoints.model import Probe, ProbeState, ProbeType
from otel_tracepoints.pipeline import Gate, HitServices, Plan
from otel_tracepoints.placing import Placer, locate
from otel_tracepoints.planning import Planner
from otel_tracepoints.probes.registry import (
    PLACING_ERRORS,
    Entry,
    LastError,
    PointFilter,
    Registry,
    carries_any,
)
from otel_tracepoints.probes.resolver import Resolution, Resolver
from otel_tracepoints.reports import Reporter
from otel_tracepoints.timekeeper import Timekeeper
from otel_tracepoints.views import Views

_LOGGER = logging.getLogger("otel_tracepoints")

#: Seconds between two looks for modules that no import hook announces (control-api.md).
PENDING_INTERVAL = 1.0
#: Seconds that a fork waits for a change in progress.
FORK_PATIENCE = 1.0
#: Seconds that sleep() waits for the hooks to be gone as well; the gates are shut before.
SLEEP_PATIENCE = 0.05
#: What the timekeeper looks at beside probes; no probe has such an id.
_PENDING, _HOOKS = "", "*"


_OFF = (ProbeState.EXPIRED, ProbeState.DISABLED)


class Parts(NamedTuple):
    """The stages that a debugger joins; the agent builds them."""

    registry: Registry
    resolver: Resolver
    engine: Engine
    emitter: Emitter
    policy: RedactionPolicy
    #: Why nothing may be captured (a broken redaction rule), or None.
    redaction_problem: Optional[str]
    governor: Governor
    max_pause_ns: int
    value_callback: Optional[Callable[..., Any]] = None
    message_callback: Optional[Callable[..., Any]] = None
    asleep: bool = False


class _Live(NamedTuple):
    """The running side of an entry. The bucket outlives updates that do not change the rate."""

    gate: Gate
    bucket: TokenBucket


class Debugger:
    """All probes of this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry
        self._resolver = parts.resolver
        self.redact: Callable[[str], str] = parts.policy.text
        self._views = Views(parts.registry, parts.resolver, parts.engine, parts.emitter, self.redact)
        self._reporter = Reporter(parts.emitter, self.redact, parts.resolver.function_name)
        self._planner = Planner(
            parts.policy, parts.resolver.function_name, parts.value_callback, parts.message_callback
        )
        self._placer = Placer(parts.resolver, parts.engine, lambda: self._timekeeper.poke(_PENDING))
        self._timekeeper = Timekeeper(self._look_after)
        self._services = HitServices(
            emitter=parts.emitter,
            governor=parts.governor,
            policy=parts.policy,
            function_name=parts.resolver.function_name,
            max_pause_ns=parts.max_pause_ns,
            poke=self._timekeeper.poke,
            fail=self._reporter.fail,
            observe=parts.emitter.observe,
        )
        self._lock = threading.RLock()
        self._live: Dict[str, _Live] = {}
        self._awake = not parts.asleep
        self._unhooked = threading.Event()
        self._closed = False
        #: Threads that hold the lock because they are forking.
        self._forking: Set[int] = set()
        #: Hits of probes that are gone, by (type, outcome): a metric never goes back.
        self._past: Dict[Tuple[str, str], int] = {}

    # -- Changes ---------------------------------------------------------------------------

    def create(self, payload: Any, type: Optional[ProbeType] = None) -> Dict[str, Any]:
        """A new point; the answer is the point as the API shows it.

        Raises:
            InvalidProbe: and its subclasses, for what cannot be accepted.
            DuplicateId: the id is taken.
            TracepointsError: the debugger has been closed.
        """
        probe = schema.parse_create(payload, type)
        with self._lock:
            if self._closed:
                raise TracepointsError("This agent has been stopped. Call start() for a new one.")
            path, resolution = self._check(probe)
            entry = self._registry.add(probe, path)
            locate(entry, resolution)
            self._reporter.watch(probe.id)
            self._live[probe.id] = _Live(Gate(entry.counts, self._services), TokenBucket(probe.rate_limit))
            self._timekeeper.start()
            self._apply([entry], resolution)
            self._timekeeper.poke(probe.id)
            return self._views.point(entry)

    def validate(self, payload: Any) -> Dict[str, Any]:
        """What `create` would answer or raise, without creating anything."""
        probe = schema.parse_create(payload, None)
        with self._lock:
            path, resolution = self._check(probe)
            if self._registry.has(probe.id):
                raise DuplicateId(f"A point with the id {probe.id} exists already.", {"id": probe.id})
            entry = Entry(probe, path, time.monotonic())
            locate(entry, resolution)
            return self._views.point(entry)

    def update(self, id: str, payload: Any) -> Dict[str, Any]:
        """Change a point; a bad value changes nothing."""
        with self._lock:
            entry = self._registry.get(id)
            before = entry.probe
            probe = schema.parse_update(before, payload, self.redact)
            self._registry.replace(entry, probe)
            if isinstance(payload, Mapping) and "expireSeconds" in payload:
                self._registry.set_expiry(entry)
            if probe.condition != before.condition:
                entry.error = None
                self._reporter.condition_changed(id)
            if probe.rate_limit != before.rate_limit:
                self._live[id] = self._live[id]._replace(bucket=TokenBucket(probe.rate_limit))
            self._apply([entry])
            self._timekeeper.poke(id)
            return self._views.point(entry)

    def delete(self, id: str) -> None:
        """Remove a point.

        Raises:
            PointNotFound: there is none, or another caller was faster.
        """
        with self._lock:
            self._delete([self._registry.get(id)])

    def delete_many(self, tags: Iterable[str] = (), *, all: bool = False) -> int:
        """Remove the points that carry any of the tags, or all; answers how many."""
        wanted = tuple(tags)
        with self._lock:
            chosen = [e for e in self._registry.entries() if all or carries_any(e.probe, wanted)]
            self._delete(chosen)
            return len(chosen)

    def set_enabled(self, id: str, enabled: bool) -> None:
        """Switch one point on or off; doing so twice is fine."""
        with self._lock:
            self._switch([self._registry.get(id)], enabled)

    def set_enabled_by_tags(self, tags: Iterable[str], enabled: bool) -> int:
        """Switch the points that carry any of the tags; answers how many changed."""
        wanted = tuple(tags)
        with self._lock:
            return self._switch(
                [e for e in self._registry.entries() if carries_any(e.probe, wanted)], enabled
            )

    def sleep(self) -> str:
        """All probes off at once. The first thing an operator reaches for: it waits for nobody."""
        self._awake = False
        for live in list(self._live.values()):
            live.gate.plan = None
        if self._live:
            # Ten thousand hooks take their time, and so may a change that is in progress.
            self._unhooked.clear()
            self._timekeeper.poke(_HOOKS)
            self._unhooked.wait(SLEEP_PATIENCE)
        return "sleeping"

    def wake(self) -> str:
        """All probes on again, with what they had counted."""
        with self._lock:
            self._awake = True
            self._apply(self._registry.entries())
        return "awake"

    def audit(
        self,
        action: str,
        outcome: str,
        *,
        probe_id: Optional[str] = None,
        count: Optional[int] = None,
        client: Optional[str] = None,
    ) -> None:
        """Tell that a change was asked for, and what came of it."""
        self._reporter.audit(action, outcome, probe_id, count, client)

    def report_status(self, event: str, message: str, attributes: Dict[str, Any]) -> None:
        """Tell that the agent started or stopped."""
        self._reporter.status(event, message, attributes)

    # -- Questions -------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``awake`` or ``sleeping``."""
        return "awake" if self._awake else "sleeping"

    def point(self, id: str) -> Dict[str, Any]:
        """One point.

        Raises:
            PointNotFound: there is none.
        """
        self._notice_imports()
        return self._views.point(self._registry.get(id))

    def points(self, wanted: PointFilter = PointFilter()) -> List[Dict[str, Any]]:  # noqa: B008 - immutable
        """The points that pass the filter."""
        self._notice_imports()
        return [self._views.point(entry) for entry in self._registry.select(wanted, self._same_file)]

    def explain(self, id: str) -> Dict[str, Any]:
        """Why hits of a point do or do not arrive."""
        return self._views.explain(self._registry.get(id), awake=self._awake)

    def lines(self, file: str) -> Dict[str, Any]:
        """The lines of a file that a probe may be put on."""
        return self._views.lines(file)

    def hits(
        self, after: Optional[int] = None, limit: int = 100, wait: float = 0.0, point: Optional[str] = None
    ) -> Dict[str, Any]:
        """Recent hits, oldest first; waits up to ``wait`` seconds for one."""
        return dict(self._parts.emitter.hits(after, limit, wait, point)._asdict())

    def on_hit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have a callback called (off the hit path) after each new hit; call the answer to end that."""
        return self._parts.emitter.on_hit(callback)

    def probe_count(self) -> int:
        """How many probes there are."""
        return len(self._registry.entries())

    def active_count(self) -> int:
        """How many probes are placed and on."""
        return sum(self._registry.state(e) is ProbeState.ACTIVE for e in self._registry.entries())

    def hit_counts(self) -> Dict[Tuple[str, str], int]:
        """Arrivals so far by (probe type, outcome), those of removed probes included."""
        totals = dict(self._past)
        for entry in self._registry.entries():
            _add(totals, entry)
        return totals

    # -- Life ------------------------------------------------------------------------------

    def close(self) -> None:
        """Remove every hook; no probe can be set afterwards."""
        for live in list(self._live.values()):
            live.gate.plan = None
        with self._lock:
            self._closed = True
        self._timekeeper.stop()  # which may be waiting for the lock
        with self._lock:
            self._placer.close()
            for entry in self._registry.entries():
                self._registry.remove(entry.probe.id)
                _add(self._past, entry)  # the last export of self metrics is still to come
            self._live.clear()

    def before_fork(self) -> None:
        """Let a change in progress end, so that the child does not inherit half of it.

        And without the GIL, a child that was forked while the world was stopped (as placing does,
        to look at the heap) may find it stopped for ever.
        """
        if self._lock.acquire(timeout=FORK_PATIENCE):
            self._forking.add(threading.get_ident())

    def after_fork_in_parent(self) -> None:
        """Changes may go on."""
        if threading.get_ident() in self._forking:
            self._forking.discard(threading.get_ident())
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """The child keeps probes and counts for itself; locks and threads are made anew."""
        self._forking = set()
        pipeline.after_fork_in_child()
        self._lock = threading.RLock()
        self._registry.after_fork_in_child()
        self._parts.engine.after_fork_in_child()
        self._unhooked = threading.Event()
        self._timekeeper.after_fork_in_child(restart=bool(self._live))
        for id in (_PENDING, *([] if self._awake else [_HOOKS]), *self._live):
            self._timekeeper.poke(id)

    # -- Within ----------------------------------------------------------------------------

    def _check(self, probe: Probe) -> Tuple[str, Resolution]:
        path = self._resolver.match(probe.file)
        return path, self._placer.resolve(path, probe.line)

    def _switch(self, entries: Sequence[Entry], enabled: bool) -> int:
        changed = [entry for entry in entries if entry.probe.enabled != enabled]
        for entry in changed:
            self._registry.replace(entry, entry.probe.replace(enabled=enabled))
        self._apply(changed)
        for entry in changed:
            self._timekeeper.poke(entry.probe.id)
        return len(changed)

    def _delete(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            id = entry.probe.id
            self._registry.remove(id)
            self._live.pop(id).gate.plan = None
            self._reporter.forget(id)
            _add(self._past, entry)
            self._timekeeper.poke(id)
        self._placer.remove(entries)

    def _apply(self, entries: Sequence[Entry], resolution: Optional[Resolution] = None) -> None:
        """Make the engine agree with the registry about these: the only place that hooks."""
        off: List[Entry] = []
        plans: List[Tuple[Entry, Gate, Plan]] = []
        unplaced: List[Tuple[Entry, Gate]] = []
        problem = self._parts.redaction_problem
        for entry in entries:
            live = self._live[entry.probe.id]
            if problem is not None:
                entry.error = LastError("INVALID_REDACTION", problem, time.time_ns())
            if not self._awake or problem is not None or self._registry.state(entry) in _OFF:
                live.gate.plan = None
                off.append(entry)
                continue
            plans.append((entry, live.gate, self._planner.plan(entry, live.bucket)))
            placed = entry.error is None or entry.error.code not in PLACING_ERRORS
            if live.gate.plan is None or not placed:
                unplaced.append((entry, live.gate))
        self._placer.remove(off)
        if unplaced:  # goes through the whole heap: not for a new condition or limit
            self._placer.place(unplaced, resolution)
        for _, gate, plan in plans:
            gate.plan = plan
            if not self._awake:  # sleep() came meanwhile, and may have been here before us
                gate.plan = None
        if any(not entry.imported for entry, _ in unplaced):
            self._timekeeper.poke(_PENDING)

    def _look_after(self, ids: Set[str]) -> Dict[str, Optional[float]]:
        """The timekeeper's work: answers in how many seconds each wants to be looked at again."""
        delays: Dict[str, Optional[float]] = dict.fromkeys(ids)
        over: List[Entry] = []
        with self._lock:
            if _HOOKS in ids and not self._awake:
                self._apply(self._registry.entries())
                self._unhooked.set()
            now = time.monotonic()
            for entry in filter(None, map(self._registry.find, ids)):
                gate = self._live[entry.probe.id].gate
                wanted = [self._report_rate_limit(entry, gate)] if gate.rate_limit_told else []
                if gate.plan is not None and entry.expired(now):
                    over.append(entry)
                elif entry.expires_at is not None and entry.expires_at > now:
                    wanted.append(entry.expires_at - now)
                delays[entry.probe.id] = min((each for each in wanted if each is not None), default=None)
            self._apply(over)
            if _PENDING in ids:
                delays[_PENDING] = self._placer.patrol()
        return delays

    def _notice_imports(self) -> None:
        """While we sleep nobody waits for modules, but what is imported is not pending any more."""
        if not self._awake:
            waiting = [entry for entry in self._registry.entries() if not entry.imported]
            loaded = self._resolver.loaded_among({entry.path for entry in waiting}) if waiting else {}
            for entry in waiting:
                entry.imported = entry.path in loaded

    def _report_rate_limit(self, entry: Entry, gate: Gate) -> Optional[float]:
        delay = self._reporter.rate_limited(entry)
        if delay is None:
            gate.rate_limit_told = False
            # A hit may have been dropped between the report and the line above, and not have poked.
            delay = self._reporter.rate_limited(entry)
            gate.rate_limit_told = gate.rate_limit_told or delay is not None
        return delay

    def _same_file(self, entry: Entry, file: str) -> bool:
        return self._resolver.same_file(entry.path, file)


def _add(totals: Dict[Tuple[str, str], int], entry: Entry) -> None:
    for outcome, count in entry.counts.as_dict().items():
        key = (entry.probe.type.value, outcome)
        totals[key] = totals.get(key, 0) + count
