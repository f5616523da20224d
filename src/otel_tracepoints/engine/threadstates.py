"""A C-level trace function for every thread (Python 3.8 to 3.11), by way of ctypes.

``_PyEval_SetTrace`` takes any thread's state (3.9 and later), but a state is freed when its thread
ends, which it may do whenever this thread runs bytecode. So the list of states is walked, looked
at and written to **within one call into C**: chains of iterators over C functions, in which there
is no bytecode between which the interpreter could hand over, and with the garbage collector off,
whose finalizers would be such bytecode. (``PyDLL`` keeps the GIL.)

One thing is read from the state itself: whether somebody else's trace function is there. The
place is fixed per version; `unavailable` tries it out before it is trusted.
"""

from __future__ import annotations

import collections
import ctypes
import gc
import operator
import sys
from itertools import accumulate, chain, compress, repeat, takewhile, tee
from types import FrameType
from typing import Any, Callable, Iterator, List, Optional

from otel_tracepoints import recursion, unpatched

_POINTER = ctypes.sizeof(ctypes.c_void_p)
#: Of ``c_tracefunc`` in ``PyThreadState``; of ``use_tracing`` and ``c_traceobj`` in 3.8's.
_TRACEFUNC = 72 if sys.version_info >= (3, 11) else 64
_USE_TRACING, _TRACEOBJ = 48, 80
_DIRECT = sys.version_info < (3, 9)
_DEPTH = recursion.offset(_POINTER)
_NOBODY = bytes(_POINTER)

#: What a ctypes callback for ``Py_tracefunc`` looks like. The argument of a return is a null
#: pointer when an exception passes, so it must not be taken for an object.
_Prototype = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.py_object, ctypes.c_int, ctypes.c_void_p)

#: Callbacks are never freed: a thread may hold one for ever, asleep.
_kept: List[Any] = []


class _Api:
    """The interpreter's functions, typed."""

    def __init__(self) -> None:
        library: Any = ctypes.pythonapi
        address, number = ctypes.c_void_p, ctypes.c_ssize_t
        interpreter = "_PyInterpreterState_Get" if _DIRECT else "PyInterpreterState_Get"
        self.interpreter: int = _typed(library, interpreter, address)()
        self.head = _typed(library, "PyInterpreterState_ThreadHead", address, address)
        # One argument more than it takes, so that accumulate() can call it; C does not mind.
        self.next = _typed(library, "PyThreadState_Next", address, address, address)
        self.own = _typed(library, "PyThreadState_Get", address)
        self.peek = _typed(library, "PyBytes_FromStringAndSize", ctypes.py_object, address, number)
        self.set_own = _typed(library, "PyEval_SetTrace", None, address, address)
        self.raise_in = _typed(
            library, "PyThreadState_SetAsyncExc", ctypes.c_int, ctypes.c_ulong, ctypes.py_object
        )
        if _DIRECT:
            self.copy = _typed(ctypes.PyDLL(None), "memcpy", address, address, address, number)
            self.count = _typed(library, "Py_IncRef", None, address)
        else:
            self.set = _typed(library, "_PyEval_SetTrace", ctypes.c_int, address, address, address)
            self.frame = _typed(library, "PyThreadState_GetFrame", address, address)

    def states(self) -> Iterator[int]:
        """Every thread state of this interpreter, walked in C."""
        first = map(self.head, (self.interpreter,))
        return takewhile(bool, accumulate(chain(first, repeat(0)), self.next))

    def tracing(self, by: bytes) -> Iterator[int]:
        """Those whose trace function is this one."""
        states, again = tee(self.states())
        functions = map(self.peek, map(operator.add, again, repeat(_TRACEFUNC)), repeat(_POINTER))
        return compress(states, map(operator.eq, functions, repeat(by)))

    def roomy(self, states: Iterator[int]) -> Iterator[int]:
        """Those that are not near their recursion limit, where a callback could not be entered."""
        states, again = tee(states)
        read = map(self.peek, map(operator.add, again, repeat(_DEPTH)), repeat(recursion.SIZE))
        return compress(states, recursion.has_room(read))


def _typed(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]  # Not an attribute: that one would be shared with other users of ctypes.
    function.restype = result
    function.argtypes = arguments
    return function


class _AtOnce:
    """No garbage collection meanwhile, so that nothing but C runs."""

    def __enter__(self) -> None:
        self._enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._enabled:
            gc.enable()


def _exhaust(iterator: Iterator[Any]) -> None:
    collections.deque(iterator, maxlen=0)


class ThreadStates:
    """Gives a trace function to threads and takes it back.

    Args:
        event: ``event(unused, frame, what, unused) -> 0``; called in any thread. Must not raise.
    """

    def __init__(self, event: Callable[[Any, FrameType, int, Any], int]) -> None:
        self._api = _Api()
        self._callback = _Prototype(event)
        _kept.append(self._callback)
        self._address: int = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self._bytes = self._address.to_bytes(_POINTER, sys.byteorder)
        self._keeper: Optional[Any] = None

    def set_all(self) -> None:
        """Give it to every thread that has no other, and is not at the edge of its stack."""
        api = self._api
        if _DIRECT:
            self._keep_tracing_possible()
        with _AtOnce():
            free = api.roomy(api.tracing(_NOBODY))
            if _DIRECT:
                self._write(free, self._address)
            else:
                # With None as its object, so that sys.gettrace() goes on answering None.
                _exhaust(map(api.set, free, repeat(self._address), repeat(id(None))))

    def clear_all(self) -> None:
        """Take it from every thread that has it."""
        api = self._api
        with _AtOnce():
            ours = api.tracing(self._bytes)
            if _DIRECT:
                self._write(ours, 0)
            else:
                _exhaust(map(api.set, ours, repeat(None), repeat(None)))
        self._release_keeper()

    def clear_own(self) -> None:
        """Take it from this thread, if it still has it."""
        api = self._api
        own: int = api.own()
        if api.peek(own + _TRACEFUNC, _POINTER) != self._bytes:
            return
        if not _DIRECT:
            api.set_own(None, None)
            return
        self._write(iter((own,)), 0)
        with _AtOnce():
            nobody = not any(api.tracing(self._bytes))
        if nobody:
            self._release_keeper()

    def adopt(self, _frame: FrameType, _event: str, _argument: object) -> None:
        """A trace function of Python, for `threading.settrace`: it makes way for ours."""
        if _DIRECT:
            self._api.set_own(None, None)
            self._write(iter((self._api.own(),)), self._address)
        else:
            self._api.set_own(self._address, id(None))

    def foreign_frames(self) -> List[FrameType]:
        """Innermost frames of the threads that another trace function has."""
        api = self._api
        if _DIRECT:
            # There is no way to a thread's frame that is as safe: all of them, to be on that side.
            with _AtOnce():
                nothing = sum(map(bool, api.tracing(_NOBODY))) + sum(map(bool, api.tracing(self._bytes)))
                everything = sum(map(bool, api.states()))
            return list(sys._current_frames().values()) if everything > nothing else []
        with _AtOnce():
            harmless = {*api.tracing(_NOBODY), *api.tracing(self._bytes)}
            states, again = tee(api.states())
            foreign = compress(states, map(operator.not_, map(harmless.__contains__, again)))
            addresses = list(map(api.frame, foreign))
        frames: List[FrameType] = []
        for address in addresses:
            if address:
                frame = ctypes.cast(address, ctypes.py_object)
                frames.append(frame.value)
                ctypes.pythonapi.Py_DecRef(frame)
        return frames

    def deliver(self, error: Any) -> None:
        """Raise an exception of this class in this thread, as soon as it runs its own code again."""
        self._api.raise_in(unpatched.get_ident(), error)

    def _write(self, states: Iterator[int], function: int) -> None:
        """3.8: what PyEval_SetTrace writes, into any state."""
        api = self._api
        # The object is None, which is never freed: its count needs to be right, not exact to the
        # moment.
        if function:
            for _ in range(64):
                api.count(id(None))
        value = ctypes.c_void_p(function)
        none = ctypes.c_void_p(id(None) if function else 0)
        on = ctypes.c_int(1 if function else 0)
        first, second, third = tee(states, 3)
        writes = zip(
            map(
                api.copy,
                map(operator.add, first, repeat(_TRACEOBJ)),
                repeat(ctypes.addressof(none)),
                repeat(_POINTER),
            ),
            map(
                api.copy,
                map(operator.add, second, repeat(_TRACEFUNC)),
                repeat(ctypes.addressof(value)),
                repeat(_POINTER),
            ),
            map(
                api.copy,
                map(operator.add, third, repeat(_USE_TRACING)),
                repeat(ctypes.addressof(on)),
                repeat(ctypes.sizeof(on)),
            ),
        )
        _exhaust(writes)

    def _keep_tracing_possible(self) -> None:
        # 3.8 looks for trace functions only while it counts some, and it counts those that are
        # set by its own function: so one is, in a thread that sleeps until the others are gone.
        if self._keeper is not None:
            return
        asleep, set_up = unpatched.Lock(), unpatched.Lock()
        asleep.acquire()
        set_up.acquire()
        api = self._api

        def keep() -> None:
            idle = _Prototype(_idle)
            api.set_own(ctypes.cast(idle, ctypes.c_void_p), id(None))
            set_up.release()
            asleep.acquire()
            api.set_own(None, None)

        unpatched.start_new_thread(keep, ())
        set_up.acquire()
        self._keeper = asleep

    def _release_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.release()


def _idle(_object: object, _frame: FrameType, _what: int, _argument: object) -> int:
    return 0


def unavailable() -> Optional[str]:
    """Why threads cannot be given a trace function here; None if they can. Tries it in a new thread."""
    answers: List[Optional[str]] = []
    done = unpatched.Lock()
    done.acquire()

    def attempt() -> None:
        try:
            answers.append(_try_out())
        except Exception as error:  # A symbol that is missing, most of all.
            answers.append(f"this Python does not offer what is needed ({error})")
        done.release()

    try:
        unpatched.start_new_thread(attempt, ())
    except RuntimeError as error:
        return str(error)
    if not done.acquire(timeout=10):
        return "the attempt did not end"
    return answers[0]


def _try_out() -> Optional[str]:
    api = _Api()
    idle = _Prototype(_idle)
    address = ctypes.cast(idle, ctypes.c_void_p).value or 0
    own = api.own()
    wanted = address.to_bytes(_POINTER, sys.byteorder)
    if api.peek(own + _TRACEFUNC, _POINTER) != _NOBODY:
        return "new threads are traced by somebody else"
    api.set_own(address, id(None))
    found = api.peek(own + _TRACEFUNC, _POINTER)
    fits = True
    if _DIRECT:
        fits = api.peek(own + _TRACEOBJ, _POINTER) == id(None).to_bytes(_POINTER, sys.byteorder)
        fits = fits and api.peek(own + _USE_TRACING, 4) == (1).to_bytes(4, sys.byteorder)
    api.set_own(None, None)
    fits = fits and recursion.is_readable()
    if found != wanted or not fits or api.peek(own + _TRACEFUNC, _POINTER) != _NOBODY:
        return "the state of a thread is laid out differently in this build"
    return None
