"""HTTP/1.1 by waitress, with what this API needs otherwise.

* A long poll leaves its thread while it waits (`parking`).
* The loop sleeps until there is something to do; waitress's wakes every second.
* What waitress itself refuses is answered in the error form of this API.
* A body that is too large is answered at once, and the rest of it read for a moment: a
  connection closed on unread data takes the answer with it.
* Too many connections: the one idle longest makes room.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
import time
from typing import Any, Callable, Dict, Optional

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error, InternalServerError, RequestEntityTooLarge

from otel_tracepoints.control.app import EXCHANGE_KEY, MAX_BODY_BYTES, TOO_LARGE_KEY
from otel_tracepoints.control.parking import MAX_PARKED, Exchange, Parked, ParkingLot
from otel_tracepoints.control.refusal import Refusal, error_form, internal
from otel_tracepoints.control.routes import URGENT_PATHS
from otel_tracepoints.control.workers import Workers

_LOGGER = logging.getLogger("otel_tracepoints")

#: Open connections; each is a file descriptor of the application's process.
MAX_CONNECTIONS = MAX_PARKED + 128
#: Bytes of a chunked body with its framing: a chunk may be one byte of content in six.
_MAX_FRAMED_BYTES = 8 * MAX_BODY_BYTES
_MAX_HEADER_BYTES = 64 * 1024
#: Seconds without any traffic after which a connection is closed, and how often that is looked for.
_IDLE_SECONDS, _CLEANUP_SECONDS = 120, 30
#: How long, and how much, is read of a body after it was refused.
_LINGER_SECONDS, _LINGER_BYTES = 5.0, 64 * 1024 * 1024
_NEVER = 2**31 - 1
#: Seconds before the loop goes on after an error of its own: it must not spin.
_PAUSE_AFTER_ERROR = 0.1
_USE_POLL = hasattr(select, "poll")


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    error: Optional[Error] = None
    exchange: Optional[Exchange] = None

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.error is None and self._length() > MAX_BODY_BYTES:
            self.error = RequestEntityTooLarge("")
            self.completed = True
        if self.error is not None:
            # "100 Continue" would ask for the body that was just refused.
            self.expect_continue = False
        return consumed

    def _length(self) -> int:
        """Bytes of the body: as announced, or as received so far where it comes in chunks."""
        if self.chunked and self.body_rcv is not None:
            return int(self.body_rcv.__len__())
        return int(self.content_length)


class _Task(WSGITask):  # type: ignore[misc]
    def get_environment(self) -> Dict[str, Any]:
        environ: Dict[str, Any] = super().get_environment()
        parser = self.request
        if parser.exchange is None:
            parser.exchange = Exchange(self.channel.server.lot)
        environ[EXCHANGE_KEY] = parser.exchange
        if parser.error is not None:
            environ[TOO_LARGE_KEY] = True
        return environ

    def service(self) -> None:
        if self.request.error is not None:
            self.set_close_on_finish()
            self.channel.linger_bytes = _LINGER_BYTES
        super().service()


class _RefusedTask(ErrorTask):  # type: ignore[misc]
    """For what was not understood as HTTP, so that nothing is known of the caller."""

    def execute(self) -> None:
        error: Error = self.request.error
        refusal = Refusal("BAD_REQUEST", f"Not a request that this server takes: {error.reason}.")
        if error.code == InternalServerError.code:
            refusal = internal()
        body = json.dumps(error_form(refusal, str)).encode("ascii")
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.channel.linger_bytes = _LINGER_BYTES
        self.content_length = len(body)
        self.write(body)


def _error_task(channel: Any, request: Any) -> Any:
    """A body that is too large came with a good header: it is checked and audited as others."""
    task = _Task if isinstance(request.error, RequestEntityTooLarge) else _RefusedTask
    return task(channel, request)


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Parser
    task_class = _Task
    error_task_class = staticmethod(_error_task)
    logger = logging.getLogger("otel_tracepoints.control")

    close_when_flushed = False
    #: The request that waits for a hit, if one does.
    parked: Optional[Exchange] = None
    #: How much more may be read and thrown away before the connection is closed.
    linger_bytes = 0
    linger_until = 0.0

    def is_urgent(self) -> bool:
        """Whether its request is served ahead of others."""
        request = self.requests[0] if self.requests else None
        return request is not None and request.error is None and request.path in URGENT_PATHS

    def service(self) -> None:
        """Serve the request, or let it wait. Called in a worker's thread."""
        if not self.requests:
            return
        request = self.requests[0]
        self.parked = None
        try:
            super().service()
        except Parked:
            exchange = request.exchange
            self.parked = exchange
            self.server.lot.park(exchange, self._resume)
            if not self.connected:
                self.server.lot.discard(exchange)
        except Exception:
            self.logger.exception("The control API failed to serve a connection")
            self.will_close = True
            self.server.pull_trigger()

    def _resume(self) -> None:
        self.server.add_task(self)

    def readable(self) -> bool:
        if self.linger_until:
            return True
        # While a request waits, only to see its client leave.
        if self.parked is not None and len(self.requests) == 1:
            return not self.will_close
        return bool(super().readable())

    def handle_read(self) -> None:
        if not self.linger_until:
            super().handle_read()
            return
        try:
            data = self.recv(self.adj.recv_bytes)
        except OSError:
            data = b""
        self.linger_bytes -= len(data)
        if not data or self.linger_bytes <= 0 or time.monotonic() >= self.linger_until:
            self.handle_close()

    def handle_write(self) -> None:
        if self.close_when_flushed and self.linger_bytes > 0 and not self.linger_until:
            self._flush_exception(self._flush_some)
            if self.connected and not self.will_close and not self.total_outbufs_len:
                self.close_when_flushed = False
                self.linger_until = time.monotonic() + _LINGER_SECONDS
                try:
                    self.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    self.will_close = True
            if not self.will_close:
                return
        super().handle_write()

    def handle_close(self) -> None:
        parked, self.parked = self.parked, None
        if parked is not None:
            self.server.lot.discard(parked)
        super().handle_close()

    def is_idle(self) -> bool:
        """Whether nobody waits for anything of ours on this connection."""
        return not self.requests and not self.total_outbufs_len


class WireServer(TcpWSGIServer):  # type: ignore[misc]
    """Serves an application on a bound socket. `run` is the loop, in the calling thread.

    Args:
        sock: Bound; this listens on it.
        workers: Answer the requests.
        make_lot: Makes the parking lot, given what wakes the loop.
    """

    channel_class = _Channel
    logger = logging.getLogger("otel_tracepoints.control")

    def __init__(
        self,
        application: Callable[..., Any],
        sock: socket.socket,
        workers: Workers,
        make_lot: Callable[[Callable[[], None]], ParkingLot],
    ) -> None:
        self._stopping = False
        self._port_closing = False
        self._trigger_lock = threading.Lock()
        self.lot = make_lot(self.pull_trigger)
        adjustments = Adjustments(
            sockets=[sock],
            ident="otel-tracepoints",
            backlog=128,
            connection_limit=_NEVER,
            max_request_body_size=_MAX_FRAMED_BYTES,
            max_request_header_size=_MAX_HEADER_BYTES,
            # Never a temporary file: the disk may be full, or not ours to write.
            inbuf_overflow=_NEVER,
            outbuf_overflow=_NEVER,
            # Nor a thread that waits until a slow client has read.
            outbuf_high_watermark=_NEVER,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_CLEANUP_SECONDS,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        super().__init__(
            application,
            map={},
            _sock=sock,
            dispatcher=workers,
            adj=adjustments,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )

    def set_reuse_addr(self) -> None:
        """Whoever bound the socket decided that."""

    def handle_accept(self) -> None:
        if len(self.active_channels) >= MAX_CONNECTIONS:
            idle = [channel for channel in self.active_channels.values() if channel.is_idle()]
            if idle:
                min(idle, key=lambda channel: channel.last_activity).handle_close()
            else:
                self._turn_away()
                return
        super().handle_accept()

    def _turn_away(self) -> None:
        try:
            accepted = self.accept()
        except OSError:
            return
        if accepted is not None:
            accepted[0].close()

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping:
            try:
                wasyncore.loop(self._timeout(), _USE_POLL, self._map, 1)
                if self._port_closing and self.socket is not None:
                    self.handle_close()
                self.lot.expire()
                self._end_lingering()
            except Exception:
                _LOGGER.exception("The control API's loop failed; it goes on")
                time.sleep(_PAUSE_AFTER_ERROR)
        with self._trigger_lock:
            wasyncore.close_all(self._map, ignore_all=True)

    def pull_trigger(self) -> None:
        """Wake the loop. A closed pipe's number may be a file of the application by now."""
        with self._trigger_lock:
            if not self.trigger._closed:
                super().pull_trigger()

    def handle_close(self) -> None:
        """Close the port only; connections stay."""
        wasyncore.dispatcher.close(self)

    def close_port(self) -> None:
        """Take no more connections. From any thread."""
        self._port_closing = True
        sock = self.socket
        try:
            # Closing alone does not: a poll in progress keeps the port open.
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # not everywhere possible; the loop closes it
        self.pull_trigger()

    def stop(self) -> None:
        """Close all connections and end the loop. From any thread."""
        self._stopping = True
        self.pull_trigger()

    def after_fork_in_child(self) -> None:
        """Close what the child inherited, without a lock, without touching the parent's."""
        self._stopping = True
        for dispatcher in list(self._map.values()):
            if dispatcher is not self.trigger and dispatcher.socket is not None:
                _close_descriptor(dispatcher.socket.detach())
        self._map.clear()
        pipe = self.trigger
        descriptors = [*pipe._fds, pipe.socket.fd] if pipe.kind == "pipe" else []
        pipe._fds = []
        pipe._closed = True
        if descriptors:
            pipe.socket.fd = -1
        for descriptor in descriptors:
            _close_descriptor(descriptor)

    def _timeout(self) -> Optional[float]:
        """Seconds until the loop has something to do by itself; None: it has not."""
        timeouts = []
        deadline = self.lot.next_deadline()
        if deadline is not None:
            timeouts.append(max(0.0, deadline - time.monotonic()) + 0.001)
        if self.active_channels:
            timeouts.append(float(_CLEANUP_SECONDS))
        if any(channel.linger_until for channel in self.active_channels.values()):
            timeouts.append(_LINGER_SECONDS)
        return min(timeouts, default=None)

    def _end_lingering(self) -> None:
        now = time.monotonic()
        for channel in list(self.active_channels.values()):
            if channel.linger_until and now >= channel.linger_until:
                channel.handle_close()


def _close_descriptor(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return
