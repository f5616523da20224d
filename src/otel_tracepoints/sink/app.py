"""The ASGI application: which request goes where, and what every error looks like.

Whatever is slow (reading, keeping, searching) runs in two worker threads, one for what changes
the store and one for what reads it; the event loop only moves bytes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any, Awaitable, Callable, Dict, Mapping, Set

from otel_tracepoints.errors import InvalidProbe, MalformedJson
from otel_tracepoints.sink import grpc, json_text
from otel_tracepoints.sink.body import ENCODINGS, BodyReader, Budget, Limits, Receive, unpack
from otel_tracepoints.sink.caller import check_caller
from otel_tracepoints.sink.exchange import JSON, PROTOBUF, Answer, Request, Scope, refused, send_answer
from otel_tracepoints.sink.grpc import GrpcRefusal, Send, Status
from otel_tracepoints.sink.intake import ForwardedExport, Headers, Intake
from otel_tracepoints.sink.otlp import SIGNALS
from otel_tracepoints.sink.query import read_filter
from otel_tracepoints.sink.refusal import Disconnected, Refusal
from otel_tracepoints.sink.store import EventStore, StoreUnavailable
from otel_tracepoints.sink.wire import MalformedBody
from otel_tracepoints.sink.worker import Worker

_log = logging.getLogger("otel_tracepoints.sink")
_TOO_SLOW = 408


class SinkApp:
    """The sink's ASGI application.

    Args:
        loopback: The port can be reached from this host only; then requests that a web page made
            are refused, since a page must not read what a debugger captured.
    """

    def __init__(
        self,
        intake: Intake,
        store: EventStore,
        writer: Worker,
        reader: Worker,
        loopback: bool = True,
        limits: Limits = Limits(),  # noqa: B008 - immutable
    ) -> None:
        self._intake = intake
        self._store = store
        self._writer = writer
        self._reader = reader
        self._loopback = loopback
        self._limits = limits
        self._budget = Budget(limits.held)
        self._requests: Set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            # A task of its own, which may be cancelled where the server's may not.
            request = asyncio.ensure_future(self._respond(Request(scope, receive), send))
            self._requests.add(request)
            try:
                await asyncio.wait([request])
            finally:
                self._requests.discard(request)
            if not request.cancelled():
                request.result()
        else:
            await send({"type": "websocket.close", "code": 1008})

    def cancel_requests(self) -> None:
        """Give up whatever is being answered; on the event loop."""
        for request in list(self._requests):
            request.cancel()

    async def _respond(self, request: Request, send: Send) -> None:
        answering: Awaitable[None]
        try:
            if request.is_call:
                status = await self._call(request)
                if status.code != grpc.DEADLINE_EXCEEDED:
                    await request.discard(self._limits)
                answering = grpc.send_status(send, status)
            else:
                answer = await self._answer(request)
                if answer.status != _TOO_SLOW:
                    await request.discard(self._limits)
                answering = send_answer(send, answer)
            # Bounded: a client may stop to read, and hypercorn waits even for one that is gone.
            await asyncio.wait_for(answering, self._limits.seconds)
        except (Disconnected, asyncio.TimeoutError):
            pass

    async def _call(self, request: Request) -> Status:
        try:
            signal = grpc.signal_of_call(request.path, request.headers["content-type"])
            with BodyReader(request.receive, self._limits, self._budget) as body:
                framed = await body.read(grpc.FRAMING)
                unframe = functools.partial(
                    grpc.unframe, framed, grpc.encoding_of(request.headers), self._limits.body
                )
                await self._export(signal, unframe, False, request.header_list)
            return Status(grpc.OK)
        except GrpcRefusal as refusal:
            return refusal.status
        except (Refusal, MalformedBody) as refusal:
            return Status.of_refusal(refusal)
        except Disconnected:
            raise
        except Exception:
            _log.exception("The sink failed to take a gRPC request")
            return Status(grpc.INTERNAL, "the sink failed; its log says why")

    async def _answer(self, request: Request) -> Answer:
        otlp_protobuf = request.path.startswith("/v1/") and request.content_type == PROTOBUF
        try:
            return await self._route(request)
        except Refusal as error:
            refusal = error
        except (InvalidProbe, MalformedBody) as error:
            refusal = Refusal.of_error(error)
        except Disconnected:
            raise
        except StoreUnavailable as error:
            refusal = _unavailable(error)
        except Exception:
            _log.exception("The sink failed to answer %s %s", request.method, ascii(request.path))
            refusal = Refusal(500, "INTERNAL", "The sink failed; its log says why.")
        return refused(refusal, otlp_protobuf)

    async def _route(self, request: Request) -> Answer:
        path = request.path
        if path.startswith("/v1/") and path[4:] in SIGNALS:
            return await _dispatch(request, {"POST": functools.partial(self._otlp, path[4:])})
        if path == "/health":
            check_caller(request.headers, self._loopback)
            return await _dispatch(request, {"GET": self._health})
        if path == "/api/events":
            check_caller(request.headers, self._loopback)
            handlers = {"GET": self._find, "POST": self._post, "DELETE": self._clear}
            return await _dispatch(request, handlers)
        if path.startswith("/api/events/"):
            check_caller(request.headers, self._loopback)
            return await _dispatch(
                request, {"GET": functools.partial(self._get, path[len("/api/events/") :])}
            )
        raise Refusal(404, "NOT_FOUND", "There is nothing at this path.", {"path": path})

    async def _otlp(self, signal: str, request: Request) -> Answer:
        if request.content_type not in (JSON, PROTOBUF):
            raise _unsupported(f"{PROTOBUF} or {JSON}")
        is_json = request.content_type == JSON
        with BodyReader(request.receive, self._limits, self._budget) as body:
            packed = await body.read()
            unpacked = functools.partial(unpack, _content_encoding(request), packed, self._limits.body)
            await self._export(signal, unpacked, is_json, request.header_list)
        return Answer(200, b"{}" if is_json else b"", request.content_type)

    async def _export(
        self, signal: str, unpacked: Callable[[], bytes], is_json: bool, headers: Headers
    ) -> None:
        def take() -> None:
            self._intake.export(ForwardedExport(signal, unpacked(), is_json, headers))

        try:
            await self._run(self._writer, take)
        except StoreUnavailable as error:
            raise _unavailable(error) from None

    async def _health(self, _: Request) -> Answer:
        return _json(200, self._intake.health())

    async def _find(self, request: Request) -> Answer:
        wanted = read_filter(request.query)

        def find() -> bytes:
            page = self._store.find(wanted)
            events = [event.envelope() for event in page.events]
            return json_text.dump({"events": events, "total": page.total}).encode("ascii")

        return Answer(200, await self._run(self._reader, find))

    async def _get(self, event_id: str, _: Request) -> Answer:
        event = await self._run(self._reader, functools.partial(self._store.get, event_id.lower()))
        if event is None:
            raise Refusal(404, "NOT_FOUND", "There is no event of this id.", {"id": event_id})
        return _json(200, event.envelope())

    async def _post(self, request: Request) -> Answer:
        if request.content_type != JSON:
            raise _unsupported(JSON)
        with BodyReader(request.receive, self._limits, self._budget) as body:
            packed = await body.read()
            encoding = _content_encoding(request)

            def take() -> Dict[str, Any]:
                event = self._intake.post(_envelope(unpack(encoding, packed, self._limits.body)))
                envelope = event.envelope()
                return {"status": "accepted", "id": envelope["id"], "timestamp": envelope["timestamp"]}

            return _json(202, await self._run(self._writer, take))

    async def _clear(self, _: Request) -> Answer:
        return _json(200, {"removed": await self._run(self._writer, self._store.clear)})

    async def _run(self, worker: Worker, job: Callable[[], Any]) -> Any:
        # Shielded: once its client is gone a job still runs, and nothing is half done.
        return await asyncio.shield(asyncio.wrap_future(worker.submit(job)))


async def _dispatch(
    request: Request, handlers: Mapping[str, Callable[[Request], Awaitable[Answer]]]
) -> Answer:
    handler = handlers.get(request.method)
    if handler is None:
        allowed = sorted(handlers)
        raise Refusal(
            405,
            "METHOD_NOT_ALLOWED",
            f"{request.method} is not possible here.",
            {"allowed": allowed},
            [("allow", ", ".join(allowed))],
        )
    return await handler(request)


def _envelope(data: bytes) -> Mapping[str, Any]:
    try:
        envelope = json_text.parse(data.decode("utf-8"))
    except ValueError:
        raise MalformedJson("The body is not JSON.", {"field": "$"}) from None
    if not isinstance(envelope, dict):
        raise Refusal(
            400, "INVALID_FIELD", "The body must be an object.", {"field": "$", "expected": "an object"}
        )
    return envelope


def _content_encoding(request: Request) -> str:
    encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    if encoding not in ENCODINGS:
        raise Refusal(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "The body's Content-Encoding is not supported.",
            {"allowed": list(ENCODINGS)},
            [("accept-encoding", ", ".join(ENCODINGS))],
        )
    return encoding


def _unsupported(allowed: str) -> Refusal:
    return Refusal(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        f"The body's Content-Type must be {allowed}.",
        {"allowed": allowed.split(" or ")},
    )


def _unavailable(error: StoreUnavailable) -> Refusal:
    return Refusal(
        503, "STORE_UNAVAILABLE", f"Events cannot be stored: {error}", headers=[("retry-after", "1")]
    )


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json_text.dump(body).encode("ascii"))


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
