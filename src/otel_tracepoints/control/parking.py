"""Long polls wait here, not in a thread: a hundred of them cost a hundred small objects.

A request that finds no hit yet leaves its thread (`Parked`), and is served again from the
start when there may be one, when its time is over, or when we stop.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, List, Optional

from otel_tracepoints import unpatched
from otel_tracepoints.control.target import Target
from otel_tracepoints.control.tracing import RequestSpan
from otel_tracepoints.emission.threads import OwnThread, start_thread
from otel_tracepoints.schema.query import HitQuery

#: One more waiting request is answered at once, with an empty page.
MAX_PARKED = 256
#: Seconds between two rounds of looking whom a stream of hits concerns.
ROUND_SECONDS = 0.02


class Parked(BaseException):
    """The request was not answered: it waits. Not an error, so `except Exception` lets it pass."""


class Exchange:
    """One request, for as long as it takes; it outlives the thread that began to serve it."""

    def __init__(self, lot: ParkingLot) -> None:
        self._lot = lot
        self.span: Optional[RequestSpan] = None
        #: What it waits for, once it waits.
        self.query: Optional[HitQuery] = None
        #: The newest sequence among which it has looked for its hits in vain.
        self.looked = 0
        #: On the monotonic clock.
        self.deadline = 0.0
        #: Set while it should leave its thread.
        self.waiting = False
        #: Serves it again; set by who parks it.
        self.resume: Callable[[], None] = _nothing

    def wait_for_hit(self, query: HitQuery) -> None:
        """Mark it as one that should wait, if there is time and room left."""
        now = time.monotonic()
        if self.query is None:
            self.query = query
            self.deadline = now + query.wait
        self.waiting = now < self.deadline and self._lot.has_room()

    def abandon(self) -> None:
        """The client is gone."""
        if self.span is not None:
            self.span.abandon()
            self.span = None


class ParkingLot:
    """All requests that wait.

    Args:
        target: Asked for hits.
        wake_loop: Makes the server's loop look at `next_deadline` again.
    """

    def __init__(self, target: Target, wake_loop: Callable[[], None]) -> None:
        self._target = target
        self._wake_loop = wake_loop
        self._lock = unpatched.Lock()
        self._parked: Dict[Exchange, None] = {}
        self._changed = unpatched.Event()
        self._stopping = unpatched.Event()
        self._cancel: Callable[[], None] = _nothing
        self._thread: Optional[OwnThread] = None

    def start(self) -> None:
        """Listen for hits. The thread sleeps until one arrives while somebody waits."""
        self._cancel = self._target.on_hit(self.on_hit)
        self._thread = start_thread(self._watch, "otel-tracepoints-control-hits")

    def stop(self, timeout: float) -> None:
        """Forget all that wait; their connections are closed by the server."""
        self._stopping.set()
        self._changed.set()
        self._cancel()
        with self._lock:
            parked = list(self._parked)
            self._parked.clear()
        for exchange in parked:
            exchange.abandon()
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def has_room(self) -> bool:
        """Whether one more may wait."""
        return len(self._parked) < MAX_PARKED and not self._stopping.is_set()

    def on_hit(self) -> None:
        """A hit was logged. Cheap, and silent while nobody waits."""
        if self._parked:
            self._changed.set()

    def park(self, exchange: Exchange, resume: Callable[[], None]) -> None:
        """Let a request wait; ``resume`` is called once, from any thread."""
        exchange.resume = resume
        exchange.waiting = False
        with self._lock:
            self._parked[exchange] = None
        # A hit between its look and its registration would otherwise be seen by nobody.
        if self._stopping.is_set() or self._concerns(exchange, self._newest()):
            self._resume(exchange)
        else:
            self._wake_loop()

    def discard(self, exchange: Exchange) -> None:
        """Its client is gone."""
        with self._lock:
            self._parked.pop(exchange, None)
        exchange.abandon()

    def next_deadline(self) -> Optional[float]:
        """When somebody's time is over, on the monotonic clock; None: nobody waits."""
        with self._lock:
            return min((exchange.deadline for exchange in self._parked), default=None)

    def expire(self) -> None:
        """Serve those whose time is over."""
        now = time.monotonic()
        with self._lock:
            over = [exchange for exchange in self._parked if exchange.deadline <= now]
        for exchange in over:
            self._resume(exchange)

    def _watch(self) -> None:
        while True:
            self._changed.wait()
            if self._stopping.is_set():
                return
            self._changed.clear()
            with self._lock:
                parked: List[Exchange] = list(self._parked)
            newest = self._newest()
            for exchange in parked:
                if self._concerns(exchange, newest):
                    self._resume(exchange)
            self._stopping.wait(ROUND_SECONDS)

    def _newest(self) -> int:
        """The last hit's sequence, or 0."""
        try:
            return int(self._target.hits(None, 1, 0.0, None)["next"])
        except Exception:  # then all are looked through again
            return 0

    def _concerns(self, exchange: Exchange, newest: int) -> bool:
        """Whether there is a hit for it. Each looks at a hit once: a hundred wait while thousands come."""
        query = exchange.query
        if query is None:
            return True
        after = max(query.after or 0, exchange.looked)
        try:
            found = bool(self._target.hits(after, 1, 0.0, query.point)["hits"])
        except Exception:  # the request itself will meet it, and answer it
            return True
        exchange.looked = newest
        return found

    def _resume(self, exchange: Exchange) -> None:
        with self._lock:
            if exchange not in self._parked:
                return
            del self._parked[exchange]
        exchange.resume()


def _nothing() -> None:
    """What an exchange does when resumed before it was parked."""
