"""What the spliced-in call reaches: module-level functions and two tables.

They are constants of rewritten code objects, so they are kept where ``pickle`` and friends find
them by name, and what tells one line from another is an int beside them. A frame that was
suspended in rewritten code keeps its call after the probe has gone; it then names a number that
the table does not have, and nothing happens.

Nothing in them may call a Python function but the handlers: at the edge of the stack the error
would be raised here, and show the agent in the application's traceback.
"""

from __future__ import annotations

import itertools
import sys
from types import FrameType
from typing import Any, Dict, FrozenSet, Iterator, Tuple

from otel_tracepoints.engine.base import Handler
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.recursion import FORGIVES, stack

_getframe = sys._getframe
#: An exception's own slot, whatever its class makes of the name.
_traceback_of: Any = BaseException.__dict__["__traceback__"].__get__

#: Line of a code object (a number that is never used again) → handlers.
SITES: Dict[int, Tuple[Handler, ...]] = {}

#: Entrance of an exception handler → site, and the offsets from which it does not count.
ENTRANCES: Dict[int, Tuple[int, FrozenSet[int]]] = {}
_NOWHERE: Tuple[int, FrozenSet[int]] = (0, frozenset())

#: Numbers for both tables, one book for all engines of the process.
numbers: Iterator[int] = itertools.count(1)


if not FORGIVES:

    def arrived(site: int) -> None:
        """Called by rewritten code when a watched line is reached; raises what is for the application."""
        try:
            handlers = SITES.get(site)
            if handlers is not None:
                frame = _getframe(1)
                for handler in handlers:
                    handler(frame)
        except RecursionError:
            pass  # at the edge of the stack, where there is no room for a call
        except Exception as error:
            if is_for_application(error):
                raise

    def dispatch(handlers: Tuple[Handler, ...], frame: FrameType) -> None:
        """Call the handlers; raises only what is for the application."""
        try:
            for handler in handlers:
                handler(frame)
        except RecursionError:
            pass  # at the edge of the stack, where there is no room for a call
        except Exception as error:
            if is_for_application(error):
                raise

else:
    # See `recursion`. Where the application handles an error above the limit there is no room for a hit.
    _stack = stack()
    _limit = sys.getrecursionlimit

    def arrived(site: int) -> None:
        """Called by rewritten code when a watched line is reached; raises what is for the application."""
        try:
            flag = _stack.overflowed
            before = flag.value
        except RecursionError:
            # The very edge. The error has lifted the limit, so before it was not lifted.
            _stack.overflowed.value = 0
            return
        if before:
            if _stack.depth.value > _limit():
                return
            flag.value = 0
        try:
            handlers = SITES.get(site)
            if handlers is not None:
                frame = _getframe(1)
                for handler in handlers:
                    handler(frame)
        except RecursionError:
            pass  # at the edge of the stack, where there is no room for a call
        except Exception as error:
            if is_for_application(error):
                raise
        finally:
            flag.value = before

    def dispatch(handlers: Tuple[Handler, ...], frame: FrameType) -> None:
        """Call the handlers; raises only what is for the application."""
        flag = _stack.overflowed
        before = flag.value
        if before:
            if _stack.depth.value > _limit():
                return
            flag.value = 0
        try:
            for handler in handlers:
                handler(frame)
        except RecursionError:
            pass  # at the edge of the stack, where there is no room for a call
        except Exception as error:
            if is_for_application(error):
                raise
        finally:
            flag.value = before


def arrived_by_exception(number: int) -> None:
    """At the start of an exception handler that may be entered without arriving.

    `with a(): b()` on one line is not left and reached again when ``b`` fails. Where the exception
    came from is known by the newest entry of the traceback.
    """
    site, silent = ENTRANCES.get(number, _NOWHERE)
    handlers = SITES.get(site)
    if handlers is not None:
        frame = _getframe(1)
        traceback = sys.exc_info()[2]
        if traceback is None or traceback.tb_frame is not frame or traceback.tb_lasti not in silent:
            dispatch(handlers, frame)


def arrived_by_unwinding(number: int, source: object) -> None:
    """At the start of a clean-up handler, which runs before the exception can be asked for.

    Args:
        number: Key of `ENTRANCES`.
        source: Where the interpreter was, as it notes it for such handlers (in code units); or
            the exception, which has it in the newest entry of its traceback.
    """
    site, silent = ENTRANCES.get(number, _NOWHERE)
    handlers = SITES.get(site)
    if handlers is not None:
        if type(source) is int:
            offset = source * 2
        else:
            traceback = _traceback_of(source)
            offset = -1 if traceback is None else traceback.tb_lasti
        if offset not in silent:
            dispatch(handlers, _getframe(1))
