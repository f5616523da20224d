"""The server of the control API beside forks, subprocesses, other servers and the end of the process."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from tests.support.control import run_with_support, serving


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_closes_what_is_its_parents() -> None:
    """The child has no socket of ours, the parent serves on, and the port is free when it stops."""
    out = run_with_support(
        """
        import os, signal, socket, sys, threading, warnings
        warnings.simplefilter("ignore")
        from tests.support.control import run_with_support, serving
        from tests.support.api_client import ApiClient

        def sockets():
            if not os.path.isdir("/proc/self/fd"):
                return 0
            links = []
            for fd in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink("/proc/self/fd/" + fd))
                except OSError:
                    pass
            return sum(link.startswith("socket:") for link in links)

        before = sockets()
        with serving() as served:
            port = served.server.port
            open_connection = socket.create_connection(("127.0.0.1", port))
            open_connection.sendall(b"GET /hits?wait=30 HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
            assert served.api.get("/health").status == 200
            ready, tell = os.pipe()
            go, release = os.pipe()
            child = os.fork()
            if child == 0:
                failed = 1
                try:
                    served.server.after_fork_in_child()
                    served.server.after_fork_in_child()
                    served.server.stop()
                    open_connection.close()
                    failed = 0 if sockets() == before and served.server.port == 0 else 2
                    import gc; gc.collect()
                finally:
                    os.write(tell, b"%d" % failed)
                    os.read(go, 1)
                    os._exit(0)
            assert os.read(ready, 1) == b"0"
            assert served.api.get("/health").status == 200
            served.debugger.hit("p")
            assert open_connection.recv(65536).startswith(b"HTTP/1.1 200")
            open_connection.close()
        again = socket.socket()
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen(1)
        again.close()
        os.write(release, b"x")
        os.waitpid(child, 0)
        print("done")
        """
    )
    assert out.split() == ["done"]


def test_subprocesses_inherit_no_socket() -> None:
    """A child that outlives us does not keep the port."""
    with serving() as served:
        running = served.server._running
        assert running is not None
        with socket.create_connection(("127.0.0.1", served.server.port)) as client:
            client.sendall(b"GET /hits?wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while len(running.wire._map) < 3:
                threading.Event().wait(0.005)
            for descriptor in list(running.wire._map):
                assert not os.get_inheritable(descriptor)


def test_two_servers_in_one_process() -> None:
    """Nothing is shared between them."""
    with serving() as one, serving() as two:
        one.api.post("/sleep")
        assert (one.debugger.state, two.debugger.state) == ("sleeping", "awake")


def test_instrumented_applications_leave_the_api_alone() -> None:
    """Instrumentations replace falcon.App before or after us: neither is what serves the API."""
    out = run_with_support(
        """
        import falcon

        class Replaced(falcon.App):
            def __call__(self, *args):
                raise AssertionError("the application's instrumentation serves our API")

        falcon.App = falcon.API = Replaced
        from tests.support.control import run_with_support, serving
        with serving() as served:
            print(served.api.get("/points").status)
        """
    )
    assert out.split() == ["200"]


def test_the_process_ends_although_the_server_runs() -> None:
    """Nobody has to stop it."""
    out = run_with_support(
        """
        from otel_tracepoints.config import Settings
        from otel_tracepoints.control import ControlServer
        from tests.support.fake_debugger import FakeDebugger
        from tests.support.control import raw_exchange
        import socket
        debugger = FakeDebugger()
        server = ControlServer(Settings(control_api_port=0), debugger, debugger.health)
        server.start()
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(b"GET /hits?wait=30 HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        print("done")
        """
    )
    assert out.split() == ["done"]
