"""Runs hypercorn in a thread: from a listening socket until it is told to stop, and no longer."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import socket
import threading
from typing import Any, Awaitable, Callable, Dict, Optional

import hypercorn.asyncio
import hypercorn.config

from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink.app import SinkApp
from otel_tracepoints.sink.connections import ConnectionLoop
from otel_tracepoints.sink.trailers import repair_trailers

#: Seconds that open connections have to end by themselves.
_GRACE = 0.3
_log = logging.getLogger("otel_tracepoints.sink")
# hypercorn tells of every start on its error log, and of clients that hang up as of errors.
_quiet = logging.getLogger("otel_tracepoints.sink.hypercorn")
_quiet.propagate = False
_quiet.addHandler(logging.NullHandler())


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one.

    Raises:
        ConfigError: the address cannot be used; the message says what to do.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConfigError(f"The sink cannot listen on {host}: {error}.", {"variable": "--host"}) from None
    try:
        # On Windows the option would let two servers have one port; elsewhere it only spares
        # the wait for connections that are closed already.
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The sink cannot listen on {host} port {port}: {error.strerror}. Another sink or a Collector "
            "may be running there: end it, or choose a port with --port (--port 0 takes any free one).",
            {"variable": "--port"},
        ) from None
    return listener


class Listener:
    """The sink's application behind a listening socket, in a thread of its own.

    Takes the socket over.
    """

    def __init__(self, app: SinkApp, listener: socket.socket) -> None:
        self._app = app
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="otel-tracepoints-sink", daemon=True)
        self._started = threading.Event()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._stop: Optional[asyncio.Event] = None

    def start(self) -> None:
        """Start to serve; connections are taken from now on."""
        self._thread.start()
        self._started.wait()

    @property
    def alive(self) -> bool:
        """Whether it serves still."""
        return self._thread.is_alive()

    def stop(self, timeout: float) -> bool:
        """Stop serving; connections still open after a moment are cut. Whether it ended in time."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed: it ended by itself.
                loop.call_soon_threadsafe(stop.set)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        loop = ConnectionLoop()
        try:
            loop.set_exception_handler(_ignore_connection_errors)
            if loop.run_until_complete(self._serve(loop)):
                loop.close()
        except Exception:
            _log.exception("The sink's server ended")
        finally:
            self._started.set()

    async def _serve(self, loop: ConnectionLoop) -> bool:
        self._loop = loop
        self._stop = asyncio.Event()
        app: Any = self._app  # Its scopes and messages are plain mappings to it, not hypercorn's TypedDicts.
        serving = asyncio.ensure_future(
            hypercorn.asyncio.serve(app, _config(self._listener), shutdown_trigger=_trigger(self._stop))
        )
        # The socket listens already: who connects now is served as soon as the loop turns.
        self._started.set()
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        # hypercorn waits for open connections, on Python 3.12 and later without end. Its tasks must
        # not be cancelled: its stand-in for TaskGroup before 3.11 then spins for ever. A
        # connection that is cut ends them by itself.
        await asyncio.wait([serving], timeout=_GRACE)
        loop.cut_connections()
        self._app.cancel_requests()
        await asyncio.wait([serving], timeout=_GRACE)
        if serving.done() and serving.exception() is not None:
            _log.error("The sink's server ended: %s", serving.exception())
        return serving.done()


def _trigger(stop: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await stop.wait()

    return wait


def _config(listener: socket.socket) -> hypercorn.config.Config:
    repair_trailers(importlib.metadata.version("hypercorn"))
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = _quiet
    config.accesslog = None
    config.include_server_header = False
    # No deadline of its own: it would cancel tasks, see `Listener._serve`.
    config.graceful_timeout = 3600
    # No bound: hypercorn's connection waits for room in a queue whose reader may have answered
    # already, and so for ever. What is in it is read at once, and `BodyReader` is the bound.
    config.max_app_queue_size = 0
    # Exporters keep a connection and send every few seconds; closing it in between costs a retry.
    config.keep_alive_timeout = 30
    config.keep_alive_max_requests = 1_000_000
    return config


def _ignore_connection_errors(_: asyncio.AbstractEventLoop, context: Dict[str, Any]) -> None:
    # A client that hangs up in mid-request ends its connection's task with whatever error comes
    # first; that is the client's affair, and the connection is closed by then.
    _log.debug("A connection ended: %s", context.get("exception") or context.get("message"))
