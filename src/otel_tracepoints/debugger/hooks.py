"""Which probes fire: makes the engine agree with the registry, and keeps it so as time goes by."""

from __future__ import annotations

import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.debugger.gating import AnyGate, Gating, handler_of
from otel_tracepoints.debugger.placing import Placer
from otel_tracepoints.debugger.planning import Planner
from otel_tracepoints.debugger.reports import Reporter
from otel_tracepoints.engine.base import Engine, Handler
from otel_tracepoints.limits import TokenBucket
from otel_tracepoints.model import ProbeState
from otel_tracepoints.pipeline import HitServices, Plan
from otel_tracepoints.probes.registry import PLACING_ERRORS, Entry, LastError, Registry
from otel_tracepoints.probes.resolver import Resolution, Resolver

#: Seconds that a fork waits for a change in progress.
FORK_PATIENCE = 1.0
#: Seconds that sleep() waits for the hooks to be gone, and wake() for a change in progress; the
#: timekeeper does the rest. Either has to answer within 100 ms whatever else is wrong.
PATIENCE = 0.05
#: What the timekeeper looks at beside probes; no probe has such an id.
_PENDING, _HOOKS = "", "*"

_OFF = (ProbeState.EXPIRED, ProbeState.DISABLED)


class _Live(NamedTuple):
    """The running side of an entry. The bucket outlives updates that do not change the rate."""

    gate: AnyGate
    bucket: TokenBucket


class Hooks:
    """The running side of all entries. Called with the lock held, but where it says otherwise.

    Args:
        problem: Why nothing may be captured (a broken redaction rule), or None.
    """

    def __init__(
        self,
        registry: Registry,
        resolver: Resolver,
        engine: Engine,
        planner: Planner,
        reporter: Reporter,
        services: HitServices,
        *,
        problem: Optional[str],
        awake: bool,
    ) -> None:
        self.lock = unpatched.RLock()
        self.awake = awake
        self.placer = Placer(resolver, engine, lambda: services.poke(_PENDING))
        self._registry = registry
        self._resolver = resolver
        self._planner = planner
        self._reporter = reporter
        self._services = services
        self._gating = Gating(engine, services)
        self._problem = problem
        self._live: Dict[str, _Live] = {}
        self._unhooked = unpatched.Event()
        #: Threads that hold the lock because they are forking.
        self._forking: Set[int] = set()

    def add(self, entry: Entry) -> None:
        """Make an entry ready to be hooked."""
        self._reporter.watch(entry.probe.id)
        bucket = self._gating.bucket(entry.probe.rate_limit)
        self._live[entry.probe.id] = _Live(self._gating.gate(entry.counts), bucket)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Take entries' hooks away, for good."""
        for entry in entries:
            self._live.pop(entry.probe.id).gate.plan = None
            self._reporter.forget(entry)
            self._services.poke(entry.probe.id)
        self.placer.remove(entries)

    def new_rate(self, entry: Entry) -> None:
        """Its rate limit has changed."""
        id = entry.probe.id
        self._live[id] = self._live[id]._replace(bucket=self._gating.bucket(entry.probe.rate_limit))

    def note_problem(self, entry: Entry) -> None:
        """Show on an entry why nothing may be captured, if so."""
        if self._problem is not None:
            entry.error = LastError("INVALID_REDACTION", self._problem, time.time_ns())

    def apply(self, entries: Sequence[Entry], resolution: Optional[Resolution] = None) -> None:
        """Do what these entries' definitions and states ask for: the only place that hooks."""
        off: List[Entry] = []
        plans: List[Tuple[Entry, AnyGate, Plan]] = []
        unplaced: List[Tuple[Entry, Handler]] = []
        for entry in entries:
            live = self._live[entry.probe.id]
            self.note_problem(entry)
            if not self._wants_hits(entry):
                live.gate.plan = None
                off.append(entry)
                continue
            try:
                plan = self._planner.plan(entry, live.bucket)
            except Exception as error:  # a mistake of ours; the others are not to suffer from it
                live.gate.plan = None
                off.append(entry)
                message = f"The probe could not be prepared: {type(error).__name__}."
                entry.error = LastError("PLACING_FAILED", message, time.time_ns())
                continue
            plans.append((entry, live.gate, plan))
            placed = entry.error is None or entry.error.code not in PLACING_ERRORS
            if live.gate.plan is None or not placed:
                unplaced.append((entry, handler_of(live.gate)))
        self.placer.remove(off)
        if unplaced:  # looks for code: not for a new condition or limit
            self.placer.place(unplaced, resolution)
        for entry, gate, plan in plans:
            gate.plan = plan
            if not self._wants_hits(entry):  # sleep() or its time came meanwhile, and were here before us
                gate.plan = None
        if any(not entry.imported for entry, _ in unplaced):
            self._services.poke(_PENDING)

    def sleep(self) -> None:
        """All probes off at once; without the lock, and waits for nobody."""
        self.awake = False
        self.shut()
        if self._live:
            # Ten thousand hooks take their time, and so may a change that is in progress.
            self._unhooked.clear()
            self._services.poke(_HOOKS)
            self._unhooked.wait(PATIENCE)

    def wake(self) -> None:
        """All probes on again; without the lock. If that does not come free, as soon as it does."""
        self.awake = True
        if self.lock.acquire(timeout=PATIENCE):
            try:
                self._catch_up()
            finally:
                self.lock.release()
        else:
            self._services.poke(_HOOKS)

    def shut(self) -> None:
        """No probe fires from here on; hooks may still be there. Without the lock."""
        for live in list(self._live.values()):
            live.gate.plan = None

    def notice_imports(self, entries: Iterable[Entry]) -> None:
        """Note on entries what has been imported: nobody waits for the module of one that is off.

        Without the lock: it only reads, but for one attribute of an entry.
        """
        waiting = [each for each in entries if not each.imported and not self.placer.has(each)]
        if waiting:
            loaded = self._resolver.loaded_among({entry.path for entry in waiting})
            for entry in waiting:
                entry.imported = entry.path in loaded

    def state(self, entry: Entry) -> ProbeState:
        """The state of an entry; from when it is said to have expired on, no hit comes. Without the lock.

        The timekeeper, which takes the hook away, may be late for the deadline.
        """
        state = self._registry.state(entry)
        live = self._live.get(entry.probe.id)
        if state is ProbeState.EXPIRED and live is not None and live.gate.plan is not None:
            live.gate.plan = None
            # An update may have given it more time meanwhile; or its hook is still to be taken away.
            revived = self._registry.state(entry) is not ProbeState.EXPIRED
            self._services.poke(_HOOKS if revived else entry.probe.id)
        return state

    def look_after(self, ids: Set[str]) -> Dict[str, Optional[float]]:
        """The timekeeper's work: answers in how many seconds each wants to be looked at again."""
        delays: Dict[str, Optional[float]] = dict.fromkeys(ids)
        over: List[Entry] = []
        self._reporter.tell_owed()
        with self.lock:
            if _HOOKS in ids:
                self._catch_up()
            now = time.monotonic()
            for entry in filter(None, map(self._registry.find, ids)):
                gate = self._live[entry.probe.id].gate
                wanted = [self._report_rate_limit(entry, gate)] if gate.rate_limit_told else []
                if entry.expired(now) and (gate.plan is not None or self.placer.has(entry)):
                    over.append(entry)
                elif entry.expires_at is not None and entry.expires_at > now:
                    wanted.append(entry.expires_at - now)
                delays[entry.probe.id] = min((each for each in wanted if each is not None), default=None)
            self.apply(over)
            if _PENDING in ids:
                delays[_PENDING] = self.placer.patrol()
        return delays

    def close(self) -> None:
        """Remove every hook, and tell what is still to be told."""
        self.placer.close()
        self._reporter.tell_owed()
        for entry in self._registry.entries():
            self._reporter.forget(entry)
        self._live.clear()

    def before_fork(self) -> None:
        """Let a change in progress end, so that the child does not inherit half of it; without the lock.

        And without the GIL, a child that was forked while the world was stopped (as placing does,
        to look at the heap) may find it stopped for ever.
        """
        if self.lock.acquire(timeout=FORK_PATIENCE):
            self._forking.add(unpatched.get_ident())

    def after_fork_in_parent(self) -> None:
        """Changes may go on."""
        if unpatched.get_ident() in self._forking:
            self._forking.discard(unpatched.get_ident())
            self.lock.release()

    def after_fork_in_child(self) -> List[str]:
        """Locks are made anew; answers what the timekeeper has to look at."""
        self._forking = set()
        self.lock = unpatched.RLock()
        self._unhooked = unpatched.Event()
        return [_PENDING, *([] if self.awake else [_HOOKS]), *self._live]

    def _catch_up(self) -> None:
        """Apply the entries that fire and should not, or the reverse."""
        entries = self._registry.entries()
        if self.awake:
            entries = [each for each in entries if self._wants_hits(each) != self._fires(each)]
        self.apply(entries)
        self._unhooked.set()

    def _fires(self, entry: Entry) -> bool:
        return self._live[entry.probe.id].gate.plan is not None and self.placer.has(entry)

    def _wants_hits(self, entry: Entry) -> bool:
        return self.awake and self._problem is None and self._registry.state(entry) not in _OFF

    def _report_rate_limit(self, entry: Entry, gate: AnyGate) -> Optional[float]:
        delay = self._reporter.rate_limited(entry)
        if delay is None:
            gate.rate_limit_told = False
            # A hit may have been dropped between the report and the line above, and not have poked.
            delay = self._reporter.rate_limited(entry)
            gate.rate_limit_told = gate.rate_limit_told or delay is not None
        return delay
