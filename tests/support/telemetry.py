"""The application's own OpenTelemetry, as small as tests need it."""

from __future__ import annotations

import time
from typing import Any, Callable, List, Tuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def tracer_and_spans(**provider: Any) -> Tuple[Any, Callable[[], List[Any]]]:
    """A tracer of the application, and the spans that it has finished so far."""
    exporter = InMemorySpanExporter()
    made = TracerProvider(**provider)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made.get_tracer("app"), lambda: list(exporter.get_finished_spans())


def accounts(live: Any) -> Any:
    """The ``eventSink`` of /health, after asserting that its sums hold."""
    sink = live.api.get("/health").json["eventSink"]
    emitted = sum(point["hitCount"] for point in live.api.get("/points").json["points"])
    assert sink["sent"] + sink["queued"] + sink["dropped"] + sink["onSpans"] == emitted, (sink, emitted)
    return sink


def settled_accounts(live: Any, timeout: float = 10.0) -> Any:
    """The same once nothing is queued any more: a sink has the bytes before we have its answer."""
    deadline = time.monotonic() + timeout
    while True:
        sink = accounts(live)
        if not sink["queued"]:
            return sink
        assert time.monotonic() < deadline, sink
        time.sleep(0.01)
