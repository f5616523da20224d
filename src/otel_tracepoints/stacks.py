"""The frames that threads run, as far as they may be looked at."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, List

_is_gil_enabled: Any = getattr(sys, "_is_gil_enabled", lambda: True)


def sees_own_thread_only() -> bool:
    """Whether `innermost_frames` answers for this thread alone."""
    return not _is_gil_enabled()


def innermost_frames() -> List[FrameType]:
    """The innermost frame of every thread; without the GIL of this one alone.

    Without the GIL another thread goes on while its frames are looked at, and to follow them with
    ``f_back`` crashes the interpreter (github.com/python/cpython/issues/118680; its documentation
    calls ``sys._current_frames`` "generally not safe to use in a free-threaded build").
    """
    if sees_own_thread_only():
        return [sys._getframe(1)]
    # No other public interface shows the stacks of other threads.
    return list(sys._current_frames().values())
