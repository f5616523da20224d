"""Bytes to the sink and its answer back: one request over HTTP or gRPC, within a deadline.

OpenTelemetry's exporters are not used for this. Those of 1.33 to 1.45 retry for between 10 and
63 s, hide the status that tells a traces-only sink from a dead one, and log on the
application's loggers. HTTP goes through ``http.client`` because the application's instrumentors
patch urllib3 and requests.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - what looking up a host would import, in whichever thread
import enum
import gzip
import http.client
import json
import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Mapping, NamedTuple, Optional, Protocol, Tuple
from urllib.parse import SplitResult, urlsplit

from otel_tracepoints.errors import ConfigError

#: Bodies above this are compressed (HTTP): below, it costs more than it saves.
_COMPRESS_ABOVE = 8 * 1024
#: An answer is a status and at most a sentence.
_MAX_ANSWER = 64 * 1024

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4

_GRPC_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
#: Signal → module of its protobuf response, the response, and its count of rejected records.
_RESPONSES = {
    "traces": ("trace.v1.trace", "ExportTraceServiceResponse", "rejected_spans"),
    "logs": ("logs.v1.logs", "ExportLogsServiceResponse", "rejected_log_records"),
    "metrics": ("metrics.v1.metrics", "ExportMetricsServiceResponse", "rejected_data_points"),
}


class Verdict(enum.Enum):
    """What the sink's answer means for the batch."""

    ACCEPTED = "accepted"
    #: Worth trying again: unreachable, overloaded, no answer in time.
    RETRY = "retry"
    TOO_LARGE = "too large"
    #: The sink does not take this signal at all.
    UNKNOWN_SIGNAL = "unknown signal"
    REFUSED = "refused"
    #: Something answered, but in another protocol.
    OTHER_PROTOCOL = "other protocol"


class Answer(NamedTuple):
    """A verdict, and what there is to tell about it.

    Attributes:
        rejected: Records of an accepted request that the sink threw away all the same.
        retry_after: Seconds that the sink asked to be left alone.
        reached: Something that could be the sink answered.
    """

    verdict: Verdict
    error: Optional[str] = None
    rejected: int = 0
    retry_after: float = 0.0
    reached: bool = True
    compression_refused: bool = False


class Transport(Protocol):
    """A way to the sink."""

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """Send one export request, already encoded; never raises."""

    def close(self) -> None:
        """Let go of the connection. Also from another thread, to end a request that hangs."""

    def abandon(self) -> None:
        """After a fork, in the child: let go without touching what the parent still uses."""


class Endpoint(NamedTuple):
    """Where the sink is, and how to speak to it."""

    host: str
    port: int
    path: str
    tls: Optional[ssl.SSLContext]
    certificate: Optional[str]
    headers: Mapping[str, str]
    #: The URL without credentials, fit to be shown.
    shown: str

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str], certificate: Optional[str]) -> Endpoint:
        """From the settings. Raises ConfigError for a URL or certificate that cannot be used."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise ConfigError(f"DEBUGIN_EVENT_SINK_URL: the port of {_shown(parts)} is no number") from None
        secure = parts.scheme.lower() == "https"
        path = parts.path.rstrip("/")
        tls: Optional[ssl.SSLContext] = None
        if secure:
            try:
                tls = ssl.create_default_context(cafile=certificate)
            except OSError as error:
                raise ConfigError(f"DEBUGIN_EVENT_SINK_CERTIFICATE: {error}") from None
        return cls(
            parts.hostname or "127.0.0.1",
            port if port is not None else (443 if secure else 80),
            path,
            tls,
            certificate,
            dict(headers),
            _shown(parts),
        )


def _shown(parts: SplitResult) -> str:
    netloc = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{netloc}{parts.path}"


def speaks_http2(endpoint: Endpoint, timeout: float) -> Optional[bool]:
    """Whether HTTP/2 (gRPC) is spoken there, or HTTP/1; None if it does not say.

    A server of either kind answers HTTP/2's opening words in its own way at once: with a
    SETTINGS frame, or with an HTTP/1 error (which need not begin with a status line: Python's
    own server takes the words for HTTP/0.9). Raises OSError if nothing listens.
    """
    with socket.create_connection((endpoint.host, endpoint.port), timeout) as plain:
        connection: socket.socket = plain
        if endpoint.tls is not None:
            context = ssl.create_default_context(cafile=endpoint.certificate)
            context.set_alpn_protocols(["h2", "http/1.1"])
            connection = context.wrap_socket(plain, server_hostname=endpoint.host)
            chosen = connection.selected_alpn_protocol()
            if chosen is not None:
                connection.close()
                return bool(chosen == "h2")
        try:
            connection.sendall(_HTTP2_PREFACE)
            begin = connection.recv(9)
        except OSError:
            return None
    if len(begin) < 4:
        return None
    return begin[3] == _SETTINGS_FRAME


class HttpTransport:
    """OTLP over HTTP/1.1: one connection, kept open."""

    def __init__(self, endpoint: Endpoint, content_type: str, user_agent: str) -> None:
        self._endpoint = endpoint
        self._headers: Dict[str, str] = {
            "Content-Type": content_type,
            "User-Agent": user_agent,
            **endpoint.headers,
        }
        self._connection: Optional[http.client.HTTPConnection] = None
        self._compress = True

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """POST to ``<base>/v1/<signal>``."""
        reused = self._connection is not None
        answer = self._try(signal, body, timeout, reused)
        if answer is None:
            # The server closed an idle connection: that says nothing about the sink.
            answer = self._try(signal, body, timeout, reused=False)
        if answer is not None and answer.compression_refused and self._compress:
            self._compress = False
            answer = self._try(signal, body, timeout, reused=False)
        return answer or Answer(Verdict.RETRY, "the sink closed the connection", reached=False)

    def close(self) -> None:
        """Close the connection; a request in flight ends with an error."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        sock = connection.sock
        try:
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def abandon(self) -> None:
        """Close this process's copy of the socket and nothing more: the parent's stays as it is."""
        connection, self._connection = self._connection, None
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                os.close(sock.detach())

    def _try(self, signal: str, body: bytes, timeout: float, reused: bool) -> Optional[Answer]:
        headers = dict(self._headers)
        if self._compress and len(body) > _COMPRESS_ABOVE:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            connection = self._connect(timeout)
            connection.request("POST", f"{self._endpoint.path}/v1/{signal}", body, headers)
            response = connection.getresponse()
            data = response.read(_MAX_ANSWER)
            if response.will_close or not response.isclosed():
                self._connection = None
                connection.close()
            return _judge_http(signal, response, data)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            return None if reused else Answer(Verdict.RETRY, _reason(error), reached=False)
        except http.client.BadStatusLine as error:
            self.close()
            if error.line.startswith("\x00\x00"):
                return Answer(Verdict.OTHER_PROTOCOL, "the sink answers in HTTP/2 (gRPC)")
            return Answer(Verdict.RETRY, "the sink does not answer in HTTP", reached=False)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # AttributeError: closed by another thread in the middle of the request.
            self.close()
            return Answer(Verdict.RETRY, _reason(error), reached=False)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            host, port, tls = self._endpoint.host, self._endpoint.port, self._endpoint.tls
            if tls is not None:
                connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=tls)
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout)
            self._connection = connection
            connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection


def _judge_http(signal: str, response: http.client.HTTPResponse, data: bytes) -> Answer:
    status = response.status
    if 200 <= status < 300:
        rejected, message = _partial_success(signal, data, response.getheader("Content-Type", ""))
        return Answer(Verdict.ACCEPTED, message, rejected)
    error = f"the sink answered {status} {response.reason} to {signal}"
    if status in (429, 502, 503, 504):
        try:
            pause = float(response.getheader("Retry-After", "0"))
        except ValueError:
            pause = 0.0
        return Answer(Verdict.RETRY, error, retry_after=max(0.0, pause), reached=status == 429)
    if status == 413:
        return Answer(Verdict.TOO_LARGE, error)
    if status in (404, 405, 501):
        return Answer(Verdict.UNKNOWN_SIGNAL, error)
    return Answer(Verdict.REFUSED, error, compression_refused=status == 415)


def _partial_success(signal: str, data: bytes, content_type: str) -> Tuple[int, Optional[str]]:
    if not data:
        return 0, None
    try:
        if content_type.startswith("application/json"):
            partial: Any = json.loads(data).get("partialSuccess") or {}
            names = ("rejectedSpans", "rejectedLogRecords", "rejectedDataPoints")
            rejected = max(int(partial.get(name, 0)) for name in names)
            message = partial.get("errorMessage")
        else:
            rejected, message = _partial_success_protobuf(signal, data)
    except Exception:
        # Accepted, with a body that nobody can read: accepted.
        return 0, None
    if not rejected:
        return 0, None
    return rejected, f"the sink rejected {rejected} records: {message or 'no reason given'}"


def _partial_success_protobuf(signal: str, data: bytes) -> Tuple[int, str]:
    # Loaded with the encoders, by name, because no fork may find an import half done.
    package, response, field = _RESPONSES[signal]
    module: Any = sys.modules[f"opentelemetry.proto.collector.{package}_service_pb2"]
    partial = getattr(module, response).FromString(data).partial_success
    return int(getattr(partial, field)), str(partial.error_message)


class GrpcTransport:
    """OTLP over gRPC. Raises ImportError where grpc cannot be imported."""

    #: Channels of a parent process. They must live as long as the child: freeing one joins
    #: threads that the fork did not bring along.
    _abandoned: ClassVar[List[Any]] = []

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        import grpc

        self._grpc: Any = grpc
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        target = f"{host}:{endpoint.port}"
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.primary_user_agent", user_agent),
            # The environment's proxy is for the application's calls; ours go to the URL given.
            ("grpc.enable_http_proxy", 0),
            # Neither the state nor the backoff of the application's own connections is ours.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        # __wrapped__: the application's gRPC instrumentor replaces these functions.
        if endpoint.tls is None:
            create = grpc.insecure_channel
            self._channel: Any = getattr(create, "__wrapped__", create)(target, options)
        else:
            roots: Optional[bytes] = None
            if endpoint.certificate is not None:
                roots = Path(endpoint.certificate).read_bytes()
            create = grpc.secure_channel
            credentials = grpc.ssl_channel_credentials(root_certificates=roots)
            self._channel = getattr(create, "__wrapped__", create)(target, credentials, options)
        self._metadata = tuple(endpoint.headers.items())
        self._calls = {signal: self._channel.unary_unary(method) for signal, method in _GRPC_METHODS.items()}

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """Call ``Export`` of the signal's service."""
        try:
            data = self._calls[signal](body, timeout=timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            return self._judge(signal, error)
        except ValueError as error:  # closed by another thread
            return Answer(Verdict.RETRY, _reason(error), reached=False)
        rejected, message = _partial_success(signal, data, "application/grpc")
        return Answer(Verdict.ACCEPTED, message, rejected)

    def close(self) -> None:
        """Close the channel; a request in flight ends with an error."""
        self._channel.close()

    def abandon(self) -> None:
        """Leave the channel to the parent process."""
        self._abandoned.append((self._channel, self._calls))

    def _judge(self, signal: str, error: Any) -> Answer:
        code, details = error.code(), str(error.details() or "")
        name = getattr(code, "name", str(code))
        text = f"the sink answered {name} to {signal}: {details}"
        if name == "UNIMPLEMENTED":
            return Answer(Verdict.UNKNOWN_SIGNAL, text)
        if name == "RESOURCE_EXHAUSTED":
            lowered = details.lower()
            too_large = "larger than max" in lowered or "too large" in lowered or "message size" in lowered
            return Answer(Verdict.TOO_LARGE if too_large else Verdict.RETRY, text)
        if name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            return Answer(Verdict.RETRY, text, reached=False)
        if name in ("CANCELLED", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS"):
            return Answer(Verdict.RETRY, text)
        return Answer(Verdict.REFUSED, text)


def _reason(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
