"""A thread that does one thing after the other, so that the event loop never waits for work."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from typing import Any, Callable, Optional, Tuple

_Job = Tuple["concurrent.futures.Future[Any]", Callable[[], Any]]


class Worker:
    """Runs what it is given, in order, in one daemon thread.

    Not an executor of the standard library: the interpreter waits for those at exit, however
    long their work takes, and a sink has to end within a second.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Optional[_Job]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        """Have ``job`` run after all that was submitted before it."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._jobs.put((future, job))
        return future

    def stop(self, timeout: float) -> bool:
        """Finish what was submitted, within ``timeout`` seconds; whether that was enough."""
        self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            entry = self._jobs.get()
            if entry is None:
                return
            future, job = entry
            # Cancelled: the client is gone, and what it sent was not complete or is not wanted.
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = job()
            except BaseException as error:  # It belongs to who waits for the future.
                future.set_exception(error)
            else:
                future.set_result(result)
