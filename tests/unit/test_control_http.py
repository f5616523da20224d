"""What does not fit HTTP, or this API's patience."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
from typing import Any, Iterator, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.control import Served, raw_exchange, serving

from otel_tracepoints.control import connection, wire
from otel_tracepoints.control.connection import Channel

LIMIT = 1024 * 1024
POINT = {"file": "a.py", "line": 3, "message": "x"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


def is_error(answer: Any, status: int, code: str) -> None:
    assert answer[0] == status and answer[1]["content-type"] == "application/json"
    assert set(answer[2]) == {"error", "code", "details"} and answer[2]["code"] == code


def padded(length: int) -> bytes:
    head = b'{"file": "a.py", "line": 1}'
    return head + b" " * (length - len(head))


def chunked(body: bytes, size: int) -> bytes:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def test_a_body_of_a_mebibyte_is_taken_and_one_byte_more_is_not(served: Served) -> None:
    """413 BODY_TOO_LARGE, and the client can read it although it was still sending."""
    assert served.api.request("POST", "/tracepoints", raw=padded(LIMIT)).status == 201
    for length in (LIMIT + 1, 3 * LIMIT, 20 * LIMIT):
        served.debugger.audits.clear()
        reply = served.api.request("POST", "/tracepoints", raw=padded(length))
        assert (reply.status, reply.code) == (413, "BODY_TOO_LARGE")
        assert [audit[:2] for audit in served.debugger.audits] == [("create", "BODY_TOO_LARGE")]


def test_a_large_body_is_refused_before_it_is_sent(served: Served) -> None:
    """Its announced length is enough; "100 Continue" is not said."""
    head = (
        b"POST /tracepoints HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"
    )
    is_error(raw_exchange(served.server.port, head, half_close=True), 413, "BODY_TOO_LARGE")


def test_who_may_not_call_learns_nothing_from_a_large_body(served: Served) -> None:
    """The caller is looked at first."""
    reply = served.api.request("POST", "/sleep", raw=b" " * (LIMIT + 1), headers={"Host": "evil.example"})
    assert reply.code == "FORBIDDEN_HOST"


@pytest.mark.parametrize(("length", "status"), [(LIMIT, 201), (LIMIT + 1, 413), (12 * LIMIT, 413)])
def test_the_limit_holds_for_chunked_bodies(served: Served, length: int, status: int) -> None:
    """Content counts, not framing."""
    head = (
        b"POST /tracepoints HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    answer = raw_exchange(served.server.port, head + chunked(padded(length), 1000))
    assert answer[0] == status
    if status == 413:
        is_error(answer, 413, "BODY_TOO_LARGE")


def test_http_1_0_and_half_closed_clients_are_served(served: Served) -> None:
    """A client that has said all may stop sending before it reads."""
    for head in (b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n",):
        assert raw_exchange(served.server.port, head)[0] == 200
        assert raw_exchange(served.server.port, head, half_close=True)[0] == 200


def test_a_request_without_host_is_not_ours(served: Served) -> None:
    """Nobody can tell whom it meant."""
    is_error(raw_exchange(served.server.port, b"GET /health HTTP/1.0\r\n\r\n"), 403, "FORBIDDEN_HOST")


def test_a_connection_is_kept_and_pipelined_requests_are_answered_in_order(served: Served) -> None:
    """HTTP/1.1 as everybody expects it."""
    one = b"GET /points/%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=10) as sock:
        sock.sendall(b"".join(one % n for n in range(20)) + last)
        received = b""
        while True:
            data = sock.recv(65536)
            if not data:
                break
            received += data
    assert received.count(b"HTTP/1.1 404") == 20 and received.count(b"HTTP/1.1 200") == 1
    assert received.rindex(b"HTTP/1.1 404") < received.index(b"HTTP/1.1 200")


def test_a_hundred_at_once_are_all_answered(served: Served) -> None:
    """No error, whatever the number of threads."""
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(lambda _: served.api.get("/points"), range(100)))
    assert {reply.status for reply in replies} == {200}


def test_slow_clients_keep_no_thread(served: Served) -> None:
    """Fifty requests that never end, and others are answered at once."""
    slow: List[socket.socket] = []
    try:
        for _ in range(50):
            sock = socket.create_connection(("127.0.0.1", served.server.port), timeout=10)
            sock.sendall(b"POST /tracepoints HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            slow.append(sock)
        started = time.monotonic()
        assert served.api.get("/points").status == 200
        assert time.monotonic() - started < 2
    finally:
        for sock in slow:
            sock.close()


def test_idle_connections_are_bounded_and_lock_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was idle longest makes room."""
    monkeypatch.setattr(wire, "MAX_CONNECTIONS", 10)
    idle: List[socket.socket] = []
    with serving() as served:
        try:
            for _ in range(30):
                idle.append(socket.create_connection(("127.0.0.1", served.server.port), timeout=10))
                assert served.api.get("/health").status == 200
            assert idle[0].recv(1) == b""
        finally:
            for sock in idle:
                sock.close()


def test_the_switch_works_while_every_other_thread_is_busy(served: Served) -> None:
    """Sleep and health have a thread of their own, which waking, that may take long, does not get."""
    served.debugger.unblocked.clear()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        try:
            busy = [pool.submit(served.api.post, "/wake") for _ in range(4)]
            busy += [pool.submit(served.api.get, "/lines?file=a.py") for _ in range(8)]
            for call in (("POST", "/sleep"), ("GET", "/health"), ("POST", "/sleep")):
                started = time.monotonic()
                assert served.api.request(*call).status == 200
                assert time.monotonic() - started < 2
            assert not any(reply.done() for reply in busy)
        finally:
            served.debugger.unblocked.set()
        assert {reply.result().status for reply in busy} == {200}


def test_who_only_asks_does_not_wait_for_changes(served: Served) -> None:
    """However many changes wait for the one that is being made, questions are answered at once."""
    served.debugger.unblocked.clear()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        try:
            changes = [pool.submit(served.api.post, "/wake") for _ in range(6)]
            changes += [pool.submit(served.api.post, "/logpoints", POINT) for _ in range(6)]
            for path in ("/points", "/hits", "/openapi.json") * 2:
                started = time.monotonic()
                assert served.api.get(path).status == 200
                assert time.monotonic() - started < 2
            assert sum(change.done() for change in changes) <= 6  # those that came before the first /wake
        finally:
            served.debugger.unblocked.set()
        assert {reply.result().status for reply in changes} == {200, 201}


def test_a_client_that_asks_and_never_reads_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers do not pile up in the application's memory."""
    monkeypatch.setattr(connection, "MAX_UNREAD_BYTES", 100_000)
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 150
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", served.server.port))
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                sock.sendall(ask)
    assert served.api.get("/health").status == 200


def test_an_application_without_disk_can_still_be_debugged(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request and no answer goes through a temporary file."""

    def no_file(*_: Any, **__: Any) -> Any:
        raise OSError("no space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", no_file)
    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.__init__", no_file)
    reply = served.api.post("/tracepoints", {"file": "a.py", "line": 1, "condition": "x" * 900_000})
    assert reply.status in (201, 422) and len(reply.text) < 2_000_000


_NOISE = st.lists(
    st.sampled_from(
        [
            b"GET /health HTTP/1.1\r\n",
            b"POST /tracepoints HTTP/1.1\r\n",
            b"Host: localhost\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: close\r\n",
            b"\r\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
        ]
    )
    | st.binary(max_size=30),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(_NOISE)
def test_no_bytes_whatsoever_break_the_server(served: Served, parts: List[bytes]) -> None:
    """It answers or closes, and serves the next one."""
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=10) as sock:
        sock.sendall(b"".join(parts))
        sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(65536):
                pass
        except ConnectionError:
            pass
    assert served.api.get("/health").status == 200


def test_the_loop_leaves_an_answer_to_the_thread_that_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would spin, and keep that thread from the GIL, if it tried to send as well."""
    sending, go_on = threading.Event(), threading.Event()
    blocked: List[Any] = []
    tried: List[Any] = []
    flush, write = Channel._flush_some, Channel.handle_write

    def held(self: Any, do_close: bool = True) -> Any:
        if not sending.is_set():
            blocked.append(self)
            sending.set()
            assert go_on.wait(10)
        return flush(self, do_close)

    def noted(self: Any) -> None:
        tried.extend(each for each in blocked if each is self)
        write(self)

    monkeypatch.setattr(Channel, "_flush_some", held)
    monkeypatch.setattr(Channel, "handle_write", noted)
    with serving() as served, concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.api.get, "/health")
        assert sending.wait(10)
        for _ in range(5):
            assert served.api.get("/health").status == 200  # rounds of the loop
        assert not tried
        go_on.set()
        assert answer.result(10).status == 200


def test_what_a_client_has_not_taken_yet_is_sent_while_its_next_request_waits() -> None:
    """A long poll that was sent right behind a large answer's request holds nothing back."""
    with serving() as served:
        for number in range(60):
            point = {"id": f"p{number}", "file": "app.py", "line": 1, "condition": f"n == '{'x' * 900}'"}
            assert served.api.post("/tracepoints", point).status == 201
        with socket.socket() as sock:
            sock.settimeout(10)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", served.server.port))
            requests = ["GET /points HTTP/1.1\r\nHost: localhost\r\n\r\n"] * 120
            poll = "GET /hits?wait=30&point=p0 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            sock.sendall("".join([*requests, poll]).encode())
            running = served.server._running
            assert running is not None
            deadline = time.monotonic() + 10
            while not running.wire.lot._parked and time.monotonic() < deadline:
                assert served.api.get("/health").status == 200
            (channel,) = [each for each in running.wire.active_channels.values() if each.parked]
            assert channel.total_outbufs_len
            received = b""
            for _ in requests:
                while b"HTTP/1.1 200 OK" not in received:
                    received = received[-20:] + sock.recv(65536)
                received = received.partition(b"HTTP/1.1 200 OK")[2]
