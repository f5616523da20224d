"""One request and its answer, between ASGI's messages and the application's routes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Dict, MutableMapping, Sequence, Tuple

from otel_tracepoints.sink import grpc, json_text
from otel_tracepoints.sink.body import Limits, Receive
from otel_tracepoints.sink.grpc import Send
from otel_tracepoints.sink.refusal import Refusal

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
Scope = MutableMapping[str, Any]


class Answer:
    """An answer, complete; ``headers`` are those beyond the usual ones."""

    def __init__(
        self, status: int, body: bytes, content_type: str = JSON, headers: Sequence[Tuple[str, str]] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = tuple(headers)


class Request:
    """A request whose body may still be on its way; header names are in lower case."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query = bytes(scope.get("query_string", b"")).decode("latin-1")
        self.http2 = str(scope["http_version"]).startswith("2")
        self._receive = receive
        self._complete = False
        self.header_list = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        self.headers: Dict[str, str] = dict(self.header_list)

    @property
    def is_call(self) -> bool:
        """Whether this is gRPC."""
        return self.http2 and grpc.is_grpc(self.headers.get("content-type", "").strip().lower())

    async def receive(self) -> MutableMapping[str, Any]:
        """As ASGI's ``receive``; remembers whether the body came to its end."""
        message = await self._receive()
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def discard(self, limits: Limits) -> None:
        """Read what is left of the body and throw it away, within the limits.

        An answer given before the body was read would end the connection, and a client that is
        still sending then sees a reset instead of the answer.
        """
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._discard(limits.discard), limits.seconds)

    async def _discard(self, limit: int) -> None:
        while not self._complete and limit > 0:
            limit -= len((await self.receive()).get("body", b""))

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()


def refused(refusal: Refusal, otlp_protobuf: bool) -> Answer:
    """The error answer, in the form that the client speaks."""
    if otlp_protobuf:
        # An OTLP client that speaks protobuf is answered in protobuf: a google.rpc.Status.
        return Answer(
            refusal.status,
            _status_message(grpc.status_of_http(refusal.status), refusal.message),
            PROTOBUF,
            refusal.headers,
        )
    body = {"error": refusal.message, "code": refusal.code, "details": refusal.details}
    return Answer(refusal.status, json_text.dump(body).encode("ascii"), JSON, refusal.headers)


def _status_message(code: int, message: str) -> bytes:
    text = message.encode("utf-8", "replace")
    length = bytearray()
    size = len(text)
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes((0x08, code, 0x12)) + bytes(length) + text


async def send_answer(send: Send, answer: Answer) -> None:
    """Send the answer as ASGI messages."""
    headers = [
        (b"content-type", answer.content_type.encode("ascii")),
        (b"content-length", b"%d" % len(answer.body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    headers.extend((name.encode("ascii"), value.encode("ascii")) for name, value in answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
