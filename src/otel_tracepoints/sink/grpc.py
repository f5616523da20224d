"""gRPC as OTLP needs it, over any ASGI server that can send HTTP/2 trailers.

Three unary methods, one message each way (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
grpcio is not used: it has no wheels for free-threaded interpreters, and wants a port of its own.
"""

from __future__ import annotations

import struct
import urllib.parse
from typing import Any, Awaitable, Callable, List, Mapping, MutableMapping, NamedTuple, Tuple

from otel_tracepoints.errors import TracepointsError
from otel_tracepoints.sink.body import ENCODINGS, too_large, unpack

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_METHODS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
}
_PREFIX = struct.Struct(">BI")
#: Bytes of the frame around a message.
FRAMING = _PREFIX.size
#: gRPC status codes (github.com/grpc/grpc/blob/master/doc/statuscodes.md).
OK = 0
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
_OF_HTTP = {400: INVALID_ARGUMENT, 408: DEADLINE_EXCEEDED, 413: RESOURCE_EXHAUSTED, 503: UNAVAILABLE}


class Status(NamedTuple):
    """How a call ended."""

    code: int
    message: str = ""

    @classmethod
    def of_refusal(cls, refusal: TracepointsError) -> Status:
        """What the refusal's HTTP status is in gRPC."""
        return cls(status_of_http(getattr(refusal, "status", 400)), refusal.message)


class GrpcRefusal(TracepointsError):
    """A call that ends with a status of its own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.status = Status(code, message)


def status_of_http(status: int) -> int:
    """The gRPC status code for the HTTP status of an error."""
    return _OF_HTTP.get(status, INTERNAL)


def is_grpc(content_type: str) -> bool:
    """Whether the request is gRPC, of whatever message format."""
    return content_type == "application/grpc" or content_type.startswith(
        ("application/grpc+", "application/grpc;")
    )


def signal_of_call(path: str, content_type: str) -> str:
    """The OTLP signal that the method at ``path`` exports; raises `GrpcRefusal` for others."""
    signal = _METHODS.get(path)
    if signal is None:
        raise GrpcRefusal(UNIMPLEMENTED, f"unknown method {path}")
    if content_type.partition(";")[0].strip() not in ("application/grpc", "application/grpc+proto"):
        raise GrpcRefusal(UNIMPLEMENTED, "messages must be protobuf")
    return signal


def frame(message: bytes) -> bytes:
    """The message in its frame, not compressed."""
    return _PREFIX.pack(0, len(message)) + message


def unframe(data: bytes, encoding: str, limit: int) -> bytes:
    """The one message of a unary call, unpacked.

    Raises:
        GrpcRefusal, Refusal, MalformedBody: it is not one message, too large, or of an unknown coding.
    """
    if len(data) < FRAMING:
        raise GrpcRefusal(INTERNAL, "the call has no message")
    compressed, length = _PREFIX.unpack_from(data)
    if length > limit:
        raise too_large(limit)
    if len(data) != FRAMING + length:
        raise GrpcRefusal(INTERNAL, "the call does not hold exactly one message")
    message = data[FRAMING:]
    if compressed == 0:
        return message
    if compressed != 1 or encoding == "identity":
        raise GrpcRefusal(INTERNAL, "a message is compressed, but grpc-encoding does not say how")
    if encoding not in ENCODINGS:
        raise GrpcRefusal(UNIMPLEMENTED, f"grpc-encoding {encoding} is not supported")
    return unpack(encoding, message, limit)


async def send_status(send: Send, status: Status) -> None:
    """End the call; with an empty message if it went well (an OTLP answer without partial success)."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/grpc"),
                (b"grpc-accept-encoding", ",".join(ENCODINGS).encode("ascii")),
            ],
            "trailers": True,
        }
    )
    body = frame(b"") if status.code == OK else b""
    await send({"type": "http.response.body", "body": body, "more_body": False})
    trailers: List[Tuple[bytes, bytes]] = [(b"grpc-status", b"%d" % status.code)]
    if status.message:
        # Percent-encoded UTF-8, so that a message can neither end the header nor add another.
        trailers.append(
            (b"grpc-message", urllib.parse.quote(status.message, safe=" !#$&'()*+,/:;=?@[]").encode("ascii"))
        )
    await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})


def encoding_of(headers: Mapping[str, str]) -> str:
    """The call's ``grpc-encoding``, in lower case."""
    return headers.get("grpc-encoding", "identity").strip().lower()
