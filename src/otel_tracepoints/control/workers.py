"""The threads that answer requests: a few for all, one kept for the operator's switch.

Changes are served one at a time. The debugger makes them one after another anyway, and a hundred
clients that set probes would keep every thread waiting for that, and all who only ask with them.
"""

from __future__ import annotations

import collections
import functools
import logging
import time
from typing import Deque, List, Optional, Protocol, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.emission.threads import OwnThread, start_thread

_LOGGER = logging.getLogger("otel_tracepoints")

#: Threads that take any request: one may be making a change while another answers a question. More would
#: only take turns at the GIL, each for 5 ms, and so keep `/health` and the application waiting.
THREADS = 2
#: Threads that take urgent ones only, so that slow calls cannot keep ``POST /sleep`` waiting.
RESERVED = 1


class Work(Protocol):
    """A connection with a complete request."""

    def is_urgent(self) -> bool:
        """Whether it is served ahead of others."""
        ...

    def is_change(self) -> bool:
        """Whether it is served after the changes that came before it."""
        ...

    def service(self) -> None:
        """Answer the request."""
        ...

    def cancel(self) -> None:
        """Forget it."""
        ...


class Workers:
    """Takes the place of waitress's dispatcher, which warns in the application's log when busy."""

    def __init__(self) -> None:
        self._urgent: Deque[Work] = collections.deque()
        self._questions: Deque[Tuple[int, Work]] = collections.deque()
        self._changes: Deque[Tuple[int, Work]] = collections.deque()
        #: A change is being made.
        self._changing = False
        #: Numbers requests as they come.
        self._arrival = 0
        self._lock = unpatched.Lock()
        #: Told of urgent work only, and of all: one thread is woken for a request, not all of them.
        self._kept = unpatched.Condition(self._lock)
        self._all = unpatched.Condition(self._lock)
        self._stopping = False
        self._threads: List[OwnThread] = []

    def start(self) -> None:
        """Start the threads. They sleep until there is work."""
        for number in range(THREADS + RESERVED):
            run = functools.partial(self._run, urgent_only=number < RESERVED)
            self._threads.append(start_thread(run, f"otel-tracepoints-control-{number}"))

    def add_task(self, task: Work) -> None:
        """Have a request answered; waitress calls this."""
        with self._lock:
            if task.is_urgent():
                self._urgent.append(task)
                self._kept.notify()
            else:
                self._arrival += 1
                (self._changes if task.is_change() else self._questions).append((self._arrival, task))
            # Also for what is urgent: the one that is kept for it may be busy with another.
            self._all.notify()

    def stop(self, timeout: float) -> None:
        """Let running answers finish, for so many seconds; drop the rest."""
        with self._lock:
            self._stopping = True
            dropped = [*self._urgent, *(task for _, task in (*self._questions, *self._changes))]
            for waiting in (self._urgent, self._questions, self._changes):
                waiting.clear()
            self._kept.notify_all()
            self._all.notify_all()
        for task in dropped:
            task.cancel()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, urgent_only: bool) -> None:
        told = self._kept if urgent_only else self._all
        while True:
            with self._lock:
                taken = self._take(urgent_only)
                while taken is None:
                    if self._stopping:
                        return
                    told.wait()
                    taken = self._take(urgent_only)
            task, is_change = taken
            try:
                task.service()
            except BaseException:  # a worker that ends is one that nobody starts again
                _LOGGER.exception("The control API failed to serve a connection")
            if is_change:
                with self._lock:
                    self._changing = False
                    if self._changes:  # this thread may take a question that came before it
                        self._all.notify()

    def _take(self, urgent_only: bool) -> Optional[Tuple[Work, bool]]:
        """The request to be served now, and whether it is the change that is being made from now on."""
        if self._urgent:
            return self._urgent.popleft(), False
        if urgent_only:
            return None
        questions, changes = self._questions, self._changes
        if changes and not self._changing and (not questions or changes[0] < questions[0]):
            self._changing = True
            return changes.popleft()[1], True
        return (questions.popleft()[1], False) if questions else None
