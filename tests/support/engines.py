"""The engines of this interpreter, by mechanism."""

from __future__ import annotations

import sys
from typing import Tuple

from otel_tracepoints.engine.base import Engine

#: Every mechanism that must work here; the first is the one that ``auto`` takes.
MECHANISMS: Tuple[str, ...] = (
    ("monitoring" if sys.version_info >= (3, 12) else "injection"),
    "settrace",
)


def engine_of(mechanism: str) -> Engine:
    """A fresh engine that uses this mechanism."""
    if mechanism == "monitoring":
        from otel_tracepoints.engine.monitoring import MonitoringEngine

        return MonitoringEngine()
    if mechanism == "injection":
        from otel_tracepoints.engine.injection import InjectionEngine

        return InjectionEngine()
    from otel_tracepoints.engine.settrace import SettraceEngine

    return SettraceEngine()
