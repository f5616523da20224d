"""Every request is a SERVER span with the stable HTTP semantic conventions."""

from __future__ import annotations

import concurrent.futures
from typing import Any, Dict, Iterator, List, Optional

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.control import Served, serving

from otel_tracepoints.control import tracing


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.trace, "get_tracer", provider.get_tracer)
    return exporter


@pytest.fixture
def served(exporter: InMemorySpanExporter) -> Iterator[Served]:
    with serving() as running:
        yield running


def finished(served: Served, exporter: InMemorySpanExporter) -> List[ReadableSpan]:
    served.server.stop()
    return list(exporter.get_finished_spans())


def test_a_request_is_one_span(served: Served, exporter: InMemorySpanExporter) -> None:
    """Named by method and route, never by the path, with all stable attributes."""
    served.api.get("/points/p%3A1", headers={"User-Agent": "me/1 s3cr3t"})
    [span] = finished(served, exporter)
    assert span.name == "GET /points/{id}" and span.kind is trace.SpanKind.SERVER
    attributes: Dict[str, Any] = dict(span.attributes or {})
    assert attributes == {
        "http.request.method": "GET",
        "http.route": "/points/{id}",
        "http.response.status_code": 404,
        "url.path": "/points/p:1",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": served.api.port,
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "me/1 [REDACTED]",
    }
    assert span.status.status_code is trace.StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "otel_tracepoints"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/health", "GET /health"),
        ("GET", "/nope", "GET"),
        ("DELETE", "/health", "DELETE /health"),
        ("FOO", "/health", "HTTP /health"),
        ("POST", "/tags/enable", "POST /tags/enable"),
    ],
)
def test_names_have_few_values(
    served: Served, exporter: InMemorySpanExporter, method: str, path: str, name: str
) -> None:
    """Unknown paths and methods do not make new names."""
    served.api.request(method, path)
    [span] = finished(served, exporter)
    assert span.name == name
    assert (span.attributes or {})["http.request.method"] == ("_OTHER" if method == "FOO" else method)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/points?tag=a%20b&enabled=true", "tag=a%20b&enabled=true"),
        ("/points?tag=s3%63r3t&tag=b", "tag=[REDACTED]&tag=b"),
        ("/points", None),
        ("/points?", None),
    ],
)
def test_the_query_is_told_without_secrets(
    served: Served, exporter: InMemorySpanExporter, path: str, query: Optional[str]
) -> None:
    """As it was sent, where there is one; escapes hide no secret."""
    served.api.get(path)
    [span] = finished(served, exporter)
    assert dict(span.attributes or {}).get("url.query") == query


def test_an_unknown_method_is_told_beside(served: Served, exporter: InMemorySpanExporter) -> None:
    """The method has few values, and the one that was sent is an attribute of its own."""
    served.api.request("FOO", "/health")
    [span] = finished(served, exporter)
    attributes = dict(span.attributes or {})
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == (
        "_OTHER",
        "FOO",
    )


def test_an_incoming_trace_is_continued(served: Served, exporter: InMemorySpanExporter) -> None:
    """And only for the request that carries it."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    served.api.get("/health", headers={"traceparent": parent})
    served.api.get("/health")
    one, other = finished(served, exporter)
    assert one.parent is not None and one.context is not None
    assert f"{one.context.trace_id:032x}" == parent.split("-")[1]
    assert f"{one.parent.span_id:016x}" == parent.split("-")[2]
    assert other.parent is None


def test_only_our_errors_are_errors(served: Served, exporter: InMemorySpanExporter) -> None:
    """5xx has error.type and the status ERROR; 4xx is the client's."""
    served.api.get("/lines?file=broken.py")
    served.api.get("/lines")
    ours, theirs = finished(served, exporter)
    assert ours.status.status_code is trace.StatusCode.ERROR
    assert (ours.attributes or {})["error.type"] == "500"
    assert theirs.status.status_code is trace.StatusCode.UNSET
    assert "error.type" not in (theirs.attributes or {})


def test_a_long_poll_is_one_span_of_its_whole_length(served: Served, exporter: InMemorySpanExporter) -> None:
    """However often it was looked at while it waited."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.api.get, "/hits?wait=0.3&point=mine")
        served.debugger.hit("other")
        waiting.result(10)
    [span] = finished(served, exporter)
    assert span.name == "GET /hits" and span.end_time is not None and span.start_time is not None
    assert span.end_time - span.start_time >= 290_000_000


def test_work_is_done_inside_the_span(
    served: Served, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit record carries the trace of its request."""
    seen = []
    monkeypatch.setattr(
        served.debugger, "audit", lambda *_, **__: seen.append(trace.get_current_span().get_span_context())
    )
    served.api.post("/sleep")
    [span] = finished(served, exporter)
    assert seen == [span.context]


def test_requests_too_large_are_spans_too(served: Served, exporter: InMemorySpanExporter) -> None:
    """They were understood, so they are told."""
    served.api.request("POST", "/tracepoints", raw=b" " * (1024 * 1024 + 1))
    [span] = finished(served, exporter)
    assert span.name == "POST /tracepoints"
    assert (span.attributes or {})["http.response.status_code"] == 413


def test_a_broken_tracer_costs_the_span_and_not_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samplers, processors and propagators are the application's."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no tracer today")

    class BrokenSpan(trace.NonRecordingSpan):
        set_attribute = update_name = end = set_status = broken

    class BrokenTracer(trace.NoOpTracer):
        def start_span(self, *_: Any, **__: Any) -> trace.Span:
            return BrokenSpan(trace.INVALID_SPAN_CONTEXT)

    for get_tracer in (broken, lambda *_, **__: BrokenTracer()):
        monkeypatch.setattr(tracing.trace, "get_tracer", get_tracer)
        with serving() as served:
            assert served.api.get("/points").status == 200
            assert served.api.post("/sleep").status == 200


def test_without_opentelemetry_the_api_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no span, and nothing else is missing."""
    monkeypatch.setattr(tracing, "_AVAILABLE", False)
    with serving() as served:
        assert served.api.get("/hits?wait=0.05").status == 200
