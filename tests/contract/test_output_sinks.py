"""Sinks over real sockets: each protocol, and each way of being out of order, as an application notices it."""

from __future__ import annotations

import logging
import pathlib
import socket
import threading
import time
from typing import Any, Callable, Iterator, List

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.support.live import Live, TargetMaker
from tests.support.otlp_receiver import OtlpReceiver, closed_port
from tests.support.telemetry import accounts, settled_accounts, tracer_and_spans
from tests.support.timing import AIR
from tests.support.tls import certificate_file

import otel_tracepoints
from otel_tracepoints.emission import bridge

Start = Callable[..., Live]

WORK = """
    def work(n):
        m = n + 1
        return m  # TAG: work
"""


def _has_json() -> bool:
    try:
        bridge.json_encoders()
    except ImportError:
        return False
    return True


PROTOCOLS = ["grpc", "http/protobuf", *(["http/json"] if _has_json() else [])]


@pytest.fixture
def start(_stopped: None) -> Iterator[Start]:
    """Starts an agent with this sink (or URL) and these settings."""
    sinks: List[OtlpReceiver] = []

    def begin(sink: Any, **settings: Any) -> Live:
        if isinstance(sink, OtlpReceiver):
            sinks.append(sink)
            return Live(sink, **settings)
        sinks.append(OtlpReceiver("http"))
        return Live(sinks[-1], event_sink_url=sink, **settings)

    yield begin
    otel_tracepoints.stop()
    for each in sinks:
        each.close()


def server_of(protocol: str, **how: Any) -> OtlpReceiver:
    return OtlpReceiver("grpc" if protocol == "grpc" else "http", **how)


def hit(program: Any, count: int) -> float:
    """So many hits; the seconds that they took of the application's thread."""
    begin = time.thread_time()
    for n in range(count):
        program.work(n)
    return time.thread_time() - begin


def exit_seconds() -> float:
    begin = time.perf_counter()
    otel_tracepoints.stop()
    return time.perf_counter() - begin


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_thousand_hits_arrive_exactly_once(start: Start, target: TargetMaker, protocol: str) -> None:
    """Tracepoints and logpoints of four threads: each once, with the numbers 1 to n, and all accounted for."""
    live = start(server_of(protocol), event_sink_protocol=protocol)
    program = target(WORK)
    assert program.module
    traced, logged = live.tracepoint(program, "work"), live.logpoint(program, "work", "{m}")
    threads = [threading.Thread(target=hit, args=(program, 125)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    live.sink.wait_for(lambda: len(live.sink.events("probe.hit.snapshot")) == 500, 60)
    live.sink.wait_for(lambda: len(live.logs("probe.hit.logpoint")) == 500, 60)
    for point, name in ((traced, "probe.hit.snapshot"), (logged, "probe.hit.logpoint")):
        events = [event["attributes"] for event in live.sink.events(name)]
        assert {event["probe.id"] for event in events} == {point["id"]}
        assert sorted(event["probe.hit.count"] for event in events) == list(range(1, 501))
    sink = settled_accounts(live)
    assert (sink["sent"], sink["dropped"], sink["onSpans"]) == (1000, 0, 0)
    assert (sink["protocol"], sink["connected"], sink["lastError"]) == (protocol, True, None)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("status", [400, 413, 429, 502, 503])
def test_a_sink_that_refuses_is_the_applications_no_concern(
    start: Start, target: TargetMaker, protocol: str, status: int
) -> None:
    """The application is not slower, every hit is in the accounts, and the end takes no longer than it may."""
    receiver = server_of(protocol)
    receiver.refuse(status)
    live = start(receiver, event_sink_protocol=protocol, queue_size=100)
    program = target(WORK)
    assert program.module
    point = live.logpoint(program, "work", "{m}")
    assert hit(program, 150) < 1.0
    counts = live.counts(point)
    assert counts["emitted"] + counts.get("dropped", 0) == 150
    sink = accounts(live)
    assert sink["sent"] == sink["onSpans"] == 0
    assert exit_seconds() < 2.0 + AIR


def test_a_sink_that_is_dead_slow_or_silent(start: Start, target: TargetMaker) -> None:
    """Nothing listens, or it never says a word: no hit waits for it, and neither does the end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        for port in (closed_port(), listener.getsockname()[1]):
            live = start(f"http://127.0.0.1:{port}", queue_size=100)
            program = target(WORK)
            assert program.module
            point = live.logpoint(program, "work", "{m}")
            assert hit(program, 150) < 1.0
            assert live.counts(point) == {"emitted": 100, "dropped": 50}
            assert (accounts(live)["sent"], accounts(live)["queued"]) == (0, 100)
            assert exit_seconds() < 2.0 + AIR


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_partial_success_is_counted(start: Start, target: TargetMaker, protocol: str) -> None:
    """What an accepted request's answer rejects counts as dropped, and lastError says why."""
    receiver = server_of(protocol)
    receiver.partially_rejected = 1
    live = start(receiver, event_sink_protocol=protocol)
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    hit(program, 3)
    sink = settled_accounts(live)
    assert sink["dropped"] >= 1
    assert sink["sent"] + sink["dropped"] == 3
    assert "rejected" in sink["lastError"]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_sink_of_traces_only(
    start: Start, target: TargetMaker, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Logpoints become events of own spans, then of the recording span; it is said once, and nothing is lost."""
    receiver = server_of(protocol)
    receiver.refuse(404, signals=("logs",))
    live = start(receiver, event_sink_protocol=protocol)
    program = target(WORK)
    assert program.module
    live.logpoint(program, "work", "m is {m}", level="WARN")
    hit(program, 3)
    live.sink.wait_for(lambda: len(live.sink.events("probe.hit.logpoint")) == 3)
    events = live.sink.events("probe.hit.logpoint")
    assert {event["attributes"]["probe.message"] for event in events} == {"m is 1", "m is 2", "m is 3"}
    assert {event["span"]["name"] for event in events} == {f"logpoint {program.name}.work"}
    tracer, finished = tracer_and_spans()
    with tracer.start_as_current_span("request"):
        hit(program, 1)
    (event,) = finished()[0].events
    assert (event.name, event.attributes["probe.message"]) == ("probe.hit.logpoint", "m is 1")
    assert event.attributes["probe.message.template"] == "m is {m}"
    sink = settled_accounts(live)
    assert (sink["sent"], sink["dropped"], sink["onSpans"], sink["connected"]) == (3, 0, 1, True)
    told = [record for record in caplog.records if "span events" in record.getMessage()]
    assert [(record.name, record.levelno) for record in told] == [("otel_tracepoints", logging.WARNING)]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "auto"])
def test_tls_with_a_certificate_of_ones_own(
    start: Start, target: TargetMaker, tmp_path: pathlib.Path, protocol: str
) -> None:
    """A sink behind TLS is reached with DEBUGIN_EVENT_SINK_CERTIFICATE and DEBUGIN_EVENT_SINK_HEADERS."""
    receiver = server_of("grpc" if protocol == "auto" else protocol, tls=True)
    certificate = certificate_file(tmp_path)
    headers = {"X-Api-Key": "k1"}
    live = start(
        receiver,
        event_sink_protocol=protocol,
        event_sink_certificate=certificate,
        event_sink_headers=headers,
    )
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    live.logpoint(program, "work", "{m}")
    hit(program, 10)
    sink = settled_accounts(live)
    assert (sink["sent"], sink["connected"], sink["lastError"]) == (20, True, None)
    assert {request.headers.get("x-api-key") for request in live.sink.requests} == {"k1"}


def test_a_certificate_that_nobody_vouches_for_is_refused(start: Start, target: TargetMaker) -> None:
    """Without the certificate's authority nothing is sent, and lastError says that it is the certificate."""
    live = start(server_of("http/protobuf", tls=True), event_sink_protocol="http/protobuf")
    program = target(WORK)
    assert program.module
    live.tracepoint(program, "work")
    hit(program, 1)
    deadline = time.monotonic() + 10
    while accounts(live)["lastError"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "certificate" in accounts(live)["lastError"].lower()
    assert live.sink.requests == []


def test_the_resource_is_left_alone(
    start: Start, target: TargetMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redaction is for what hits hold: what the application says of itself arrives as it is."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.name": "shop-tok-1", "deployment.note": "tok-2"})
    provider = TracerProvider(resource=resource)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    live = start(server_of("http/protobuf"), redact_patterns=(r"tok-\d",))
    program = target("\n    def work(n):\n        m = 'tok-3'\n        return m  # TAG: work\n")
    assert program.module
    live.tracepoint(program, "work")
    hit(program, 1)
    live.sink.wait_for(live.sink.spans)
    (span,) = live.sink.spans()
    assert (span["resource"]["service.name"], span["resource"]["deployment.note"]) == ("shop-tok-1", "tok-2")
    assert "tok-3" not in str(span["events"])
