"""How long the interpreter itself keeps things."""

from __future__ import annotations

import sys
from typing import Any

import pytest

#: 3.13 without the GIL, and only it, keeps module-level functions, code and classes for ever, and
#: hides them from the collector, once a second thread was started
#: (docs.python.org/3.13/howto/free-threading-python.html, "Immortalization").
_MAY_KEEP = sys.version_info[:2] == (3, 13) and not getattr(sys, "_is_gil_enabled", lambda: True)()


def kept_for_ever(thing: Any) -> bool:
    """Whether it never goes, whoever lets go of it."""
    # An immortal object's count is all ones, in the 32 bits that a thread counts for itself.
    return _MAY_KEEP and sys.getrefcount(thing) >= 2**32 - 1


def skip_if_functions_are_kept() -> None:
    """Skip a test that wants to see a function go."""
    if kept_for_ever(eval("lambda: None", {})):
        pytest.skip("3.13 without the GIL keeps functions for ever once there was a second thread")
