"""The control API with a real agent behind it, when many ask at once, wait, or are slow."""

from __future__ import annotations

import collections
import concurrent.futures
import socket
import threading
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest
from tests.support.live import WIDE_OPEN, Live, TargetMaker, ok

LiveWith = Callable[..., Live]

PROGRAM = """
    def work(n):
        double = n * 2  # TAG: work
        return double  # TAG: end
    def other(n):
        return n  # TAG: other
"""


@pytest.fixture
def pool() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    """Clients."""
    with concurrent.futures.ThreadPoolExecutor(100) as executor:
        yield executor


def waiting(live: Live) -> int:
    """How many requests wait for a hit."""
    server: Any = live.agent._server
    return len(server._running.wire.lot._parked)


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.005)


def test_a_poll_is_answered_at_once_by_a_hit(
    live: Live, target: TargetMaker, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    """A request that waits for 20 s is answered by the hit of its point long before, and not by another's."""
    code = target(PROGRAM)
    code.work(1)
    mine, other = live.tracepoint(code, "work"), live.tracepoint(code, "other")
    poll = pool.submit(live.api.get, f"/hits?wait=20&point={mine['id']}")
    until(lambda: waiting(live) == 1)
    code.other(1)
    until(lambda: live.hits(other))
    assert waiting(live) == 1
    begin = time.monotonic()
    code.work(21)
    page = ok(poll.result(15))
    assert time.monotonic() - begin < 2
    (hit,) = page["hits"]
    assert (hit["point"], hit["variables"]["n"], page["next"]) == (mine["id"], 21, hit["sequence"])


def test_a_poll_ends_when_its_time_is_over(live: Live) -> None:
    """Without a hit the page is empty, ``next`` is what was asked for, and the time is what was asked for."""
    begin = time.monotonic()
    page = ok(live.api.get("/hits?after=7&wait=0.4"))
    assert 0.4 <= time.monotonic() - begin < 2
    assert page == {"hits": [], "next": 7, "missed": 0}
    begin = time.monotonic()
    assert ok(live.api.get("/hits"))["next"] == 0
    assert time.monotonic() - begin < 2


def test_those_that_wait_keep_nobody_waiting(
    live: Live, target: TargetMaker, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    """With 99 requests waiting everything else is answered, changes and the switch too, and one hit answers all 99."""
    code = target(PROGRAM)
    code.work(1)
    point = live.tracepoint(code, "work")
    threads = threading.active_count()
    polls = [pool.submit(live.api.get, "/hits?wait=25&after=0") for _ in range(99)]
    until(lambda: waiting(live) == 99)
    begin = time.monotonic()
    assert live.api.post("/sleep").status == 200
    assert live.api.get("/health").json["state"] == "sleeping"
    assert live.api.post("/wake").status == 200
    assert live.api.patch(f"/points/{point['id']}", {"tags": ["x"]}).status == 200
    live.remove(live.logpoint(code, "other", "{n}"))
    assert time.monotonic() - begin < 5
    assert waiting(live) == 99
    assert threading.active_count() <= threads + 99 + 1  # the clients' own, and no thread of ours for each
    code.work(3)
    pages = [ok(poll.result(15)) for poll in polls]
    assert {len(page["hits"]) for page in pages} == {1}


def test_slow_clients_are_served_and_keep_nobody_waiting(live: Live, target: TargetMaker) -> None:
    """A request that comes byte by byte is answered; one whose answer is never read costs nobody else anything."""
    code = target(PROGRAM)
    live.tracepoint(code, "work")
    body = f'{{"file": "{code.path}", "line": {code.line("other")}}}'.encode()
    head = b"POST /tracepoints HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    address = ("127.0.0.1", live.api.port)
    with socket.create_connection(address, 10) as slow, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(10)
        deaf.connect(address)
        deaf.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(request)):
            slow.sendall(request[position : position + 1])
            if position % 40 == 0:
                begin = time.monotonic()
                assert len(ok(live.api.get("/points"))["points"]) == 1
                assert time.monotonic() - begin < 2
        assert slow.recv(100).startswith(b"HTTP/1.1 201")
    assert len(ok(live.api.get("/points"))["points"]) == 2


STORM_SECONDS = 0.7


def test_a_storm_of_changes_of_the_same_points(
    live: Live, target: TargetMaker, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    """Eight clients create, change and delete the same three points while the code runs: each gets an answer of the contract, results stay right, the counts add up, and nothing is left."""
    code = target(PROGRAM)
    work = code.module.work
    original = work.__code__, work.__code__.co_code
    until_ = time.monotonic() + STORM_SECONDS
    statuses: "collections.Counter[Any]" = collections.Counter()
    wrong: List[Any] = []

    def client(number: int) -> None:
        turn = number
        while time.monotonic() < until_:
            turn += 1
            id = f"p{turn % 3}"
            line = code.line(("work", "end")[turn % 2])
            body = {"id": id, "file": str(code.path), "line": line, "rateLimit": WIDE_OPEN}
            conditions = ({"condition": "n > 1"}, {"condition": None}, {"enabled": False}, {"enabled": True})
            replies = [
                ("POST", live.api.post("/tracepoints", body)),
                ("PUT", live.api.put(f"/points/{id}", conditions[turn % 4])),
                ("GET", live.api.get(f"/points/{id}")),
                ("DELETE", live.api.delete(f"/points/{id}")),
            ]
            for method, reply in replies:
                statuses[method, reply.status, reply.code] += 1
                if reply.status == 200:
                    check(reply.json)

    def check(point: Dict[str, Any]) -> None:
        if point["hitCount"] != point["counts"]["emitted"]:
            wrong.append(point)

    def traffic() -> None:
        while time.monotonic() < until_:
            if work(21) != 42:
                wrong.append("a result")

    jobs = [pool.submit(client, number) for number in range(8)] + [pool.submit(traffic) for _ in range(2)]
    for job in jobs:
        job.result(30)
    assert wrong == []
    assert set(statuses) <= {
        ("POST", 201, None),
        ("POST", 409, "DUPLICATE_ID"),
        ("PUT", 200, None),
        ("PUT", 404, "POINT_NOT_FOUND"),
        ("GET", 200, None),
        ("GET", 404, "POINT_NOT_FOUND"),
        ("DELETE", 204, None),
        ("DELETE", 404, "POINT_NOT_FOUND"),
    }
    assert statuses["POST", 201, None] == statuses["DELETE", 204, None] > 0
    assert ok(live.api.get("/points")) == {"points": [], "total": 0}
    hits = len(live.hits())
    assert work(21) == 42
    assert len(live.hits()) == hits
    assert (work.__code__, work.__code__.co_code) == original


def test_the_audit_trail_of_a_storm_is_complete(
    live_with: LiveWith, target: TargetMaker, pool: concurrent.futures.ThreadPoolExecutor
) -> None:
    """Each change asked for by many clients at once is one log record at the sink, refused ones too, with who asked, for what point, and what came of it."""
    live = live_with()
    code = target(PROGRAM)
    asked: "collections.Counter[Any]" = collections.Counter()
    lock = threading.Lock()

    def note(action: str, id: str, outcome: str) -> None:
        with lock:
            asked[action, id, outcome] += 1

    def client(number: int) -> None:
        id = f"p{number}"
        body = {"id": id, "file": str(code.path), "line": code.line("work")}
        for outcome in ("ok", "DUPLICATE_ID"):
            reply = live.api.post("/tracepoints", body)
            note("create", id, reply.code or "ok")
            assert (reply.code or "ok") == outcome
        note("update", id, live.api.put(f"/points/{id}", {"line": 1}).code or "ok")
        note("disable", id, live.api.post(f"/points/{id}/disable").code or "ok")
        note("enable", id, live.api.post(f"/points/{id}/enable").code or "ok")
        for _ in range(10):
            note("update", id, live.api.patch(f"/points/{id}", {"tags": ["storm"]}).code or "ok")
        note("delete", id, live.api.delete(f"/points/{id}").code or "ok")
        note("delete", id, live.api.delete(f"/points/{id}").code or "ok")
        live.api.post("/points/validate", body)

    for job in [pool.submit(client, number) for number in range(8)]:
        job.result(30)
    total = sum(asked.values())
    live.sink.wait_for(lambda: len(live.logs("probe.audit")) >= total)
    records = live.logs("probe.audit")
    seen = collections.Counter(
        (
            record["attributes"]["probe.audit.action"],
            record["attributes"].get("probe.id", ""),
            record["attributes"]["probe.audit.outcome"],
        )
        for record in records
    )
    assert seen == asked
    assert {record["attributes"]["client.address"] for record in records} == {"127.0.0.1"}
    assert asked["update", "p3", "IMMUTABLE_FIELD"] == asked["delete", "p3", "POINT_NOT_FOUND"] == 1
