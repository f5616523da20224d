"""A tracepoint's hit: an event of the request's span, or a span of the agent's own; and what it says."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import threading
from typing import Any, Callable, Dict, List

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from tests.support.live import Live, TargetMaker
from tests.support.telemetry import accounts, settled_accounts, tracer_and_spans

LiveWith = Callable[..., Live]

WORK = """
    class Order:
        def __init__(self, total):
            self.total = total

    class Shop:
        def work(self, order, *rest, note="n", **more):
            price = order.total * 2
            return price  # TAG: work

    def call(n):
        return Shop().work(Order(n))

    async def task(n):
        return call(n)
"""


def test_hit_lands_on_the_recording_span(live: Live, target: TargetMaker) -> None:
    """A tracepoint's hit is an event of the span that is current, with every attribute of the contract."""
    program = target(WORK)
    assert program.module
    point = live.tracepoint(
        program, "work", condition="price > 1", tags=["a", "b"], watch=["order.total", "price + 1"]
    )
    tracer, finished = tracer_and_spans()
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
    (event,) = finished()[0].events
    assert event.name == "probe.hit.snapshot"
    seen: Dict[str, Any] = dict(event.attributes)
    stack = seen.pop("code.stacktrace")
    assert re.fullmatch(r'(  File ".+", line \d+, in .+\n)+', stack)
    assert stack.endswith(f'  File "{program.path}", line {program.line("work")}, in work\n')
    assert json.loads(seen.pop("probe.variable.self"))["__tpd_type__"] == f"{program.name}.Shop"
    assert json.loads(seen.pop("probe.variable.order")) == {
        "__tpd_type__": f"{program.name}.Order",
        "total": 21,
    }
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in seen.items()} == {
        "probe.id": point["id"],
        "probe.type": "tracepoint",
        "probe.tags": ["a", "b"],
        "probe.condition": "price > 1",
        "probe.hit.count": 1,
        "code.file.path": str(program.path),
        "code.line.number": program.line("work"),
        "code.function.name": f"{program.name}.Shop.work",
        "thread.id": thread.ident,
        "thread.name": "worker",
        "probe.arguments": ["self", "order", "rest", "note", "more"],
        "probe.variable.rest": "[]",
        "probe.variable.more": "{}",
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
    sink = accounts(live)
    assert (sink["onSpans"], sink["sent"], sink["dropped"]) == (1, 0, 0)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_without_a_span_the_hit_has_a_span_of_its_own(
    live_over: Callable[[str], Live], target: TargetMaker, protocol: str
) -> None:
    """With no current span the hit goes on a zero-length INTERNAL span named after the function, a root."""
    live = live_over(protocol)
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    program.call(1)
    live.sink.wait_for(live.sink.spans)
    (span,) = live.sink.spans()
    assert span["name"] == f"tracepoint {program.name}.Shop.work"
    assert (span["kind"], span["parent_id"], span["attributes"]) == (1, "", {})
    assert span["start"] == span["end"] == span["events"][0]["time"]
    assert [event["name"] for event in span["events"]] == ["probe.hit.snapshot"]
    assert (span["scope"]["name"], bool(span["scope"]["version"])) == ("otel_tracepoints", True)
    (hit,) = live.hits()
    assert hit["trace"] is None


def test_unsampled_span_becomes_the_parent_of_an_own_span(live_with: LiveWith, target: TargetMaker) -> None:
    """In a trace that is not sampled the hit still arrives, on a sampled child of the current context."""
    live = live_with()
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("app")
    with tracer.start_as_current_span("request") as span:
        program.call(1)
    remote = trace.SpanContext(0xABC, 0xDEF, is_remote=True)
    with trace.use_span(trace.NonRecordingSpan(remote)):
        program.call(1)
    live.sink.wait_for(lambda: len(live.sink.spans()) == 2)
    contexts = [span.get_span_context(), remote]
    assert [(own["trace_id"], own["parent_id"]) for own in live.sink.spans()] == [
        (f"{each.trace_id:032x}", f"{each.span_id:016x}") for each in contexts
    ]


def test_past_sixteen_events_hits_go_on_child_spans(live_with: LiveWith, target: TargetMaker) -> None:
    """A span gets 16 probe events, of all probes together; the others go on spans of the agent's own below it."""
    live = live_with()
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    live.tracepoint(program, "work")
    tracer, finished = tracer_and_spans()
    with tracer.start_as_current_span("request") as span:
        span.add_event("the application's own")
        for n in range(10):
            program.call(n)
    names = [event.name for event in finished()[0].events]
    assert names == ["the application's own", *["probe.hit.snapshot"] * 16]
    live.sink.wait_for(lambda: len(live.sink.spans()) == 4)
    parents = {own["parent_id"] for own in live.sink.spans()}
    assert parents == {f"{span.get_span_context().span_id:016x}"}
    sink = settled_accounts(live)
    assert (sink["onSpans"], sink["sent"]) == (16, 4)


def test_task_of_asyncio_is_named(live_with: LiveWith, target: TargetMaker) -> None:
    """A hit inside a task says which; a hit outside of any has no such attribute."""
    live = live_with()
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")

    async def main() -> None:
        task = asyncio.ensure_future(program.task(1))
        if hasattr(task, "set_name"):
            task.set_name("checkout")
        await task

    asyncio.run(main())
    program.call(1)
    live.sink.wait_for(lambda: len(live.sink.spans()) == 2)
    inside, outside = [event["attributes"] for event in live.sink.events("probe.hit.snapshot")]
    assert inside["asyncio.task.name"] == "checkout"
    assert "asyncio.task.name" not in outside


def test_stack_shows_neither_the_agent_nor_opentelemetry(live_with: LiveWith, target: TargetMaker) -> None:
    """Frames of the agent and of OpenTelemetry are left out; the application's around them are there."""
    live = live_with()
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    tracer, finished = tracer_and_spans()

    @tracer.start_as_current_span("decorated")
    def handler() -> None:
        program.call(1)

    thread = threading.Thread(target=handler)
    thread.start()
    thread.join()
    (event,) = finished()[0].events
    files = re.findall(r'File "(.+?)", line', event.attributes["code.stacktrace"])
    assert files[-2:] == [str(program.path)] * 2
    assert __file__ in files
    assert not [file for file in files if "opentelemetry" in file or "otel_tracepoints" in file]


def test_hit_from_inside_opentelemetry_does_not_deadlock(live: Live, target: TargetMaker) -> None:
    """A finaliser that the collector runs inside Span.set_attribute neither hangs nor loses its hit."""
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
    tracer, finished = tracer_and_spans()
    done = threading.Event()

    def collect(lock: Any) -> Any:
        class Locked:
            def __enter__(self) -> None:
                lock.__enter__()
                noisy = program.Noisy()
                del noisy

            def __exit__(self, *error: object) -> None:
                lock.__exit__(*error)

        return Locked()

    def run() -> None:
        with tracer.start_as_current_span("request") as span:
            assert isinstance(span, Span)
            lock = span._lock
            span._lock = collect(lock)  # the finaliser runs with the lock held, in set_attribute's frame
            span.set_attribute("key", "value")
            span._lock = lock
            program.touch()
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert done.wait(10), "the hit waits for the span's lock"
    gc.collect()
    inside = live.counts(point)["emitted"] - 1
    assert inside >= 1
    (span,) = finished()
    assert len(span.events) == 1
    live.sink.wait_for(lambda: len(live.sink.spans()) == inside)
    assert {own["parent_id"] for own in live.sink.spans()} == {f"{span.context.span_id:016x}"}
    assert accounts(live)["onSpans"] == 1


def test_probe_in_a_span_processor_goes_by_the_queue(live_with: LiveWith, target: TargetMaker) -> None:
    """A probe on the application's own SpanProcessor, which the SDK calls, touches no span."""
    live = live_with()
    program = target(
        """
        from opentelemetry.sdk.trace import SpanProcessor

        class Processor(SpanProcessor):
            def on_end(self, span):
                return span.name  # TAG: end
        """
    )
    assert program.module
    live.tracepoint(program, "end")
    provider = TracerProvider()
    provider.add_span_processor(program.Processor())
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("outer"):
        with tracer.start_as_current_span("inner"):
            pass
    live.sink.wait_for(lambda: len(live.sink.spans()) == 2)
    assert accounts(live)["onSpans"] == 0
