"""Which engine watches the lines, and why not another."""

from __future__ import annotations

import sys
from typing import Optional, Tuple

from otel_tracepoints.engine.base import Engine
from otel_tracepoints.errors import EngineUnavailable

__all__ = ["create_engine"]

_MECHANISMS: Tuple[str, ...] = ("monitoring", "injection", "settrace")


def create_engine(choice: str, *, tool_id: Optional[int] = None, mechanism: Optional[str] = None) -> Engine:
    """The engine for this interpreter.

    Args:
        choice: ``auto``, ``native`` or ``pytrace``.
        tool_id: ``sys.monitoring`` tool id to try first, 0 to 5; Python 3.12 and later.
        mechanism: For tests: this mechanism or none.

    Raises:
        EngineUnavailable: What was asked for cannot run here; the message says what to do.
    """
    if choice == "native":
        raise EngineUnavailable(
            "This installation has no compiled engine. Set TRACEPOINTDEBUG_ENGINE to auto or pytrace."
        )
    if choice not in ("auto", "pytrace"):
        raise EngineUnavailable(f"There is no engine {choice!r}: choose auto, native or pytrace.")
    prefix = "auto: no compiled engine in this installation" if choice == "auto" else "pytrace: as asked"
    return _pytrace(prefix, tool_id, mechanism)


def _pytrace(prefix: str, tool_id: Optional[int], mechanism: Optional[str]) -> Engine:
    wanted = mechanism or ("monitoring" if sys.version_info >= (3, 12) else "injection")
    try:
        engine = _by_mechanism(wanted, tool_id)
        engine.reason = f"{prefix}; {engine.reason}"
    except EngineUnavailable as error:
        if mechanism is not None:
            raise
        engine = _by_mechanism("settrace", None)
        engine.reason = f"{prefix}; {engine.reason}, because {error.message}"
    return engine


def _by_mechanism(mechanism: str, tool_id: Optional[int]) -> Engine:
    # Imported here: each needs things of the interpreter that the others do without.
    if mechanism == "monitoring":
        from otel_tracepoints.engine.monitoring import MonitoringEngine

        return MonitoringEngine(tool_id)
    if mechanism == "injection":
        from otel_tracepoints.engine.injection import InjectionEngine

        return InjectionEngine()
    if mechanism == "settrace":
        from otel_tracepoints.engine.settrace import SettraceEngine

        return SettraceEngine()
    raise EngineUnavailable(f"There is no mechanism {mechanism!r}: {', '.join(_MECHANISMS)}.")
