"""The threads that answer requests: a few for all, one kept for the operator's switch."""

from __future__ import annotations

import collections
import functools
import logging
import time
from typing import Deque, List, Protocol

from otel_tracepoints import unpatched
from otel_tracepoints.emission.threads import OwnThread, start_thread

_LOGGER = logging.getLogger("otel_tracepoints")

#: Threads that take any request.
THREADS = 3
#: Threads that take urgent ones only, so that slow calls cannot keep ``POST /sleep`` waiting.
RESERVED = 1


class Work(Protocol):
    """A connection with a complete request."""

    def is_urgent(self) -> bool:
        """Whether it is served ahead of others."""
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
        self._normal: Deque[Work] = collections.deque()
        self._condition = unpatched.Condition()
        self._stopping = False
        self._threads: List[OwnThread] = []

    def start(self) -> None:
        """Start the threads. They sleep until there is work."""
        for number in range(THREADS + RESERVED):
            run = functools.partial(self._run, urgent_only=number < RESERVED)
            self._threads.append(start_thread(run, f"otel-tracepoints-control-{number}"))

    def add_task(self, task: Work) -> None:
        """Have a request answered; waitress calls this."""
        with self._condition:
            (self._urgent if task.is_urgent() else self._normal).append(task)
            # All, not one: the one that wakes might be kept for urgent work.
            self._condition.notify_all()

    def stop(self, timeout: float) -> None:
        """Let running answers finish, for so many seconds; drop the rest."""
        with self._condition:
            self._stopping = True
            dropped = [*self._urgent, *self._normal]
            self._urgent.clear()
            self._normal.clear()
            self._condition.notify_all()
        for task in dropped:
            task.cancel()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, urgent_only: bool) -> None:
        while True:
            with self._condition:
                while not self._stopping and not self._urgent and (urgent_only or not self._normal):
                    self._condition.wait()
                if self._stopping:
                    return
                task = (self._urgent or self._normal).popleft()
            try:
                task.service()
            except BaseException:  # a worker that ends is one that nobody starts again
                _LOGGER.exception("The control API failed to serve a connection")
