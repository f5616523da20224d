"""The way out of a hit: onto the current span in the application's thread, else into a bounded queue.

Three threads meet here. The application's appends and goes; it takes no lock, not even for the
accounts. The recorder numbers the hits for ``GET /hits`` and passes on what has to be sent. The
export thread sends, and may hang in a dead sink for as long as it likes.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from _queue import SimpleQueue  # not queue.SimpleQueue, which gevent replaces
from collections import deque
from types import FrameType
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, Union

from otel_tracepoints import config
from otel_tracepoints.config import Settings
from otel_tracepoints.emission import bridge
from otel_tracepoints.emission.delivery import ApplicationDelivery, Delivery, SinkDelivery
from otel_tracepoints.emission.encode import event_name, hit_attributes
from otel_tracepoints.emission.hitlog import HitLog, HitPage
from otel_tracepoints.emission.link import Link
from otel_tracepoints.emission.metrics import HitCounts, Reading, SelfMetrics
from otel_tracepoints.emission.spans import SpanBudget, context_of, current_span, inside_telemetry
from otel_tracepoints.emission.threads import start_from_hit_path, start_thread
from otel_tracepoints.emission.transport import Verdict
from otel_tracepoints.emission.worker import ExportWorker, Health, MetricSchedule, Settled, Stop, Tick
from otel_tracepoints.model import Outcome, ProbeType, Report, Snapshot, TraceContext

#: Seconds of the time for stopping that are kept for ending a request that hangs.
_TO_END = 0.2
#: Reports that may wait: they are rate-limited at their source, so this is never met.
_MAX_REPORTS = 512

# How a hit that was taken leaves.
_QUEUED, _ON_SPAN, _LOST, _REPORT = range(4)

_Arrival = Tuple[Union[Snapshot, Report], int]


class Emitter:
    """Sends hits and reports, remembers the last hits, and accounts for every one of them.

    Args:
        settings: The sink, the queue and the limit of an attribute.
        redact: Applied to error texts before they are shown.
        on_thread: Called first in each of the emitter's own threads.

    Raises:
        ConfigError: the sink's URL or certificate cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        redact: Callable[[str], str],
        on_thread: Callable[[], object] = lambda: None,
    ) -> None:
        self._settings = settings
        self._redact = redact
        self._on_thread = on_thread
        self._limit = settings.max_attribute_bytes
        self._capacity = settings.queue_size
        self._link: Optional[Link] = None
        if settings.event_sink_url != config.NO_SINK:
            self._link = Link(settings)
        self._hit_counts: HitCounts = dict
        self._active: Callable[[], int] = lambda: 0
        self._metric_interval = config.metric_interval_seconds()
        bridge.load_context()
        self._reset()

    def _reset(self) -> None:
        """An empty pipeline with nothing of an earlier process in it."""
        self._slots: List[None] = [None] * self._capacity
        self._report_slots: List[None] = [None] * _MAX_REPORTS
        self._arrived: Deque[_Arrival] = deque()
        self._marks: Any = SimpleQueue()
        self._marked = False
        self._outbox: Any = SimpleQueue()
        self._ticked = False
        self._span_budget = SpanBudget()
        #: Guards the accounts below; never taken on the hit path.
        self._accounts = threading.Condition(threading.Lock())
        self._sent = self._dropped = self._on_spans = 0
        self._forwarded = self._settled = 0
        #: No hit is taken any more; `_sealed`: and what was taken before has been passed on.
        self._closed = False
        self._sealed = False
        self._abandoned = False
        self._metrics_wanted = True
        self._listeners: List[Callable[[], None]] = []
        self._threads: List[threading.Thread] = []
        #: Holds one ticket while threads have to be started by the next hit (after a fork).
        self._revive: List[None] = []
        self._running = False
        self._log = HitLog()
        self._metrics = SelfMetrics(self._reading)
        self._health = Health(self._link.problem if self._link is not None else None)
        self._delivery: Delivery = (
            SinkDelivery(self._link, self._limit)
            if self._link is not None
            else ApplicationDelivery(self._limit)
        )
        self._worker = ExportWorker(
            self._outbox,
            self._delivery,
            self._settle,
            self._health,
            MetricSchedule(self._metric_interval, self._export_metrics),
            self._url,
            self._redact,
        )

    # The control path.

    def start(self) -> None:
        """Start the threads. They sleep until there is something to do."""
        bridge.current_resource()
        self._metrics.start()
        self._running = True
        self._start_threads()

    def attach_counters(self, hit_counts: HitCounts, active: Callable[[], int]) -> None:
        """Where self metrics come from: arrivals by (probe type, outcome), and how many probes are active."""
        self._hit_counts = hit_counts
        self._active = active

    def hits(self, after: Optional[int], limit: int, wait: float, point: Optional[str]) -> HitPage:
        """A page of the last hits; see ``GET /hits``. ``wait`` is in seconds."""
        self._drain()
        return self._log.read(after, limit, wait, point)

    def on_hit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have this called, off the hit path, after new hits; call the answer to end that."""
        self._listeners.append(callback)

        def end() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return end

    def service_name(self) -> Optional[str]:
        """``service.name`` of the resource under which hits leave."""
        return bridge.service_name()

    def status(self) -> Dict[str, Any]:
        """The ``eventSink`` object of ``GET /health``."""
        self._drain()
        with self._accounts:
            return {
                "url": self._url,
                "protocol": self._link.protocol if self._link is not None else None,
                "connected": self._health.connected,
                "lastError": self._health.last_error,
                "sent": self._sent,
                "queued": self._capacity - len(self._slots),
                "dropped": self._dropped,
                "onSpans": self._on_spans,
            }

    def flush(self, timeout: float) -> bool:
        """Wait until all that was submitted before has been sent or given up; False if time ran out."""
        self._drain()
        with self._accounts:
            target = self._forwarded
            self._worker.hurry.set()
            try:
                return self._accounts.wait_for(lambda: self._settled >= target, timeout)
            finally:
                if not self._closed:
                    self._worker.hurry.clear()

    def stop(self, timeout: float = 2.0) -> None:
        """Send what is left, for at most ``timeout`` seconds; what is left then counts as dropped."""
        with self._accounts:
            if self._closed:
                return
            self._closed = True
        # A little of the time is kept for ending a request that hangs.
        deadline = time.monotonic() + max(0.0, timeout - _TO_END)
        self._worker.begin_stop(deadline)
        self._drain()
        with self._accounts:
            self._sealed = True
        self._marks.put(None)
        self._outbox.put(Stop())
        if self._running:
            self._worker.finished.wait(max(0.0, deadline - time.monotonic()))
        else:
            # A forked child that never needed its threads, or could not have them any more.
            contextvars.copy_context().run(self._export_thread)
        self._write_off()
        self._metrics.stop()
        self._log.close()
        if self._link is not None:
            self._link.close()
        for thread in self._threads:
            thread.join(_TO_END / 2)

    def after_fork_in_child(self) -> None:
        """Forget everything of the parent: its queue, threads, accounts and connection. Never blocks."""
        alive = not self._closed and (self._running or bool(self._revive))
        if self._link is not None:
            self._link.abandon()
        self._reset()
        if alive:
            self._metrics.start()
            self._revive.append(None)
        else:
            self._closed = self._sealed = True

    # The hit path.

    def submit(self, snapshot: Snapshot, ordinal: Callable[[], int]) -> bool:
        """Take a hit. Runs in the application's thread; takes no lock of ours, never raises.

        ``ordinal`` is called exactly once if the hit is taken, and becomes ``hit_count``. False:
        the queue is full, or the emitter has stopped.
        """
        if self._closed:
            return False
        if self._revive:
            self._revive_threads()
        how = self._take(snapshot, ordinal)
        if how is None:
            return False
        self._arrived.append((snapshot, how))
        if not self._marked:
            self._marked = True
            self._marks.put(None)
        return True

    def report(self, report: Report) -> None:
        """Send something that is not a hit; safe on the hit path. Dropped if too many wait."""
        if self._closed:
            return
        if self._revive:
            self._revive_threads()
        try:
            self._report_slots.pop()
        except IndexError:
            return
        self._arrived.append((report, _REPORT))
        if not self._marked:
            self._marked = True
            self._marks.put(None)

    def observe(self, seconds: float) -> None:
        """Remember how long a capture took, for the self metrics; safe on the hit path."""
        self._metrics.observe(seconds)

    def current_trace(self) -> Optional[TraceContext]:
        """The ids of the span that is current in this thread or task; safe on the hit path."""
        try:
            return context_of(current_span())
        except Exception:
            return None

    def inside_telemetry(self, frame: FrameType) -> bool:
        """Whether OpenTelemetry's own code is on this stack, so that no span may be touched."""
        return inside_telemetry(frame)

    def _take(self, snapshot: Snapshot, ordinal: Callable[[], int]) -> Optional[int]:
        span: Any = None
        try:
            span = current_span()
            snapshot.trace = context_of(span)
            as_event = snapshot.probe_type is ProbeType.TRACEPOINT or self._delivery.events_only
            on_span = (
                as_event
                and span.is_recording()
                and not inside_telemetry(sys._getframe())
                and self._span_budget.take(span)
            )
        except Exception:  # a span class that is not OpenTelemetry's; or the edge of the stack
            on_span = False
        if on_span:
            snapshot.hit_count = ordinal()
            try:
                attributes = hit_attributes(snapshot, self._limit, with_message=True)
                span.add_event(event_name(snapshot), attributes, snapshot.timestamp_ns)
            except Exception:
                # It has its ordinal, so it was emitted: by the queue, or it is counted as lost.
                try:
                    self._slots.pop()
                except IndexError:
                    return _LOST
                return _QUEUED
            return _ON_SPAN
        try:
            self._slots.pop()
        except IndexError:
            return None
        snapshot.hit_count = ordinal()
        return _QUEUED

    # The recorder.

    def _record(self) -> None:
        self._on_thread()
        while not self._closed:
            self._marks.get()
            # Cleared before looking: a hit that arrives from here on marks again.
            self._marked = False
            self._drain()

    def _drain(self) -> None:
        """Number what has arrived and pass it on. Readers do it too, so that no hit is late."""
        with self._accounts:
            snapshots: List[Snapshot] = []
            while True:
                try:
                    arrival, how = self._arrived.popleft()
                except IndexError:
                    break
                if isinstance(arrival, Snapshot):
                    snapshots.append(arrival)
                if how == _ON_SPAN:
                    self._on_spans += 1
                    self._tick()
                elif how == _LOST:
                    self._dropped += 1
                elif self._sealed:
                    # It was on its way while the emitter stopped.
                    (self._slots if how == _QUEUED else self._report_slots).append(None)
                    self._dropped += how == _QUEUED
                else:
                    self._forwarded += 1
                    self._outbox.put(arrival)
            if snapshots:
                self._log.record(snapshots)
        if snapshots:
            for callback in tuple(self._listeners):
                callback()

    def _tick(self) -> None:
        if not self._ticked:
            self._ticked = True
            self._outbox.put(Tick())

    # The export thread.

    def _export_thread(self) -> None:
        self._on_thread()
        bridge.suppress_instrumentation()
        self._worker.run()

    def _settle(self, settled: Settled) -> None:
        with self._accounts:
            if self._abandoned:
                return  # written off already
            self._sent += settled.sent
            self._dropped += settled.dropped
            self._settled += settled.total
            hits = settled.sent + settled.dropped
            self._slots.extend([None] * hits)
            self._report_slots.extend([None] * (settled.total - hits))
            self._accounts.notify_all()

    def _export_metrics(self, timeout: float) -> bool:
        """Send self metrics; whether there will be more."""
        self._ticked = False
        try:
            self._metrics.record()
            data = self._metrics.collect()
            if data is not None and self._link is not None and self._metrics_wanted:
                answer = self._link.export("metrics", [data], timeout)
                # A sink that takes no metrics is left alone from then on.
                self._metrics_wanted = answer.verdict is not Verdict.UNKNOWN_SIGNAL
            moving = self._metrics.moving
        except Exception:
            # A reading that failed: hits are what matters.
            return False
        return moving

    def _write_off(self) -> None:
        """Whatever has not been settled by now never will be."""
        with self._accounts:
            if not self._worker.finished.is_set():
                self._abandoned = True
            lost = self._capacity - len(self._slots)
            if self._abandoned:
                self._dropped += lost
                self._slots.extend([None] * lost)
                self._settled = self._forwarded
            self._accounts.notify_all()

    # Odds and ends.

    @property
    def _url(self) -> str:
        return self._link.url if self._link is not None else config.NO_SINK

    def _reading(self) -> Reading:
        counts = dict(self._hit_counts())
        full = sum(count for (_, outcome), count in counts.items() if outcome == Outcome.DROPPED.value)
        return Reading(counts, self._active(), self._capacity - len(self._slots), full + self._dropped)

    def _start_threads(self) -> None:
        started = [
            start_thread(self._record, "otel-tracepoints-recorder"),
            start_thread(self._export_thread, "otel-tracepoints-export"),
        ]
        self._threads.extend(thread for thread in started if thread is not None)

    def _revive_threads(self) -> None:
        """The first hit of a forked child."""
        try:
            self._revive.pop()
        except IndexError:
            return  # another thread was first
        multiprocessing: Any = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:
            # A child of multiprocessing ends by os._exit, past atexit; this it still runs.
            multiprocessing.Finalize(None, self.stop, exitpriority=100)
        self._running = start_from_hit_path(self._start_threads)
