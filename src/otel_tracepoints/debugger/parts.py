"""What a debugger is made of."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.emission import Emitter
from otel_tracepoints.engine.base import Engine
from otel_tracepoints.limits import Governor
from otel_tracepoints.probes.registry import Registry
from otel_tracepoints.probes.resolver import Resolver


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
