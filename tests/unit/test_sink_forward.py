"""The forwarder's queue: bounded, retried, counted; and what it sends where."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List

import pytest
from tests.support.otlp_receiver import OtlpReceiver, closed_port, grpc_available

from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink.forward import ATTEMPTS, Forwarder
from otel_tracepoints.sink.intake import ForwardedExport
from otel_tracepoints.sink.upstream import Delivery, Upstream


class FakeUpstream(Upstream):
    """Answers with the deliveries it is given, then with success; ``gate`` holds it up."""

    def __init__(self, *deliveries: Delivery) -> None:
        super().__init__("http://127.0.0.1:1")
        self.deliveries = list(deliveries)
        self.sent: List[bytes] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def send(self, export: ForwardedExport) -> Delivery:
        self.entered.set()
        self.gate.wait(10)
        self.sent.append(export.data)
        return self.deliveries.pop(0) if self.deliveries else Delivery(True)


def export(data: bytes = b"", is_json: bool = False, **headers: str) -> ForwardedExport:
    return ForwardedExport(
        "traces", data, is_json, [(name.replace("_", "-"), value) for name, value in headers.items()]
    )


def settle(forwarder: Forwarder, done: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
    deadline = time.monotonic() + 10
    while not done(forwarder.status()):
        assert time.monotonic() < deadline, forwarder.status()
        threading.Event().wait(0.005)
    return forwarder.status()


def test_a_failure_is_tried_again_in_order() -> None:
    """A request that fails for now is sent again before the next one."""
    upstream = FakeUpstream(Delivery(False, True, "busy"), Delivery(False, True, "busy"))
    forwarder = Forwarder("", upstream=upstream, first_wait=0.001)
    forwarder.submit(export(b"1"))
    forwarder.submit(export(b"2"))
    forwarder.start()
    status = settle(forwarder, lambda now: now["queued"] == 0)
    assert upstream.sent == [b"1", b"1", b"1", b"2"]
    assert (status["sent"], status["dropped"], status["lastError"]) == (2, 0, "busy")
    forwarder.stop(1)


def test_what_is_refused_for_good_or_too_often_is_dropped() -> None:
    """A refusal is not repeated; a failure is given up after the last attempt; both are counted."""
    upstream = FakeUpstream(Delivery(False, False, "no"), *[Delivery(False, True, "busy")] * ATTEMPTS)
    forwarder = Forwarder("", upstream=upstream, first_wait=0.001)
    for data in (b"1", b"2", b"3"):
        forwarder.submit(export(data))
    forwarder.start()
    status = settle(forwarder, lambda now: now["queued"] == 0)
    assert upstream.sent == [b"1", *[b"2"] * ATTEMPTS, b"3"]
    assert (status["sent"], status["dropped"]) == (1, 2)
    forwarder.stop(1)


@pytest.mark.parametrize("bounds", [{"queue_requests": 2}, {"queue_bytes": 2}])
def test_a_full_queue_drops_the_oldest(bounds: Dict[str, int]) -> None:
    """The queue is bounded in requests and in bytes; submitting never waits."""
    upstream = FakeUpstream()
    forwarder = Forwarder("", upstream=upstream, **bounds)
    for data in (b"1", b"2", b"3", b"4"):
        forwarder.submit(export(data))
    assert (forwarder.status()["queued"], forwarder.status()["dropped"]) == (2, 2)
    forwarder.start()
    settle(forwarder, lambda now: now["sent"] == 2)
    assert upstream.sent == [b"3", b"4"]
    forwarder.stop(1)


def test_the_end_is_bounded_and_counted() -> None:
    """With a receiver that hangs, stopping takes no longer than asked for, and nothing is unaccounted for."""
    upstream = FakeUpstream()
    upstream.gate.clear()
    forwarder = Forwarder("", upstream=upstream)
    for data in (b"1", b"2", b"3"):
        forwarder.submit(export(data))
    forwarder.start()
    assert upstream.entered.wait(10)
    began = time.monotonic()
    forwarder.stop(0.1)
    assert time.monotonic() - began < 2
    upstream.gate.set()
    status = forwarder.status()
    assert (status["sent"], status["queued"], status["dropped"]) == (0, 0, 3)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_end_cuts_a_receiver_off_that_fell_silent(protocol: str) -> None:
    """A real receiver that answered before and then hangs keeps neither the end nor the thread waiting."""
    with OtlpReceiver(protocol) as receiver:
        forwarder = Forwarder(receiver.url)
        forwarder.start()
        forwarder.submit(export(SPAN))
        settle(forwarder, lambda now: now["sent"] == 1)
        receiver.gate.clear()
        receiver.arrived.clear()
        forwarder.submit(export(SPAN))
        assert receiver.arrived.wait(10)
        began = time.monotonic()
        forwarder.stop(0.2)
        forwarder._thread.join(2)
        assert not forwarder._thread.is_alive()
        assert time.monotonic() - began < 2
        assert (forwarder.status()["sent"], forwarder.status()["dropped"]) == (1, 1)


def test_the_end_delivers_what_is_queued() -> None:
    """A receiver that is well gets everything before the sink ends."""
    upstream = FakeUpstream()
    forwarder = Forwarder("", upstream=upstream)
    forwarder.start()
    for data in (b"1", b"2", b"3"):
        forwarder.submit(export(data))
    forwarder.stop(5)
    assert (upstream.sent, forwarder.status()["dropped"]) == ([b"1", b"2", b"3"], 0)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:4317",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x/?q",
        "http://u:p@x",
        "http://[::1",
    ],
)
def test_a_url_that_cannot_be_used(url: str) -> None:
    """Said at the start, not at the first request, and without showing a password."""
    with pytest.raises(ConfigError) as caught:
        Upstream(url)
    assert "u:p" not in caught.value.message


SPAN = b"\x0a\x0a\x12\x08\x12\x06\x2a\x04name"  # a traces request with one span called "name"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_both_protocols_are_found_out(protocol: str) -> None:
    """Bytes arrive as they are over whichever protocol the other end speaks, with the sender's own headers."""
    if protocol == "grpc" and not grpc_available():
        pytest.skip("no grpc on this interpreter")
    with OtlpReceiver(protocol) as receiver:
        upstream = Upstream(receiver.url, timeout=5)
        sent = export(
            SPAN,
            x_scope_orgid="team",
            content_encoding="gzip",
            host="elsewhere",
            grpc_timeout="1S",
            te="trailers",
        )
        try:
            assert upstream.send(sent) == Delivery(True)
            assert upstream.send(sent) == Delivery(True)
        finally:
            upstream.close()
        assert [request.body for request in receiver.requests] == [SPAN, SPAN]
        headers = {name.lower(): value for name, value in dict(receiver.requests[0].headers).items()}
        assert headers["x-scope-orgid"] == "team"
        assert headers.get("host", "") != "elsewhere"
        assert "content-encoding" not in headers


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(("status", "again"), [(503, True), (400, False)])
def test_refusals_are_told_apart(protocol: str, status: int, again: bool) -> None:
    """What may be different next time is tried again, the rest is not, and the reason is kept."""
    if protocol == "grpc" and not grpc_available():
        pytest.skip("no grpc on this interpreter")
    with OtlpReceiver(protocol) as receiver:
        receiver.refuse(status)
        upstream = Upstream(receiver.url, timeout=5)
        delivery = upstream.send(export(SPAN))
        upstream.close()
    assert (delivery.delivered, delivery.retry) == (False, again)
    assert receiver.url in delivery.reason


def test_json_goes_on_over_grpc_as_protobuf() -> None:
    """A receiver that speaks gRPC only gets the same spans, ids included."""
    if not grpc_available():
        pytest.skip("no grpc on this interpreter")
    body = (
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "n", "traceId": "%s", "spanId": "%s"}]}]}]}'
    )
    with OtlpReceiver("grpc") as receiver:
        upstream = Upstream(receiver.url, timeout=5)
        assert upstream.send(export(body % (b"ab" * 16, b"cd" * 8), is_json=True)) == Delivery(True)
        assert not upstream.send(export(b'{"resourceSpans": 1}', is_json=True)).retry
        upstream.close()
        (span,) = receiver.spans()
    assert (span["name"], span["trace_id"], span["span_id"]) == ("n", "ab" * 16, "cd" * 8)


def test_nobody_there_is_worth_another_try() -> None:
    """A refused connection is a failure for now."""
    delivery = Upstream(f"http://127.0.0.1:{closed_port()}", timeout=2).send(export(SPAN))
    assert (delivery.delivered, delivery.retry) == (False, True)
