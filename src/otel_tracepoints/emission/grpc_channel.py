"""Unary gRPC calls of OTLP: each is a request of HTTP/2 with five bytes before the message.

See github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import socket
import ssl
import time
import urllib.parse
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.emission.http2 import Http2Connection, Http2Error, NotHttp2, Response

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}

Metadata = Sequence[Tuple[str, str]]

#: gRPC's status codes, by number.
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip

#: What gRPC makes of an HTTP status where no status of its own came: a proxy answered.
_BY_HTTP_STATUS = dict.fromkeys(("429", "502", "503", "504"), "UNAVAILABLE")


class Reply(NamedTuple):
    """How a call ended.

    Attributes:
        code: A status of gRPC, by name.
        details: What the server says about it.
        message: Its answer, without framing.
    """

    code: str
    details: str
    message: bytes


class GrpcChannel:
    """One connection, kept open; a broken one is replaced at the next call. One call at a time.

    Args:
        host: A name or an address.
        port: Its port.
        context: Makes what TLS needs, for each connection; None: no TLS.
        user_agent: Sent with every call.
    """

    def __init__(
        self, host: str, port: int, context: Optional[Callable[[], ssl.SSLContext]], user_agent: str
    ) -> None:
        self._address = (host, port)
        self._context = context
        self._common = [
            (":method", "POST"),
            (":scheme", "http" if context is None else "https"),
            (":authority", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", user_agent),
        ]
        self._connection: Optional[Http2Connection] = None
        self._closed = False

    def call(self, signal: str, message: bytes, metadata: Metadata, deadline: float) -> Reply:
        """Call ``Export`` of the signal's service; ended by ``deadline`` (monotonic seconds).

        Raises:
            NotHttp2: the other end does not speak gRPC.
            OSError: the connection failed, or there was no answer in time.
            ValueError: the connection was closed by another thread.
        """
        reused = self._connection is not None
        try:
            try:
                response = self._request(signal, message, metadata, deadline)
            except (ConnectionError, ssl.SSLError) as error:
                untouched = isinstance(error, Http2Error) and error.untouched
                if not reused and not untouched:
                    raise
                # The server let go of an idle connection: that says nothing about the server.
                self._drop()
                response = self._request(signal, message, metadata, deadline)
            return _reply(response)
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Close the connection for good, from any thread; a call in flight ends with an error."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """After a fork, in the child: let go of the connection without touching the parent's."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    def _request(self, signal: str, message: bytes, metadata: Metadata, deadline: float) -> Response:
        connection = self._connection
        if connection is not None and connection.going_away:
            self._drop()
            connection = None
        if connection is None and not self._closed:
            connection = self._connection = self._connect(deadline)
        # Looked at last: whoever closes sets it first, and then lets go of what is there.
        if connection is None or self._closed:
            raise ValueError("the connection was closed")
        left = max(1, int((deadline - time.monotonic()) * 1000))
        # The names that begin with a colon have to come first.
        headers = [(":path", _METHODS[signal]), *self._common, ("grpc-timeout", f"{left}m"), *metadata]
        return connection.request(headers, b"\x00" + len(message).to_bytes(4, "big") + message, deadline)

    def _connect(self, deadline: float) -> Http2Connection:
        sock = socket.create_connection(self._address, max(0.01, deadline - time.monotonic()))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            try:
                context = self._context()
                context.set_alpn_protocols(["h2", "http/1.1"])
                tls = context.wrap_socket(sock, server_hostname=self._address[0])
            except BaseException:
                sock.close()
                raise
            if tls.selected_alpn_protocol() == "http/1.1":
                tls.close()
                raise NotHttp2("the server chose HTTP/1.1")
            sock = tls
        return Http2Connection(sock, deadline)


def _reply(response: Response) -> Reply:
    """What gRPC says. Raises NotHttp2 if a web server answered that does not know gRPC."""
    headers = response.headers
    status = headers.get(":status", "")
    code = headers.get("grpc-status", "")
    if code.isascii() and code.isdigit():
        number = int(code[:9])
        name = _CODES[number] if number < len(_CODES) else "UNKNOWN"
        return Reply(name, urllib.parse.unquote(headers.get("grpc-message", "")), response.body[5:])
    if status not in _BY_HTTP_STATUS and not headers.get("content-type", "").startswith("application/grpc"):
        raise NotHttp2(f"the server speaks HTTP/2 but not gRPC (HTTP {status})")
    return Reply(_BY_HTTP_STATUS.get(status, "UNKNOWN"), f"no gRPC status (HTTP {status})", b"")
