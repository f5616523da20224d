"""The processes of a load run: the service under the agent, our sink, the clients, and a server that does nothing."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import time
from typing import Any, Dict, Iterator

from tests.load.crowd import SERVICE
from tests.load.figures import Figures
from tests.support.api_client import ApiClient
from tests.support.otlp_receiver import closed_port
from tests.support.processes import Process, instrument_command

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def own_sink() -> Iterator[Any]:
    """``otel-tracepoints sink`` as a process: its client, and its process id."""
    port = closed_port()
    code = "from otel_tracepoints.cli.sink import command; command()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--port", str(port)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            client = ApiClient(f"http://127.0.0.1:{port}")
            until_answered(client)
            yield client, process.pid
        finally:
            process.terminate()


def sink_url(sink: ApiClient) -> str:
    """Where it takes OTLP."""
    return f"http://{sink.host}:{sink.port}"


NOTHING = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""


@contextlib.contextmanager
def nothing_else() -> Iterator[ApiClient]:
    """A server in a process of its own that does nothing: how long an answer takes on this machine now."""
    port = closed_port()
    with subprocess.Popen([sys.executable, "-c", NOTHING.replace("PORT", str(port))]) as process:
        try:
            client = ApiClient(f"http://127.0.0.1:{port}")
            until_answered(client)
            yield client
        finally:
            process.terminate()


@contextlib.contextmanager
def service(folder: pathlib.Path, sink_url: str) -> Iterator[Process]:
    """The application, under the agent."""
    environment = {
        "OTEL_PYTHON_DISTRO": "otel_tracepoints",
        "OTEL_PYTHON_CONFIGURATOR": "otel_tracepoints",
        # The share of CPU time that hits may take would hold them back, which is not the question here.
        "DEBUGIN_MAX_OVERHEAD_PERCENT": "100",
    }
    app = Process(instrument_command(sys.executable, str(SERVICE)), folder, environment, sink_url)
    try:
        app.wait_for_line("the service is up")
        app.wait_for_api()
        yield app
    finally:
        app.kill()


class Clients:
    """A crowd in a process of its own. At the end of the block it has said what it found."""

    def __init__(
        self, app: Process, seconds: float, manner: str, *more: str, patience: float = 120.0
    ) -> None:
        url = f"http://127.0.0.1:{app.port}"
        self._command = [sys.executable, "-m", "tests.load.crowd", url, str(seconds), manner, *more]
        self._patience = seconds + patience
        self.found: Dict[str, Any] = {}

    def __enter__(self) -> Clients:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.PIPE, universal_newlines=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            said = self._process.communicate(timeout=self._patience)[0]
            self.found = json.loads(said)
        finally:
            self._process.kill()

    def tell(self, figures: Figures, manner: str) -> None:
        """How many requests there were, and that none failed."""
        figures.tell(f"requests of the clients ({manner})", self.found["requests"])
        figures.tell(f"errors of the clients ({manner})", self.found["wrong"], "", 0)
        if self.found["first"]:
            print(*self.found["first"], sep="\n")


def until_answered(client: ApiClient) -> None:
    """Wait until a server is up."""
    deadline = time.monotonic() + 20
    while True:
        try:
            client.get("/")
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
