"""Passes OTLP requests on to another receiver, without ever making their senders wait for it."""

from __future__ import annotations

import collections
import threading
import time
from typing import Any, Deque, Dict, Optional

from otel_tracepoints.sink.intake import ForwardedExport
from otel_tracepoints.sink.upstream import Delivery, Upstream

#: Requests, and bytes of them, that wait at most; beyond, the oldest are dropped.
QUEUE_REQUESTS = 1000
QUEUE_BYTES = 64 << 20
#: Tries of one request, and seconds before the second; each wait after that is twice as long.
ATTEMPTS = 5
FIRST_WAIT = 0.25


class Forwarder:
    """A bounded queue and a thread that empties it into an `Upstream`.

    What cannot be delivered is counted as dropped: refused for good, given up after `ATTEMPTS`
    tries, pushed out of a full queue by newer requests, or left over at the end.
    """

    def __init__(
        self,
        url: str,
        *,
        upstream: Optional[Upstream] = None,
        queue_requests: int = QUEUE_REQUESTS,
        queue_bytes: int = QUEUE_BYTES,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        self._upstream = Upstream(url) if upstream is None else upstream
        self._queue_requests = queue_requests
        self._queue_bytes = queue_bytes
        self._first_wait = first_wait
        self._queue: Deque[ForwardedExport] = collections.deque()
        self._bytes = 0
        # What is on its way is not in the queue, but not delivered either.
        self._sending = 0
        self._sent = 0
        self._dropped = 0
        self._last_error: Optional[str] = None
        self._changed = threading.Condition()
        self._deadline: Optional[float] = None
        self._thread = threading.Thread(target=self._run, name="otel-tracepoints-sink-forward", daemon=True)

    @property
    def upstream(self) -> Upstream:
        """Where the requests go."""
        return self._upstream

    def start(self) -> None:
        """Start to deliver."""
        self._thread.start()

    def submit(self, export: ForwardedExport) -> None:
        """Queue a request; never waits, never raises."""
        with self._changed:
            self._queue.append(export)
            self._bytes += len(export.data)
            while len(self._queue) > self._queue_requests or self._bytes > self._queue_bytes:
                self._bytes -= len(self._queue.popleft().data)
                self._dropped += 1
                self._last_error = "the queue is full"
            self._changed.notify_all()

    def status(self) -> Dict[str, Any]:
        """``url``, ``sent``, ``queued``, ``dropped`` (requests) and ``lastError``."""
        with self._changed:
            return {
                "url": self._upstream.url,
                "sent": self._sent,
                "queued": len(self._queue) + self._sending,
                "dropped": self._dropped,
                "lastError": self._last_error,
            }

    def stop(self, timeout: float) -> None:
        """Deliver what is queued within ``timeout`` seconds, one try each; count the rest as dropped."""
        with self._changed:
            self._deadline = time.monotonic() + timeout
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        # Ends a try that is still under way.
        self._upstream.close()
        with self._changed:
            self._dropped += len(self._queue) + self._sending
            self._queue.clear()
            self._bytes = self._sending = 0

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and self._deadline is None:
                    self._changed.wait()
                if not self._queue or self._expired():
                    return
                export = self._queue.popleft()
                self._bytes -= len(export.data)
                self._sending = 1
            delivery = self._deliver(export)
            with self._changed:
                if self._sending == 0:
                    return  # Stopped, and counted as dropped, in the meantime.
                self._sending = 0
                if delivery.delivered:
                    self._sent += 1
                else:
                    self._dropped += 1

    def _deliver(self, export: ForwardedExport) -> Delivery:
        wait = self._first_wait
        attempt = 1
        while True:
            delivery = self._upstream.send(export)
            if delivery.delivered:
                return delivery
            with self._changed:
                self._last_error = delivery.reason
                if not delivery.retry or attempt == ATTEMPTS or self._deadline is not None:
                    return delivery
                self._changed.wait_for(lambda: self._deadline is not None, wait)
            attempt += 1
            wait *= 2

    def _expired(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline
