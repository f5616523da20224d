"""Hits on the wire: every protocol, exactly once, in the documented shape."""

from __future__ import annotations

import collections
import logging
import socket
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.support.grpc_server import GrpcServer
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.snapshots import emitter, logpoint, ordinals, report, settled, tracepoint

from otel_tracepoints.emission import bridge


def _json_available():
    try:
        bridge.json_encoders()
    except ImportError:
        return False
    return True


needs_json = pytest.mark.skipif(not _json_available(), reason="the OTLP JSON exporter needs Python 3.10")

PROTOCOLS = [
    "grpc",
    "http/protobuf",
    pytest.param("http/json", marks=needs_json),
]


def server_of(protocol):
    return OtlpReceiver("grpc" if protocol == "grpc" else "http")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_thousand_hits_arrive_exactly_once(protocol):
    """With a healthy sink nothing is lost and nothing comes twice, from several threads."""
    with server_of(protocol) as sink, emitter(sink.url, event_sink_protocol=protocol) as running:
        ordinal = ordinals()

        def send(begin):
            for number in range(begin, 1000, 4):
                make = logpoint if number % 2 else tracepoint
                assert running.submit(make(f"p{number}"), ordinal)

        threads = [threading.Thread(target=send, args=(begin,)) for begin in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert running.flush(60)
        status = running.status()
        assert (status["sent"], settled(status)) == (1000, 1000)
        assert (status["protocol"], status["connected"], status["lastError"]) == (protocol, True, None)
        seen = collections.Counter(event["attributes"]["probe.id"] for event in sink.events())
        assert seen == {f"p{number}": 1 for number in range(1000)}
        counts = sorted(event["attributes"]["probe.hit.count"] for event in sink.events())
        assert counts == list(range(1, 1001))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_tracepoint_without_a_span_gets_one_of_its_own(protocol):
    """The agent's own span is INTERNAL, of no length, sampled, and says what it is."""
    hit = tracepoint(variables={"n": 1, "ü": "é"}, tags=("a",))
    with server_of(protocol) as sink, emitter(sink.url, event_sink_protocol=protocol) as running:
        running.submit(hit, ordinals())
        assert running.flush(20)
        (span,) = sink.spans()
    assert span["name"] == "tracepoint shop.cart.total"
    assert span["kind"] in (1, "SPAN_KIND_INTERNAL")
    assert span["start"] == span["end"] == hit.timestamp_ns
    assert len(span["trace_id"]) == 32
    assert len(span["span_id"]) == 16
    assert not span["parent_id"]
    assert span["scope"]["name"] == "otel_tracepoints"
    assert span["schema_url"].startswith("https://opentelemetry.io/schemas/")
    (event,) = span["events"]
    assert (event["name"], event["time"]) == ("probe.hit.snapshot", hit.timestamp_ns)
    assert event["attributes"]["probe.variable.ü"] == '"é"'
    assert event["attributes"]["probe.tags"] == ["a"]
    assert event["attributes"]["code.line.number"] == 42


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_logpoint_is_a_log_record(protocol):
    """A logpoint has its message as body, its level as severity, a name, and its trace."""
    tracer = TracerProvider().get_tracer("app")
    with server_of(protocol) as sink, emitter(sink.url, event_sink_protocol=protocol) as running:
        hit = logpoint(message="n is 1", level="WARN", fields=[1, "x", 1.5, True])
        with tracer.start_as_current_span("request") as span:
            running.submit(hit, ordinals())
        assert running.flush(20)
        (log,) = sink.logs()
    assert (log["event_name"], log["body"]) == ("probe.hit.logpoint", "n is 1")
    assert (log["severity"], log["severity_text"], log["time"]) == (13, "WARN", hit.timestamp_ns)
    assert log["trace_id"] == format(span.get_span_context().trace_id, "032x")
    assert log["span_id"] == format(span.get_span_context().span_id, "016x")
    assert [log["attributes"][f"probe.field.{n}"] for n in range(4)] == [1, "x", 1.5, True]
    assert log["scope"]["name"] == "otel_tracepoints"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hit_under_an_unsampled_span_is_its_child(protocol):
    """Where the request is not recorded the hit still is, on a child span of the current context."""
    with server_of(protocol) as sink, emitter(sink.url, event_sink_protocol=protocol) as running:
        from opentelemetry import trace

        context = trace.SpanContext(0xABC, 0xDEF, is_remote=True)
        with trace.use_span(trace.NonRecordingSpan(context)):
            running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        (span,) = sink.spans()
    assert (span["trace_id"], span["parent_id"]) == (format(0xABC, "032x"), format(0xDEF, "016x"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_report_is_a_log_record_and_no_hit(protocol):
    """Reports are sent, but the accounts of hits do not count them."""
    with server_of(protocol) as sink, emitter(sink.url, event_sink_protocol=protocol) as running:
        running.report(report("agent.status.started", probe_engine="pytrace", server_port=5001))
        assert running.flush(20)
        (log,) = sink.logs()
        assert settled(running.status()) == 0
    assert (log["event_name"], log["body"], log["severity_text"]) == ("agent.status.started", "said", "INFO")
    assert log["attributes"]["probe.engine"] == "pytrace"
    assert log["attributes"]["server.port"] == 5001


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_worst_strings_cost_nothing_but_themselves(protocol):
    """A hit full of what OTLP cannot hold arrives, and so do the hits beside it."""
    worst = tracepoint("worst", variables={"v\ud800": "\ud800", "n": float("inf"), "big": 2**200})
    log = logpoint("log", message="\ud800", fields=[2**70, float("nan"), "\udfff"])
    with server_of(protocol) as sink, emitter(sink.url, event_sink_protocol=protocol) as running:
        for hit in (tracepoint("before"), worst, log, tracepoint("after")):
            running.submit(hit, ordinals())
        assert running.flush(20)
        assert running.status()["sent"] == 4
        assert {event["attributes"]["probe.id"] for event in sink.events()} == {
            "before",
            "worst",
            "log",
            "after",
        }


def test_auto_finds_grpc():
    """On a port that says nothing, a gRPC server is spoken to in gRPC."""
    with OtlpReceiver("grpc") as sink, emitter(sink.url) as running:
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        assert running.status()["protocol"] == "grpc"


def test_auto_finds_http():
    """On a port that says nothing, an HTTP server is spoken to in HTTP."""
    with OtlpReceiver("http") as sink, emitter(sink.url) as running:
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        assert running.status()["protocol"] in ("http/protobuf", "http/json")
        assert running.status()["sent"] == 1


def test_auto_turns_to_grpc_although_a_path_hinted_at_http():
    """What answers decides: a path means HTTP only until gRPC answers."""
    with OtlpReceiver("grpc") as sink, emitter(sink.url + "/otlp") as running:
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        assert (running.status()["protocol"], running.status()["sent"]) == ("grpc", 1)


def test_the_url_is_a_base_also_with_a_path():
    """Over HTTP the signal's path is appended to the path of the URL."""
    with OtlpReceiver("http") as sink, emitter(sink.url + "/otlp/") as running:
        running.submit(tracepoint(), ordinals())
        running.submit(logpoint(), ordinals())
        assert running.flush(20)
        assert [request.headers[":path"] for request in sink.requests] == ["/otlp/v1/traces", "/otlp/v1/logs"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_headers_of_the_settings_go_with_every_request(protocol):
    """DEBUGIN_EVENT_SINK_HEADERS reach the sink, as headers or as metadata."""
    with OtlpReceiver(protocol) as sink, emitter(sink.url, event_sink_headers={"x-key": "k1"}) as running:
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        assert {request.headers.get("x-key") for request in sink.requests} == {"k1"}


def test_large_bodies_are_compressed():
    """Over HTTP a large body is gzip."""
    with OtlpReceiver("http") as sink, emitter(sink.url) as running:
        for _ in range(60):
            running.submit(tracepoint(variables={"v": "x" * 1500}), ordinals())
        assert running.flush(20)
        assert len(sink.spans()) == 60
        assert "gzip" in {request.headers.get("content-encoding") for request in sink.requests}


def test_a_hundred_full_hits_stay_below_what_a_grpc_server_takes():
    """Hits at their limit of 32 KiB are spread over requests of less than 4 MiB."""
    with OtlpReceiver("http") as sink, emitter(sink.url) as running:
        for _ in range(100):
            running.submit(tracepoint(variables={f"v{n}": "x\\" * 900 for n in range(40)}), ordinals())
        assert running.flush(60)
        assert running.status()["sent"] == 100
        assert max(len(request.body) for request in sink.requests) < 4 << 20


@pytest.mark.skipif(_json_available(), reason="the JSON encoder can be had here")
def test_json_that_cannot_be_had_is_said_and_replaced():
    """Asked for JSON where there is no encoder, the agent says why not and sends protobuf."""
    with OtlpReceiver("http") as sink, emitter(sink.url, event_sink_protocol="http/json") as running:
        assert "3.10" in running.status()["lastError"]
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        assert (running.status()["protocol"], running.status()["sent"]) == ("http/protobuf", 1)


def test_the_resource_is_that_of_the_application(monkeypatch):
    """Hits carry the resource of the application's tracer provider, set before or after the agent."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource

    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    with OtlpReceiver("http") as sink, emitter(sink.url) as running:
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
        running.submit(tracepoint(), ordinals())
        running.submit(logpoint(), ordinals())
        assert running.flush(20)
        assert running.service_name() == "shop"
        assert {event["resource"]["service.name"] for event in sink.logs() + sink.spans()} == {"shop"}


def test_nothing_is_said_while_all_is_well(caplog):
    """A healthy pipeline logs nothing."""
    caplog.set_level(logging.DEBUG)
    with OtlpReceiver("http") as sink, emitter(sink.url) as running:
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
    assert [record for record in caplog.records if record.name == "otel_tracepoints"] == []


def test_a_connection_that_the_server_closed_costs_nothing():
    """A keep-alive connection that was closed while idle is replaced at once, without an error."""
    with OtlpReceiver("http") as sink, emitter(sink.url) as running:
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        connection = running._link._transport._connection
        connection.sock.shutdown(socket.SHUT_RDWR)
        running.submit(tracepoint(), ordinals())
        assert running.flush(5)
        status = running.status()
        assert (status["sent"], status["lastError"]) == (2, None)


def test_a_grpc_server_that_hangs_up_on_http_is_found_out():
    """Go's gRPC servers end the connection when they are spoken to in HTTP/1: then gRPC is spoken."""
    with GrpcServer() as server, emitter(server.url + "/hint") as running:
        for _ in range(3):
            running.submit(tracepoint(), ordinals())
            assert running.flush(20)
        assert (running.status()["protocol"], running.status()["sent"]) == ("grpc", 3)
        assert len(server.calls) == 3
