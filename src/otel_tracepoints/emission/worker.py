"""The export thread: batches, retries, gives up, and accounts for every hit.

It sleeps without a timeout while there is nothing to send, so an idle agent never wakes the
process.
"""

from __future__ import annotations

import logging
import time
from _queue import Empty
from typing import Any, Callable, List, Optional, Sequence, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.emission.accounts import Settled
from otel_tracepoints.emission.delivery import Delivered, Delivery, Item, Source

logger = logging.getLogger("otel_tracepoints")

#: Hits in one batch: with 32 KiB each they stay below a gRPC server's 4 MiB.
MAX_BATCH = 64
#: Seconds that the first hit of a batch waits for others: one request for each hit of a busy
#: probe would cost the application more than the hits themselves.
LINGER = 0.1
#: Seconds that one request may take.
REQUEST_TIMEOUT = 10.0
#: Seconds for which a batch is tried again before it is given up.
GIVE_UP_AFTER = 30.0
#: Seconds between tries: the first, and the most.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0


class Tick:
    """Put in the outbox: something happened that is not to be sent (metrics may be due)."""


class Stop:
    """Put in the outbox: send what came before this, and end."""


class Health:
    """What is known of the other side; written by the export thread, read by anyone."""

    def __init__(self, last_error: Optional[str] = None) -> None:
        self.connected: Optional[bool] = None
        self.last_error = last_error


class MetricSchedule:
    """When self metrics are due; no timer runs while nothing moves."""

    def __init__(self, interval: float, export: Callable[[float], bool]) -> None:
        self._interval = interval
        self._export = export
        self._due: Optional[float] = None

    def touch(self) -> None:
        """Something happened: if no timer runs, start one."""
        if self._due is None:
            self._due = time.monotonic() + self._interval

    @property
    def wait(self) -> Optional[float]:
        """Seconds until metrics are due; None: no timer runs."""
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def run_if_due(self, timeout: float) -> None:
        """Send them if it is time."""
        if self._due is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._interval if self._export(timeout) else None

    def run_last(self, timeout: float) -> None:
        """At the end: what no timer will send any more."""
        if self._due is not None:
            self._export(timeout)


class ExportWorker:
    """One export thread's work. ``settle`` is told of everything that leaves."""

    def __init__(
        self,
        outbox: Any,
        delivery: Delivery,
        settle: Callable[[Settled], None],
        health: Health,
        metrics: MetricSchedule,
        shown_url: str,
        redact: Callable[[str], str],
    ) -> None:
        self._outbox = outbox
        self._delivery = delivery
        self._settle = settle
        self._health = health
        self._metrics = metrics
        self._url = shown_url
        self._redact = redact
        self._failing = False
        self._hopeless = False
        #: Set while somebody waits for the queue to be empty: no lingering then.
        self.hurry = unpatched.Event()
        self._stop_at: Optional[float] = None
        self._stopping = unpatched.Event()
        self.finished = unpatched.Event()

    def begin_stop(self, deadline: float) -> None:
        """From now on: no second tries, and nothing may take longer than ``deadline`` (monotonic)."""
        self._stop_at = deadline
        self._stopping.set()
        self.hurry.set()

    def run(self) -> None:
        """Until `Stop` is found in the outbox."""
        try:
            while self._round():
                pass
            if self._health.connected is not False:
                self._metrics.run_last(self._timeout())
        finally:
            self.finished.set()

    def _round(self) -> bool:
        try:
            first = self._outbox.get(timeout=self._metrics.wait)
        except Empty:
            self._metrics.run_if_due(self._timeout())
            return True
        self._metrics.touch()
        if isinstance(first, Stop):
            return False
        # With a full batch waiting already, lingering would only bound how many a second can leave.
        if not self.hurry.is_set() and self._outbox.qsize() < MAX_BATCH - 1:
            self.hurry.wait(LINGER)
        batch, go_on = self._fill(first)
        self._export(batch)
        self._metrics.run_if_due(self._timeout())
        return go_on

    def _fill(self, first: Any) -> Tuple[List[Source], bool]:
        batch: List[Source] = []
        found = first
        while True:
            if isinstance(found, Stop):
                return batch, False
            if not isinstance(found, Tick):
                batch.append(found)
            if len(batch) >= MAX_BATCH:
                return batch, True
            try:
                found = self._outbox.get_nowait()
            except Empty:
                return batch, True

    def _export(self, batch: Sequence[Source]) -> None:
        items = self._items(batch)
        give_up = time.monotonic() + GIVE_UP_AFTER
        pause = FIRST_PAUSE
        while items:
            if self._hopeless or (self._stop_at is not None and time.monotonic() >= self._stop_at):
                self._account([], items)
                return
            result = self._deliver(items)
            self._note(result)
            self._account(result.sent, result.dropped)
            items = result.left
            if not items:
                return
            if self._stopping.is_set():
                # The sink is not there and nobody may wait for it: all that is left is lost.
                self._hopeless = result.reached is False
                self._account([], items)
                return
            if time.monotonic() >= give_up:
                self._account([], items)
                return
            self._wait(max(pause, min(result.retry_after, GIVE_UP_AFTER)))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _items(self, batch: Sequence[Source]) -> List[Item]:
        items: List[Item] = []
        for source in batch:
            try:
                items.append(self._delivery.item(source))
            except Exception as error:
                self._health.last_error = f"a hit could not be encoded: {type(error).__name__}"
                self._account([], [Item(source, "", None)])
        return items

    def _deliver(self, items: List[Item]) -> Delivered:
        try:
            return self._delivery.deliver(items, self._timeout)
        except Exception as error:
            # Not expected; but this thread is the only way out, so it must not end here.
            return Delivered([], items, [], f"{type(error).__name__}: {error}", reached=False)

    def _account(self, sent: Sequence[Item], dropped: Sequence[Item]) -> None:
        if sent or dropped:
            hits_sent = sum(item.is_hit for item in sent)
            hits_dropped = sum(item.is_hit for item in dropped)
            self._settle(Settled(hits_sent, hits_dropped, len(sent) + len(dropped)))

    def _wait(self, seconds: float) -> None:
        if self.hurry.is_set():
            self._stopping.wait(min(seconds, FIRST_PAUSE))
        else:
            self.hurry.wait(seconds)

    def _timeout(self) -> float:
        if self._stop_at is None:
            return REQUEST_TIMEOUT
        return max(0.05, min(REQUEST_TIMEOUT, self._stop_at - time.monotonic() - 0.05))

    def _note(self, result: Delivered) -> None:
        health = self._health
        if result.reached is not None:
            health.connected = result.reached
        if result.error is not None:
            health.last_error = self._redact(result.error)
        failed = bool(result.left or result.dropped) and result.error is not None
        if failed and not self._failing:
            self._failing = True
            logger.warning(
                "Hits do not reach the event sink %s: %s. GET /health counts what waits and what is lost.",
                self._url,
                health.last_error,
            )
        elif self._failing and result.sent and not failed:
            self._failing = False
            logger.warning("Hits reach the event sink %s again.", self._url)
