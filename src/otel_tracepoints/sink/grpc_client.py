"""The other side of `grpc`: unary OTLP calls over one HTTP/2 connection, with blocking sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import urllib.parse
from typing import Dict, List, Optional, Sequence, Tuple, Union

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from otel_tracepoints.sink import grpc

_UNAVAILABLE_HTTP = frozenset({429, 502, 503, 504})


class NotHttp2(Exception):
    """The other end does not speak HTTP/2."""


class GrpcConnection:
    """One connection, one call at a time; after an exception it must be closed.

    Args:
        context: None for no TLS.
        timeout: Seconds that a call may take; also the connection's own.
    """

    def __init__(self, host: str, port: int, context: Optional[ssl.SSLContext], timeout: float) -> None:
        self._timeout = timeout
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._scheme = "http" if context is None else "https"
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            context.set_alpn_protocols(["h2", "http/1.1"])
            tls = context.wrap_socket(self._socket, server_hostname=host)
            self._socket = tls
            if tls.selected_alpn_protocol() == "http/1.1":
                tls.close()
                raise NotHttp2("TLS chose http/1.1")
        self._heard = False
        self._http2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self._http2.initiate_connection()

    def call(self, signal: str, message: bytes, metadata: Sequence[Tuple[str, str]]) -> Tuple[int, str]:
        """Export ``message``; the gRPC status and its text.

        Raises:
            NotHttp2: the other end speaks something else.
            OSError: the connection failed, or took too long.
        """
        deadline = time.monotonic() + self._timeout
        try:
            return self._call(signal, message, metadata, deadline)
        except h2.exceptions.ProtocolError as error:
            raise OSError(f"HTTP/2: {error}") from None

    def close(self) -> None:
        """Close the connection; a call under way in another thread fails."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _call(
        self, signal: str, message: bytes, metadata: Sequence[Tuple[str, str]], deadline: float
    ) -> Tuple[int, str]:
        stream = self._http2.get_next_available_stream_id()
        headers: List[Tuple[str, str]] = [
            (":method", "POST"),
            (":scheme", self._scheme),
            (":path", grpc.PATHS[signal]),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *metadata,
        ]
        self._http2.send_headers(stream, headers)
        answer = _Answer(stream)
        framed = grpc.frame(message)
        sent = 0
        while sent < len(framed) and not answer.ended:
            window = min(self._http2.local_flow_control_window(stream), self._http2.max_outbound_frame_size)
            if window > 0:
                self._http2.send_data(
                    stream, framed[sent : sent + window], end_stream=sent + window >= len(framed)
                )
                sent += window
                self._flush(deadline)
            else:
                self._receive(answer, deadline)
        while not answer.ended:
            self._flush(deadline)
            self._receive(answer, deadline)
        return answer.status()

    def _flush(self, deadline: float) -> None:
        data = self._http2.data_to_send()
        if data:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(data)

    def _receive(self, answer: _Answer, deadline: float) -> None:
        self._flush(deadline)
        self._socket.settimeout(_left(deadline))
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            if self._heard:
                raise
            data = b""
        if not self._heard:
            # HTTP/2 begins with a short SETTINGS frame: a 0, at offset 3 its type 4. Servers of
            # HTTP/1 answer in text (some without a status line), or just hang up.
            if data[:1] != b"\0" or data[3:4] not in (b"", b"\4"):
                raise NotHttp2("the answer is not HTTP/2")
            self._heard = True
        if not data:
            raise ConnectionResetError("the connection was closed")
        for event in self._http2.receive_data(data):
            answer.take(event)
            if isinstance(event, h2.events.DataReceived):
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, answer.stream)
            elif isinstance(event, h2.events.ConnectionTerminated):
                raise ConnectionResetError("the other end is going away")
        self._flush(deadline)


class _Answer:
    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.ended = False
        self._headers: Dict[str, str] = {}

    def take(self, event: h2.events.Event) -> None:
        """Note what the event says of this call."""
        if getattr(event, "stream_id", None) != self.stream:
            return
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            self._headers.update((_text(name), _text(value)) for name, value in event.headers or ())
        elif isinstance(event, h2.events.StreamReset):
            # No status: the server gave the call up, and may take it next time.
            self._headers.setdefault("grpc-status", str(grpc.UNAVAILABLE))
            self.ended = True
        elif isinstance(event, h2.events.StreamEnded):
            self.ended = True

    def status(self) -> Tuple[int, str]:
        """The call's status; where gRPC said none, what its HTTP status stands for."""
        code = self._headers.get("grpc-status", "")
        if code.isascii() and code.isdigit():
            return int(code[:4]), urllib.parse.unquote(
                self._headers.get("grpc-message", ""), errors="replace"
            )
        http_status = self._headers.get(":status", "")
        if http_status.isdigit() and int(http_status) in _UNAVAILABLE_HTTP:
            return grpc.UNAVAILABLE, f"HTTP status {http_status}"
        return grpc.UNIMPLEMENTED if http_status == "404" else 2, f"HTTP status {http_status}"


def _text(value: Union[str, bytes]) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
