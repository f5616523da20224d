"""The WSGI application: who, what, answer, audit, span; the same few lines for every call."""

from __future__ import annotations

import functools
import logging
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence
from urllib.parse import parse_qsl

# Not `from falcon import App`: instrumentations of the application replace that name.
from falcon.app import App
from falcon.errors import HTTPMethodNotAllowed
from falcon.http_error import HTTPError
from falcon.request import Request
from falcon.response import Response

from otel_tracepoints.control.operations import Answer, Call, Encoded, Operations, encode
from otel_tracepoints.control.parking import Exchange, Parked
from otel_tracepoints.control.refusal import STATUS, Refusal, error_form, internal
from otel_tracepoints.control.routes import Route, by_path
from otel_tracepoints.control.security import Guard, is_json
from otel_tracepoints.control.target import Target
from otel_tracepoints.control.tracing import Tracing
from otel_tracepoints.errors import TracepointsError
from otel_tracepoints.schema.query import parse_query

_LOGGER = logging.getLogger("otel_tracepoints")

#: Bytes of a request's body.
MAX_BODY_BYTES = 1024 * 1024
#: Keys of the WSGI environment: the `Exchange`, and whether the body was too large to take.
EXCHANGE_KEY = "otel_tracepoints.exchange"
TOO_LARGE_KEY = "otel_tracepoints.too_large"
_ROUTE_KEY = "otel_tracepoints.route"
_ID_LENGTH = 128

StartResponse = Callable[..., Any]


class ControlApp:
    """The API, for any WSGI server; only ours lets long polls wait without a thread."""

    def __init__(
        self, target: Target, health: Callable[[], Dict[str, Any]], guard: Guard, tracing: Tracing
    ) -> None:
        self._target = target
        self._operations = Operations(target, health)
        self._guard = guard
        self._tracing = tracing
        self._allowed: Dict[str, str] = {}
        app: App[Request, Response] = App()
        for path, routes in by_path().items():
            self._allowed[path] = ", ".join(route.method for route in routes)
            app.add_route(path, _Endpoint(routes, self._serve))
        app.add_error_handler(HTTPError, self._not_routed)
        app.add_error_handler(Exception, self._failed)
        self._app = app

    def __call__(self, environ: Dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request. Raises `Parked` where it has to wait and may leave its thread."""
        exchange: Optional[Exchange] = environ.get(EXCHANGE_KEY)
        span = exchange.span if exchange is not None else None
        if span is None:
            span = self._tracing.begin(environ)
        recorded: List[Any] = []

        def record(status: str, headers: Any, _exc_info: Any = None, /) -> Callable[[bytes], object]:
            recorded[:] = [status, headers]
            return recorded.append

        with span.current():
            body = self._app(environ, record)
        if exchange is not None and exchange.waiting:
            exchange.span = span
            raise Parked
        if exchange is not None:
            exchange.span = None
        status, headers = recorded[:2]
        span.end(int(status[:3]), environ.get(_ROUTE_KEY))
        start_response(status, headers)
        return body

    def _serve(self, route: Route, req: Request, resp: Response, id: str = "") -> None:
        req.env[_ROUTE_KEY] = route.path
        answer: Optional[Answer] = None
        outcome = "ok"
        try:
            answer = self._answer(route, req, id)
            _send(resp, route.status, answer.data)
            if answer.location is not None:
                resp.set_header("Location", answer.location)
        except Exception as error:
            refusal = self._refuse(resp, error)
            outcome = refusal.code
            # A create call that was refused for the id of a point there is, is about that point.
            id = id or refusal.details.get("id", "")
        if route.action is not None:
            self._audit(route.action, outcome, req, id, answer)

    def _answer(self, route: Route, req: Request, id: str) -> Answer:
        environ = req.env
        self._check_caller(environ, route.open)
        if environ.get(TOO_LARGE_KEY):
            raise _too_large()
        query: Mapping[str, Any] = {}
        if route.query is not None:
            pairs = parse_qsl(req.query_string, keep_blank_values=True)
            query = parse_query(pairs, route.query)
        body = _body(req)
        full = self._guard.allows_all(environ.get("HTTP_AUTHORIZATION", ""))
        call = Call(id, query, body, full, environ.get(EXCHANGE_KEY))
        serve: Callable[[Call], Answer] = getattr(self._operations, route.operation)
        return serve(call)

    def _check_caller(self, environ: Mapping[str, Any], is_open: bool) -> None:
        self._guard.check(
            authorization=environ.get("HTTP_AUTHORIZATION", ""),
            host=environ.get("HTTP_HOST", ""),
            origin=environ.get("HTTP_ORIGIN"),
            is_open=is_open,
        )

    def _refuse(self, resp: Response, error: Exception) -> TracepointsError:
        """Answer with an error; the one that is told may be less than the one that was raised."""
        if not isinstance(error, TracepointsError) or error.code not in STATUS:
            _LOGGER.error("The control API failed to answer a request", exc_info=error)
            error = internal()
        _send(resp, STATUS[error.code], error_form(error, self._target.redact))
        if isinstance(error, Refusal):
            for name, value in error.headers.items():
                resp.set_header(name, value)
        return error

    def _not_routed(self, req: Request, resp: Response, _error: HTTPError, _params: Any) -> None:
        """No such path, or no such method on it: said only to those who may call."""
        path = req.uri_template
        try:
            self._check_caller(req.env, is_open=False)
        except Refusal as refusal:
            self._refuse(resp, refusal)
            return
        if path is None:
            self._refuse(resp, Refusal("NOT_FOUND", "There is no such path in this API."))
            return
        req.env[_ROUTE_KEY] = path
        allowed = self._allowed[path]
        self._refuse(
            resp,
            Refusal(
                "METHOD_NOT_ALLOWED",
                f"This path takes {allowed}.",
                {"allowed": allowed.split(", ")},
                {"Allow": allowed},
            ),
        )

    def _failed(self, _req: Request, resp: Response, error: Exception, _params: Any) -> None:
        self._refuse(resp, error)

    def _audit(self, action: str, outcome: str, req: Request, id: str, answer: Optional[Answer]) -> None:
        probe_id = id[:_ID_LENGTH] or None
        count = 0
        if answer is not None and outcome == "ok":
            probe_id = answer.probe_id or probe_id
            count = answer.changed
        try:
            self._target.audit(
                action,
                outcome,
                probe_id=probe_id,
                count=count,
                client=req.env.get("REMOTE_ADDR"),
            )
        except Exception:  # the change is made: its answer must not depend on its record
            _LOGGER.exception("The control API failed to write an audit record")


class _Endpoint:
    """A path's responders, as falcon looks for them: ``on_get``, ``on_post`` and so on."""

    def __init__(self, routes: Sequence[Route], serve: Callable[..., None]) -> None:
        for route in routes:
            setattr(self, f"on_{route.method.lower()}", functools.partial(serve, route))

    def on_options(self, _req: Request, _resp: Response, **_params: str) -> None:
        """No page of another origin may call, so there is nothing to negotiate."""
        raise HTTPMethodNotAllowed([])


def _send(resp: Response, status: int, data: Any) -> None:
    resp.status = status
    resp.set_header("Cache-Control", "no-store")
    resp.set_header("X-Content-Type-Options", "nosniff")
    if data is None:
        return
    resp.data = _encoded(data)
    resp.content_type = "application/json"


def _encoded(data: Any) -> bytes:
    """JSON. Lists item by item: the application stands still while the encoder, in C, has the GIL."""
    if type(data) is not dict:
        return encode(data).encode("ascii")
    members = []
    for name, value in data.items():
        if isinstance(value, list):
            items = value if type(value) is Encoded else map(encode, value)
            shown = f"[{', '.join(items)}]"
        else:
            shown = encode(value)
        members.append(f"{encode(name)}: {shown}")
    return f"{{{', '.join(members)}}}".encode("ascii")


def _body(req: Request) -> bytes:
    body: bytes = req.bounded_stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    if body and not is_json(req.env.get("CONTENT_TYPE", "")):
        raise Refusal("UNSUPPORTED_MEDIA_TYPE", "A body must be sent as Content-Type application/json.")
    return body


def _too_large() -> Refusal:
    return Refusal(
        "BODY_TOO_LARGE", f"A body has at most {MAX_BODY_BYTES} bytes.", {"maximum": MAX_BODY_BYTES}
    )


__all__ = ["EXCHANGE_KEY", "MAX_BODY_BYTES", "TOO_LARGE_KEY", "ControlApp"]
