"""The edge of the stack on Python 3.8 (and 3.9 before 3.9.2).

There a RecursionError sets a flag in the thread's state that lifts the limit until the stack has
shrunk by 50 frames, so that the error can be handled; 50 frames above the limit the interpreter
ends the process. Code that swallows the error where it was raised and lets the application go
deeper, as a hook must, would turn a recursion that the application survives into an abort
(tried: "Cannot recover from stack overflow"). So a hook puts the flag back as it was. 3.9.2 and
later have no such flag.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

#: Of ``PyThreadState.overflowed``, a char: after three pointers, the frame and the depth. These
#: versions are frozen, so it never moves.
_OFFSET = 4 * ctypes.sizeof(ctypes.c_void_p) + ctypes.sizeof(ctypes.c_int)


class OverflowFlag(threading.local):
    """``.flag.value`` is the flag of the thread that asks; to be used before 3.9.2 only."""

    def __init__(self) -> None:
        get_state: Any = ctypes.PyDLL(None).PyThreadState_Get
        get_state.restype = ctypes.c_void_p
        self.flag = ctypes.c_char.from_address(get_state() + _OFFSET)
