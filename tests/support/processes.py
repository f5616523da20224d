"""Real processes under the agent: started, asked through their API, ended by process id."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from tests.support.api_client import ApiClient
from tests.support.otlp_receiver import closed_port


def instrument_command(*command: str) -> List[str]:
    """``opentelemetry-instrument`` of this interpreter, in front of a command."""
    script = pathlib.Path(sys.executable).with_name("opentelemetry-instrument")
    if script.exists():
        return [str(script), *command]
    # The package cannot be run with -m; this is all that the script does.
    program = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
    return [sys.executable, "-c", program, *command]


class Process:
    """A child process with an agent in it; its output is kept, and shown when something fails."""

    def __init__(
        self, command: Sequence[str], cwd: pathlib.Path, environment: Mapping[str, str], sink_url: str
    ) -> None:
        self.port = closed_port()
        self.api = ApiClient(f"http://127.0.0.1:{self.port}", timeout=5)
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("OTEL_", "DEBUGIN_", "GRPC_"))
        }
        env.update(
            {
                "DEBUGIN_CONTROL_API_PORT": str(self.port),
                "DEBUGIN_EVENT_SINK_URL": sink_url,
                "PYTHONUNBUFFERED": "1",
            }
        )
        env.update(environment)
        self.output: List[str] = []
        self.process = subprocess.Popen(
            list(command),
            cwd=str(cwd),
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            # So that what it leaves behind can be found, whose child that is by then.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)

    def say(self, line: str) -> None:
        """A line to the child's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for_line(self, text: str, timeout: float = 20.0) -> str:
        """Wait until the child prints a line that holds the text; answers the line."""
        deadline = time.monotonic() + timeout
        while True:
            for line in list(self.output):
                if text in line:
                    return line.rstrip("\n")
            if time.monotonic() > deadline or (
                self.process.poll() is not None and not self._reader.is_alive()
            ):
                raise AssertionError(f"{text!r} was not printed; output:\n{''.join(self.output)}")
            time.sleep(0.01)

    def wait_for_api(self, timeout: float = 20.0) -> Dict[str, Any]:
        """Wait until the API answers; answers its health."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                answer: Dict[str, Any] = self.api.get("/health").json
                return answer
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"no API; output:\n{''.join(self.output)}") from None
                time.sleep(0.02)

    def end(self, timeout: float = 20.0) -> int:
        """Wait for the child's own end; answers its exit code."""
        code = self.process.wait(timeout)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """End it whatever it does, and every process that it started."""
        for pid in _session(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._reader.join(10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass


def _session(leader: int) -> List[int]:
    """The other processes of a session, where /proc tells."""
    found: List[int] = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent group session; a name may hold anything.
            session = int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[3])
        except OSError:
            continue
        if session == leader and int(path.parent.name) != leader:
            found.append(int(path.parent.name))
    return found


def run_python(code: str, environment: Optional[Mapping[str, str]] = None, timeout: float = 60.0) -> str:
    """Run a program in a fresh interpreter; its output. Fails when it does."""
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "DEBUGIN_", "GRPC_"))
    }
    env.update(environment or {})
    done = subprocess.run(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
