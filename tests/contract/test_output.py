"""Where hits arrive: the request's span, a span of the agent's own, a log record; and in what form."""

from __future__ import annotations

import gc
import json
import re
import threading
from typing import Any, Dict, List

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from tests.support.live import Live, TargetMaker, ok

WORK = """
    class Order:
        def __init__(self, total):
            self.total = total

    class Shop:
        def work(self, order, *rest, note="n"):
            price = order.total * 2
            return price  # TAG: work

    def call(n):
        return Shop().work(Order(n))
"""


def tracer_and_spans() -> Any:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("app"), exporter


def test_hit_lands_on_the_recording_span(live: Live, target: TargetMaker) -> None:
    """A tracepoint's hit is an event of the span that is current, with every attribute of the contract."""
    program = target(WORK)
    assert program.module
    point = live.tracepoint(
        program,
        "work",
        condition="price > 1",
        tags=["a", "b"],
        watch=["order.total", "price + 1"],
    )
    tracer, exporter = tracer_and_spans()
    spans: List[Any] = []

    def request() -> None:
        with tracer.start_as_current_span("request") as span:
            spans.append(span)
            program.call(21)

    # On a thread of its own the stack is short enough to be shown whole.
    thread = threading.Thread(target=request, name="worker")
    thread.start()
    thread.join()
    (span,) = spans
    (finished,) = exporter.get_finished_spans()
    (event,) = finished.events
    assert event.name == "probe.hit.snapshot"
    seen: Dict[str, Any] = dict(event.attributes)
    stack = seen.pop("code.stacktrace")
    assert re.search(r'File ".*", line \d+, in ', stack)
    assert stack.rstrip().endswith(f'File "{program.path}", line {program.line("work")}, in work')
    assert json.loads(seen.pop("probe.variable.self"))["__tpd_type__"] == f"{program.name}.Shop"
    assert json.loads(seen.pop("probe.variable.order")) == {
        "__tpd_type__": f"{program.name}.Order",
        "total": 21,
    }
    assert seen.pop("thread.id") == thread.ident
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in seen.items()} == {
        "probe.id": point["id"],
        "probe.type": "tracepoint",
        "probe.tags": ["a", "b"],
        "probe.condition": "price > 1",
        "probe.hit.count": 1,
        "code.file.path": str(program.path),
        "code.line.number": program.line("work"),
        "code.function.name": f"{program.name}.Shop.work",
        "thread.name": "worker",
        "probe.arguments": ["self", "order", "rest", "note"],
        "probe.variable.rest": "[]",
        "probe.variable.note": '"n"',
        "probe.variable.price": "42",
        "probe.watch.0": "21",
        "probe.watch.0.expression": "order.total",
        "probe.watch.1": "43",
        "probe.watch.1.expression": "price + 1",
    }
    (hit,) = live.hits(point)
    context = span.get_span_context()
    assert hit["trace"] == {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}
    sink = ok(live.api.get("/health"))["eventSink"]
    assert (sink["onSpans"], sink["sent"], sink["dropped"]) == (1, 0, 0)


def test_without_a_span_the_hit_has_a_span_of_its_own(live: Live, target: TargetMaker) -> None:
    """With no current span the hit goes on a zero-length INTERNAL span named after the function."""
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    program.call(1)
    live.sink.wait_for(live.sink.spans)
    (span,) = live.sink.spans()
    assert span["name"] == f"tracepoint {program.name}.Shop.work"
    assert span["kind"] == 1
    assert span["start"] == span["end"]
    assert [event["name"] for event in span["events"]] == ["probe.hit.snapshot"]


def test_unsampled_span_becomes_the_parent_of_an_own_span(live: Live, target: TargetMaker) -> None:
    """In a trace that is not sampled the hit still arrives, as a child of the current context."""
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("app")
    with tracer.start_as_current_span("request") as span:
        program.call(1)
    context = span.get_span_context()
    live.sink.wait_for(live.sink.spans)
    (own,) = live.sink.spans()
    assert own["trace_id"] == f"{context.trace_id:032x}"
    assert own["parent_id"] == f"{context.span_id:016x}"


def test_past_sixteen_events_hits_go_on_child_spans(live: Live, target: TargetMaker) -> None:
    """A span gets 16 probe events; the others are not lost but go on spans of the agent's own below it."""
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    tracer, exporter = tracer_and_spans()
    with tracer.start_as_current_span("request") as span:
        for n in range(20):
            program.call(n)
    (finished,) = exporter.get_finished_spans()
    assert len(finished.events) == 16
    live.sink.wait_for(lambda: len(live.sink.spans()) == 4)
    parents = {own["parent_id"] for own in live.sink.spans()}
    assert parents == {f"{span.get_span_context().span_id:016x}"}


def test_logpoint_is_a_log_record_in_its_trace(live: Live, target: TargetMaker) -> None:
    """A logpoint's hit is a log record with event name, body, severity, typed fields and trace context."""
    program = target(WORK)
    assert program.module
    live.logpoint(program, "work", "price {price:.1f} of {order} {note} {rest}", level="WARN")
    tracer, _ = tracer_and_spans()
    with tracer.start_as_current_span("request") as span:
        program.call(4)
    live.sink.wait_for(lambda: live.logs("probe.hit.logpoint"))
    (log,) = live.logs("probe.hit.logpoint")
    order = f'{{"__tpd_type__": "{program.name}.Order", "total": 4}}'
    assert log["body"].replace(" ", "") == f"price 8.0 of {order} n []".replace(" ", "")
    assert (log["severity"], log["severity_text"]) == (13, "WARN")
    assert log["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert log["attributes"]["probe.message.template"] == "price {price:.1f} of {order} {note} {rest}"
    assert log["attributes"]["probe.field.0"] == 8
    assert log["attributes"]["probe.field.2"] == "n"


def test_agent_tells_its_start_and_stop(live: Live) -> None:
    """Start and stop are log records; the start names the API's address and the engine."""
    port = live.agent.control_api_address[1]  # type: ignore[index]
    live.agent._stop()
    live.sink.wait_for(lambda: live.logs("agent.status.stopped"))
    (started,) = live.logs("agent.status.started")
    assert started["attributes"]["server.address"] == "127.0.0.1"
    assert started["attributes"]["server.port"] == port
    assert started["attributes"]["probe.engine"] == "pytrace"


def test_every_change_is_audited(live: Live, target: TargetMaker) -> None:
    """Each change asked for is one record, the refused ones with their code; validate is not one."""
    program = target(WORK)
    point = live.tracepoint(program, "work", tags=["t"])
    path = f"/points/{point['id']}"
    live.api.put(path, {"tags": ["t", "u"]})
    live.api.put(path, {"line": 1})
    live.api.post(f"{path}/disable")
    live.api.post("/tags/enable", {"tags": ["t"]})
    live.api.post("/points/validate", {"file": str(program.path), "line": 1})
    live.api.post("/sleep")
    live.api.post("/wake")
    live.api.delete(path)
    live.api.delete(path)
    live.sink.wait_for(lambda: len(live.logs("probe.audit")) >= 9)
    records: List[Any] = [
        (log["attributes"]["probe.audit.action"], log["attributes"]["probe.audit.outcome"])
        for log in live.logs("probe.audit")
    ]
    assert records == [
        ("create", "ok"),
        ("update", "ok"),
        ("update", "IMMUTABLE_FIELD"),
        ("disable", "ok"),
        ("enable", "ok"),
        ("sleep", "ok"),
        ("wake", "ok"),
        ("delete", "ok"),
        ("delete", "POINT_NOT_FOUND"),
    ]
    assert {log["attributes"]["client.address"] for log in live.logs("probe.audit")} == {"127.0.0.1"}


def test_hit_from_inside_opentelemetry_does_not_deadlock(live: Live, target: TargetMaker) -> None:
    """A finaliser that runs inside the SDK and reaches a probe neither hangs nor loses its hit."""
    program = target(
        """
        class Noisy:
            def __del__(self):
                touch()

        def touch():
            return 1  # TAG: touch
        """
    )
    assert program.module
    point = live.tracepoint(program, "touch")
    tracer, _ = tracer_and_spans()

    class Processor:
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            noisy = program.Noisy()
            del noisy

        def _on_ending(self, span: Any) -> None:
            pass

        def on_end(self, span: Any) -> None:
            pass

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    provider = TracerProvider()
    provider.add_span_processor(Processor())  # type: ignore[arg-type]
    tracer = provider.get_tracer("app")
    done = threading.Event()

    def run() -> None:
        with tracer.start_as_current_span("outer"):
            with tracer.start_as_current_span("inner"):
                pass
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert done.wait(10)
    gc.collect()
    assert live.counts(point) == {"emitted": 2}
    assert ok(live.api.get("/health"))["eventSink"]["onSpans"] == 0


def test_large_and_many_variables_stay_within_the_limits(live: Live, target: TargetMaker) -> None:
    """90 variables, 2 000 bytes each, 32 KiB a hit; the rest is counted and the cut is visible."""
    names = "\n".join(f"        v{n:03d} = 'x' * 900" for n in range(120))
    program = target(f"\n    def work():\n{names}\n        return 1  # TAG: many\n")
    assert program.module
    live.tracepoint(program, "many")
    program.work()
    live.sink.wait_for(lambda: live.sink.events("probe.hit.snapshot"))
    (event,) = live.sink.events("probe.hit.snapshot")
    attributes = event["attributes"]
    variables = {key: value for key, value in attributes.items() if key.startswith("probe.variable.")}
    assert len(variables) <= 90
    assert all(len(value.encode()) <= 2000 for value in variables.values())
    assert sum(len(str(key)) + len(str(value)) for key, value in attributes.items()) <= 33_000
    assert attributes["probe.variables.omitted"] == 120 - len(variables)
    assert attributes["probe.truncated"] is True


def test_sums_hold_with_a_sink_that_is_down(live: Live, target: TargetMaker) -> None:
    """Sent + queued + dropped + onSpans is all that was emitted, also when the sink refuses everything."""
    live.sink.refuse(503)
    program = target(WORK)
    assert program.module
    point = live.logpoint(program, "work", "{price}")
    for n in range(50):
        program.call(n)
    sink = ok(live.api.get("/health"))["eventSink"]
    emitted = live.point(point)["hitCount"]
    assert emitted == 50
    assert sink["sent"] + sink["queued"] + sink["dropped"] + sink["onSpans"] == emitted


def test_request_of_the_api_is_a_server_span_not_a_hit(live: Live) -> None:
    """The agent's own threads are never traced into a loop: with a sink and no probe nothing is sent."""
    for _ in range(5):
        live.api.get("/health")
    assert live.sink.spans() == []
