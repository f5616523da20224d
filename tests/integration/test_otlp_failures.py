"""Sinks that are dead, slow, full of objections, or take only half of what there is."""

from __future__ import annotations

import logging
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.support.otlp_receiver import OtlpReceiver, closed_port
from tests.support.snapshots import emitter, logpoint, ordinals, report, settled, tracepoint
from tests.support.timing import AIR

from otel_tracepoints.emission import worker

SERVERS = ["http", "grpc"]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "otel_tracepoints"]


def wait_until(condition, timeout=10.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not seen in time"
        time.sleep(0.01)


@pytest.mark.parametrize("protocol", ["auto", "http/protobuf", "grpc"])
def test_a_dead_sink_delays_nothing(protocol, caplog):
    """With nothing at the port hits are taken at once, the error is shown and logged once, stop is quick."""
    url = f"http://127.0.0.1:{closed_port()}"
    with emitter(url, event_sink_protocol=protocol, queue_size=100) as running:
        begin = time.perf_counter()
        taken = [running.submit(tracepoint(), ordinals()) for _ in range(150)]
        assert time.perf_counter() - begin < 1
        assert taken.count(True) == 100
        wait_until(lambda: running.status()["connected"] is False)
        assert running.flush(0.2) is False
        status = running.status()
        assert status["lastError"]
        assert (status["sent"], status["queued"], status["dropped"]) == (0, 100, 0)
        begin = time.perf_counter()
        running.stop(2.0)
        assert time.perf_counter() - begin < 2.0 + AIR
        assert (running.status()["dropped"], settled(running.status())) == (100, 100)
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_sink_that_never_answers_delays_the_end_by_two_seconds_at_most(server):
    """A sink that takes requests and keeps silent costs at most the time given to stop."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.gate.clear()
        for _ in range(200):
            running.submit(tracepoint(), ordinals())
        assert sink.arrived.wait(10)
        begin = time.perf_counter()
        running.stop(1.0)
        assert time.perf_counter() - begin < 1.0 + AIR
        status = running.status()
        assert (status["sent"], status["dropped"], settled(status)) == (0, 200, 200)


def test_a_socket_that_only_accepts_is_no_sink():
    """A listener that never says a word is found out, and stop is still in time."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        with emitter(f"http://127.0.0.1:{listener.getsockname()[1]}") as running:
            running.submit(tracepoint(), ordinals())
            begin = time.perf_counter()
            running.stop(1.0)
            assert time.perf_counter() - begin < 1.0 + AIR
            assert (running.status()["dropped"], settled(running.status())) == (1, 1)


@pytest.mark.parametrize("server", SERVERS)
def test_hits_wait_for_a_sink_that_comes_later(server, caplog):
    """Hits of the time before the sink was there arrive once it is; both turns are logged, once each."""
    port = closed_port()
    with emitter(f"http://127.0.0.1:{port}") as running:
        running.submit(tracepoint("early"), ordinals())
        wait_until(lambda: running.status()["connected"] is False)
        with OtlpReceiver(server, port=port) as sink:
            running.submit(tracepoint("late"), ordinals())
            assert running.flush(20)
            assert {event["attributes"]["probe.id"] for event in sink.events()} == {"early", "late"}
            assert (running.status()["sent"], running.status()["connected"]) == (2, True)
            running.stop()
    assert len(warnings_of(caplog)) == 2
    assert "again" in warnings_of(caplog)[1]


@pytest.mark.parametrize("server", SERVERS)
def test_an_overloaded_sink_is_asked_again(server):
    """503 is worth another try: the same spans come again, and are sent once."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.refuse(503, times=2)
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        status = running.status()
        assert (status["sent"], status["dropped"], status["connected"]) == (1, 0, True)
        assert [request.status for request in sink.requests] == [503, 503, 200]
        assert len(sink.spans()) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_retry_is_the_same_span(server):
    """What a sink took without answering may come twice, but then as the same span."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        bodies = []
        sink.rule = lambda signal, body: bodies.append(body) or (503 if len(bodies) == 1 else 200)
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        assert len(bodies) == 2
        assert bodies[0] == bodies[1]


@pytest.mark.parametrize("server", SERVERS)
def test_a_batch_that_is_too_large_is_split(server):
    """413 splits the batch until it fits; only a hit that is too large alone is dropped."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.rule = lambda signal, body: 413 if len(body) > 5000 else 200
        for number in range(20):
            running.submit(tracepoint(f"p{number}", variables={"v": "x" * 1000}), ordinals())
        running.submit(tracepoint("huge", variables={f"v{n}": "x" * 1900 for n in range(10)}), ordinals())
        assert running.flush(30)
        status = running.status()
        assert (status["sent"], status["dropped"]) == (20, 1)
        assert {event["attributes"]["probe.id"] for event in sink.events()} == {f"p{n}" for n in range(20)}


@pytest.mark.parametrize("server", SERVERS)
def test_a_refusal_is_counted_and_shown(server):
    """400 is final: the hits count as dropped and /health says why; later ones go through."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.refuse(400, times=1)
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        status = running.status()
        assert (status["sent"], status["dropped"], settled(status)) == (1, 1, 2)
        assert "400" in status["lastError"] or "INVALID_ARGUMENT" in status["lastError"]


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_sink_rejects_in_part_counts_as_dropped(server):
    """The rejected count of a partial success goes from sent to dropped."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.partially_rejected = 1
        for _ in range(3):
            running.submit(tracepoint(), ordinals())
        assert running.flush(20)
        status = running.status()
        assert (status["sent"], status["dropped"]) == (2, 1)
        assert "rejected 1" in status["lastError"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_batch_is_given_up_in_the_end(server, monkeypatch):
    """After its time a batch that nobody takes is dropped, so that newer hits get their turn."""
    monkeypatch.setattr(worker, "GIVE_UP_AFTER", 0.3)
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.refuse(503)
        running.submit(tracepoint(), ordinals())
        wait_until(lambda: running.status()["dropped"] == 1)
        assert settled(running.status()) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_sink_of_traces_only_gets_logpoints_as_span_events(server, caplog):
    """Logpoints that a sink takes no logs for arrive on spans, none is lost, and it is said once."""
    tracer = TracerProvider().get_tracer("app")
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.refuse(404, signals=("logs",))
        running.report(report("agent.status.started"))
        for number in range(5):
            running.submit(logpoint(f"p{number}", message=f"m{number}"), ordinals())
        running.submit(tracepoint("tp"), ordinals())
        assert running.flush(20)
        with tracer.start_as_current_span("request") as span:
            running.submit(logpoint("on the span", message="m"), ordinals())
        with tracer.start_as_current_span("request"):
            pass
        running.submit(logpoint("later"), ordinals())
        assert running.flush(20)
        status = running.status()
        assert (status["sent"], status["dropped"], status["onSpans"]) == (7, 0, 1)
        assert status["connected"] is True
        events = sink.events("probe.hit.logpoint")
        assert {event["attributes"]["probe.id"] for event in events} == {
            *(f"p{n}" for n in range(5)),
            "later",
        }
        assert {event["attributes"]["probe.message"] for event in events} >= {f"m{n}" for n in range(5)}
        assert {event["span"]["name"] for event in events} == {"logpoint shop.cart.total"}
        (on_span,) = span.events
        assert (on_span.name, on_span.attributes["probe.message"]) == ("probe.hit.logpoint", "m")
        assert len([request for request in sink.requests if request.signal == "logs"]) == 1
    assert len([text for text in warnings_of(caplog) if "span events" in text]) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_something_that_is_no_sink_at_all(server):
    """404 for traces too means that hits are dropped, and that /health says what answered."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        sink.refuse(404)
        running.submit(tracepoint(), ordinals())
        running.submit(logpoint(), ordinals())
        assert running.flush(20)
        status = running.status()
        assert (status["sent"], status["dropped"], status["connected"]) == (0, 2, False)
        assert status["lastError"]


def test_error_texts_are_redacted():
    """What a sink answers passes the redaction before it is shown."""
    from otel_tracepoints.config import Settings
    from otel_tracepoints.emission import Emitter

    running = Emitter(
        Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}"),
        lambda text: text.replace("refused", "[REDACTED]"),
    )
    running.start()
    try:
        running.submit(tracepoint(), ordinals())
        wait_until(lambda: running.status()["lastError"])
        assert "[REDACTED]" in running.status()["lastError"]
    finally:
        running.stop(0.5)


@pytest.mark.parametrize("server", SERVERS)
def test_stop_sends_what_is_left(server):
    """Hits taken right before the end arrive, with all of their batch."""
    with OtlpReceiver(server) as sink, emitter(sink.url) as running:
        for number in range(200):
            running.submit(tracepoint(f"p{number}"), ordinals())
        running.stop(2.0)
        assert (running.status()["sent"], settled(running.status())) == (200, 200)
        assert len(sink.spans()) == 200


def test_warnings_stay_few_while_a_sink_stays_dead(caplog, monkeypatch):
    """However many batches fail, one warning is enough."""
    monkeypatch.setattr(worker, "GIVE_UP_AFTER", 0.0)
    caplog.set_level(logging.DEBUG, "otel_tracepoints")
    with emitter(f"http://127.0.0.1:{closed_port()}") as running:
        for count in range(5):
            running.submit(tracepoint(), ordinals())
            wait_until(lambda count=count: running.status()["dropped"] == count + 1)
    assert len(warnings_of(caplog)) == 1
