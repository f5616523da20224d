"""The demo's two processes: the sink, and the shop under the agent."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional

from otel_tracepoints.cli.client import Client, Refused, Unreachable
from otel_tracepoints.demo.processes import Child, DemoFailed, free_port, undisturbed, wait_for

#: Seconds: long enough for a cold, busy machine; a warm one needs two or three.
_START_LIMIT = 60.0
SINK_PORT, CONTROL_PORT, SHOP_PORT = 4317, 5001, 8080
_SHOP = Path(__file__).resolve().parent / "shop"


class Stage:
    """Starts the processes, knows their addresses, ends them.

    What a child has said itself is waited for: another program may answer on a port that was free.
    The shop is copied to ``directory`` and run from there: it plays the application of somebody
    else, and inside the agent's own package no probe may be put.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self.directory = directory.resolve()
        self._say = say
        self._children: List[Child] = []
        taken: List[int] = []
        for preferred, who in ((SINK_PORT, "sink"), (CONTROL_PORT, "control API"), (SHOP_PORT, "shop")):
            port = free_port(preferred, taken)
            if port != preferred:
                say(f"Port {preferred} is taken; the {who} takes {port} instead.")
            taken.append(port)
        self.sink = Client(f"http://127.0.0.1:{taken[0]}")
        self.control = Client(f"http://127.0.0.1:{taken[1]}")
        self.shop = Client(f"http://127.0.0.1:{taken[2]}")
        self._ports = taken
        shutil.copytree(_SHOP, self.directory / "shop", ignore=shutil.ignore_patterns("__pycache__"))

    def start_sink(self) -> None:
        """Start the sink and wait until it answers."""
        command = [sys.executable, "-m", "otel_tracepoints", "sink", "--port", str(self._ports[0])]
        child = self._start("sink", command, _environment())
        wait_for(child, lambda: child.has_said(self.sink.url), _START_LIMIT, "The start of the sink")
        wait_for(child, lambda: _answers(self.sink, "/health"), _START_LIMIT, "The start of the sink")

    def start_shop(self) -> None:
        """Start the shop under the agent and wait until both answer."""
        environment = _environment()
        environment.update(
            {
                "DEBUGIN_EVENT_SINK_URL": self.sink.url,
                "DEBUGIN_CONTROL_API_PORT": str(self._ports[1]),
                "OTEL_SERVICE_NAME": "shop",
                # Spans, and the span events on them, leave every 0.2 s and not every 5 s.
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                "SHOP_PORT": str(self._ports[2]),
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": _joined(str(self.directory), environment.get("PYTHONPATH")),
            }
        )
        child = self._start("shop", [*_opentelemetry_instrument(), sys.executable, "-m", "shop"], environment)
        wait_for(child, lambda: child.has_said(self.shop.url), _START_LIMIT, "The start of the shop")
        wait_for(child, lambda: _answers(self.shop, "/ready"), _START_LIMIT, "The start of the shop")
        try:
            wait_for(
                child, lambda: _answers(self.control, "/health"), 15.0, "The start of the agent in the shop"
            )
        except DemoFailed as failed:
            raise DemoFailed(
                f"{failed} Is otel-tracepoints installed (pip install), not only on the path?", failed.output
            ) from None
        pid = self.control.get("/health").document.get("process", {}).get("pid")
        if os.name == "posix" and pid != child.pid:
            raise DemoFailed(f"Another program (process {pid}) took port {self._ports[1]} meanwhile.")

    def has_lost_a_port(self) -> bool:
        """Whether, after `end`, somebody else has a port that was free when it was chosen."""
        return any(free_port(port) != port for port in self._ports)

    def line_of(self, file: str, tag: str) -> int:
        """The line of ``shop/<file>`` with the comment ``# PROBE: <tag>``."""
        text = (self.directory / "shop" / file).read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            if line.rstrip().endswith(f"# PROBE: {tag}"):
                return number
        raise DemoFailed(f"shop/{file} has no line with the comment '# PROBE: {tag}'.")

    def check(self) -> None:
        """Raises DemoFailed if one of the processes has ended."""
        for child in self._children:
            child.check()

    def last_lines(self) -> List[str]:
        """The end of the shop's output, or of the sink's if there is no shop yet."""
        return self._children[-1].last_lines() if self._children else []

    def end(self) -> None:
        """End the shop, whose agent still has something to send, then the sink."""
        with undisturbed():
            for child in reversed(self._children):
                child.end()

    def _start(self, name: str, command: List[str], environment: Dict[str, str]) -> Child:
        with undisturbed():
            child = Child(name, command, self.directory / f"{name}.log", environment, self.directory)
            self._children.append(child)
        return child


def missing_extra() -> Optional[str]:
    """The extra without which the demo cannot run here, or None."""
    for module, extra in (
        ("flask", "demo"),
        ("opentelemetry.instrumentation.flask", "demo"),
        ("hypercorn", "sink"),
    ):
        try:
            if importlib.util.find_spec(module) is None:
                return extra
        except ImportError:
            return extra
    return None


def _environment() -> Dict[str, str]:
    # A child's environment, not a setting of ours: whatever tunes this user's own OpenTelemetry
    # must not bend the demo, except the choice of the engine.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "DEBUGIN_", "SIDEKICK_"))
    }
    # The children run elsewhere: what is relative to here must be absolute for them.
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(path).resolve()) for path in paths)
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, [environment.get(name), "127.0.0.1", "localhost"]))
    return environment


def _joined(first: str, rest: Optional[str]) -> str:
    return first + os.pathsep + rest if rest else first


def _opentelemetry_instrument() -> List[str]:
    # Beside this interpreter, and not the first on PATH: that one may belong to another.
    for name in ("opentelemetry-instrument", "opentelemetry-instrument.exe"):
        script = Path(sys.executable).with_name(name)
        if script.is_file():
            return [str(script)]
    return [sys.executable, "-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()"]


def _answers(client: Client, path: str) -> bool:
    try:
        client.get(path, timeout=2.0)
    except (Unreachable, Refused):
        return False
    return True
