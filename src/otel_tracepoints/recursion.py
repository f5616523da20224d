"""How near a thread is to its recursion limit (Python 3.8 to 3.11), read from the thread's state.

On 3.8 (and 3.9 before 3.9.2) a RecursionError sets a flag there that lifts the limit until the
stack has shrunk by 50 frames, so that the error can be handled; 50 frames above the limit the
interpreter ends the process. Code that swallows the error and goes on, as a hit does, would turn
a recursion that the application survives into an abort (tried: "Cannot recover from stack
overflow"), and so would code that runs inside such a handler of the application and is deeper
than what is left. So the flag is put down for the time of a hit, wherever a hit swallows the
error it is put down again, and at the end it is what it was. Later versions have no such flag.
"""

from __future__ import annotations

import operator
import sys
import threading
from functools import partial
from itertools import repeat
from typing import Any, Iterator, List

#: `forgive` has something to do. To be asked first: elsewhere there is no room for a call.
FORGIVES = sys.version_info < (3, 9, 2)

#: So many calls are left to a thread that a trace function of ours may be in. What a hit needs has
#: its own way to fail; this is for the trace function itself, which as a callback from C has none.
MARGIN = 50

#: Of the depth, a C int.
SIZE = 4


def offset(pointer: int) -> int:
    """Of the depth (3.11: of what is left) in ``PyThreadState``; the flag is behind it. Frozen by now."""
    return 3 * pointer + 8 if sys.version_info >= (3, 11) else 4 * pointer


class Stack(threading.local):
    """Of the thread that asks."""

    def __init__(self) -> None:
        import ctypes  # where there is nothing to read, it need not be there

        get_state: Any = ctypes.PyDLL(None).PyThreadState_Get
        get_state.restype = ctypes.c_void_p
        address = get_state() + offset(ctypes.sizeof(ctypes.c_void_p))
        self.depth = ctypes.c_int.from_address(address)
        if FORGIVES:
            self.overflowed = ctypes.c_byte.from_address(address + SIZE)


#: Made when first asked: later versions may do without ctypes.
_stacks: List[Stack] = []


def stack() -> Stack:
    """The one `Stack`; for all threads."""
    if not _stacks:
        _stacks.append(Stack())
    return _stacks[0]


def room() -> int:
    """How many calls deeper this thread may go."""
    depth: int = stack().depth.value
    return depth if sys.version_info >= (3, 11) else sys.getrecursionlimit() - depth


def has_room(read: Iterator[bytes]) -> Iterator[bool]:
    """Whether each of these threads may go `MARGIN` calls deeper; in C as it is iterated over."""
    numbers = map(partial(int.from_bytes, byteorder=sys.byteorder, signed=True), read)
    if sys.version_info >= (3, 11):
        return map(operator.gt, numbers, repeat(MARGIN))
    return map(operator.lt, numbers, repeat(sys.getrecursionlimit() - MARGIN))


def is_readable() -> bool:
    """Whether the number is where it is believed to be; tries it out."""

    def deeper() -> int:
        return room()

    return room() - deeper() == 1


def forgive() -> None:
    """Called where a RecursionError of our own is swallowed: it has lifted the limit."""
    if FORGIVES:
        stack().overflowed.value = 0
