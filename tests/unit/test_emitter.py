"""The pipeline of hits: what is taken, where it goes, and that every one is accounted for."""

from __future__ import annotations

import sys
import threading

import pytest
from tests.support.otlp_receiver import OtlpReceiver, closed_port
from tests.support.snapshots import emitter, logpoint, ordinals, report, settled, tracepoint

from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter, worker
from otel_tracepoints.errors import ConfigError


def test_the_queue_has_exactly_its_size(idle):
    """The hit after the last free place is refused, and its ordinal is never taken."""
    taken = []
    results = [idle.submit(tracepoint(), lambda: taken.append(1) or len(taken)) for _ in range(8)]
    assert results == [True] * 5 + [False] * 3
    assert len(taken) == 5
    assert idle.status()["queued"] == 5


def test_the_queue_is_exact_under_threads():
    """Whatever the number of threads, as many hits are taken as there are places."""
    emitter = Emitter(
        Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}", queue_size=300), lambda t: t
    )
    ordinal = ordinals()
    taken = []
    start = threading.Barrier(8)

    def hammer():
        start.wait()
        for _ in range(100):
            hit = tracepoint()
            if emitter.submit(hit, ordinal):
                taken.append(hit)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 300
    assert sorted(hit.hit_count for hit in taken) == list(range(1, 301))
    page = emitter.hits(None, 1000, 0, None)
    assert [hit["sequence"] for hit in page.hits] == list(range(1, 301))
    assert emitter.status()["queued"] == 300
    emitter.stop(0.5)
    assert emitter.status()["dropped"] == 300


def test_a_hit_can_be_read_back_at_once(idle):
    """GET /hits shows a hit as soon as submit has returned, sent or not."""
    idle.submit(tracepoint("a"), ordinals())
    idle.submit(logpoint("b"), ordinals())
    assert [hit["point"] for hit in idle.hits(0, 100, 0, None).hits] == ["a", "b"]


def test_nothing_is_taken_after_stop(idle):
    """A stopped emitter refuses hits without taking their ordinal; reports are ignored."""
    idle.stop(0.5)
    assert idle.submit(tracepoint(), lambda: 1 / 0) is False
    idle.report(report())
    idle.stop(0.5)


def test_before_anything_was_tried_nothing_is_known(idle):
    """``connected``, ``protocol`` and ``lastError`` are null at first, all counts are 0."""
    status = idle.status()
    assert set(status) == {
        "url", "protocol", "connected", "lastError", "sent", "queued", "dropped", "onSpans",
    }  # fmt: skip
    assert [status[key] for key in ("protocol", "connected", "lastError")] == [None, None, None]
    assert settled(status) == 0


def test_credentials_in_the_url_are_not_shown():
    """The URL in /health has no user or password in it."""
    emitter = Emitter(Settings(event_sink_url="http://user:secret@127.0.0.1:4318/otlp"), lambda text: text)
    assert emitter.status()["url"] == "http://127.0.0.1:4318/otlp"
    emitter.stop(0)


@pytest.mark.parametrize(
    "settings",
    [
        {"event_sink_url": "http://host:port"},
        {"event_sink_url": "https://host", "event_sink_certificate": "/no/such/file.pem"},
    ],
)
def test_a_sink_that_cannot_be_used_is_a_config_error(settings):
    """A port that is no number or a certificate that is not there is said at once."""
    with pytest.raises(ConfigError):
        Emitter(Settings(**settings), lambda text: text)


def test_listeners_hear_of_new_hits(idle):
    """A listener is called after new hits until it is taken away."""
    heard = []
    end = idle.on_hit(lambda: heard.append(1))
    idle.submit(tracepoint(), ordinals())
    idle.status()
    end()
    idle.submit(tracepoint(), ordinals())
    idle.status()
    assert heard == [1]


def test_an_idle_emitter_has_threads_that_sleep():
    """The emitter's own threads are daemons, are there once, and are gone after stop."""
    before = set(threading.enumerate())
    emitter = Emitter(Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}"), lambda text: text)
    emitter.start()
    own = set(threading.enumerate()) - before
    assert {thread.name for thread in own} == {"otel-tracepoints-recorder", "otel-tracepoints-export"}
    assert all(thread.daemon for thread in own)
    emitter.stop()
    assert not set(threading.enumerate()) - before


def test_own_threads_say_that_they_are():
    """Each of the emitter's threads calls ``on_thread`` first, so that it can be kept from being probed."""
    seen = threading.Semaphore(0)
    emitter = Emitter(Settings(event_sink_url="none"), lambda text: text, seen.release)
    emitter.start()
    assert seen.acquire(timeout=5)
    assert seen.acquire(timeout=5)
    emitter.stop()


def test_submitting_needs_few_frames(idle):
    """A hit at the edge of the recursion limit is refused or taken, and never half of it."""
    ordinal = ordinals()
    outcomes = []

    def deep():
        try:
            deep()
        except RecursionError:
            pass
        if len(outcomes) < 30:
            try:
                outcomes.append(idle.submit(tracepoint(), ordinal))
            except RecursionError:
                outcomes.append(None)

    old = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        deep()
    finally:
        sys.setrecursionlimit(old)
    assert outcomes.count(True) == 5
    assert settled(idle.status()) == 5
    assert ordinal() == 5


def test_a_full_batch_does_not_wait(monkeypatch):
    """Lingering for more hits is for a quiet queue: it does not bound how many a second can leave."""
    monkeypatch.setattr(worker, "LINGER", 60.0)
    with OtlpReceiver() as sink, emitter(sink.url, queue_size=1000) as running:
        # The first is let linger for ever; all others are there when its batch is filled.
        running._worker.hurry.set()
        sink.gate.clear()
        ordinal = ordinals()
        assert running.submit(tracepoint(), ordinal)
        assert sink.arrived.wait(10)
        for _ in range(10 * worker.MAX_BATCH):
            assert running.submit(tracepoint(), ordinal)
        running._worker.hurry.clear()
        sink.gate.set()
        sink.wait_for(lambda: len(sink.spans()) == 1 + 10 * worker.MAX_BATCH)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_stop_ends_a_request_on_a_connection_in_use(protocol):
    """With a sink that falls silent after its first answers the export thread is gone with the stop, and asks no more."""
    before = set(threading.enumerate())
    with OtlpReceiver(protocol) as sink:
        with emitter(sink.url, stop_timeout=0.5) as running:
            ordinal = ordinals()
            assert running.submit(tracepoint(), ordinal) and running.flush(10)
            own = {each for each in threading.enumerate() if each.name == "otel-tracepoints-export"} - before
            sink.gate.clear()
            sink.arrived.clear()
            assert running.submit(tracepoint(), ordinal)
            assert sink.arrived.wait(10)
            sink.arrived.clear()
        (export,) = own
        export.join(2)
        assert not export.is_alive()
        assert not sink.arrived.is_set()
        assert (running.status()["sent"], running.status()["dropped"]) == (1, 1)
