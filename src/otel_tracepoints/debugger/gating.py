"""Which gate stands at a probe, that of Python or the compiled one before it, and what they count with."""

from __future__ import annotations

import threading
from typing import Any, Optional, Protocol, Tuple, Union

from otel_tracepoints import unpatched
from otel_tracepoints.emission.spans import span_parts
from otel_tracepoints.engine.base import Engine, Handler
from otel_tracepoints.limits import Governor, TokenBucket
from otel_tracepoints.model import RateLimit, Snapshot
from otel_tracepoints.pipeline import Gate, HitServices, Plan
from otel_tracepoints.probes.registry import IN_PYTHON, Counting, Counts
from otel_tracepoints.thread_names import PLAIN_THREADS, get_ident, redacted_task_name, thread_name


class CompiledGate(Protocol):
    """``_native.Gate``: as `pipeline.Gate`, as far as the control path is concerned."""

    plan: Optional[Plan]
    rate_limit_told: bool

    def __call__(self, frame: Any) -> None:
        """One arrival at the line."""
        ...


AnyGate = Union[Gate, CompiledGate]


def handler_of(gate: AnyGate) -> Handler:
    """What an engine is to call: a compiled engine knows a compiled gate, and calls straight into it."""
    return gate.__call__ if type(gate) is Gate else gate


def governor_for(percent: float, native: Optional[Any]) -> Governor:
    """The governor of a process, compiled where its gates are."""
    if native is None:
        return Governor(percent)
    compiled: Governor = native.Governor(percent)
    return compiled


def counting_for(native: Optional[Any]) -> Counting:
    """What the arrivals of a process are counted with, compiled where its gates are."""
    return IN_PYTHON if native is None else Counting(native.Count, native.HitBudget)


class Gating:
    """Makes gates and what they count with, as the engine wants them."""

    def __init__(self, engine: Engine, services: HitServices) -> None:
        self._native = engine.native
        self._services = services
        #: What compiled gates share.
        self.parts: Any = None if self._native is None else self._native.HitParts(_hit_parts(services))

    def gate(self, counts: Counts) -> AnyGate:
        """A gate that is off."""
        gate = Gate(counts, self._services)
        if self._native is None:
            return gate
        compiled: CompiledGate = self._native.Gate(gate, counts, self.parts)
        return compiled

    def bucket(self, limit: RateLimit) -> TokenBucket:
        """A full bucket."""
        if self._native is None:
            return TokenBucket(limit)
        compiled: TokenBucket = self._native.TokenBucket(limit)
        return compiled


def _hit_parts(services: HitServices) -> Tuple[Any, ...]:
    """What compiled gates need for the hits that they make themselves (``cpp/hit/parts.hpp``)."""
    policy = services.policy
    return (
        Snapshot,
        services.governor,
        services.emitter,
        span_parts(),
        services.observe,
        services.poke,
        services.function_name,
        policy.label,
        policy.labels,
        None if get_ident is unpatched.get_ident else get_ident,
        thread_name,
        threading._active,  # type: ignore[attr-defined]
        PLAIN_THREADS,
        redacted_task_name(policy.text),
    )
