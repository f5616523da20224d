"""One HTTP/2 connection that has one request at a time: all that unary gRPC needs.

The protocol is the business of `h2`, which does no I/O; here are the socket and the deadlines.
No threads and no locks, so a fork cannot hurt it. grpcio cannot say that: with an open channel
its fork handlers restart threads in the child, which abort it when ``subprocess`` closes their
descriptors before the exec (seen with grpcio 1.80 on Python 3.9: 4 in 100 children ended by
SIGABRT).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import Dict, List, NamedTuple, Tuple, Union

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

#: What is read of an answer to an export: a status and at most a sentence.
_MAX_ANSWER = 1 << 20
_FRAME_HEAD, _SETTINGS = 9, 4

Headers = List[Tuple[str, str]]


class Http2Error(ConnectionError):
    """The connection is of no use any more.

    Attributes:
        untouched: The server has certainly not processed the request.
    """

    def __init__(self, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


class NotHttp2(Http2Error):
    """Something answered, but not in HTTP/2."""


class Response(NamedTuple):
    """Headers and trailers together, and the body."""

    headers: Dict[str, str]
    body: bytes


class Http2Connection:
    """Takes over a connected socket, and closes it if the other end does not speak HTTP/2.

    Both sides begin with a SETTINGS frame. It is waited for before anything is asked: servers of
    HTTP/1 answer the opening words in text (some without a status line), or hang up.

    Raises:
        NotHttp2: the other end speaks something else.
        OSError: it says nothing until ``deadline`` (monotonic seconds), or the network failed.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        #: No new request may be sent.
        self.going_away = False
        self._sock = sock
        self._deadline = deadline
        self._received = bytearray()
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._quiet = _Quiet()
        try:
            self._shake_hands()
        except h2.exceptions.H2Error as error:
            self.close()
            raise Http2Error(f"HTTP/2: {error}") from None
        except BaseException:
            self.close()
            raise

    def request(self, headers: Headers, body: bytes, deadline: float) -> Response:
        """One request and its response, ended by ``deadline``.

        Raises:
            Http2Error: the server broke off or broke the protocol.
            OSError: no answer in time, or the network failed.
        """
        self._deadline = deadline
        self._quiet.keep_out()
        try:
            return self._exchange(headers, body)
        except h2.exceptions.H2Error as error:
            raise Http2Error(f"HTTP/2: {error}") from None

    def close(self) -> None:
        """Close the connection; a request in flight in another thread ends with an error."""
        self._quiet.end()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def abandon(self) -> None:
        """Close this process's copy of the socket and nothing more: the parent's stays as it is."""
        self._quiet.end()
        with contextlib.suppress(OSError):
            os.close(self._sock.detach())

    def _shake_hands(self) -> None:
        self._http2.initiate_connection()
        try:
            self._flush()
            self._read(4)
        except ConnectionError as error:
            raise NotHttp2(f"the server hangs up on HTTP/2 ({error})") from None
        if self._received[0] != 0 or self._received[3] != _SETTINGS:
            raise NotHttp2("the server does not answer in HTTP/2")
        self._take_frame(_Answer(0))

    def _exchange(self, headers: Headers, body: bytes) -> Response:
        stream = self._http2.get_next_available_stream_id()
        answer = _Answer(stream)
        self._http2.send_headers(stream, headers)
        at = 0
        while at < len(body) and not answer.ended:
            room = min(self._http2.local_flow_control_window(stream), self._http2.max_outbound_frame_size)
            if room > 0:
                part = body[at : at + room]
                at += len(part)
                self._http2.send_data(stream, part, end_stream=at == len(body))
            else:
                self._take_frame(answer)
        while not answer.ended:
            self._take_frame(answer)
        if at < len(body):
            # The answer was there before all had been asked; without this the stream stays open.
            self._http2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._flush()
        return Response(answer.headers, bytes(answer.body))

    def _take_frame(self, answer: _Answer) -> None:
        self._flush()
        self._read(_FRAME_HEAD)
        size = _FRAME_HEAD + int.from_bytes(self._received[:3], "big")
        if size - _FRAME_HEAD > self._http2.max_inbound_frame_size:
            raise Http2Error("a frame is too large")
        self._read(size)
        frame = bytes(self._received[:size])
        del self._received[:size]
        # One at a time: h2 takes nothing after GOAWAY, though a server that goes away in good
        # order still answers what it has begun.
        for event in self._http2.receive_data(frame):
            if isinstance(event, h2.events.ConnectionTerminated):
                self.going_away = True
                if answer.stream > (event.last_stream_id or 0):
                    raise Http2Error("the server goes away", untouched=True)
                self._http2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            elif isinstance(event, h2.events.DataReceived):
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            answer.take(event)
        self._flush()

    def _read(self, size: int) -> None:
        """Wait until so much has been received."""
        while len(self._received) < size:
            self._arm()
            data = self._sock.recv(65_536)
            if not data:
                raise Http2Error("the server closed the connection")
            self._received += data

    def _flush(self) -> None:
        data = self._http2.data_to_send()
        if data:
            self._arm()
            self._sock.sendall(data)

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self._sock.settimeout(left)


class _Answer:
    """What has come of one response."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.headers: Dict[str, str] = {}
        self.body = bytearray()
        self.ended = False

    def take(self, event: h2.events.Event) -> None:
        """Note what the event says of this response. Raises Http2Error if it will never be whole."""
        if getattr(event, "stream_id", None) != self.stream:
            return
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            for name, value in event.headers or ():
                self.headers[_text(name)] = _text(value)
        elif isinstance(event, h2.events.DataReceived):
            self.body += event.data or b""
            if len(self.body) > _MAX_ANSWER:
                raise Http2Error("the answer is too large")
        elif isinstance(event, h2.events.StreamReset):
            refused = event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
            raise Http2Error(f"the server reset the stream ({event.error_code!r})", untouched=refused)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended = True


class _Quiet(logging.Filter):
    """Keeps hpack from telling the application's log, at DEBUG, every header that is sent: keys too.

    Only of what is sent and received here; the application may use hpack itself.
    """

    #: Looked up once: that takes a lock, which a forked child must not have to.
    _LOGGERS = (logging.getLogger("hpack.hpack"), logging.getLogger("hpack.table"))

    def __init__(self) -> None:
        super().__init__()
        self.keep_out()
        for logger in self._LOGGERS:
            logger.addFilter(self)

    def keep_out(self) -> None:
        """What this thread tells is ours."""
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the application may see it."""
        return record.thread != self._thread

    def end(self) -> None:
        """Take it away; may be called again."""
        for logger in self._LOGGERS:
            logger.removeFilter(self)


def _text(value: Union[str, bytes]) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
