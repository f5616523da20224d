"""Waiting for hits: nothing waits because somebody waits."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
from typing import Any, Callable, Optional

import pytest
from tests.support.control import Served, raw_exchange, serving

from otel_tracepoints.control import parking


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.005)


def lot_of(served: Served) -> parking.ParkingLot:
    running = served.server._running
    assert running is not None
    return running.wire.lot


def parked(served: Served) -> int:
    return len(lot_of(served)._parked)


def test_a_poll_answers_as_soon_as_a_hit_arrives() -> None:
    """Not when its time is over."""
    with serving() as served, concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(served.api.get, "/hits?wait=20&after=0")
        until(lambda: parked(served) == 1)
        served.debugger.hit("p")
        page = waiting.result(5).json
        assert [hit["sequence"] for hit in page["hits"]] == [1] and page["next"] == 1


def test_a_poll_without_a_hit_answers_an_empty_page_when_its_time_is_over() -> None:
    """Neither sooner nor much later."""
    with serving() as served:
        started = time.monotonic()
        page = served.api.get("/hits?wait=0.3&after=7").json
        assert 0.3 <= time.monotonic() - started < 2
        assert page == {"hits": [], "next": 7, "missed": 0}


def test_a_poll_with_something_to_give_does_not_wait() -> None:
    """`wait` is for when there is none."""
    with serving() as served:
        served.debugger.hit("p")
        started = time.monotonic()
        assert len(served.api.get("/hits?wait=30").json["hits"]) == 1
        assert time.monotonic() - started < 5


def test_a_poll_for_one_point_sleeps_through_hits_of_others() -> None:
    """And wakes for its own."""
    with serving() as served, concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(served.api.get, "/hits?wait=20&point=mine")
        until(lambda: parked(served) == 1)
        for _ in range(5):
            served.debugger.hit("other")
        assert not concurrent.futures.wait([waiting], 0.1).done
        served.debugger.hit("mine")
        assert [hit["point"] for hit in waiting.result(5).json["hits"]] == ["mine"]


def test_a_poll_looks_at_each_hit_once() -> None:
    """However many hits of others it sleeps through, a look is only at those that came since the last."""
    with serving() as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = []
        look = served.debugger.hits

        def hits(after: Optional[int] = None, limit: int = 100, wait: float = 0.0, point: Any = None) -> Any:
            if point == "mine":
                asked.append(after)
            return look(after, limit, wait, point)

        served.debugger.hits = hits  # type: ignore[method-assign]
        waiting = pool.submit(served.api.get, "/hits?wait=20&point=mine&after=0")
        until(lambda: parked(served) == 1)
        (exchange,) = lot_of(served)._parked
        for number in range(1, 4):
            served.debugger.hit("other")
            until(lambda number=number: exchange.looked == number)
        assert (asked, asked[-1]) == (sorted(asked), 2)
        served.debugger.hit("mine")
        assert [hit["sequence"] for hit in waiting.result(5).json["hits"]] == [4]


def test_a_hundred_polls_starve_nobody() -> None:
    """The switch within 100 ms, health within 50 ms (best of three: the machine may be busy)."""
    with serving() as served, concurrent.futures.ThreadPoolExecutor(100) as pool:
        polls = [pool.submit(served.api.get, "/hits?wait=25&after=0") for _ in range(100)]
        until(lambda: parked(served) == 100)
        before = threading.active_count()

        def best(method: str, path: str) -> float:
            times = []
            for _ in range(3):
                started = time.monotonic()
                assert served.api.request(method, path).status == 200
                times.append(time.monotonic() - started)
            return min(times)

        assert best("POST", "/sleep") < 0.1
        assert best("GET", "/health") < 0.05
        assert best("GET", "/points") < 0.1
        assert threading.active_count() == before
        served.debugger.hit("p")
        assert {len(poll.result(10).json["hits"]) for poll in polls} == {1}


def test_one_poll_too_many_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty page, so that the client comes again."""
    monkeypatch.setattr(parking, "MAX_PARKED", 2)
    with serving() as served, concurrent.futures.ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(served.api.get, "/hits?wait=20") for _ in range(2)]
        until(lambda: parked(served) == 2)
        started = time.monotonic()
        assert served.api.get("/hits?wait=20").json["hits"] == []
        assert time.monotonic() - started < 5
        served.debugger.hit("p")
        assert all(poll.result(5).json["hits"] for poll in polls)


def test_a_client_that_leaves_is_forgotten() -> None:
    """Its place is free again, long before its time is over."""
    with serving() as served:
        sock = socket.create_connection(("127.0.0.1", served.server.port))
        sock.sendall(b"GET /hits?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: parked(served) == 1)
        sock.close()
        until(lambda: parked(served) == 0)
        served.debugger.hit("p")
        assert served.api.get("/health").status == 200


def test_requests_behind_a_poll_wait_for_it() -> None:
    """On one connection answers come in order."""
    with serving() as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        sent = (
            b"GET /hits?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /points/nope HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )

        def exchange() -> bytes:
            with socket.create_connection(("127.0.0.1", served.server.port), timeout=10) as sock:
                sock.sendall(sent)
                received = b""
                while True:
                    data = sock.recv(65536)
                    if not data:
                        return received
                    received += data

        waiting = pool.submit(exchange)
        until(lambda: parked(served) == 1)
        served.debugger.hit("p")
        received = waiting.result(5)
        assert received.index(b"HTTP/1.1 200") < received.index(b"HTTP/1.1 404")


def test_stopping_does_not_wait_for_polls() -> None:
    """Their connections are closed."""
    with serving() as served, concurrent.futures.ThreadPoolExecutor(3) as pool:
        polls = [
            pool.submit(
                raw_exchange, served.server.port, b"GET /hits?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            for _ in range(3)
        ]
        until(lambda: parked(served) == 3)
        started = time.monotonic()
        served.server.stop()
        assert time.monotonic() - started < 1.5
        concurrent.futures.wait(polls, 5)
        assert all(poll.done() for poll in polls)


def test_hits_under_load_reach_every_poller_once() -> None:
    """Four pollers follow by `next` while hits stream in: each sees all, in order."""
    total = 200
    with serving() as served, concurrent.futures.ThreadPoolExecutor(4) as pool:

        def follow() -> list:
            seen, after = [], 0
            while len(seen) < total:
                page = served.api.get("/hits", {"after": after, "wait": "5", "limit": "1000"}).json
                assert page["hits"]
                seen += [hit["sequence"] for hit in page["hits"]]
                after = page["next"]
            return seen

        followers = [pool.submit(follow) for _ in range(4)]
        for _ in range(total):
            served.debugger.hit("p")
            if _ % 20 == 0:
                threading.Event().wait(0.01)
        for follower in followers:
            assert follower.result(20) == list(range(1, total + 1))
