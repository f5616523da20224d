"""Child processes that end with us, and the ports they listen on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
#: Seconds: a service that was asked to end gets this long before it is killed.
_GRACE = 5.0
#: Seconds between two looks at something that is starting.
_PAUSE = 0.05


class DemoFailed(Exception):
    """The demo cannot go on; ``output`` is what the child in question wrote last."""

    def __init__(self, message: str, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = list(output)


class Child:
    """A process with its output in a file.

    Args:
        name: What to call it.
        command: Program and arguments.
        log: The file for its stdout and stderr.
        environment: All of its variables.
        directory: Where it runs.
    """

    def __init__(
        self, name: str, command: List[str], log: Path, environment: Dict[str, str], directory: Path
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory,
                # Ctrl-C is for us: we end the children, in order, and not the terminal all at once.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def check(self) -> None:
        """Raises DemoFailed if it runs no more."""
        code = self._process.poll()
        if code is not None:
            raise DemoFailed(f"The {self.name} ended by itself, with exit code {code}.", self.last_lines())

    def last_lines(self, count: int = 30) -> List[str]:
        """The end of its output."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        except OSError:
            return []

    def has_said(self, text: str) -> bool:
        """Whether this stands in the end of its output."""
        return any(text in line for line in self.last_lines())

    def end(self) -> None:
        """Ask it to end, then make it."""
        if self.ended():
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Make it end now, if it has not."""
        if not self.ended():
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end the demo wait until this is over.

    Between the start of a child and the moment when we know of it, an interrupt would leave it
    behind; so would a second one while the children are being ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: List[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDING_SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in came:
        signal.raise_signal(number)


def wait_for(child: Child, ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until it is ready.

    Raises:
        DemoFailed: when the child ends before, or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not happen within {seconds:g} s.", child.last_lines())
        time.sleep(_PAUSE)


def free_port(preferred: int, avoid: Sequence[int] = ()) -> int:
    """This port of 127.0.0.1 if nobody has it, else any free one."""
    if preferred not in avoid and _can_bind(preferred) is not None:
        return preferred
    while True:
        port = _can_bind(0)
        if port is None:
            raise DemoFailed("There is no free port on 127.0.0.1.")
        if port not in avoid:
            return port


def _can_bind(port: int) -> Optional[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            # As servers do it: a port whose last connections are still closing is free. (On
            # Windows the option would let two listen.)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        number: int = probe.getsockname()[1]
        return number
