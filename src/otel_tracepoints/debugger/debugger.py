"""The control path in one class: what the REST API, the Python API and the agent call.

JSON-like in, JSON-like out; errors are `TracepointsError`. One lock orders all changes. Two
things never wait for it: reading, and going to sleep.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Set, Tuple

from otel_tracepoints import guard, schema
from otel_tracepoints.debugger.hooks import Hooks
from otel_tracepoints.debugger.parts import Parts
from otel_tracepoints.debugger.placing import locate
from otel_tracepoints.debugger.planning import Planner
from otel_tracepoints.debugger.reports import Reporter
from otel_tracepoints.debugger.timekeeper import Timekeeper
from otel_tracepoints.debugger.views import Views
from otel_tracepoints.errors import DuplicateId, TracepointsError
from otel_tracepoints.model import Probe, ProbeState, ProbeType
from otel_tracepoints.pipeline import HitServices
from otel_tracepoints.probes.registry import Entry, PointFilter, carries_any
from otel_tracepoints.probes.resolver import Resolution


class Debugger:
    """All probes of this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = parts.registry
        self._resolver = parts.resolver
        self.redact: Callable[[str], str] = parts.policy.text
        self._timekeeper = Timekeeper(self._look_after)
        function_name, poke = parts.resolver.function_name, self._timekeeper.poke
        self._reporter = Reporter(parts.emitter, self.redact, function_name, poke=poke)
        services = HitServices(
            emitter=parts.emitter,
            governor=parts.governor,
            policy=parts.policy,
            function_name=function_name,
            max_pause_ns=parts.max_pause_ns,
            poke=poke,
            fail=self._reporter.fail,
            observe=parts.emitter.observe,
        )
        self._hooks = Hooks(
            parts.registry,
            parts.resolver,
            parts.engine,
            Planner(
                parts.policy, function_name, parts.value_callback, parts.message_callback, parts.engine.native
            ),
            self._reporter,
            services,
            problem=parts.redaction_problem,
            awake=not parts.asleep,
        )
        self._views = Views(parts.resolver, parts.engine, parts.emitter, self.redact, self._hooks.state)
        self._closed = False

    # -- Changes ---------------------------------------------------------------------------

    def create(self, payload: Any, type: Optional[ProbeType] = None) -> Dict[str, Any]:
        """A new point; the answer is the point as the API shows it.

        Raises:
            InvalidProbe: and its subclasses, for what cannot be accepted.
            DuplicateId: the id is taken.
            TracepointsError: the debugger has been closed.
        """
        probe = schema.parse_create(payload, type)
        with self._hooks.lock:
            if self._closed:
                raise TracepointsError("This agent has been stopped. Call start() for a new one.")
            path, resolution = self._check(probe)
            entry = self._registry.add(probe, path)
            locate(entry, resolution)
            self._hooks.add(entry)
            self._timekeeper.start()
            self._hooks.apply([entry], resolution)
            self._timekeeper.poke(probe.id)
            return self._views.point(entry)

    def validate(self, payload: Any) -> Dict[str, Any]:
        """What `create` would answer or raise, without creating anything."""
        probe = schema.parse_create(payload, None)
        with self._hooks.lock:
            path, resolution = self._check(probe)
            if self._registry.has(probe.id):
                raise DuplicateId(f"A point with the id {probe.id} exists already.", {"id": probe.id})
            entry = Entry(probe, path, time.monotonic())
            locate(entry, resolution)
            self._hooks.note_problem(entry)
            return self._views.point(entry)

    def update(self, id: str, payload: Any) -> Dict[str, Any]:
        """Change a point; a bad value changes nothing."""
        with self._hooks.lock:
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
                self._hooks.new_rate(entry)
            self._hooks.apply([entry])
            self._timekeeper.poke(id)
            return self._views.point(entry)

    def delete(self, id: str) -> None:
        """Remove a point.

        Raises:
            PointNotFound: there is none, or another caller was faster.
        """
        with self._hooks.lock:
            self._delete([self._registry.get(id)])

    def delete_many(self, tags: Iterable[str] = (), *, all: bool = False) -> int:
        """Remove the points that carry any of the tags, or all; answers how many."""
        wanted = tuple(tags)
        with self._hooks.lock:
            chosen = [e for e in self._registry.entries() if all or carries_any(e.probe, wanted)]
            self._delete(chosen)
            return len(chosen)

    def set_enabled(self, id: str, enabled: bool) -> bool:
        """Switch one point on or off, twice is fine; answers whether it changed."""
        with self._hooks.lock:
            return bool(self._switch([self._registry.get(id)], enabled))

    def set_enabled_by_tags(self, tags: Iterable[str], enabled: bool) -> int:
        """Switch the points that carry any of the tags; answers how many changed."""
        wanted = tuple(tags)
        with self._hooks.lock:
            return self._switch(
                [e for e in self._registry.entries() if carries_any(e.probe, wanted)], enabled
            )

    def sleep(self) -> str:
        """All probes off at once. The first thing an operator reaches for: it waits for nobody."""
        self._hooks.sleep()
        return "sleeping"

    def wake(self) -> str:
        """All probes on again, with what they had counted; waits for nobody either."""
        self._hooks.wake()
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
        return "awake" if self._hooks.awake else "sleeping"

    def point(self, id: str) -> Dict[str, Any]:
        """One point.

        Raises:
            PointNotFound: there is none.
        """
        return self._views.point(self._entry(id))

    def points(self, wanted: PointFilter = PointFilter()) -> List[Dict[str, Any]]:  # noqa: B008 - immutable
        """The points that pass the filter."""
        return list(self.each_point(wanted))

    def each_point(self, wanted: PointFilter = PointFilter()) -> Iterator[Dict[str, Any]]:  # noqa: B008 - immutable
        """The same, each made when it is asked for."""
        self._hooks.notice_imports(self._registry.entries())
        return map(self._views.point, self._registry.select(wanted, self._same_file))

    def explain(self, id: str) -> Dict[str, Any]:
        """Why hits of a point do or do not arrive."""
        return self._views.explain(self._entry(id), awake=self._hooks.awake)

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
        return self._registry.hit_counts()

    # -- Life ------------------------------------------------------------------------------

    def close(self) -> None:
        """Remove every hook; no probe can be set afterwards."""
        self._hooks.shut()
        with self._hooks.lock:
            self._closed = True
        self._timekeeper.stop()  # which may be waiting for the lock
        with self._hooks.lock:
            self._hooks.close()
            for entry in self._registry.entries():
                self._registry.remove(entry.probe.id)

    def before_fork(self) -> None:
        """Let a change in progress end."""
        self._hooks.before_fork()

    def after_fork_in_parent(self) -> None:
        """Changes may go on."""
        self._hooks.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """The child keeps probes and counts for itself; locks and threads are made anew."""
        guard.after_fork_in_child()
        self._registry.after_fork_in_child()
        self._parts.resolver.after_fork_in_child()
        self._parts.engine.after_fork_in_child()
        due = self._hooks.after_fork_in_child()
        self._timekeeper.after_fork_in_child(restart=self.probe_count() > 0)
        for id in due:
            self._timekeeper.poke(id)

    # -- Within ----------------------------------------------------------------------------

    def _look_after(self, ids: Set[str]) -> Mapping[str, Optional[float]]:
        return self._hooks.look_after(ids)

    def _check(self, probe: Probe) -> Tuple[str, Resolution]:
        path = self._resolver.match(probe.file)
        return path, self._hooks.placer.resolve(path, probe.line)

    def _entry(self, id: str) -> Entry:
        entry = self._registry.get(id)
        self._hooks.notice_imports((entry,))
        return entry

    def _switch(self, entries: Iterable[Entry], enabled: bool) -> int:
        changed = [entry for entry in entries if entry.probe.enabled != enabled]
        for entry in changed:
            self._registry.replace(entry, entry.probe.replace(enabled=enabled))
        self._hooks.apply(changed)
        for entry in changed:
            self._timekeeper.poke(entry.probe.id)
        return len(changed)

    def _delete(self, entries: List[Entry]) -> None:
        for entry in entries:
            self._registry.remove(entry.probe.id)
        self._hooks.remove(entries)

    def _same_file(self, entry: Entry, file: str) -> bool:
        return self._resolver.same_file(entry.path, file)
