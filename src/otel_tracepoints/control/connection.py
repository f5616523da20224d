"""One client's connection, by waitress, with what this API needs otherwise.

* A long poll leaves its thread while it waits (`parking`).
* What waitress itself refuses is answered in the error form of this API.
* A body that is too large is answered at once, and the rest of it read for a moment: a
  connection closed on unread data takes the answer with it.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import time
from typing import Any, Dict, Optional

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error, InternalServerError, RequestEntityTooLarge

from otel_tracepoints import unpatched
from otel_tracepoints.control.app import EXCHANGE_KEY, MAX_BODY_BYTES, TOO_LARGE_KEY
from otel_tracepoints.control.parking import Exchange, Parked
from otel_tracepoints.control.refusal import STATUS, Refusal, error_form, internal
from otel_tracepoints.control.routes import URGENT_PATHS

_LOGGER = logging.getLogger("otel_tracepoints")

#: How long, and how much, is read of a body after it was refused.
LINGER_SECONDS = 5.0
#: Answers that a client did not read; one that asks on all the same is let go.
MAX_UNREAD_BYTES = 32 * 1024 * 1024
_LINGER_BYTES = 64 * 1024 * 1024
_QUESTIONS = frozenset({"GET", "HEAD", "OPTIONS"})


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
    """For what was not understood as HTTP, so that nothing is known of the caller.

    waitress has a status for each way to fail (431, 501, …), and others have others; here each
    code has one, whatever serves it.
    """

    def execute(self) -> None:
        error: Error = self.request.error
        if error.code == InternalServerError.code:
            refusal = internal()
        else:
            refusal = Refusal(
                "INVALID_FIELD",
                f"Not a request that this server takes: {error.reason}.",
                {"field": "$", "expected": "an HTTP/1.1 request"},
            )
        status = STATUS[refusal.code]
        body = json.dumps(error_form(refusal, str)).encode("ascii")
        self.status = f"{status} {http.client.responses[status]}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.channel.linger_bytes = _LINGER_BYTES
        self.content_length = len(body)
        self.write(body)


def _error_task(channel: Any, request: Any) -> Any:
    """A body that is too large came with a good header: it is checked and audited as others."""
    task = _Task if isinstance(request.error, RequestEntityTooLarge) else _RefusedTask
    return task(channel, request)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection; its requests are served by `workers`, one after another."""

    parser_class = _Parser
    task_class = _Task
    error_task_class = staticmethod(_error_task)
    logger = _LOGGER

    close_when_flushed = False
    #: The request that waits for a hit, if one does.
    parked: Optional[Exchange] = None
    #: How much more may be read and thrown away before the connection is closed.
    linger_bytes = 0
    linger_until = 0.0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.requests_lock = unpatched.Lock()
        self.outbuf_lock = unpatched.Condition(unpatched.RLock())

    def add_channel(self, map: Optional[Dict[int, Any]] = None) -> None:
        """It is open."""
        super().add_channel(map)
        self.server.note_sockets()

    def del_channel(self, map: Optional[Dict[int, Any]] = None) -> None:
        """It is about to be closed."""
        super().del_channel(map)
        self.server.note_sockets()

    def is_urgent(self) -> bool:
        """Whether its request is served ahead of others."""
        request = self.requests[0] if self.requests else None
        return request is not None and request.error is None and request.path in URGENT_PATHS

    def is_change(self) -> bool:
        """Whether its request is served after the changes that came before it."""
        request = self.requests[0] if self.requests else None
        return request is not None and request.error is None and request.command not in _QUESTIONS

    def service(self) -> None:
        """Serve the request, or let it wait. Called in a worker's thread."""
        if not self.requests:
            return
        if self.total_outbufs_len > MAX_UNREAD_BYTES:
            self.cancel()
            self.server.pull_trigger()
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
        """Whether the loop should read from it."""
        if self.linger_until:
            return True
        # While a request waits, only to see its client leave.
        if self.parked is not None and len(self.requests) == 1:
            return not self.will_close
        return bool(super().readable())

    def handle_read(self) -> None:
        """Read what came; after a refusal, throw it away."""
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

    def writable(self) -> bool:
        """Whether the loop should send, or close.

        An answer is sent by its worker, and what the client has not taken is left to the loop.
        waitress has the loop try as well meanwhile, in vain: it would spin until the worker has got
        the GIL back, which it does not get from a loop that spins.
        """
        is_served = bool(self.requests) and self.parked is None
        return bool(self.will_close or self.close_when_flushed or (self.total_outbufs_len and not is_served))

    def handle_write(self) -> None:
        """Send what waits; after a refusal, close in two steps."""
        if self.close_when_flushed and self.linger_bytes > 0 and not self.linger_until:
            self._flush_exception(self._flush_some)
            if self.connected and not self.will_close and not self.total_outbufs_len:
                self.close_when_flushed = False
                self.linger_until = time.monotonic() + LINGER_SECONDS
                try:
                    self.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    self.will_close = True
            if not self.will_close:
                return
        super().handle_write()

    def handle_close(self) -> None:
        """The connection is over."""
        parked, self.parked = self.parked, None
        if parked is not None:
            self.server.lot.discard(parked)
        super().handle_close()

    def is_idle(self) -> bool:
        """Whether nobody waits for anything of ours on this connection."""
        return not self.requests and not self.total_outbufs_len
