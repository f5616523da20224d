"""What ``sys.monitoring`` calls (Python 3.12 and later): with the GIL, and without it.

A callback that answers DISABLE has a location switched off; `monitoring` says why that is a race,
and what keeps it from being lost.
"""

from __future__ import annotations

import sys
import time
from types import CodeType
from typing import Callable, Dict, Set, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.engine.base import Handler
from otel_tracepoints.engine.hook import dispatch
from otel_tracepoints.interrupts import is_for_application

#: Line → handlers, by the identity of the code object.
Table = Dict[int, Dict[int, Tuple[Handler, ...]]]


def line_callback(table: Table, disable: object) -> Callable[[CodeType, int], object]:
    """For LINE: calls the handlers of a line; one that has none is switched off."""
    getframe = sys._getframe

    def on_line(code: CodeType, line: int) -> object:
        try:
            # Not get(): without the GIL it takes 16 µs with an int as key that another thread made.
            handlers = table[id(code)][line]
        except KeyError:
            # No call may stand between the look and this: see the module's docstring.
            return disable
        try:
            frame = getframe(1)
            for handler in handlers:
                handler(frame)
        except RecursionError:
            pass  # at the edge of the stack, where there is no room for a call
        except Exception as error:
            if is_for_application(error):
                raise
        return None

    return on_line


def line_callback_without_gil(
    table: Table, disable: object, deciding: Set[object]
) -> Callable[[CodeType, int], object]:
    """The same where others run meanwhile: it says in ``deciding`` that it decides, and then looks again."""
    getframe = sys._getframe

    def on_line(code: CodeType, line: int) -> object:
        try:
            handlers = table[id(code)][line]
        except KeyError:
            me = object()
            try:
                deciding.add(me)
                handlers = table[id(code)][line]
            except KeyError:
                return disable
            finally:
                deciding.discard(me)
        try:
            dispatch(handlers, getframe(1))
        except RecursionError:
            pass
        return None

    return on_line


def start_callback(table: Table, disable: object) -> Callable[[CodeType, int], object]:
    """For PY_START: does nothing but be there, as long as its code is watched."""

    def on_start(code: CodeType, _offset: int) -> object:
        # Its presence brings the LINE event, which is the one that counts. On 3.13.0 and 3.14
        # DISABLE would take that event away again.
        if id(code) not in table:
            return disable
        return None

    return on_start


def start_callback_without_gil(
    table: Table, disable: object, deciding: Set[object]
) -> Callable[[CodeType, int], object]:
    """The same where others run meanwhile."""

    def on_start(code: CodeType, _offset: int) -> object:
        if id(code) not in table:
            me = object()
            try:
                deciding.add(me)
                if id(code) not in table:
                    return disable
            finally:
                deciding.discard(me)
        return None

    return on_start


def let_callbacks_return(deciding: Callable[[], object]) -> None:
    """Wait (at most 50 ms) for the callbacks that are deciding now; others see the new table.

    One that has just returned may still be waiting, in C, for the lock of its code object, which
    is held for microseconds: hence the wait in any case.
    """
    deadline = time.monotonic() + 0.05
    while True:
        unpatched.sleep(0.0005)
        if not deciding() or time.monotonic() > deadline:
            return
