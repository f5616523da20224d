"""Metrics of the agent itself: through the application's MeterProvider, else to the sink by ourselves.

OpenTelemetry has no way to take an instrument back, so those in an application's provider are
made once a process and read whichever agent runs at that moment.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from opentelemetry import metrics as metrics_api
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, View

from otel_tracepoints import semconv
from otel_tracepoints.emission import bridge
from otel_tracepoints.emission.resource import current_resource

HitCounts = Callable[[], Mapping[Tuple[str, str], int]]

#: Seconds: a hit costs from a few microseconds to the pause of 5 ms.
_BUCKETS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025)
#: Durations waiting to be recorded. More than that between two recordings are not missed.
_MAX_DURATIONS = 4096


class Reading(NamedTuple):
    """What the instruments show."""

    hits: Mapping[Tuple[str, str], int]
    active: int
    queue_size: int
    queue_dropped: int


class SelfMetrics:
    """Instruments of one agent."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._durations: Deque[float] = deque(maxlen=_MAX_DURATIONS)
        #: Remember how long a capture took, in seconds; safe on the hit path.
        self.observe: Callable[[float], None] = self._durations.append
        self._own: Optional[_OwnPipeline] = None
        self._told: Optional[Reading] = None

    def start(self) -> None:
        """Show this agent's numbers in the application's provider, now or whenever it sets one."""
        global _current
        _current = self._read
        _application_instruments()

    def stop(self) -> None:
        """Show nothing any more."""
        global _current
        if _current == self._read:
            _current = None

    def record(self) -> None:
        """Hand over the durations observed so far. Never on the hit path: the SDK locks."""
        values: List[float] = []
        while True:
            try:
                values.append(self._durations.popleft())
            except IndexError:
                break
        if not values:
            return
        application = bridge.application_meter_provider() is not None
        histogram = _application_instruments() if application else self._pipeline().histogram
        for value in values:
            histogram.record(value)

    def collect(self) -> Optional[Any]:
        """What is to be sent to the sink, or None where the application's provider sends it."""
        self._told = self._read()
        return self._pipeline().collect() if bridge.application_meter_provider() is None else None

    @property
    def moving(self) -> bool:
        """Whether it is worth looking again later: a probe is active, or something has changed."""
        reading = self._read()
        return reading.active > 0 or reading != self._told

    def _pipeline(self) -> _OwnPipeline:
        if self._own is None:
            self._own = _OwnPipeline(self._read)
        return self._own


class _OwnPipeline:
    """A MeterProvider of our own, read by our export thread: it has no thread of its own."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._reader = _Reader()
        provider = MeterProvider(
            [self._reader],
            resource=current_resource(),
            shutdown_on_exit=False,
            # The SDK's metrics about itself are not ours to send.
            views=[View(instrument_name="otel.sdk.*", aggregation=DropAggregation())],
        )
        meter = provider.get_meter(semconv.SCOPE_NAME, bridge.SCOPE_VERSION, semconv.SCHEMA_URL)
        self.histogram = _instruments(meter, read)

    def collect(self) -> Optional[Any]:
        self._reader.data = None
        self._reader.collect()
        return self._reader.data


class _Reader(MetricReader):  # type: ignore[misc]
    data: Optional[Any] = None

    def _receive_metrics(self, metrics_data: Any, *_: Any, **__: Any) -> None:
        self.data = metrics_data

    def shutdown(self, *_: Any, **__: Any) -> None:
        self.data = None


_current: Optional[Callable[[], Reading]] = None
_made: Dict[str, Any] = {}


def _application_instruments() -> Any:
    if "histogram" not in _made:
        meter = metrics_api.get_meter(semconv.SCOPE_NAME, bridge.SCOPE_VERSION, schema_url=semconv.SCHEMA_URL)
        _made["histogram"] = _instruments(meter, lambda: _current() if _current is not None else None)
    return _made["histogram"]


def _instruments(meter: Any, read: Callable[[], Optional[Reading]]) -> Any:
    """Make the instruments; the histogram is the one that has to be fed."""

    def hits(_: CallbackOptions) -> Iterable[Any]:
        reading = read()
        for (probe_type, outcome), count in sorted(reading.hits.items()) if reading is not None else ():
            yield Observation(count, {semconv.PROBE_TYPE: probe_type, semconv.OUTCOME: outcome})

    def one(field: str) -> Callable[[CallbackOptions], Iterable[Any]]:
        def observe(_: CallbackOptions) -> Iterable[Any]:
            reading = read()
            if reading is not None:
                yield Observation(getattr(reading, field))

        return observe

    meter.create_observable_counter(
        semconv.METRIC_HITS, [hits], unit="{hit}", description="Arrivals at probes, by how they ended"
    )
    meter.create_observable_up_down_counter(
        semconv.METRIC_ACTIVE, [one("active")], unit="{probe}", description="Probes that are active"
    )
    meter.create_observable_up_down_counter(
        semconv.METRIC_QUEUE_SIZE, [one("queue_size")], unit="{hit}", description="Hits waiting for export"
    )
    meter.create_observable_counter(
        semconv.METRIC_QUEUE_DROPPED,
        [one("queue_dropped")],
        unit="{hit}",
        description="Hits lost for want of room or a sink",
    )
    return meter.create_histogram(
        semconv.METRIC_CAPTURE_DURATION,
        unit="s",
        description="Time that a hit took in the application's thread",
        explicit_bucket_boundaries_advisory=list(_BUCKETS),
    )
