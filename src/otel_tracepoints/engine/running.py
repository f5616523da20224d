"""Frames that run code of before (Python 3.8 to 3.11), watched until they leave.

A frame cannot be given other code. So the threads that run such frames, and all threads while
one is suspended in a generator or coroutine, get a trace function at the level of C: no frame is
touched for it (a trace function of Python copies every local variable out and back, and so undoes
what another thread wrote to a closure meanwhile), and it can be given to any thread. It costs a
thread 2.5 to 4.5 times its speed; frames that are of no interest have their line events switched
off while they run. It goes by itself: from a thread when the last frame of the kind leaves it and
none is suspended anywhere.

A thread that another tracer watches (a debugger, coverage) is left to it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from _thread import get_ident
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Sequence, Set

from otel_tracepoints import unpatched
from otel_tracepoints.engine.holders import Suspendable, frame_of
from otel_tracepoints.engine.hook import SITES, dispatch
from otel_tracepoints.engine.threadstates import ThreadStates, unavailable
from otel_tracepoints.recursion import FORGIVES, MARGIN, forgive, room

#: Seconds after which a thread that came near its recursion limit is looked at again.
_UNWOUND = 0.1

_CALL, _LINE, _RETURN = 0, 2, 3
_SUSPENDABLE = 0x20 | 0x80 | 0x200  # CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR

SLOW = (
    "A frame that was already running is watched by a trace function: until it leaves, its thread runs"
    " 2.5 to 4.5 times slower."
)
SLOW_EVERYWHERE = (
    "A generator or coroutine that was already suspended is watched by a trace function: until it has"
    " finished, all threads run 2.5 to 4.5 times slower."
)
FOREIGN = (
    "A frame that was already running is not watched, because another trace function (a debugger or"
    " coverage) has its thread; the line is watched from its next call on."
)


class _Thread:
    """What the trace function knows of the thread that it runs in."""

    __slots__ = ("muted", "own", "recheck")

    def __init__(self, own: bool) -> None:
        #: A frame of interest is on the stack.
        self.own = own
        #: One that can be suspended has just left: perhaps it was the last.
        self.recheck = False
        #: Identities of frames whose line events are off, all of them on the stack.
        self.muted: Set[int] = set()


class RunningFrames:
    """Watches frames of code objects in a table.

    Args:
        table: Identity of a code object → line → number in `hook.SITES`. Read by the trace
            function at every event, changed by its owner at any time.
        again: Calls `update` under the owner's lock; called in a thread of its own.
    """

    def __init__(self, table: Dict[int, Dict[int, int]], again: Callable[[], None]) -> None:
        self._table = table
        self._again = again
        #: Holds one ticket while nobody waits to look again.
        self._waiting: List[None] = [None]
        self._threads: Dict[int, _Thread] = {}
        self._suspended: Dict[int, Any] = {}
        self._states: Optional[ThreadStates] = None
        self._reason: Optional[str] = None

    def update(self, suspended: Sequence[Suspendable] = ()) -> List[str]:
        """The table has changed; ``suspended`` may have frames that it is about. Returns notes."""
        for one in suspended:
            if frame_of(one) is not None:
                self._expect(one)
        self._forget_finished()
        running = [frame for frame in _innermost() if self._find(frame) is not None]
        if not running and not self._suspended:
            self._stop_adopting()
            return []
        if self._states is None and self._reason is None:
            self._reason = unavailable()
            if self._reason is None:
                self._states = ThreadStates(self._event)
        if self._states is None:
            return [f"Frames that were already running are not watched: {self._reason}"]
        return self._watch(self._states, running)

    def after_fork_in_child(self) -> None:
        """Other threads are gone; this one goes on as it was."""
        own = self._threads.get(get_ident())
        self._threads.clear()
        self._waiting = [None]
        if own is not None:
            self._threads[get_ident()] = own

    def close(self) -> None:
        """Take the trace function from all threads, once nothing is in the table."""
        self._stop_adopting()
        if self._states is not None:
            self._unmute_all()
            self._states.clear_all()

    def _watch(self, states: ThreadStates, running: List[FrameType]) -> List[str]:
        notes: List[str] = []
        foreign = states.foreign_frames()
        if any(self._find(frame) is not None for frame in foreign):
            notes.append(FOREIGN)
        if len(running) > len(foreign) or any(all(r is not f for f in foreign) for r in running):
            notes.append(SLOW)
        if self._suspended:
            notes.append(SLOW_EVERYWHERE)
            self._adopt_new_threads(states)
        alive = set(sys._current_frames())
        for ident in list(self._threads):
            if ident not in alive:
                self._threads.pop(ident, None)
        states.set_all()
        return notes

    def _find(self, frame: Optional[FrameType]) -> Optional[FrameType]:
        """The innermost frame of interest from here outwards."""
        table = self._table
        while frame is not None:
            if id(frame.f_code) in table:
                return frame
            frame = frame.f_back
        return None

    def _expect(self, one: Suspendable) -> None:
        book, identity = self._suspended, id(one)
        book[identity] = weakref.ref(one, lambda _: book.pop(identity, None))

    def _forget_finished(self) -> None:
        table = self._table
        for identity, reference in list(self._suspended.items()):
            frame = frame_of(reference())
            if frame is None or id(frame.f_code) not in table:
                self._suspended.pop(identity, None)

    def _event(self, _: object, frame: FrameType, what: int, _argument: object) -> int:
        """The trace function. Called with tracing off, so it never sees itself."""
        try:
            lines = self._table.get(id(frame.f_code))
            if what == _LINE:
                if lines is None:
                    self._called(frame, False)
                else:
                    number = lines.get(frame.f_lineno)
                    if number is not None:
                        handlers = SITES.get(number)
                        if handlers is not None:
                            dispatch(handlers, frame)
                return 0
            if what == _CALL:
                self._called(frame, lines is not None)
            elif what == _RETURN:
                self._returned(frame, lines is not None)
        except RecursionError:
            if FORGIVES:
                forgive()
        except BaseException as error:  # An interrupt that struck here is the application's.
            if self._states is not None:
                self._states.deliver(type(error))
        return 0

    def _thread(self, frame: FrameType) -> _Thread:
        ident = get_ident()
        thread = self._threads.get(ident)
        if thread is None:
            thread = self._threads[ident] = _Thread(self._find(frame) is not None)
        return thread

    def _called(self, frame: FrameType, interesting: bool) -> None:
        thread = self._thread(frame)
        if room() < MARGIN:
            # Where this cannot be entered, the interpreter prints the error, and ends the process
            # (3.8) or hands the application a SystemError. So not so deep, at the price of hits.
            self._leave(thread, frame)
            self._soon_again()
            return
        if interesting:
            thread.own = True
            return
        if thread.recheck:
            thread.recheck = False
            self._forget_finished()
        if not thread.own and not self._suspended:
            self._leave(thread, frame)
        elif frame.f_trace_lines:
            frame.f_trace_lines = False
            thread.muted.add(id(frame))

    def _returned(self, frame: FrameType, interesting: bool) -> None:
        thread = self._thread(frame)
        if id(frame) in thread.muted:
            thread.muted.discard(id(frame))
            frame.f_trace_lines = True
        if interesting and frame.f_code.co_flags & _SUSPENDABLE:
            thread.recheck = True
        elif thread.recheck:
            thread.recheck = False
            self._forget_finished()
        if thread.own:
            thread.own = self._find(frame.f_back) is not None
        if frame.f_back is None or not (thread.own or self._suspended or thread.recheck):
            self._leave(thread, frame)

    def _leave(self, thread: _Thread, frame: FrameType) -> None:
        """Take the trace function from this thread."""
        if self._states is not None:
            self._states.clear_own()
        self._threads.pop(get_ident(), None)
        _unmute(thread, frame)
        if not self._suspended:
            self._stop_adopting()

    def _soon_again(self) -> None:
        try:
            self._waiting.pop()
            unpatched.start_new_thread(self._come_back, ())
        except (IndexError, RuntimeError):
            pass  # somebody waits; or no thread can be had: until the next probe is set

    def _come_back(self) -> None:
        unpatched.sleep(_UNWOUND)
        self._waiting[:] = [None]
        self._again()

    def _adopt_new_threads(self, states: ThreadStates) -> None:
        # The application's own, if it has one, stays: then threads to come are not watched.
        if threading._trace_hook is None:  # type: ignore[attr-defined]
            threading.settrace(states.adopt)

    def _stop_adopting(self) -> None:
        states = self._states
        if states is not None and threading._trace_hook == states.adopt:  # type: ignore[attr-defined]
            threading._trace_hook = None  # type: ignore[attr-defined]

    def _unmute_all(self) -> None:
        for ident, frame in sys._current_frames().items():
            thread = self._threads.pop(ident, None)
            if thread is not None:
                _unmute(thread, frame)


def _unmute(thread: _Thread, frame: Optional[FrameType]) -> None:
    while frame is not None and thread.muted:
        if id(frame) in thread.muted:
            thread.muted.discard(id(frame))
            frame.f_trace_lines = True
        frame = frame.f_back


def _innermost() -> List[FrameType]:
    return list(sys._current_frames().values())
