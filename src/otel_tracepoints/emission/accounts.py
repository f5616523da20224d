"""The accounts of ``GET /health``: every hit that was taken is sent, queued, dropped, or on a span.

The queue's bound is here too, as a list with one entry for each free place. The hit path takes
one with ``pop()``, which is atomic with and without the GIL; nothing else here is for the hit
path.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple

from otel_tracepoints import unpatched

#: Reports that may wait: they are rate-limited at their source, so this is never met.
_MAX_REPORTS = 512


class Settled(NamedTuple):
    """How many things left the pipeline: hits sent, hits dropped, and all together with reports."""

    sent: int
    dropped: int
    total: int


class Accounts:
    """Counts of one process; exact once everything is settled, and consistent at any moment."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        #: Free places. ``places.pop()`` takes one, or raises IndexError.
        self.places: List[None] = [None] * capacity
        self.report_places: List[None] = [None] * _MAX_REPORTS
        #: Guards everything below; never taken on the hit path.
        self.changed = unpatched.Condition()
        self._sent = self._dropped = self._on_spans = 0
        self._forwarded = self._settled = 0
        self._written_off = False

    # With `changed` held.

    def count_on_span(self) -> None:
        """A hit went onto a span of the application."""
        self._on_spans += 1

    def count_lost(self, place_taken: bool) -> None:
        """A hit was taken, but never came as far as the export thread."""
        self._dropped += 1
        if place_taken:
            self.places.append(None)

    def count_forwarded(self) -> None:
        """A hit or report was handed to the export thread."""
        self._forwarded += 1

    # Without.

    def settle(self, settled: Settled) -> None:
        """The export thread is done with these."""
        with self.changed:
            if self._written_off:
                return
            self._sent += settled.sent
            self._dropped += settled.dropped
            self._settled += settled.total
            hits = settled.sent + settled.dropped
            self.places.extend([None] * hits)
            self.report_places.extend([None] * (settled.total - hits))
            self.changed.notify_all()

    def wait_settled(self, timeout: float) -> bool:
        """Wait until all that was forwarded before has been settled; False if time ran out."""
        with self.changed:
            target = self._forwarded
            return self.changed.wait_for(lambda: self._settled >= target, timeout)

    def write_off(self, finished: Callable[[], bool]) -> None:
        """Unless the export thread has finished: what it has not settled by now counts as dropped."""
        with self.changed:
            if finished():
                return
            self._written_off = True
            lost = self._capacity - len(self.places)
            self._dropped += lost
            self.places.extend([None] * lost)
            self._settled = self._forwarded
            self.changed.notify_all()

    def counts(self) -> Dict[str, int]:
        """The four numbers whose sum is all that was emitted."""
        with self.changed:
            return {
                "sent": self._sent,
                "queued": self._capacity - len(self.places),
                "dropped": self._dropped,
                "onSpans": self._on_spans,
            }
