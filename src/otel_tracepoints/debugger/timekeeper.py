"""The one thread that looks at the clock: expiry, pending probes, reports that wait a second.

It sleeps until something is due, and for ever when nothing is: a process without probes is not
woken. A look at one of ten thousand probes costs nothing for the others. The hit path pokes it
through a queue whose ``put`` takes no lock that a signal handler or finaliser could already hold.
"""

from __future__ import annotations

import heapq
import logging
import time
from _queue import Empty, SimpleQueue  # not queue.SimpleQueue, which gevent replaces
from typing import Callable, Dict, List, Mapping, Optional, Set, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.emission.threads import OwnThread, start_thread
from otel_tracepoints.guard import guard_thread
from otel_tracepoints.limits import Clock

_LOGGER = logging.getLogger("otel_tracepoints")

#: Seconds after which a failed round is tried again.
_RETRY = 1.0
#: Seconds that it waits at most.
_LONGEST = 86_400.0


class Timekeeper:
    """Runs ``work`` with the ids that were poked, and with each when it is due.

    Args:
        work: Looks at these ids; answers in how many seconds it wants to look at each again, or
            None for "when poked". That takes the place of what it wanted before.
    """

    def __init__(self, work: Callable[[Set[str]], Mapping[str, Optional[float]]]) -> None:
        self._work = work
        self._pokes: SimpleQueue[Optional[str]] = SimpleQueue()
        self._running = False
        self._thread: Optional[OwnThread] = None
        self._lock = unpatched.Lock()

    def poke(self, id: str) -> None:
        """Look at this one now, or once started. Safe on the hit path."""
        self._pokes.put(id)

    def start(self) -> None:
        """Start the thread, if it does not run."""
        with self._lock:
            if not self._running:
                pokes = self._pokes
                self._thread = start_thread(lambda: self._run(pokes), "otel-tracepoints-timekeeper")
                self._running = True

    def stop(self, timeout: float = 2.0) -> None:
        """End the thread; it may be started again."""
        with self._lock:
            thread, self._thread = self._thread, None
            running, self._running = self._running, False
            pokes, self._pokes = self._pokes, SimpleQueue()
        if running:
            pokes.put(None)
        if thread is not None:
            thread.join(timeout)

    def after_fork_in_child(self, restart: bool) -> None:
        """The thread did not survive the fork, nor what it knew; its queue's lock may have been held."""
        running = self._running
        self._pokes = SimpleQueue()
        self._thread = None
        self._running = False
        self._lock = unpatched.Lock()
        if running and restart:
            self.start()

    def _run(self, pokes: SimpleQueue[Optional[str]]) -> None:
        release = guard_thread()
        agenda = Agenda(time.monotonic)
        try:
            while True:
                poked = _poked_within(pokes, agenda.wait())
                if poked is None:
                    return
                ids = poked | agenda.take_due()
                try:
                    agenda.note(self._work(ids) if ids else {})
                except Exception:
                    _LOGGER.exception("Looking after the probes failed; trying again")
                    agenda.note(dict.fromkeys(ids, _RETRY))
        finally:
            release()


class Agenda:
    """What is due when. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: Dict[str, float] = {}
        #: May hold more than one time of an id: only the one in ``_due`` counts.
        self._heap: List[Tuple[float, str]] = []

    def note(self, delays: Mapping[str, Optional[float]]) -> None:
        """Each of these is due in so many seconds, or (None) never."""
        now = self._clock()
        for id, delay in delays.items():
            if delay is None:
                self._due.pop(id, None)
                continue
            when = now + delay
            if self._due.get(id) != when:
                self._due[id] = when
                heapq.heappush(self._heap, (when, id))
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(when, id) for id, when in self._due.items()]
            heapq.heapify(self._heap)

    def wait(self) -> Optional[float]:
        """Seconds until something is due; None: nothing is."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if not self._heap:
            return None
        # A lock cannot wait for 300 years, which is an expireSeconds like any other.
        return min(max(0.0, self._heap[0][0] - self._clock()), _LONGEST)

    def take_due(self) -> Set[str]:
        """What is due by now."""
        now = self._clock()
        found: Set[str] = set()
        while self._heap and self._heap[0][0] <= now:
            when, id = heapq.heappop(self._heap)
            if self._due.get(id) == when:
                del self._due[id]
                found.add(id)
        return found


def _poked_within(pokes: SimpleQueue[Optional[str]], delay: Optional[float]) -> Optional[Set[str]]:
    """What was poked by the end of the delay; None is the end."""
    poked: Set[str] = set()
    try:
        first = pokes.get_nowait() if delay == 0.0 else pokes.get(timeout=delay)
        while True:
            if first is None:
                return None
            poked.add(first)
            first = pokes.get_nowait()
    except Empty:
        return poked
