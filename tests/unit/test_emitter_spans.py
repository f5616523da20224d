"""Hits and the span that is current: which go on it, and how many."""

from __future__ import annotations

import gc
import threading
import types

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.otlp_receiver import closed_port
from tests.support.snapshots import logpoint, ordinals, settled, tracepoint

from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter
from otel_tracepoints.emission.spans import EVENTS_PER_SPAN, SpanBudget, inside_telemetry
from otel_tracepoints.model import TraceContext


@pytest.fixture
def spans():
    """A tracer of an application, and the spans that it has finished."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("app")
    tracer.finished = exporter.get_finished_spans
    return tracer


def test_a_tracepoint_goes_on_the_recording_span(idle, spans):
    """With a recording span the hit is an event on it, with its own time, and not in the queue."""
    hit = tracepoint(variables={"n": 1})
    with spans.start_as_current_span("request") as span:
        assert idle.submit(hit, ordinals())
    (event,) = spans.finished()[0].events
    assert (event.name, event.timestamp) == ("probe.hit.snapshot", hit.timestamp_ns)
    assert event.attributes["probe.variable.n"] == "1"
    assert event.attributes["probe.hit.count"] == 1
    context = span.get_span_context()
    assert hit.trace == TraceContext(context.trace_id, context.span_id, int(context.trace_flags))
    status = idle.status()
    assert (status["onSpans"], status["queued"]) == (1, 0)


def test_a_logpoint_goes_by_the_queue_even_in_a_span(idle, spans):
    """A logpoint is a log record, with the trace context of its hit."""
    hit = logpoint()
    with spans.start_as_current_span("request"):
        idle.submit(hit, ordinals())
    assert not spans.finished()[0].events
    assert hit.trace is not None
    assert idle.status()["queued"] == 1


def test_a_span_takes_sixteen_events_of_ours(spans):
    """The seventeenth hit on a span goes by the queue, as a child of that span."""
    emitter = Emitter(Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}"), lambda text: text)
    hits = [tracepoint() for _ in range(20)]
    with spans.start_as_current_span("request"):
        for hit in hits:
            emitter.submit(hit, ordinals())
    assert len(spans.finished()[0].events) == EVENTS_PER_SPAN == 16
    status = emitter.status()
    assert (status["onSpans"], status["queued"]) == (16, 4)
    assert hits[-1].trace is not None
    emitter.stop(0.5)


def test_the_sixteen_are_exact_under_threads(spans):
    """Threads that share a span share its sixteen events."""
    budget = SpanBudget()
    span = spans.start_span("shared")
    taken = []
    start = threading.Barrier(8)

    def hammer():
        start.wait()
        taken.extend(1 for _ in range(50) if budget.take(span))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 16


def test_a_span_that_is_gone_is_forgotten(spans):
    """The count of a span's events lives as long as the span."""
    budget = SpanBudget()
    for _ in range(100):
        assert budget.take(spans.start_span("short"))
    gc.collect()
    assert len(budget) == 0


def test_a_span_that_raises_does_not_reach_the_application(idle, spans, monkeypatch):
    """An add_event that raises costs nothing: the hit goes by the queue."""
    with spans.start_as_current_span("request") as span:
        monkeypatch.setattr(span, "add_event", lambda *args: 1 / 0)
        assert idle.submit(tracepoint(), ordinals())
    assert idle.status()["queued"] == 1


def test_a_span_that_raises_with_a_full_queue_is_counted_as_lost(idle, spans, monkeypatch):
    """The hit has had its ordinal by then, so it is accounted for as dropped."""
    for _ in range(5):
        idle.submit(logpoint(), ordinals())
    with spans.start_as_current_span("request") as span:
        monkeypatch.setattr(span, "add_event", lambda *args: 1 / 0)
        assert idle.submit(tracepoint(), ordinals())
    status = idle.status()
    assert (status["queued"], status["dropped"], settled(status)) == (5, 1, 6)


def frame_of_module(name):
    """A frame whose module is called so, with this test's stack below it."""
    module = types.ModuleType(name)
    exec("import sys\ndef call(function):\n    return function(sys._getframe())", module.__dict__)
    return module.call


@pytest.mark.parametrize(
    ("module", "inside"),
    [
        ("opentelemetry.sdk.trace", True),
        ("opentelemetry.trace.span", True),
        ("opentelemetry.exporter.otlp.proto.grpc", True),
        ("opentelemetry.instrumentation.flask", False),
        ("opentelemetry.util._decorator", False),
        ("opentelemetrylike", False),
        ("shop.opentelemetry.sdk", False),
    ],
)
def test_the_stack_tells_whether_telemetry_is_running(module, inside):
    """OpenTelemetry's own frames count, wrappers around the application do not."""
    call = frame_of_module(module)
    assert call(inside_telemetry) is inside
    assert call(lambda frame: frame_of_module("app")(inside_telemetry)) is inside


def test_a_hit_inside_telemetry_touches_no_span(idle, spans):
    """A hit from within OpenTelemetry's code goes by the queue: a span's lock is not reentrant."""
    call = frame_of_module("opentelemetry.sdk.trace")
    with spans.start_as_current_span("request") as span:
        with span._lock:  # add_event would wait for ever
            assert call(lambda _: idle.submit(tracepoint(), ordinals()))
    assert not spans.finished()[0].events
    assert idle.status()["queued"] == 1


def test_an_unsampled_span_is_no_place_for_a_hit(idle):
    """A span that does not record still gives the hit its trace context."""
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=True)
    hit = tracepoint()
    with trace.use_span(trace.NonRecordingSpan(context)):
        idle.submit(hit, ordinals())
        assert idle.current_trace() == TraceContext(0xABC, 0xDEF, 0)
    assert hit.trace == TraceContext(0xABC, 0xDEF, 0)
    assert idle.status()["queued"] == 1


def test_without_a_span_there_is_no_trace_context(idle):
    """No current span means no ids, not ids of zeros."""
    hit = tracepoint()
    idle.submit(hit, ordinals())
    assert hit.trace is None
    assert idle.current_trace() is None
