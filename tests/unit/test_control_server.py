"""The server in somebody else's process: ports, threads, forks, children."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import pytest
from tests.support.api_client import ApiClient
from tests.support.control import raw_exchange, run_with_support, serving
from tests.support.fake_debugger import FakeDebugger

from otel_tracepoints.config import Settings
from otel_tracepoints.control import ControlServer
from otel_tracepoints.errors import ConfigError, ControlApiError


def own_threads() -> int:
    return sum(thread.name.startswith("otel-tracepoints-control") for thread in threading.enumerate())


def messages(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(r.getMessage() for r in caplog.records if r.name == "otel_tracepoints")


def test_a_taken_port_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Another one is taken, and both are told at WARNING."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with serving(control_api_port=port) as served:
            assert served.server.port not in (0, port)
            assert served.api.get("/health").status == 200
            text = messages(caplog)
            assert str(port) in text and str(served.server.port) in text
            assert {r.levelname for r in caplog.records if r.name == "otel_tracepoints"} == {"WARNING"}


def test_the_port_asked_for_is_used_again_at_once() -> None:
    """Start, stop, start: the same port, though connections of before linger in the kernel."""
    with serving() as served:
        port = served.server.port
        served.api.get("/health")
        server = served.server
        server.start()
        assert server.port == port
    for _ in range(5):
        with serving(control_api_port=port) as again:
            assert again.server.port == port
            assert again.api.get("/health").status == 200


def test_stopping_leaves_nothing() -> None:
    """No thread, no port, no descriptor; stopping twice is fine."""
    with serving() as served:
        port = served.server.port
        served.api.get("/health")
        assert own_threads() > 0
        with socket.create_connection(("127.0.0.1", port), timeout=5) as kept:
            kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while not received.endswith(b"}"):
                received += kept.recv(65536)
            served.server.stop()
            assert own_threads() == 0
            assert (served.server.host, served.server.port) == ("", 0)
            assert kept.recv(1) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        served.server.stop()
        served.server.start()
        assert ApiClient(f"http://127.0.0.1:{served.server.port}").get("/health").status == 200


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux")
def test_starting_and_stopping_many_times_leaks_no_descriptor() -> None:
    """Nor a thread."""
    with serving():
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with serving() as served:
            served.api.get("/health")
    assert len(os.listdir("/proc/self/fd")) <= before
    assert own_threads() == 0


def test_a_running_answer_is_given_before_the_server_ends() -> None:
    """Stopping closes the port first, and cuts nobody off who is being served."""
    with serving() as served:
        served.debugger.unblocked.clear()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(served.api.get("/lines?file=a.py").status))
        asking.start()
        running = served.server._running
        assert running is not None
        while not any(channel.requests for channel in list(running.wire.active_channels.values())):
            threading.Event().wait(0.005)
        threading.Timer(0.1, served.debugger.unblocked.set).start()
        served.server.stop()
        asking.join(5)
        assert answers == [200]


def test_an_idle_server_sleeps() -> None:
    """Without a connection its loop has no timeout; waitress's own wakes every second."""
    with serving() as served:
        served.api.get("/health")
        running = served.server._running
        assert running is not None
        while running.wire.active_channels:
            threading.Event().wait(0.005)
        assert running.wire._timeout() is None
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("otel-"))


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_other_loopback_addresses() -> None:
    """IPv6, names, and the whole of 127/8."""
    for host, expected in [
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
    ]:
        try:
            with serving(control_api_host=host) as served:
                assert served.server.host == expected
                client = ApiClient(f"http://127.0.0.1:{served.server.port}")
                client.host = expected
                assert client.get("/points").status == 200
        except ControlApiError:
            assert expected in ("::1", "127.0.0.2"), "not on this machine"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"control_api_host": "no such host"}, ConfigError),
        ({"control_api_host": "192.0.2.1"}, ControlApiError),
        ({"control_api_token_file": "/no/such/file"}, ConfigError),
    ],
)
def test_what_cannot_be_served_says_so(settings: Any, error: type) -> None:
    """And leaves nothing behind."""
    debugger = FakeDebugger()
    server = ControlServer(Settings(control_api_port=0, **settings), debugger, debugger.health)
    with pytest.raises(error):
        server.start()
    assert own_threads() == 0
    server.stop()


def test_an_error_of_ours_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback, the answer nothing of it."""
    with serving() as served:
        reply = served.api.get("/lines?file=broken.py")
        assert (reply.status, reply.code) == (500, "INTERNAL")
        assert "ZeroDivisionError" not in reply.text
    [record] = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.name == "otel_tracepoints" and record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_busy_servers_do_not_talk(caplog: pytest.LogCaptureFixture) -> None:
    """Fifty pipelined requests and a client that leaves are nothing to warn the application of."""
    with serving() as served:
        caplog.clear()
        one = b"GET /points HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with socket.create_connection(("127.0.0.1", served.server.port)) as sock:
            sock.sendall(one * 50)
        raw_exchange(served.server.port, b"nonsense\r\n\r\n")
        assert served.api.get("/points").status == 200
    assert [r for r in caplog.records if r.levelno >= 30] == []


def test_importing_the_api_leaves_the_gil_off() -> None:
    """Where the interpreter runs without it."""
    out = run_with_support(
        """
        import sys
        enabled = getattr(sys, "_is_gil_enabled", lambda: True)
        before = enabled()
        from tests.support.control import run_with_support, serving
        with serving() as served:
            served.api.get("/points")
        print(enabled() == before)
        """
    )
    assert out.split() == ["True"]


def test_a_server_that_cannot_start_its_threads_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late in an interpreter's exit no thread can be started."""
    begin = threading.Thread.start
    for failing in (
        "otel-tracepoints-control-2",
        "otel-tracepoints-control-hits",
        "otel-tracepoints-control",
    ):

        def start(self: threading.Thread) -> None:
            if self.name == failing:
                raise RuntimeError("can't start new thread")
            begin(self)

        monkeypatch.setattr(threading.Thread, "start", start)
        debugger = FakeDebugger()
        server = ControlServer(Settings(control_api_port=0), debugger, debugger.health)
        with pytest.raises(RuntimeError):
            server.start()
        assert own_threads() == 0 and server.port == 0
        monkeypatch.undo()
