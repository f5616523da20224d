"""The control API's server in this process: address, token, threads; start, stop, fork."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.config import Settings
from otel_tracepoints.control.app import ControlApp
from otel_tracepoints.control.bearer import MadeToken, configured_token, make_token, remove_token
from otel_tracepoints.control.binding import bind
from otel_tracepoints.control.parking import ParkingLot
from otel_tracepoints.control.security import Guard, is_loopback
from otel_tracepoints.control.target import Target
from otel_tracepoints.control.tracing import Tracing
from otel_tracepoints.control.wire import WireServer
from otel_tracepoints.control.workers import Workers
from otel_tracepoints.emission.threads import OwnThread, start_thread
from otel_tracepoints.errors import ControlApiError

_LOGGER = logging.getLogger("otel_tracepoints")

_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - only where the user asks for it, and then with a token
_LOOPBACK = "127.0.0.1"


class _Running(NamedTuple):
    wire: WireServer
    workers: Workers
    #: Of the loop; None while it could not be started.
    thread: Optional[OwnThread]
    address: str
    port: int
    made: Optional[MadeToken]
    pid: int


class ControlServer:
    """Serves the control API. `start` and `stop` may follow each other any number of times.

    Args:
        health: What ``GET /health`` answers.
        guarded: A token is needed on every address, the loopback too; one is made where none is given.
    """

    def __init__(
        self,
        settings: Settings,
        target: Target,
        health: Callable[[], Dict[str, Any]],
        *,
        guarded: bool = False,
    ) -> None:
        self._settings = settings
        self._guarded = guarded
        self._target = target
        self._health = health
        self._lock = unpatched.Lock()
        self._running: Optional[_Running] = None

    @property
    def host(self) -> str:
        """The address that is listened on; empty while stopped."""
        running = self._running
        return running.address if running else ""

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while stopped."""
        running = self._running
        return running.port if running else 0

    def start(self) -> None:
        """Listen and serve; a second start changes nothing.

        Raises:
            ConfigError: the token cannot be read, or the host means no address.
            ControlApiError: the address cannot be had on any port, or a token is needed and cannot be left.
        """
        with self._lock:
            if self._running is None:
                self._running = self._start()

    def stop(self, timeout: float = 1.5) -> None:
        """Close the port at once, let running answers finish for ``timeout`` seconds, join."""
        with self._lock:
            running, self._running = self._running, None
        if running is None or running.pid != os.getpid():
            return
        _end(running, timeout)

    def after_fork_in_child(self) -> None:
        """The API is the parent's: close the inherited descriptors here, never block."""
        self._lock = unpatched.Lock()
        running, self._running = self._running, None
        if running is not None:
            running.wire.after_fork_in_child()

    def _start(self) -> _Running:
        sock, token, made = self._secured_socket()
        address, port = sock.getsockname()[:2]
        tracing = Tracing(address, port, self._target.redact)
        app = ControlApp(self._target, self._health, Guard(token, port), tracing)
        workers = Workers()
        wire = WireServer(app, sock, workers, lambda wake: ParkingLot(self._target, wake))
        running = _Running(wire, workers, None, address, port, made, os.getpid())
        try:
            workers.start()
            wire.lot.start()
            return running._replace(thread=start_thread(wire.run, "otel-tracepoints-control"))
        except BaseException:
            # Late in an interpreter's exit no thread can be started.
            _end(running, 1.0)
            raise

    def _secured_socket(self) -> Tuple[socket.socket, Optional[str], Optional[MadeToken]]:
        """A listening socket and its token: an address that others can reach always has one."""
        settings = self._settings
        token = configured_token(settings)
        sock = self._bound(_ALL_ADDRESSES if settings.control_api_bind_all else settings.control_api_host)
        if token is not None or (is_loopback(sock.getsockname()[0]) and not self._guarded):
            return sock, token, None
        made = make_token()
        if made is None:
            sock.close()
            if self._guarded:
                raise ControlApiError("No file could be written for the control API's token.")
            _LOGGER.warning(
                "No file could be written for the control API's token, so it stays on %s", _LOOPBACK
            )
            return self._bound(_LOOPBACK), None, None
        _LOGGER.warning("The control API's token is in %s", made.path)
        return sock, made.token, made

    def _bound(self, host: str) -> socket.socket:
        wanted = self._settings.control_api_port
        sock, moved = bind(host, wanted)
        address, port = sock.getsockname()[:2]
        if moved:
            _LOGGER.warning("Port %s is taken; the control API listens on %s port %s", wanted, address, port)
        elif wanted == 0:
            _LOGGER.warning("The control API listens on %s port %s", address, port)
        return sock


def _end(running: _Running, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    running.wire.close_port()
    running.wire.lot.stop(timeout / 4)
    running.workers.stop(timeout / 2)
    running.wire.stop()
    if running.thread is not None:
        running.thread.join(max(0.1, deadline - time.monotonic()))
    if running.thread is None or not running.thread.is_alive():
        running.wire.dispose()
    if running.made is not None:
        remove_token(running.made.path)
