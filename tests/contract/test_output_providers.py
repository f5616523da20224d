"""Without a sink of its own the agent uses the application's providers; and its metrics about itself."""

from __future__ import annotations

import pathlib
import textwrap
from typing import Any, Callable, Dict

from tests.support.live import Live, TargetMaker
from tests.support.processes import run_python

PRELUDE = """
import json, sys, time
import otel_tracepoints
from otel_tracepoints import Settings
from opentelemetry import _logs, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import opentelemetry.sdk._logs as sdk_logs
import opentelemetry.sdk._logs.export as log_export


import program

exporter = InMemorySpanExporter()
tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(exporter))
# Renamed in 1.39.
memory = getattr(log_export, "InMemoryLogRecordExporter", None) or log_export.InMemoryLogExporter
logs = memory()
logging = sdk_logs.LoggerProvider()
logging.add_log_record_processor(log_export.SimpleLogRecordProcessor(logs))

agent = otel_tracepoints.start(settings=Settings(control_api_enabled=False, event_sink_url="none"))

def set_probes():
    wide = {"limitPerSecond": 1e9, "burst": 10**9}
    agent.set_tracepoint(program.__file__, 3, rate_limit=wide)
    agent.set_logpoint(program.__file__, 3, "m is {m}", rate_limit=wide)

def sink(sent, dropped, on_spans):
    deadline = time.monotonic() + 10
    while True:
        now = otel_tracepoints.status()["eventSink"]
        if (now["sent"], now["dropped"], now["onSpans"], now["queued"]) == (sent, dropped, on_spans, 0):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.01)

def request():
    with tracing.get_tracer("app").start_as_current_span("request"):
        program.work(1)
"""


def run(folder: pathlib.Path, body: str) -> None:
    (folder / "program.py").write_text("def work(n):\n    m = n + 1\n    return m\n")
    code = PRELUDE + textwrap.dedent(body) + "\notel_tracepoints.stop()\n"
    run_python(code, {"PYTHONPATH": str(folder)})


def test_without_a_log_provider_logpoints_are_span_events(tmp_path: pathlib.Path) -> None:
    """With no provider at all hits are dropped, and it is said; with a tracer provider all are span events."""
    run(
        tmp_path,
        """
        set_probes()
        program.work(1)
        assert "provider" in sink(0, 2, 0)["lastError"]
        trace.set_tracer_provider(tracing)
        request()
        program.work(2)
        sink(2, 2, 2)
        on_request, own_1, own_2 = exporter.get_finished_spans()
        assert [event.name for event in on_request.events] == ["probe.hit.snapshot", "probe.hit.logpoint"]
        assert on_request.events[1].attributes["probe.message"] == "m is 2"
        own = {span.name: span for span in (own_1, own_2)}
        assert set(own) == {"tracepoint program.work", "logpoint program.work"}, own
        for span in own.values():
            assert span.start_time == span.end_time == span.events[0].timestamp
            assert span.kind is trace.SpanKind.INTERNAL
            assert span.instrumentation_scope.name == "otel_tracepoints"
        """,
    )


def test_with_both_providers_each_hit_goes_by_its_own(tmp_path: pathlib.Path) -> None:
    """Tracepoints on spans, logpoints and what the agent tells of itself as log records of the application."""
    run(
        tmp_path,
        """
        trace.set_tracer_provider(tracing)
        _logs.set_logger_provider(logging)
        set_probes()
        program.work(0)  # which finds out that there is somebody for log records
        sink(2, 0, 0)
        exporter.clear()
        request()
        sink(3, 0, 1)
        (span,) = exporter.get_finished_spans()
        assert [event.name for event in span.events] == ["probe.hit.snapshot"]
        record = logs.get_finished_logs()[-1].log_record
        assert record.body == "m is 2"
        name = getattr(record, "event_name", None) or record.attributes["event.name"]
        assert name == "probe.hit.logpoint"
        assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
        """,
    )


def test_metrics_about_itself(live_lenient: Callable[[Dict[str, str]], Live], target: TargetMaker) -> None:
    """Names, units and attributes as documented, at the environment's interval, without a probe's id."""
    live = live_lenient({"OTEL_METRIC_EXPORT_INTERVAL": "100", "DEBUGIN_MAX_OVERHEAD_PERCENT": "100"})
    program = target("\n    def work(n):\n        return n  # TAG: work\n")
    assert program.module
    live.tracepoint(program, "work", condition="n > 1")
    live.logpoint(program, "work", "{n}")
    for n in range(5):
        program.work(n)

    def points(name: str) -> Any:
        found = [metric for metric in live.sink.metrics() if metric["name"] == name]
        return found[-1]["points"] if found else []

    def hits() -> Dict[Any, float]:
        kinds = [(each["attributes"], each["value"]) for each in points("otel_tracepoints.hits")]
        return {(kind["probe.type"], kind["outcome"]): value for kind, value in kinds if value}

    expected = {
        ("tracepoint", "emitted"): 3,
        ("tracepoint", "conditionFalse"): 2,
        ("logpoint", "emitted"): 5,
    }
    live.sink.wait_for(lambda: hits() == expected)
    live.sink.wait_for(lambda: points("otel_tracepoints.capture.duration"))
    assert {metric["name"]: metric["unit"] for metric in live.sink.metrics()} == {
        "otel_tracepoints.hits": "{hit}",
        "otel_tracepoints.capture.duration": "s",
        "otel_tracepoints.active": "{probe}",
        "otel_tracepoints.queue.size": "{hit}",
        "otel_tracepoints.queue.dropped": "{hit}",
    }
    assert [each["value"] for each in points("otel_tracepoints.active")] == [2]
    assert [each["value"] for each in points("otel_tracepoints.capture.duration")] == [8]
    for metric in live.sink.metrics():
        names = {name for each in metric["points"] for name in each["attributes"]}
        assert names <= {"probe.type", "outcome"}


def test_spans_that_nobody_exports_are_told_of(tmp_path: pathlib.Path) -> None:
    """Hits on spans of a provider without a span processor are seen nowhere, and `explain` says so."""
    run(
        tmp_path,
        """
        nowhere = TracerProvider()
        trace.set_tracer_provider(nowhere)
        point = agent.set_tracepoint(program.__file__, 3)
        assert "exports no span" not in agent._debugger.explain(point)["summary"]
        with nowhere.get_tracer("app").start_as_current_span("request"):
            program.work(1)
        sink(0, 0, 1)
        assert "exports no span" in agent._debugger.explain(point)["summary"]
        nowhere.add_span_processor(SimpleSpanProcessor(exporter))
        assert "exports no span" not in agent._debugger.explain(point)["summary"]
        """,
    )
