"""Our half of gRPC: what HTTP/2 servers may do, and what they may not, against a server that does as it is told."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grpc_server import Call, GrpcServer

from otel_tracepoints.emission.grpc_channel import GrpcChannel, Reply
from otel_tracepoints.emission.http2 import Http2Connection, Http2Error, NotHttp2

OK = Reply("OK", "", b"")


@pytest.fixture
def channel():
    """Opens channels to servers, and closes them."""
    opened = []

    def open_to(server, context=None):
        opened.append(GrpcChannel("127.0.0.1", server.port, context, "test"))
        return opened[-1]

    yield open_to
    for each in opened:
        each.close()


def call(channel, message=b"m", seconds=10.0, metadata=()):
    return channel.call("traces", message, metadata, time.monotonic() + seconds)


def test_a_call_is_what_grpc_wants(channel):
    """Method, path, framing and headers are those of gRPC's specification, the caller's metadata among them."""
    with GrpcServer() as server:
        assert call(channel(server), b"message", metadata=[("x-key", "k")]) == OK
        (seen,) = server.calls
    timeout = seen.headers.pop("grpc-timeout")
    assert 9000 < int(timeout[:-1]) <= 10_000
    assert timeout[-1] == "m"
    assert seen.headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ":authority": f"127.0.0.1:{server.port}",
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "test",
        "x-key": "k",
    }
    assert seen.body == b"\0\0\0\0\x07message"


def test_one_connection_serves_many_calls(channel):
    """The connection is kept: a hundred calls need one."""
    with GrpcServer() as server:
        opened = channel(server)
        assert {call(opened, bytes([n])) for n in range(100)} == {OK}
        assert server.bodies == [bytes([n]) for n in range(100)]
        assert server.connections == 1


@pytest.mark.parametrize("window", [1, 70_000])
def test_a_message_larger_than_the_window_waits_for_room(channel, window):
    """Flow control is kept, whether the server lets in a byte or much at a time."""
    message = os.urandom(300 if window == 1 else 2 << 20)
    with GrpcServer(window=window) as server:
        opened = channel(server)
        assert call(opened, message) == OK
        assert call(opened, message) == OK
        assert server.bodies == [message, message]


def test_answers_of_any_number_do_not_close_the_window(channel):
    """What arrives is acknowledged: after more answers than a window holds the next still comes."""
    body = b"\0\0\0\x40\0" + bytes(16384)
    with GrpcServer(lambda call: call.answer(body=body[:16384])) as server:
        opened = channel(server)
        assert {len(call(opened).message) for _ in range(10)} == {16379}


def test_an_answer_before_the_end_of_the_question(channel):
    """A server may refuse a message that it has not read; the next call is served on the same connection."""
    with GrpcServer(
        lambda call: call.answer("8", "grpc: message larger than max"), early=True, window=100
    ) as server:
        opened = channel(server)
        for _ in range(3):
            assert call(opened, bytes(100_000)).code == "RESOURCE_EXHAUSTED"
        assert server.connections == 1


@pytest.mark.parametrize("last", ["this", "any"])
def test_a_server_that_goes_away_in_good_order_still_answers(channel, last):
    """GOAWAY that spares this call costs nothing: its answer counts, and the next call has a new connection."""

    def behave(call: Call) -> None:
        if call.number == 0:
            call.peer.goaway(call.stream if last == "this" else 2**31 - 1)
            call.peer.http2.ping(b"12345678")
        call.answer()

    with GrpcServer(behave) as server:
        opened = channel(server)
        assert [call(opened), call(opened)] == [OK, OK]
        assert (len(server.calls), server.connections) == (2, 2)


def test_a_call_that_is_certainly_not_taken_is_made_again(channel):
    """GOAWAY below this call, and REFUSED_STREAM, say that nothing was processed: once more on a new connection."""

    def behave(call: Call) -> None:
        if call.number == 0:
            call.peer.goaway(0)
        elif call.number == 2:
            call.peer.http2.reset_stream(call.stream, 7)
            call.peer.flush()
        else:
            call.answer()

    with GrpcServer(behave) as server:
        opened = channel(server)
        assert [call(opened), call(opened)] == [OK, OK]
        assert len(server.calls) == 4


def test_a_call_that_may_have_been_taken_is_not(channel):
    """Another reset, or a broken connection in the first call, is the caller's to judge: no second call is made."""
    endings = [lambda call: call.peer.http2.reset_stream(call.stream, 2), lambda call: call.peer.hang_up()]
    with GrpcServer(lambda call: (endings[call.number](call), call.peer.flush())) as server:
        opened = channel(server)
        for _ in endings:
            with pytest.raises(Http2Error):
                call(opened)
        assert len(server.calls) == 2


def test_an_idle_connection_that_was_closed_is_replaced(channel):
    """The server let go of a connection between two calls: the second one does not notice."""
    with GrpcServer() as server:
        opened = channel(server)
        assert call(opened) == OK
        server.calls[0].peer.hang_up()
        assert call(opened) == OK
        assert server.connections == 2


def test_the_deadline_holds_whatever_the_server_keeps_back(channel):
    """No answer, no room in the window, or nothing at all after the connection: an OSError in time."""
    with GrpcServer(lambda call: None) as silent, GrpcServer(window=0) as full, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        deaf_channel = GrpcChannel("127.0.0.1", deaf.getsockname()[1], None, "test")
        for opened in (channel(silent), channel(full), deaf_channel):
            begin = time.monotonic()
            with pytest.raises(OSError):
                call(opened, seconds=0.2)
            assert 0.15 < time.monotonic() - begin < 1.5


@pytest.mark.parametrize("used", [False, True])
def test_closing_ends_a_call_in_flight(channel, used):
    """Another thread may close the channel; the call then ends with an error at once, and nothing is connected again."""
    arrived = threading.Event()

    def answer(call):
        if used and call.number == 0:
            call.answer()
        else:
            arrived.set()

    with GrpcServer(answer) as server:
        opened = channel(server)
        errors = []
        if used:
            assert call(opened) == OK

        def run():
            try:
                call(opened, seconds=30)
            except (OSError, ValueError) as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert arrived.wait(5)
        opened.close()
        thread.join(5)
        assert (len(errors), server.connections) == (1, 1)


def test_a_closed_channel_connects_to_nobody(channel, monkeypatch):
    """A call that comes later, or was about to be repeated, ends at once and makes no connection."""
    with GrpcServer(lambda call: None) as server:
        opened = channel(server)
    opened.close()
    tried = []
    monkeypatch.setattr(socket, "create_connection", lambda *given: tried.append(given))
    with pytest.raises(ValueError):
        call(opened)
    assert tried == []


def test_a_child_abandons_without_the_parent_noticing(channel):
    """After abandon the other process's connection is as good as before."""
    with GrpcServer() as server:
        opened = channel(server)
        assert call(opened) == OK
        pid = os.fork()
        if pid == 0:
            opened.abandon()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert call(opened) == OK
        assert server.connections == 1


@pytest.mark.parametrize(
    "words",
    [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"<html>what?</html>", b"\0", b""],
)
def test_a_server_that_speaks_otherwise_is_found_out(words):
    """Text of any kind, or a connection that just ends, is not HTTP/2."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(words)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(NotHttp2):
            call(GrpcChannel("127.0.0.1", listener.getsockname()[1], None, "test"))
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "code"),
    [("503", "UNAVAILABLE"), ("429", "UNAVAILABLE"), ("404", None), ("200", None)],
)
def test_a_web_server_is_no_grpc_server(channel, status, code):
    """An HTTP status without gRPC's is a proxy that is out of order, or something that does not know gRPC."""
    with GrpcServer(lambda call: call.answer_as_web_server(status)) as server:
        if code is None:
            with pytest.raises(NotHttp2):
                call(channel(server))
        else:
            assert call(channel(server)).code == code


def test_a_status_is_told_with_its_details(channel):
    """grpc-message is percent-encoded UTF-8; a number that nobody knows is UNKNOWN."""
    answers = [("5", "caf%C3%A9 %zz"), ("99", ""), ("123456789012345", "")]
    with GrpcServer(lambda call: call.answer(*answers[call.number])) as server:
        opened = channel(server)
        assert call(opened) == Reply("NOT_FOUND", "café %zz", b"")
        assert [call(opened).code, call(opened).code] == ["UNKNOWN", "UNKNOWN"]


def test_headers_do_not_reach_the_log_of_the_application(channel, caplog):
    """At DEBUG too: hpack would tell every header, with the keys that are in them."""
    caplog.set_level(logging.DEBUG)
    with GrpcServer() as server:
        opened = channel(server)
        assert call(opened, metadata=[("x-api-key", "secret")]) == OK
        assert [record for record in caplog.records if record.thread == threading.get_ident()] == []
        opened.close()
    for name in ("hpack.hpack", "hpack.table"):
        assert logging.getLogger(name).filters == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40)))
)
def test_broken_frames_are_an_error_and_nothing_worse(frames):
    """Whatever a server sends after its settings ends in an answer or in an OSError."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        for kind, flags, stream, payload in frames:
            theirs.sendall(len(payload).to_bytes(3, "big") + bytes((kind, flags, 0, 0, 0, stream)) + payload)
        theirs.shutdown(socket.SHUT_WR)
        connection = Http2Connection(ours, time.monotonic() + 5)
        try:
            connection.request([(":method", "POST"), (":path", "/")], b"x", time.monotonic() + 5)
        except OSError:
            pass
        finally:
            connection.close()
