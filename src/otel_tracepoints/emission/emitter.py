"""The way out of a hit: onto the current span in the application's thread, else into a bounded queue.

Three threads meet here. The application's appends and goes; it takes no lock, not even for the
accounts. The recorder numbers the hits for ``GET /hits`` and passes on what has to be sent. The
export thread sends, and may hang in a dead sink for as long as it likes.
"""

from __future__ import annotations

import contextvars
import sys
import time
from _queue import SimpleQueue  # not queue.SimpleQueue, which gevent replaces
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Sequence

from otel_tracepoints import config
from otel_tracepoints.config import Settings
from otel_tracepoints.emission import bridge, resource
from otel_tracepoints.emission.accounts import Accounts
from otel_tracepoints.emission.delivery import ApplicationDelivery, Delivery, SinkDelivery
from otel_tracepoints.emission.hitlog import HitLog, HitPage
from otel_tracepoints.emission.intake import Intake, WayIn
from otel_tracepoints.emission.link import Link
from otel_tracepoints.emission.metrics import HitCounts, Reading, SelfMetrics
from otel_tracepoints.emission.recorder import Recorder
from otel_tracepoints.emission.spans import current_trace, inside_telemetry
from otel_tracepoints.emission.threads import OwnThread, start_from_hit_path, start_thread
from otel_tracepoints.emission.transport import Verdict
from otel_tracepoints.emission.worker import ExportWorker, Health, MetricSchedule, Stop
from otel_tracepoints.model import Outcome, Report, Snapshot, TraceContext

#: Seconds of the time for stopping that are kept for ending a request that hangs.
_TO_END = 0.2


class Emitter:
    """Sends hits and reports, remembers the last hits, and accounts for every one of them.

    Args:
        settings: The sink, the queue and the limit of an attribute.
        redact: Applied to error texts before they are shown.
        on_thread: Called first in each of the emitter's own threads; what it returns, if that
            can be called, is called last.

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
        self._closed = False
        self._running = False
        #: Holds one ticket while threads have to be started by the next hit (after a fork).
        self._revive: List[None] = []
        #: For compiled hits: the way past `submit`. None while that has to be called.
        self.way_in: Optional[WayIn] = None
        self._threads: List[OwnThread] = []
        self._accounts = Accounts(self._settings.queue_size)
        self._log = HitLog()
        self._outbox: Any = SimpleQueue()
        self._recorder = Recorder(self._accounts, self._log, self._outbox)
        self._metrics = SelfMetrics(self._reading)
        self._metrics_wanted = True
        self._health = Health(self._link.problem if self._link is not None else None)
        self._delivery: Delivery = (
            SinkDelivery(self._link, self._limit)
            if self._link is not None
            else ApplicationDelivery(self._limit)
        )
        self._intake = Intake(self._accounts, self._recorder, self._delivery, self._limit)
        self.way_in = self._intake.way_in(self._metrics.observe)
        self._worker = ExportWorker(
            self._outbox,
            self._delivery,
            self._accounts.settle,
            self._health,
            MetricSchedule(self._metric_interval, self._export_metrics),
            self._url,
            self._redact,
        )

    # The control path.

    def start(self) -> None:
        """Start the threads. They sleep until there is something to do."""
        resource.current_resource()
        self._metrics.start()
        self._running = True
        self._start_threads()

    def attach_counters(self, hit_counts: HitCounts, active: Callable[[], int]) -> None:
        """Where self metrics come from: arrivals by (probe type, outcome), and how many probes are active."""
        self._hit_counts = hit_counts
        self._active = active

    def hits(self, after: Optional[int], limit: int, wait: float, point: Optional[str]) -> HitPage:
        """A page of the last hits; see ``GET /hits``. ``wait`` is in seconds."""
        self._recorder.drain()
        return self._log.read(after, limit, wait, point)

    def on_hit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have this called, off the hit path, after new hits; call the answer to end that."""
        return self._recorder.listen(callback)

    def service_name(self) -> Optional[str]:
        """``service.name`` of the resource under which hits leave."""
        return resource.service_name()

    def status(self) -> Dict[str, Any]:
        """The ``eventSink`` object of ``GET /health``."""
        self._recorder.drain()
        return {
            "url": self._url,
            "protocol": self._link.protocol if self._link is not None else None,
            "connected": self._health.connected,
            "lastError": self._health.last_error,
            **self._accounts.counts(),
        }

    def notes(self) -> Sequence[str]:
        """Sentences for a person about hits that were emitted and yet are seen nowhere."""
        if not self._accounts.counts()["onSpans"] or bridge.application_spans_leave():
            return ()
        told = (
            "Hits within a span of the application stay on it, and its TracerProvider exports no span: "
            "OTEL_TRACES_EXPORTER may be none."
        )
        return (told,)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was submitted before has been sent or given up; False if time ran out."""
        self._recorder.drain()
        self._worker.hurry.set()
        try:
            return self._accounts.wait_settled(timeout)
        finally:
            if not self._closed:
                self._worker.hurry.clear()

    def stop(self, timeout: float = 2.0) -> None:
        """Send what is left, for at most ``timeout`` seconds; what is left then counts as dropped."""
        with self._accounts.changed:
            if self._closed:
                return
            self._closed = True
            self.way_in = None
        deadline = time.monotonic() + max(0.0, timeout - _TO_END)
        self._worker.begin_stop(deadline)
        self._recorder.seal()
        self._outbox.put(Stop())
        if self._running:
            self._worker.finished.wait(max(0.0, deadline - time.monotonic()))
        else:
            # A forked child that never needed its threads, or could not have them any more.
            contextvars.copy_context().run(self._export_thread)
        self._accounts.write_off(self._worker.finished.is_set)
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
        self.way_in = None
        if alive:
            self._metrics.start()
            self._revive.append(None)
        else:
            self._closed = True
            self._recorder.seal()

    # The hit path.

    def submit(self, snapshot: Snapshot, emitted_before: Callable[[], int]) -> bool:
        """Take a hit. Runs in the application's thread; takes no lock of ours, never raises.

        ``emitted_before`` is called exactly once if the hit is taken, has to be a function in C,
        and makes ``hit_count`` (`Intake.submit` says why). False: the queue is full, or the
        emitter has stopped.
        """
        if self._closed:
            return False
        if self._revive:
            self._revive_threads()
        return self._intake.submit(snapshot, emitted_before)

    def report(self, report: Report) -> None:
        """Send something that is not a hit; safe on the hit path. Dropped if too many wait."""
        if self._closed:
            return
        if self._revive:
            self._revive_threads()
        self._intake.report(report)

    def observe(self, seconds: float) -> None:
        """Remember how long a capture took, for the self metrics; safe on the hit path."""
        self._metrics.observe(seconds)

    def current_trace(self) -> Optional[TraceContext]:
        """The ids of the span that is current in this thread or task; safe on the hit path."""
        return current_trace()

    def inside_telemetry(self, frame: FrameType) -> bool:
        """Whether OpenTelemetry's own code is on this stack, so that no span may be touched."""
        return inside_telemetry(frame)

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
        self._running = start_from_hit_path(self._start_revived)
        self.way_in = self._intake.way_in(self._metrics.observe)
        if self._closed:  # by another thread, just now
            self.way_in = None

    # The threads.

    def _start_threads(self) -> None:
        for body, name in ((self._record_thread, "recorder"), (self._export_thread, "export")):
            self._threads.append(start_thread(body, f"otel-tracepoints-{name}"))

    def _start_revived(self) -> None:
        try:
            self._start_threads()
        except RuntimeError:
            # No thread can be had any more, but this one is: it sends. Readers drain for themselves.
            self._export_thread()

    def _record_thread(self) -> None:
        self._guarded(self._recorder.run)

    def _export_thread(self) -> None:
        bridge.suppress_instrumentation()
        self._guarded(self._worker.run)

    def _guarded(self, body: Callable[[], None]) -> None:
        done = self._on_thread()
        try:
            body()
        finally:
            if callable(done):
                done()

    def _export_metrics(self, timeout: float) -> bool:
        """Send self metrics; whether there will be more."""
        self._recorder.tick_taken()
        try:
            self._metrics.record()
            data = self._metrics.collect()
            if data is not None and self._link is not None and self._metrics_wanted:
                answer = self._link.export("metrics", [data], timeout)
                # A sink that takes no metrics is left alone from then on.
                self._metrics_wanted = answer.verdict is not Verdict.UNKNOWN_SIGNAL
            moving = self._metrics.moving
        except Exception:  # a reading that failed: hits are what matters
            return False
        return moving

    def _reading(self) -> Reading:
        counts = dict(self._hit_counts())
        full = sum(count for (_, outcome), count in counts.items() if outcome == Outcome.DROPPED.value)
        own = self._accounts.counts()
        return Reading(counts, self._active(), own["queued"], full + own["dropped"])

    @property
    def _url(self) -> str:
        return self._link.url if self._link is not None else config.NO_SINK
