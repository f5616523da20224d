"""A control API on a free port, with a fake debugger behind it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import textwrap
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from otel_tracepoints.config import Settings
from otel_tracepoints.control import ControlServer
from tests.support.api_client import ApiClient
from tests.support.fake_debugger import FakeDebugger


class Served(NamedTuple):
    """What `serving` gives."""

    api: ApiClient
    debugger: FakeDebugger
    server: ControlServer


@contextlib.contextmanager
def serving(debugger: Optional[FakeDebugger] = None, **settings: Any) -> Iterator[Served]:
    """Serve until the block ends."""
    debugger = debugger or FakeDebugger()
    server = ControlServer(Settings(**{"control_api_port": 0, **settings}), debugger, debugger.health)
    server.start()
    try:
        yield Served(ApiClient(f"http://127.0.0.1:{server.port}"), debugger, server)
    finally:
        debugger.unblocked.set()
        server.stop()


def raw_exchange(port: int, sent: bytes, *, half_close: bool = False) -> Tuple[int, Dict[str, str], Any]:
    """Send bytes, read until the server closes: (status, headers, JSON)."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(sent)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            data = sock.recv(65536)
            if not data:
                break
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, json.loads(body) if body else None


#: The folder of the checkout.
ROOT = str(pathlib.Path(__file__).parents[2])


def run_with_support(script: str) -> str:
    """Run a program that has the tests' support and the sources; what it prints, without its log."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
