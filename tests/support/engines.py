"""The engines of this interpreter, by mechanism."""

from __future__ import annotations

import os
import sys
from typing import Tuple

from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.base import Engine
from otel_tracepoints.engine.compiled import COMPILED


class Native(str):
    """A mechanism whose hits are handled in C++."""

    __slots__ = ()

    def __repr__(self) -> str:
        # Written into programs that tests run in processes of their own.
        return f"Native({super().__repr__()})"


_BEST = "monitoring" if sys.version_info >= (3, 12) else "injection"
_PYTHON = (_BEST, "settrace")
#: Every mechanism that must work here, and each once more with the compiled engine.
MECHANISMS: Tuple[str, ...] = (*_PYTHON, *(map(Native, _PYTHON) if COMPILED.module() else ()))
if os.environ.get("TRACEPOINTS_REQUIRE_NATIVE") and not COMPILED.module():
    raise RuntimeError(f"the compiled engine is required here: {COMPILED.why_not()}")


def name_of(mechanism: str) -> str:
    """What a test's parameter is called."""
    return f"native {mechanism}" if type(mechanism) is Native else mechanism


def engine_of(mechanism: str) -> Engine:
    """A fresh engine that uses this mechanism."""
    return create_engine("native" if type(mechanism) is Native else "pytrace", mechanism=str(mechanism))
