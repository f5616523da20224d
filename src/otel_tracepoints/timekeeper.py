"""The one thread that looks at the clock: expiry, pending probes, reports that wait a second.

It sleeps until there is something to do, and for ever when nothing is due: a process without
probes is not woken. The hit path pokes it through a queue whose ``put`` takes no lock that a
signal handler or finaliser could already hold.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Callable, Optional, Set

from otel_tracepoints.pipeline import guard_thread

_LOGGER = logging.getLogger("otel_tracepoints")

#: Seconds after which a failed round is tried again.
_RETRY = 1.0


class Timekeeper:
    """Runs ``work`` when poked and when due.

    Args:
        work: Gets the ids that were poked since the last round; answers in how many seconds it
            wants to run again, or None for "when poked".
    """

    def __init__(self, work: Callable[[Set[str]], Optional[float]]) -> None:
        self._work = work
        self._pokes: queue.SimpleQueue[Optional[str]] = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self._lock = threading.Lock()

    def poke(self, id: str = "") -> None:
        """Look now, at this probe among others. Safe on the hit path; nothing if not started."""
        self._pokes.put(id)

    def start(self) -> None:
        """Start the thread, if it does not run."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, args=(self._pokes,), name="otel-tracepoints-timekeeper", daemon=True
                )
                self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End the thread; it may be started again."""
        with self._lock:
            thread, self._thread = self._thread, None
            pokes, self._pokes = self._pokes, queue.SimpleQueue()
        if thread is not None:
            pokes.put(None)
            if thread is not threading.current_thread():
                thread.join(timeout)

    def after_fork_in_child(self, restart: bool) -> None:
        """The thread did not survive the fork, and its queue's lock may have been held."""
        running = self._thread is not None
        self._pokes = queue.SimpleQueue()
        self._thread = None
        self._lock = threading.Lock()
        if running and restart:
            self.start()

    def _run(self, pokes: queue.SimpleQueue[Optional[str]]) -> None:
        release = guard_thread()
        try:
            delay: Optional[float] = 0.0
            while True:
                poked = self._wait(pokes, delay)
                if poked is None:
                    return
                try:
                    delay = self._work(poked)
                except Exception:
                    _LOGGER.exception("Looking after the probes failed; trying again")
                    delay = _RETRY
        finally:
            release()

    @staticmethod
    def _wait(pokes: queue.SimpleQueue[Optional[str]], delay: Optional[float]) -> Optional[Set[str]]:
        """What was poked within the delay; None is the end."""
        poked: Set[str] = set()
        try:
            first = pokes.get(timeout=delay) if delay != 0.0 else pokes.get_nowait()
            while True:
                if first is None:
                    return None
                poked.add(first)
                first = pokes.get_nowait()
        except queue.Empty:
            return poked
