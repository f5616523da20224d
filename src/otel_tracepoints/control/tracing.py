"""Every request is a SERVER span with OpenTelemetry's stable HTTP semantic conventions.

Through OpenTelemetry's API only. Whatever goes wrong in the application's providers,
samplers and propagators costs the span, never the answer.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterator, Mapping, Optional
from urllib.parse import unquote_plus

from otel_tracepoints import semconv
from otel_tracepoints.version import VERSION

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
except ImportError:  # the API answers without it
    _AVAILABLE = False
else:
    _AVAILABLE = True

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_OTHER = "_OTHER"
_SERVER_ERROR = 500


class Tracing:
    """Begins spans.

    Args:
        address: Where we listen.
        redact: Value patterns; they run over what the client sent.
    """

    def __init__(self, address: str, port: int, redact: Callable[[str], str]) -> None:
        self._address = address
        self._port = port
        self._redact = redact
        self._tracer: Optional[trace.Tracer] = None

    def begin(self, environ: Mapping[str, Any]) -> RequestSpan:
        """The span of a request, child of the context that its headers carry."""
        span: Optional[trace.Span] = None
        if _AVAILABLE:
            with contextlib.suppress(Exception):
                span = self._start(environ)
        return RequestSpan(span, _method(environ))

    def _start(self, environ: Mapping[str, Any]) -> trace.Span:
        if self._tracer is None:
            self._tracer = trace.get_tracer(semconv.SCOPE_NAME, VERSION, schema_url=semconv.SCHEMA_URL)
        method = _method(environ)
        attributes: Dict[str, Any] = {
            semconv.HTTP_REQUEST_METHOD: method,
            semconv.URL_PATH: self._redact(_text(environ.get("PATH_INFO", ""))),
            semconv.URL_SCHEME: "http",
            semconv.SERVER_ADDRESS: self._address,
            semconv.SERVER_PORT: self._port,
            semconv.CLIENT_ADDRESS: environ.get("REMOTE_ADDR", ""),
            semconv.NETWORK_PROTOCOL_VERSION: environ.get("SERVER_PROTOCOL", "").partition("/")[2],
        }
        if method == _OTHER:
            attributes[semconv.HTTP_REQUEST_METHOD_ORIGINAL] = self._redact(environ.get("REQUEST_METHOD", ""))
        query = environ.get("QUERY_STRING")
        if query:
            attributes[semconv.URL_QUERY] = self._query(query)
        agent = environ.get("HTTP_USER_AGENT")
        if agent:
            attributes[semconv.USER_AGENT_ORIGINAL] = self._redact(_text(agent))
        return self._tracer.start_span(
            _name(method, None),
            # An empty context, not the current one: this thread serves one request after another.
            context=propagate.extract(_carrier(environ), context=Context()),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
        )

    def _query(self, sent: str) -> str:
        # A secret is not to be seen by its escapes either.
        plain = unquote_plus(sent)
        shown = self._redact(plain)
        return sent if shown == plain else shown


class RequestSpan:
    """The span of one request; None where there can be none."""

    def __init__(self, span: Optional[trace.Span], method: str) -> None:
        self._span = span
        self._method = method

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make it the current span of this thread: what is told meanwhile belongs to it."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(Exception):
                if self._span is not None:
                    used = trace.use_span(self._span, record_exception=False, set_status_on_exception=False)
                    stack.enter_context(used)
            yield

    def end(self, status: int, route: Optional[str], error_type: Optional[str] = None) -> None:
        """The request was answered."""
        span = self._span
        if span is None:
            return
        with contextlib.suppress(Exception):
            if route is not None:
                span.update_name(_name(self._method, route))
                span.set_attribute(semconv.HTTP_ROUTE, route)
            span.set_attribute(semconv.HTTP_RESPONSE_STATUS_CODE, status)
            if status >= _SERVER_ERROR:
                span.set_attribute(semconv.ERROR_TYPE, error_type or str(status))
                span.set_status(trace.Status(trace.StatusCode.ERROR))
        self._finish()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._finish()

    def _finish(self) -> None:
        with contextlib.suppress(Exception):
            if self._span is not None:
                self._span.end()


def _name(method: str, route: Optional[str]) -> str:
    word = "HTTP" if method == _OTHER else method
    return word if route is None else f"{word} {route}"


def _method(environ: Mapping[str, Any]) -> str:
    method: str = environ.get("REQUEST_METHOD", "")
    return method if method in _METHODS else _OTHER


def _carrier(environ: Mapping[str, Any]) -> Dict[str, str]:
    """The request's headers, named as in HTTP, lower case."""
    return {
        name[len("HTTP_") :].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }


def _text(wsgi: str) -> str:
    """WSGI's Latin-1 of UTF-8 bytes as text."""
    return wsgi.encode("latin-1", "replace").decode("utf-8", "replace")
