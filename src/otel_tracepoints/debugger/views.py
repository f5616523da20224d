"""Entries as the API shows them: the point, the explanation, the lines of a file."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from otel_tracepoints import schema
from otel_tracepoints.debugger.explain import summarise
from otel_tracepoints.emission import Emitter
from otel_tracepoints.engine.base import Engine
from otel_tracepoints.model import ProbeState
from otel_tracepoints.probes.registry import Entry
from otel_tracepoints.probes.resolver import Resolver


class Views:
    """Reads entries; changes nothing, and takes no lock."""

    def __init__(
        self,
        resolver: Resolver,
        engine: Engine,
        emitter: Emitter,
        redact: Callable[[str], str],
        state: Callable[[Entry], ProbeState],
    ) -> None:
        self._state = state
        self._resolver = resolver
        self._engine = engine
        self._emitter = emitter
        self._redact = redact

    def point(self, entry: Entry) -> Dict[str, Any]:
        """The point as every endpoint shows it."""
        runtime = schema.PointRuntime(
            state=self._state(entry),
            resolved=entry.location,
            error=_error(entry),
            created_ns=entry.created_ns,
            last_hit_ns=entry.last_hit_ns,
            counts=entry.counts.as_dict(),
        )
        return schema.render_point(entry.probe, runtime, self._redact)

    def explain(self, entry: Entry, *, awake: bool) -> Dict[str, Any]:
        """Why hits of a point do or do not arrive."""
        counts = entry.counts.as_dict()
        state = self._state(entry)
        answer: Dict[str, Any] = {
            "summary": "",
            "state": state.value,
            "module": {"imported": entry.imported, "name": self._resolver.loaded(entry.path)},
            "files": [entry.path],
            "functions": list(entry.functions),
            "reached": _reached(sum(counts.values()), on=awake and state is ProbeState.ACTIVE),
            "counts": counts,
            "error": _error(entry),
            "eventSink": self._emitter.status(),
        }
        notes = [*self._engine.notes(entry.probe.id), *(self._emitter.notes() if entry.last_hit_ns else ())]
        answer["summary"] = " ".join([summarise(entry, answer, awake=awake), *notes])
        return answer

    def lines(self, file: str) -> Dict[str, Any]:
        """The lines of a file that a probe may be put on, with the functions that hold them."""
        found = self._resolver.lines(self._resolver.match(file))
        return {
            "file": found.file,
            "imported": found.imported,
            "lines": [{"line": line, "functions": list(names)} for line, names in found.lines.items()],
        }


def _reached(arrivals: int, *, on: bool) -> Optional[bool]:
    """Whether the line was reached; not known while nobody was looking."""
    if arrivals:
        return True
    return False if on else None


def _error(entry: Entry) -> Optional[Dict[str, Any]]:
    error = entry.error
    if error is None:
        return None
    return {
        "error": error.message,
        "code": error.code,
        "details": {},
        "at": schema.timestamp(error.at_ns),
    }
