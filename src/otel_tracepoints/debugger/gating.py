"""Which gate stands at a probe: that of Python, or the compiled one in front of it."""

from __future__ import annotations

from typing import Any, Optional, Protocol, Union

from otel_tracepoints.engine.base import Engine, Handler
from otel_tracepoints.limits import TokenBucket
from otel_tracepoints.model import RateLimit
from otel_tracepoints.pipeline import Gate, HitServices, Plan
from otel_tracepoints.probes.registry import Counts


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


class Gating:
    """Makes gates and what they count with, as the engine wants them."""

    def __init__(self, engine: Engine, services: HitServices) -> None:
        self._native = engine.native
        self._services = services

    def gate(self, counts: Counts) -> AnyGate:
        """A gate that is off."""
        gate = Gate(counts, self._services)
        if self._native is None:
            return gate
        compiled: CompiledGate = self._native.Gate(gate, counts)
        return compiled

    def bucket(self, limit: RateLimit) -> TokenBucket:
        """A full bucket."""
        if self._native is None:
            return TokenBucket(limit)
        compiled: TokenBucket = self._native.TokenBucket(limit)
        return compiled
