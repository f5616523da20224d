"""One probe with its gate, compiled or Python's, whose hits are made by hand."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.debugger.gating import Gating, counting_for, governor_for
from otel_tracepoints.debugger.planning import Planner
from otel_tracepoints.model import Probe, RateLimit, Snapshot
from otel_tracepoints.pipeline import HitServices
from otel_tracepoints.probes.registry import Entry


class Keeping:
    """An emitter that keeps what it gets."""

    def __init__(self) -> None:
        self.taken: List[Snapshot] = []
        self.answer: Any = True

    def submit(self, snapshot: Snapshot, emitted_before: Callable[[], int]) -> bool:
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer:
            snapshot.hit_count = emitted_before() + 1
            self.taken.append(snapshot)
        return bool(self.answer)


class Engine(NamedTuple):
    """As far as gates are concerned."""

    native: Any


class Rig(NamedTuple):
    gate: Any
    entry: Entry
    emitter: Any
    failed: List[str]
    observed: List[float]
    poked: List[str]

    def hit(self, a: Any = 1, b: Any = 2.5, items: Any = ()) -> Optional[Snapshot]:
        assert (a, b, items) is not None
        taken = getattr(self.emitter, "taken", ())
        before = len(taken)
        self.gate(sys._getframe())
        return taken[-1] if len(taken) > before else None

    def counts(self) -> Dict[str, int]:
        return {name: n for name, n in self.entry.counts.as_dict().items() if n}


def rig(
    native: Any,
    governor: Optional[Any] = None,
    emitter: Optional[Any] = None,
    function_name: Callable[[CodeType], str] = lambda code: f"mod.{code.co_name}",
    **probe: Any,
) -> Rig:
    """Compiled, if the module is given."""
    policy = RedactionPolicy.build((), (), ())
    fields = {"message": "a={a} b={b}", "rate_limit": RateLimit(1e9, 10**9), **probe}
    definition = Probe(id="p", file="f.py", line=7, **fields)
    entry = Entry(definition, "/f.py", 0.0, counting_for(native))
    emitter = Keeping() if emitter is None else emitter
    failed: List[str] = []
    observed: List[float] = []
    poked: List[str] = []
    services = HitServices(
        emitter,
        governor or governor_for(100, native),
        policy,
        function_name,
        0,
        poked.append,
        lambda plan, frame, kind, error: failed.append(f"{kind}: {error}"),
        observed.append,
    )
    engine: Any = Engine(native)
    gating = Gating(engine, services)
    gate = gating.gate(entry.counts)
    planner = Planner(policy, services.function_name, native=engine.native)
    gate.plan = planner.plan(entry, gating.bucket(definition.rate_limit))
    return Rig(gate, entry, emitter, failed, observed, poked)


def facts(snapshot: Optional[Snapshot]) -> Dict[str, Any]:
    """All of it but the time."""
    assert snapshot is not None
    return {name: getattr(snapshot, name) for name in Snapshot.__slots__ if name != "timestamp_ns"}
