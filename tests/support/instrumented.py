"""An application under ``opentelemetry-instrument``, as a user starts it."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from typing import Callable, Dict, Iterator, List

from tests.support.processes import Process, instrument_command

APP = """
import sys
from opentelemetry import trace

def work(n):
    double = n * 2
    return double  # line 6

tracer = trace.get_tracer("app")
print("the app is up", flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        break
    with tracer.start_as_current_span("request"):
        print(f"answer {work(int(line))}\\n", end="", flush=True)
print("GIL", getattr(sys, "_is_gil_enabled", lambda: True)(), flush=True)
print("ended", flush=True)
"""

LaunchApp = Callable[..., Process]


@contextlib.contextmanager
def launching(folder: pathlib.Path) -> Iterator[LaunchApp]:
    """Starts the application as often as asked, and ends what is left of it."""
    (folder / "app.py").write_text(APP, "utf-8")
    started: List[Process] = []

    def start(sink_url: str, environment: Dict[str, str] = {}) -> Process:
        command = instrument_command(sys.executable, "app.py")
        base = {"OTEL_PYTHON_DISTRO": "otel_tracepoints", "OTEL_PYTHON_CONFIGURATOR": "otel_tracepoints"}
        process = Process(command, folder, {**base, **environment}, sink_url)
        started.append(process)
        process.wait_for_line("the app is up")
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
