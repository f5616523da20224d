"""Which engine watches the lines, and why not another."""

from __future__ import annotations

import sys
from typing import Any, Optional, Tuple

from otel_tracepoints.engine.base import Engine
from otel_tracepoints.engine.compiled import COMPILED
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
    if choice not in ("auto", "native", "pytrace"):
        raise EngineUnavailable(f"There is no engine {choice!r}: choose auto, native or pytrace.")
    if choice == "pytrace":
        return _engine("pytrace: as asked", tool_id, mechanism, None)
    native = COMPILED.module()
    if native is not None:
        prefix = "native: as asked" if choice == "native" else "auto: the compiled engine"
        return _engine(prefix, tool_id, mechanism, native)
    why = COMPILED.why_not()
    if choice == "native":
        raise EngineUnavailable(
            f"There is no compiled engine: {why}. Install a wheel that has it, or a C++ compiler and then the"
            " package again; or set TRACEPOINTDEBUG_ENGINE to auto or pytrace."
        )
    return _engine(f"auto: no compiled engine ({why})", tool_id, mechanism, None)


def _engine(prefix: str, tool_id: Optional[int], mechanism: Optional[str], native: Optional[Any]) -> Engine:
    wanted = mechanism or ("monitoring" if sys.version_info >= (3, 12) else "injection")
    try:
        engine = _by_mechanism(wanted, tool_id, native)
        engine.reason = f"{prefix}; {engine.reason}"
    except EngineUnavailable as error:
        if mechanism is not None:
            raise
        engine = _by_mechanism("settrace", None, native)
        engine.reason = f"{prefix}; {engine.reason}, because {error.message}"
    return engine


def _by_mechanism(mechanism: str, tool_id: Optional[int], native: Optional[Any]) -> Engine:
    # Imported here: each needs things of the interpreter that the others do without.
    if mechanism == "monitoring":
        from otel_tracepoints.engine.monitoring import MonitoringEngine

        return MonitoringEngine(tool_id, native)
    if mechanism == "injection":
        from otel_tracepoints.engine.injection import InjectionEngine

        return InjectionEngine(native)
    if mechanism == "settrace":
        if native is not None:
            from otel_tracepoints.engine.ctrace import CompiledSettraceEngine

            return CompiledSettraceEngine(native)
        from otel_tracepoints.engine.settrace import SettraceEngine

        return SettraceEngine()
    raise EngineUnavailable(f"There is no mechanism {mechanism!r}: {', '.join(_MECHANISMS)}.")
