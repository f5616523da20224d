"""OTLP over gRPC: a unary call is one request of HTTP/2 with five bytes before the message."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
import urllib.parse
from typing import Dict, Optional, Tuple

from otel_tracepoints.emission.endpoint import Endpoint
from otel_tracepoints.emission.http2 import Http2Connection, Http2Error, Response
from otel_tracepoints.emission.transport import Answer, Verdict, partial_success, reason

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}

#: gRPC's status codes, by number.
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip

#: What gRPC makes of an HTTP status where no status of its own came: a proxy answered.
_BY_HTTP_STATUS = dict.fromkeys(("429", "502", "503", "504"), "UNAVAILABLE")


class GrpcTransport:
    """One connection, kept open. A broken one is replaced at the next request."""

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        self._endpoint = endpoint
        self._common = [
            (":scheme", "http" if endpoint.tls is None else "https"),
            (":authority", f"{host}:{endpoint.port}"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", user_agent),
            *((name.lower(), value) for name, value in endpoint.headers.items()),
        ]
        self._connection: Optional[Http2Connection] = None

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """Call ``Export`` of the signal's service."""
        deadline = time.monotonic() + timeout
        reused = self._connection is not None
        try:
            try:
                response = self._call(signal, body, deadline)
            except (Http2Error, ConnectionError) as error:
                untouched = isinstance(error, Http2Error) and error.untouched
                if not reused and not untouched:
                    raise
                # The server let go of an idle connection: that says nothing about the sink.
                self.close()
                response = self._call(signal, body, deadline)
        except (Http2Error, OSError, ValueError) as error:
            # ValueError: what is no frame at all; or the socket was closed by another thread.
            self.close()
            return Answer(Verdict.RETRY, reason(error), reached=False)
        return _judge(signal, response)

    def close(self) -> None:
        """Close the connection; a request in flight ends with an error."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.sock.close()

    def abandon(self) -> None:
        """Close this process's copy of the socket and nothing more: the parent's stays as it is."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                os.close(connection.sock.detach())

    def _call(self, signal: str, body: bytes, deadline: float) -> Response:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect(deadline)
        left = max(1, int((deadline - time.monotonic()) * 1000))
        headers = [
            (":method", "POST"),
            (":path", _METHODS[signal]),
            *self._common,
            ("grpc-timeout", f"{left}m"),
        ]
        return connection.request(headers, b"\x00" + len(body).to_bytes(4, "big") + body, deadline)

    def _connect(self, deadline: float) -> Http2Connection:
        endpoint = self._endpoint
        timeout = max(0.01, deadline - time.monotonic())
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if endpoint.tls is not None:
            context = ssl.create_default_context(cafile=endpoint.certificate)
            context.set_alpn_protocols(["h2"])
            try:
                sock = context.wrap_socket(sock, server_hostname=endpoint.host)
            except OSError:
                sock.close()
                raise
        return Http2Connection(sock)


def _judge(signal: str, response: Response) -> Answer:
    if _is_plain_http(response.headers):
        error = f"the sink speaks HTTP/2 but not gRPC (HTTP {response.headers.get(':status')})"
        return Answer(Verdict.OTHER_PROTOCOL, error)
    name, details = _status(response.headers)
    if name == "OK":
        # Without the five bytes before the message.
        rejected, message = partial_success(signal, response.body[5:], "application/grpc")
        return Answer(Verdict.ACCEPTED, message, rejected)
    error = f"the sink answered {name} to {signal}: {details}"
    if name == "UNIMPLEMENTED":
        return Answer(Verdict.UNKNOWN_SIGNAL, error)
    if name == "RESOURCE_EXHAUSTED":
        lowered = details.lower()
        too_large = "larger than max" in lowered or "too large" in lowered or "message size" in lowered
        return Answer(Verdict.TOO_LARGE if too_large else Verdict.RETRY, error)
    if name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return Answer(Verdict.RETRY, error, reached=False)
    if name in ("CANCELLED", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS"):
        return Answer(Verdict.RETRY, error)
    return Answer(Verdict.REFUSED, error)


def _is_plain_http(headers: Dict[str, str]) -> bool:
    """Whether a web server answered that does not know gRPC; a proxy that is out of order is none."""
    spoken = headers.get("content-type", "").startswith("application/grpc") or "grpc-status" in headers
    return not spoken and headers.get(":status") not in _BY_HTTP_STATUS


def _status(headers: Dict[str, str]) -> Tuple[str, str]:
    code = headers.get("grpc-status", "")
    if code.isdigit() and int(code) < len(_CODES):
        return _CODES[int(code)], urllib.parse.unquote(headers.get("grpc-message", ""))
    status = headers.get(":status", "")
    return _BY_HTTP_STATUS.get(status, "UNKNOWN"), f"no gRPC status (HTTP {status})"
