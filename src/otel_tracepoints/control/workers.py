"""The threads that answer requests: a few for all, one kept for the operator's switch."""

from __future__ import annotations

import collections
import logging
import threading
import time
from typing import Deque, List, Protocol

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
        self._condition = threading.Condition()
        self._stopping = False
        self._threads: List[threading.Thread] = []

    def start(self) -> None:
        """Start the threads. They sleep until there is work."""
        for number in range(THREADS + RESERVED):
            thread = threading.Thread(
                target=self._run,
                args=(number < RESERVED,),
                name=f"otel-tracepoints-control-{number}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

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
            if thread is not threading.current_thread():
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
