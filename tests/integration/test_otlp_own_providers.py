"""``DEBUGIN_EVENT_SINK_URL=none``: nothing but the application's own providers, each test in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import json, sys
from opentelemetry import _logs, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
import opentelemetry.sdk._logs as sdk_logs
import opentelemetry.sdk._logs.export as log_export
from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter
from tests.support.snapshots import logpoint, ordinals, report, settled, tracepoint

def tracing(**arguments):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(**arguments)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter.get_finished_spans

def logging():
    # Renamed in 1.39.
    name = "InMemoryLogRecordExporter" if hasattr(log_export, "InMemoryLogRecordExporter") else "InMemoryLogExporter"
    exporter = getattr(log_export, name)()
    provider = sdk_logs.LoggerProvider()
    provider.add_log_record_processor(log_export.SimpleLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)
    return exporter.get_finished_logs

def emitter():
    running = Emitter(Settings(event_sink_url="none"), lambda text: text)
    running.start()
    return running
"""


def run(body):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    script = PRELUDE + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environ,
        timeout=40,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_logpoint_goes_through_the_logger_provider_of_the_application():
    """Log records have name, body, severity, time and trace on every version of the SDK."""
    run("""
        logs = logging()
        spans = tracing()
        running = emitter()
        hit = logpoint(message="m", level="ERROR", fields=[1])
        with trace.get_tracer("app").start_as_current_span("request") as span:
            running.submit(hit, ordinals())
        running.report(report("probe.audit"))
        assert running.flush(10)
        first, second = [data.log_record for data in logs()]
        assert first.body == "m"
        assert (first.severity_number.value, first.severity_text) == (17, "ERROR")
        assert first.timestamp == hit.timestamp_ns
        assert first.attributes["probe.field.0"] == 1
        name = getattr(first, "event_name", None) or first.attributes["event.name"]
        assert name == "probe.hit.logpoint"
        context = span.get_span_context()
        assert (first.trace_id, first.span_id) == (context.trace_id, context.span_id)
        assert not spans()[0].events
        status = running.status()
        assert (status["sent"], status["dropped"], status["url"]) == (1, 0, "none"), status
        assert (status["protocol"], status["connected"]) == (None, None)
        running.stop()
    """)


def test_without_a_logger_provider_logpoints_are_span_events():
    """With no log provider a logpoint goes on the recording span, or on one of the application's tracer."""
    run("""
        spans = tracing()
        running = emitter()
        with trace.get_tracer("app").start_as_current_span("request"):
            running.submit(logpoint(message="m"), ordinals())
        running.submit(logpoint(message="alone"), ordinals())
        assert running.flush(10)
        request, own = spans()
        assert request.events[0].attributes["probe.message"] == "m"
        assert own.name == "logpoint shop.cart.total"
        assert own.events[0].name == "probe.hit.logpoint"
        assert own.events[0].attributes["probe.message"] == "alone"
        assert settled(running.status()) == 2
        running.stop()
    """)


def test_an_own_span_goes_through_the_tracer_of_the_application():
    """A hit without a recording span is a span of no length, child of the current context, although unsampled."""
    run("""
        spans = tracing(sampler=ParentBased(root=ALWAYS_OFF))
        running = emitter()
        with trace.get_tracer("app").start_as_current_span("unsampled") as span:
            assert not span.is_recording()
            hit = tracepoint()
            running.submit(hit, ordinals())
        assert running.flush(10)
        (own,) = spans()
        assert own.name == "tracepoint shop.cart.total"
        assert own.start_time == own.end_time == hit.timestamp_ns
        assert own.parent.span_id == span.get_span_context().span_id
        assert own.context.trace_id == span.get_span_context().trace_id
        assert own.instrumentation_scope.name == "otel_tracepoints"
        assert running.status()["sent"] == 1
        running.stop()
    """)


def test_without_any_provider_hits_are_dropped_and_it_is_said():
    """Where nothing records, hits count as dropped and lastError says why."""
    run("""
        running = emitter()
        running.submit(tracepoint(), ordinals())
        running.submit(logpoint(), ordinals())
        assert running.flush(10)
        status = running.status()
        assert (status["sent"], status["dropped"]) == (0, 2), status
        assert "provider" in status["lastError"]
        running.stop()
    """)


def test_a_provider_that_raises_costs_only_that_hit():
    """A processor of the application that raises does not end the export thread."""
    run("""
        from opentelemetry.sdk.trace import SpanProcessor
        class Rude(SpanProcessor):
            def on_start(self, span, parent_context=None):
                if span.name.endswith("rude"):
                    raise ValueError("rude")
        spans = tracing()
        trace.get_tracer_provider().add_span_processor(Rude())
        running = emitter()
        running.submit(tracepoint(function="rude"), ordinals())
        running.submit(tracepoint(function="fine"), ordinals())
        assert running.flush(10)
        assert [span.name for span in spans()] == ["tracepoint fine"]
        assert (running.status()["sent"], running.status()["dropped"]) == (1, 1)
        running.stop()
    """)


def test_own_work_is_not_instrumented():
    """What the export thread does is marked, so that instrumentations leave it alone."""
    run("""
        from opentelemetry.instrumentation.utils import is_instrumentation_enabled
        from opentelemetry.sdk.trace import SpanProcessor
        seen = []
        class Watch(SpanProcessor):
            def on_end(self, span):
                seen.append(is_instrumentation_enabled())
        tracing()
        trace.get_tracer_provider().add_span_processor(Watch())
        running = emitter()
        running.submit(tracepoint(), ordinals())
        assert running.flush(10)
        assert seen == [False]
        running.stop()
    """)
