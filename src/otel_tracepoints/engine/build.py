"""Whether this installation has the compiled module, and why not."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Optional

__all__ = ["why_not_compiled"]

MODULE = "otel_tracepoints.engine._native"
#: Left by ``hatch_build.py`` in a package that was made without it: one line.
REASON = Path(__file__).with_name("_build.txt")
#: A source tree that nobody has installed.
UNKNOWN = "it was not built; `pip install .` builds it where there is a C++ compiler"


def why_not_compiled() -> Optional[str]:
    """Why there is no compiled module, as the end of a sentence; None where there is one."""
    try:
        importlib.import_module(MODULE)
    except ModuleNotFoundError as error:
        return _recorded() if error.name == MODULE else f"it cannot be loaded: {error}"
    except Exception as error:  # whatever comes of a library that does not fit this machine
        return f"it cannot be loaded: {' '.join(str(error).split())}"
    return None


def _recorded() -> str:
    try:
        return REASON.read_text("utf-8").strip() or UNKNOWN
    except (OSError, ValueError):  # an archive, or no such file; not UTF-8
        return UNKNOWN
