"""A debugger without code to debug: it keeps points and hits in memory and records audits.

What a real one finds out about files is decided by the file's name: see `FILE_ERRORS`.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from otel_tracepoints import schema
from otel_tracepoints.errors import (
    AmbiguousFile,
    DuplicateId,
    FileNotFound,
    ForbiddenFile,
    LineNotExecutable,
    PointNotFound,
)
from otel_tracepoints.model import Location, Probe, ProbeState, ProbeType

FILE_ERRORS: Mapping[str, Callable[[], Exception]] = {
    "missing.py": lambda: FileNotFound("There is no such file."),
    "twice.py": lambda: AmbiguousFile("Two files match.", {"candidates": ["/a/twice.py", "/b/twice.py"]}),
    "logging.py": lambda: ForbiddenFile("No probe may be put there."),
    "broken.py": lambda: ZeroDivisionError("the secret inside"),
}


class FakeDebugger:
    """As `otel_tracepoints.debugger.Debugger`, as far as the control API calls it."""

    def __init__(self) -> None:
        self.probes: Dict[str, Probe] = {}
        self.audits: List[Tuple[str, str, Optional[str], Optional[int], Optional[str]]] = []
        self.state = "awake"
        self.secret = "s3cr3t"
        self._hits: List[Dict[str, Any]] = []
        self._callbacks: List[Callable[[], None]] = []
        self._arrived = threading.Condition()
        #: While cleared, `lines` and `wake` do not return.
        self.unblocked = threading.Event()
        self.unblocked.set()

    def redact(self, text: str) -> str:
        return text.replace(self.secret, "[REDACTED]")

    def create(self, payload: Any, type: Optional[ProbeType] = None) -> Dict[str, Any]:
        probe = self._checked(schema.parse_create(payload, type))
        self.probes[probe.id] = probe
        return self._show(probe)

    def validate(self, payload: Any) -> Dict[str, Any]:
        return self._show(self._checked(schema.parse_create(payload, None)))

    def _checked(self, probe: Probe) -> Probe:
        if probe.file in FILE_ERRORS:
            raise FILE_ERRORS[probe.file]()
        if probe.line > 1000:
            raise LineNotExecutable("Try line 1000.", {"nearest": [1000]})
        if probe.id in self.probes:
            raise DuplicateId("This id is taken.", {"id": probe.id})
        return probe

    def _get(self, id: str) -> Probe:
        if id not in self.probes:
            raise PointNotFound("There is no such point.", {"id": id})
        return self.probes[id]

    def point(self, id: str) -> Dict[str, Any]:
        return self._show(self._get(id))

    def each_point(self, wanted: Any = None) -> Iterator[Dict[str, Any]]:
        return iter(
            [
                self._show(probe)
                for probe in self.probes.values()
                if wanted is None
                or (
                    (wanted.type is None or probe.type.value == wanted.type)
                    and (wanted.enabled is None or probe.enabled == wanted.enabled)
                    and (not wanted.tags or set(wanted.tags) & set(probe.tags))
                    and (wanted.state is None or self._state(probe).value == wanted.state)
                    and (wanted.file is None or probe.file.endswith(wanted.file))
                )
            ]
        )

    def update(self, id: str, payload: Any) -> Dict[str, Any]:
        probe = schema.parse_update(self._get(id), payload, self.redact)
        self.probes[id] = probe
        return self._show(probe)

    def delete(self, id: str) -> None:
        del self.probes[self._get(id).id]

    def delete_many(self, tags: Iterable[str] = (), *, all: bool = False) -> int:
        chosen = [p.id for p in self.probes.values() if all or set(tags) & set(p.tags)]
        for id in chosen:
            del self.probes[id]
        return len(chosen)

    def set_enabled(self, id: str, enabled: bool) -> bool:
        before = self._get(id)
        self.probes[id] = before.replace(enabled=enabled)
        return before.enabled != enabled

    def set_enabled_by_tags(self, tags: Iterable[str], enabled: bool) -> int:
        chosen = [p for p in self.probes.values() if set(tags) & set(p.tags) and p.enabled != enabled]
        for probe in chosen:
            self.set_enabled(probe.id, enabled)
        return len(chosen)

    def explain(self, id: str) -> Dict[str, Any]:
        self._get(id)
        return {"summary": "It has not been reached.", "state": "active"}

    def lines(self, file: str) -> Dict[str, Any]:
        self.unblocked.wait(20)
        if file in FILE_ERRORS:
            raise FILE_ERRORS[file]()
        return {"file": "/srv/" + file, "imported": True, "lines": [{"line": 1, "functions": ["m.f"]}]}

    def hit(self, point: str) -> None:
        """A hit of this point arrives."""
        with self._arrived:
            self._hits.append({"sequence": len(self._hits) + 1, "point": point})
            self._arrived.notify_all()
        for callback in list(self._callbacks):
            callback()

    def hits(
        self,
        after: Optional[int] = None,
        limit: int = 100,
        wait: float = 0.0,
        point: Optional[str] = None,
    ) -> Dict[str, Any]:
        deadline = time.monotonic() + wait
        with self._arrived:
            while True:
                found = [h for h in self._hits if point is None or h["point"] == point]
                if after is None:
                    found = found[-limit:]
                else:
                    found = [h for h in found if h["sequence"] > after][:limit]
                left = deadline - time.monotonic()
                if found or left <= 0:
                    break
                self._arrived.wait(left)
        return {
            "hits": found,
            "next": found[-1]["sequence"] if found else after or 0,
            "missed": 0,
        }

    def on_hit(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def sleep(self) -> str:
        self.state = "sleeping"
        return self.state

    def wake(self) -> str:
        self.unblocked.wait(20)
        self.state = "awake"
        return self.state

    def audit(
        self,
        action: str,
        outcome: str,
        *,
        probe_id: Optional[str] = None,
        count: Optional[int] = None,
        client: Optional[str] = None,
    ) -> None:
        self.audits.append((action, outcome, probe_id, count, client))

    def health(self) -> Dict[str, Any]:
        """What the agent's ``status()`` answers, in part."""
        return {
            "status": "healthy",
            "state": self.state,
            "agent": {"name": "otel-tracepoints", "version": "0", "runtime": "python", "runtimeVersion": "3"},
            "process": {"pid": 1, "serviceName": None},
        }

    @staticmethod
    def _state(probe: Probe) -> ProbeState:
        return ProbeState.ACTIVE if probe.enabled else ProbeState.DISABLED

    def _show(self, probe: Probe) -> Dict[str, Any]:
        runtime = schema.PointRuntime(
            state=self._state(probe),
            resolved=Location("/srv/" + probe.file, probe.line, ("m.f",)),
            error=None,
            created_ns=1_700_000_000_123_456_789,
            last_hit_ns=None,
            counts={},
        )
        return schema.render_point(probe, runtime, self.redact)
