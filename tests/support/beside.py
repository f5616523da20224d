"""One program run twice, plainly and under the agent, so that its results can be compared.

What a program prints as ``result …`` is its result; everything else it prints is its own business.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time
import urllib.request
from typing import Any, Counter, Dict, List, NamedTuple, Optional

from tests.support.api_client import ApiClient
from tests.support.live import WIDE_OPEN, ok
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.processes import Process, instrument_command

#: What every run here sets; nobody needs it, but tests should not wait for a schedule.
ENVIRONMENT = {
    "OTEL_PYTHON_DISTRO": "otel_tracepoints",
    "OTEL_PYTHON_CONFIGURATOR": "otel_tracepoints",
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "DEBUGIN_EVENT_SINK_PROTOCOL": "http/protobuf",
    "DEBUGIN_MAX_OVERHEAD_PERCENT": "100",
    "DEBUGIN_MAX_PAUSE_MS": "200",  # not what is looked at here, and the machine may be busy
    "PYTHONDONTWRITEBYTECODE": "1",
}

_LISTENS = re.compile(r"the control API listens on 127\.0\.0\.1 port (\d+)", re.IGNORECASE)


class Plain(NamedTuple):
    """A run without the agent that has ended."""

    code: int
    results: List[str]


class Stage:
    """Writes programs into a folder, runs them there, and ends what is left of them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.sink = OtlpReceiver("http")
        self._started: List[Process] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
        self.sink.close()

    def write(self, name: str, source: str) -> pathlib.Path:
        """A file of the program; the text may be indented."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), "utf-8")
        return path

    def line(self, name: str, tag: str) -> int:
        """The line that ends in ``# TAG: tag``."""
        lines = (self.folder / name).read_text("utf-8").splitlines()
        return next(number for number, text in enumerate(lines, 1) if text.endswith(f"# TAG: {tag}"))

    def plain(self, *command: str, say: str = "", timeout: float = 60.0, **environment: str) -> Plain:
        """Run a Python command to its end without the agent; ``say`` is its whole standard input."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "DEBUGIN_"))}
        env.update({"PYTHONUNBUFFERED": "1", **self._paths(), **environment})
        done = subprocess.run(
            [sys.executable, *command],
            cwd=str(self.folder),
            env=env,
            input=say,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=timeout,
            check=False,
        )
        return Plain(done.returncode, results(done.stdout.splitlines()))

    def start(self, *command: str, **environment: Optional[str]) -> Process:
        """Start a Python command under ``opentelemetry-instrument``."""
        return self.launch(instrument_command(sys.executable, *command), **environment)

    def launch(self, command: List[str], **environment: Optional[str]) -> Process:
        """Start any command, with the settings of the agent; None takes one of them away."""
        settings = {**ENVIRONMENT, **self._paths(), **environment}
        chosen = {name: value for name, value in settings.items() if value is not None}
        process = Process(command, self.folder, chosen, self.sink.url)
        self._started.append(process)
        return process

    def _paths(self) -> Dict[str, str]:
        inherited = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": os.pathsep.join([str(self.folder), *filter(None, [inherited])])}

    def logpoint(
        self, api: ApiClient, name: str, tag: str, message: str, state: str = "active", **fields: Any
    ) -> Dict[str, Any]:
        """Set a logpoint on a tagged line through this API."""
        body = {"message": message, **self._place(name, tag), **fields}
        point: Dict[str, Any] = ok(api.post("/logpoints", body))
        assert point["state"] == state, point
        return point

    def tracepoint(
        self, api: ApiClient, name: str, tag: str, state: str = "active", **fields: Any
    ) -> Dict[str, Any]:
        """Set a tracepoint on a tagged line through this API."""
        point: Dict[str, Any] = ok(api.post("/tracepoints", {**self._place(name, tag), **fields}))
        assert point["state"] == state, point
        return point

    def _place(self, name: str, tag: str) -> Dict[str, Any]:
        return {"file": str(self.folder / name), "line": self.line(name, tag), "rateLimit": WIDE_OPEN}

    def messages(self) -> Counter[str]:
        """The messages of all logpoint hits that arrived, each with how often."""
        logs = self.sink.logs()
        return collections.Counter(log["body"] for log in logs if log["event_name"] == "probe.hit.logpoint")

    def wait_for_messages(self, count: int, timeout: float = 15.0) -> Counter[str]:
        """The messages once so many have arrived."""
        return self.sink.wait_for(lambda: sum(self.messages().values()) >= count and self.messages(), timeout)


def results(lines: List[str]) -> List[str]:
    """What a program printed as its results."""
    return [line.rstrip("\n") for line in lines if line.startswith("result ")]


def apis(process: Process) -> List[ApiClient]:
    """The further control APIs that a process and its children said they serve."""
    ports = [int(found.group(1)) for found in map(_LISTENS.search, process.output) if found]
    return [ApiClient(f"http://127.0.0.1:{port}", timeout=5) for port in ports]


def more_apis(process: Process, count: int, timeout: float = 20.0) -> List[ApiClient]:
    """Those, once there are so many of them."""
    deadline = time.monotonic() + timeout
    while len(apis(process)) < count:
        assert time.monotonic() < deadline and process.process.poll() is None, "".join(process.output)
        time.sleep(0.02)
    return apis(process)


def serves(port: int, path: str = "/", timeout: float = 5.0) -> Any:
    """The JSON of an answer of the application."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=timeout) as answer:
        return json.load(answer)


def wait_until_served(process: Process, port: int, path: str = "/", timeout: float = 30.0) -> Any:
    """The first answer of the application."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return serves(port, path)
        except OSError:
            gone: Optional[int] = process.process.poll()
            if gone is not None or time.monotonic() > deadline:
                raise AssertionError("".join(process.output)) from None
            time.sleep(0.05)
