"""Any Python, when nothing better can be had: ``sys.settrace``.

Everything in a traced thread takes 2 to 19 times as long (`ctrace`: 1.5 to 4.5 times, which is what the
interpreter takes for a trace function of C that does nothing), so it is never chosen where
sys.monitoring or code rewriting work. Code objects without a watched line get no local trace
function. A thread with another tracer is left to it.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.engine.base import Handler
from otel_tracepoints.engine.hook import dispatch
from otel_tracepoints.engine.tracing import FOREIGN, TraceEngine, trace_of_new_threads
from otel_tracepoints.recursion import FORGIVES, forgive
from otel_tracepoints.stacks import innermost_frames, sees_own_thread_only

_Tracer = Callable[[FrameType, str, Any], Any]

#: Seconds after which an exception has left the trace function that it passed.
_UNWOUND = 0.01

FROM_NOW_ON = "Only threads that start from now on, and the one that set the probe, are watched: {}."


#: Tables and trace functions of all engines that have probes: an agent that starts takes over the
#: threads that still have the function of the one before.
_WATCHING: Dict[int, Tuple[Dict[int, Any], _Tracer]] = {}


class SettraceEngine(TraceEngine):
    """`engine.base.Engine` over ``sys.settrace``."""

    def __init__(self) -> None:
        super().__init__(None, {})
        #: Threads that have taken in their own frames since the last probe was set.
        self._adopted: Set[int] = set()
        called = self._adopt_own if sees_own_thread_only() else None
        self._global, self._local = _tracers(self._table, self._soon_again, called)
        self._states: Any = None
        self._foreign = False

    def _start(self) -> List[str]:
        _WATCHING[id(self)] = self._table, self._global
        notes: List[str] = []
        here, to_come = sys.gettrace(), trace_of_new_threads()
        foreign = self._foreign = any(
            each is not None and each is not self._global for each in (here, to_come)
        )
        if foreign:
            notes.append(FOREIGN)
        self._adopted.clear()
        if to_come is None:
            threading.settrace(self._global)
        if here is None:
            sys.settrace(self._global)
        if not foreign:
            why = self._all_threads()
            if why is not None:
                notes.append(FROM_NOW_ON.format(why))
        for frame in innermost_frames():
            self._adopt_frames(frame)
        return notes

    def _all_threads(self) -> Optional[str]:
        """Threads that run already; why not, if they cannot be had."""
        if sys.version_info >= (3, 12):
            everywhere: Any = threading.settrace_all_threads
            everywhere(self._global)
            return None
        from otel_tracepoints.engine.threadstates import ThreadStates, unavailable

        if self._states is None:
            why = unavailable()
            if why is not None:
                return why
            self._states = ThreadStates(self._introduce)
        self._states.set_all()
        return None

    def _introduce(self, _: object, frame: FrameType, _what: int, _argument: object) -> int:
        """In a thread that ran before: make way for the trace function of Python."""
        try:
            self._states.clear_own()
            if self._table:
                sys.settrace(self._global)
                self._adopt_frames(frame)
        except RecursionError:
            if FORGIVES:
                forgive()
        return 0

    def _soon_again(self) -> None:
        """Called where an exception passes on to the application, which ends the tracing of this thread."""
        try:
            _thread.start_new_thread(self._again, ())
        except RuntimeError:
            pass  # no thread can be had: until the next probe is set

    def _again(self) -> None:
        time.sleep(_UNWOUND)
        with self._lock:
            if self._table and not self._foreign:
                self._all_threads()
                for frame in innermost_frames():
                    self._adopt_frames(frame)

    def _adopt_own(self, frame: FrameType) -> None:
        """In each thread at its next call: without the GIL nobody may look at another's frames."""
        ident = unpatched.get_ident()
        if ident not in self._adopted:
            self._adopted.add(ident)
            self._adopt_frames(frame.f_back)

    def _adopt_frames(self, frame: Optional[FrameType]) -> None:
        while frame is not None:
            if frame.f_trace is None and id(frame.f_code) in self._table:
                frame.f_trace = self._local
            frame = frame.f_back

    def _stop(self) -> None:
        _WATCHING.pop(id(self), None)
        # Other threads' tracers take themselves away at their next call.
        if sys.gettrace() is self._global:
            sys.settrace(None)
        if trace_of_new_threads() is self._global:
            threading.settrace(None)
        if self._states is not None:
            self._states.clear_all()
        for frame in innermost_frames():
            _release_frames(frame, self._local)


def _tracers(
    table: Dict[int, Dict[int, Tuple[Handler, ...]]],
    ended: Callable[[], None],
    called: Optional[Callable[[FrameType], None]],
) -> Tuple[_Tracer, _Tracer]:
    def local(frame: FrameType, event: str, _: object) -> Any:
        try:
            if event == "line":
                # Not get(): without the GIL it is slow with an int that another thread made.
                lines = table[id(frame.f_code)]
                if frame.f_lineno in lines:
                    dispatch(lines[frame.f_lineno], frame)
        except KeyError:  # Removed meanwhile.
            if called is not None:
                frame.f_trace = None  # what `_stop` does elsewhere
                return local if id(frame.f_code) in table else None
        except RecursionError:
            if FORGIVES:
                forgive()
        except BaseException:  # What a signal's handler raised: for the application.
            ended()
            raise
        return local

    def everywhere(frame: FrameType, event: str, argument: object) -> Any:
        try:
            if called is not None and table:
                called(frame)
            if event == "call" and id(frame.f_code) in table:
                return local
            if not table:
                # First off, then the look: whoever sets a probe does it the other way round, and
                # passes over threads that are traced, so one of the two sees what the other did.
                sys.settrace(None)
                for watched, tracer in list(_WATCHING.values()):
                    if watched:
                        sys.settrace(tracer)
                        return tracer(frame, event, argument)
        except RecursionError:
            if FORGIVES:
                forgive()
        except BaseException:
            ended()
            raise
        return None

    return everywhere, local


def _release_frames(frame: Optional[FrameType], local: _Tracer) -> None:
    while frame is not None:
        if frame.f_trace is local:
            frame.f_trace = None
        frame = frame.f_back
