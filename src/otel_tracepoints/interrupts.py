"""Whose an exception is that comes out of our code on the hit path: ours, or the application's.

A signal's handler runs between any two instructions, ours among them, and what it raises is meant
for the application: a time limit (Celery's ``SoftTimeLimitExceeded``) that is swallowed here never
ends anything. The handler's frame in the traceback tells. What `PyThreadState_SetAsyncExc` has put
into the thread leaves no frame at all; there the class tells. Anything else is a failure of ours,
also where code of the application had a part in it, and never leaves.

Only what goes wrong pays for the look.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal would ask the handlers whether they are enums
import functools
import inspect
import threading
from types import CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any, List, Optional

from otel_tracepoints.recursion import FORGIVES, forgive

#: An exception's own slots, whatever its class makes of the names.
_traceback_of: Any = BaseException.__dict__["__traceback__"].__get__
_module_of: Any = type.__dict__["__module__"].__get__
_namespace_of: Any = type.__dict__["__dict__"].__get__
_mro_of: Any = type.__dict__["__mro__"].__get__

#: Not from __file__: code keeps the name under which it was compiled.
_OWN = (lambda: None).__code__.co_filename[: -len("interrupts.py")]
_DEMO = _OWN + "demo"
#: The standard library, where the interpreter has not frozen it.
_LIBRARY = threading.Thread.run.__code__.co_filename[: -len("threading.py")]
_INSTALLED = ("site-packages", "dist-packages")

#: A function has fast locals, and names of its own.
_OF_FUNCTION = inspect.CO_OPTIMIZED | inspect.CO_NEWLOCALS

#: Modules of the exceptions that code of ours, or what it calls, can raise.
_RAISED_HERE = frozenset(
    ("builtins", "decimal", "re", "re._constants", "sre_constants", "struct", "binascii", "ctypes", "_queue")
)
_FAMILIES = ("otel_tracepoints.", "opentelemetry.", "json.", "asyncio.", "zoneinfo", "numpy", "pandas")


def is_for_application(error: BaseException) -> bool:
    """Whether to pass it on. Where the stack or the memory ends it is ours: we may be what was too much."""
    cls = type(error)
    if not issubclass(cls, Exception):
        return True
    if issubclass(cls, (RecursionError, MemoryError)):
        if FORGIVES:
            forgive()
        return False
    try:
        return is_from_signal(error) or (_is_foreign(cls) and not _passed_application(_traceback_of(error)))
    except RecursionError:
        return True  # There is no room to look, but there was for a signal's handler.


def is_from_signal(error: BaseException) -> bool:
    """Whether a signal's handler is in the traceback; for where code of the application runs by design."""
    if not issubclass(type(error), Exception):
        return True
    if FORGIVES and issubclass(type(error), RecursionError):
        forgive()  # whose it was, the caller goes on
    handlers: Optional[List[CodeType]] = None
    traceback = _traceback_of(error)
    while traceback is not None:
        frame = traceback.tb_frame
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            if handlers is None:
                handlers = _handlers()
            if any(code is handler for handler in handlers) or _was_called_as_handler(frame):
                return True
        traceback = traceback.tb_next
    return False


def _was_called_as_handler(frame: FrameType) -> bool:
    """With a number and a frame: handlers that are set for a while only are no longer registered."""
    code = frame.f_code
    if code.co_flags & _OF_FUNCTION != _OF_FUNCTION:
        return False
    values, count = frame.f_locals, code.co_argcount
    given = [values.get(name) for name in code.co_varnames[:count]]
    if code.co_flags & inspect.CO_VARARGS:
        more = values.get(code.co_varnames[count + code.co_kwonlyargcount])
        given.extend(more if type(more) is tuple else ())
    return any(type(n) is int and type(f) is FrameType for n, f in zip(given, given[1:]))


def _is_foreign(cls: type) -> bool:
    module = _module_of(cls)
    if type(module) is not str:
        return True
    if module in _RAISED_HERE:
        return issubclass(cls, OSError)  # There is no I/O in a hit: somebody's TimeoutError.
    return not module.startswith(_FAMILIES)


def _passed_application(traceback: Optional[TracebackType]) -> bool:
    """Whether a frame of the application is in it."""
    while traceback is not None:
        frame = traceback.tb_frame
        file = frame.f_code.co_filename
        if file.startswith(_OWN):
            if file.startswith(_DEMO):
                return True
        elif file.startswith(_LIBRARY):
            if file.startswith(_INSTALLED, len(_LIBRARY)) and not _is_known(frame.f_globals):
                return True
        elif not file.startswith("<frozen ") and not _is_known(frame.f_globals):
            return True
        traceback = traceback.tb_next
    return False


def _is_known(namespace: Any) -> bool:
    name = dict.get(namespace, "__name__")
    # NamedTuples are made by code of no file.
    return type(name) is str and name.startswith(("namedtuple_", "opentelemetry."))


def _handlers() -> List[CodeType]:
    found: List[CodeType] = []
    for number in range(1, _signal.NSIG):
        try:
            handler: Any = _signal.getsignal(number)
        except ValueError:  # a number that the system keeps to itself
            continue
        code = _code_of(handler)
        if code is not None:
            found.append(code)
    return found


def _code_of(handler: Any) -> Optional[CodeType]:
    for _ in range(8):
        kind = type(handler)
        if kind is FunctionType:
            code: CodeType = handler.__code__
            return code
        if kind is MethodType:
            handler = handler.__func__
        elif kind is functools.partial:
            handler = handler.func
        else:
            for each in _mro_of(kind):
                called = _namespace_of(each).get("__call__")
                if called is not None:
                    handler = called
                    break
            else:
                return None
    return None
