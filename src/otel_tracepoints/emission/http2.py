"""A client for HTTP/2 (RFC 9113) that has one request at a time: all that unary gRPC needs.

Plain sockets and no threads, so a fork cannot hurt it. grpcio cannot say that: with an open
channel its fork handlers restart threads in the child, which abort it when ``subprocess``
closes their descriptors before the exec (seen with grpcio 1.80 on Python 3.9: 4 in 100 children
ended by SIGABRT).
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Dict, NamedTuple, Tuple

from otel_tracepoints.emission import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0, 1, 3, 4
_PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 6, 7, 8, 9
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 2, 4, 5

#: RFC 9113, 6.5.2: what holds until the server says otherwise.
_DEFAULT_WINDOW, _DEFAULT_FRAME = 65_535, 16_384
#: A frame of an answer to an export is small. What is larger is not from a gRPC server.
_MAX_RECEIVED = 1 << 20
#: Stream ids are used up after 2**30 requests.
_LAST_STREAM = 2**31 - 1


class Http2Error(Exception):
    """The server broke off, or does not speak HTTP/2.

    Attributes:
        untouched: The server has certainly not processed the request.
    """

    def __init__(self, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


class Response(NamedTuple):
    """Headers and trailers together, and the body."""

    headers: Dict[str, str]
    body: bytes


class Http2Connection:
    """Takes over a connected socket. Raises OSError and Http2Error; useless after either."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._received = bytearray()
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._stream_window = 0
        self._initial_window = _DEFAULT_WINDOW
        self._max_frame = _DEFAULT_FRAME
        self._deadline = 0.0
        # No table for headers, no pushed responses.
        settings = struct.pack("!HIHI", _HEADER_TABLE_SIZE, 0, _ENABLE_PUSH, 0)
        self._opening = PREFACE + _frame(_SETTINGS, 0, 0, settings)

    def request(self, headers: hpack.Headers, body: bytes, deadline: float) -> Response:
        """One request and its response, ended by ``deadline`` (monotonic seconds)."""
        self._deadline = deadline
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        if stream > _LAST_STREAM:
            raise Http2Error("no stream is left", untouched=True)
        self._stream_window = self._initial_window
        exchange = _Exchange(stream)
        opening, self._opening = self._opening, b""
        block = hpack.encode(headers)
        self._send(opening + _frame(_HEADERS, _END_HEADERS, stream, block))
        at = 0
        while at < len(body) and not exchange.ended:
            room = min(self._window, self._stream_window, self._max_frame)
            if room <= 0:
                self._take_frame(exchange)
                continue
            part = body[at : at + room]
            at += len(part)
            self._window -= len(part)
            self._stream_window -= len(part)
            self._send(_frame(_DATA, _END_STREAM if at == len(body) else 0, stream, part))
        while not exchange.ended:
            self._take_frame(exchange)
        return Response(exchange.headers, bytes(exchange.body))

    def _take_frame(self, exchange: _Exchange) -> None:
        kind, flags, stream, payload = self._read_frame()
        if kind == _SETTINGS:
            self._settings(flags, payload)
        elif kind == _PING:
            if not flags & _ACK:
                self._send(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            (increment,) = struct.unpack("!I", payload)
            if stream == 0:
                self._window += increment
            elif stream == exchange.stream:
                self._stream_window += increment
        elif kind == _GOAWAY:
            (last,) = struct.unpack_from("!I", payload)
            if exchange.stream > last & _LAST_STREAM:
                raise Http2Error("the server goes away", untouched=True)
        elif kind == _RST_STREAM and stream == exchange.stream:
            (code,) = struct.unpack("!I", payload)
            # 7 is REFUSED_STREAM.
            raise Http2Error(f"the server reset the stream (code {code})", untouched=code == 7)
        elif kind in (_HEADERS, _DATA) and stream == exchange.stream:
            self._take_content(kind, flags, payload, exchange)

    def _take_content(self, kind: int, flags: int, payload: bytes, exchange: _Exchange) -> None:
        if kind == _DATA and payload:
            # The window is the connection's: without this it would close after 64 KiB of answers.
            self._send(_frame(_WINDOW_UPDATE, 0, 0, struct.pack("!I", len(payload))))
        if flags & _PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if kind == _DATA:
            exchange.body += payload
        else:
            if flags & _PRIORITY:
                payload = payload[5:]
            while not flags & _END_HEADERS:
                kind, more, _, part = self._read_frame()
                if kind != _CONTINUATION:
                    raise Http2Error("a header block was broken off")
                payload += part
                flags |= more
            try:
                exchange.headers.update(hpack.decode(payload))
            except ValueError as error:
                raise Http2Error(str(error)) from None
        if flags & _END_STREAM:
            exchange.ended = True

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & _ACK:
            return
        for name, value in struct.iter_unpack("!HI", payload):
            if name == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._initial_window
                self._initial_window = value
            elif name == _MAX_FRAME_SIZE:
                self._max_frame = value
        self._send(_frame(_SETTINGS, _ACK, 0, b""))

    def _read_frame(self) -> Tuple[int, int, int, bytes]:
        head = self._read(9)
        size = int.from_bytes(head[:3], "big")
        if size > _MAX_RECEIVED:
            raise Http2Error("the server does not speak HTTP/2")
        return head[3], head[4], int.from_bytes(head[5:], "big") & _LAST_STREAM, self._read(size)

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            self._arm()
            data = self.sock.recv(65_536)
            if not data:
                raise Http2Error("the server closed the connection")
            self._received += data
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _send(self, data: bytes) -> None:
        self._arm()
        self.sock.sendall(data)

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self.sock.settimeout(left)


class _Exchange:
    """What has come of one response."""

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.headers: Dict[str, str] = {}
        self.body = bytearray()
        self.ended = False


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
