"""Another OTLP receiver, as the sink's forwarder sees it: one request, one delivery or the reason why not."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

from otel_tracepoints.emission.grpc_channel import GrpcChannel
from otel_tracepoints.emission.http2 import NotHttp2
from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink.intake import ForwardedExport
from otel_tracepoints.sink.transcode import protobuf_of_json
from otel_tracepoints.version import VERSION

#: Seconds that one try may take.
TIMEOUT = 10.0
#: Statuses that may be different next time: OTLP's specification, "Failures".
_RETRYABLE_HTTP = frozenset({408, 429, 502, 503, 504})
_RETRYABLE_GRPC = frozenset(
    {
        "ABORTED",
        "CANCELLED",
        "DATA_LOSS",
        "DEADLINE_EXCEEDED",
        "OUT_OF_RANGE",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
    }
)
#: Headers that belong to one connection or one encoding; all others are passed on.
_NOT_PASSED_ON = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


class Delivery(NamedTuple):
    """How a try ended; ``retry`` says whether another one makes sense."""

    delivered: bool
    retry: bool = False
    reason: str = ""


class Upstream:
    """The receiver at a base URL.

    With a path, or port 4318, it is spoken to over HTTP. Otherwise gRPC is tried first, and
    what the other end turns out to speak decides.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            raise _unusable(url) from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise _unusable(url)
        if parts.username is not None:
            raise ConfigError(
                "The URL to forward to must not hold a name or password.", {"variable": "--forward"}
            )
        self.url = url
        self.host = parts.hostname
        self.port = port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path.rstrip("/")
        self._tls = parts.scheme == "https"
        self._timeout = timeout
        self._fixed = bool(self._path) or self.port == 4318
        self._grpc = not self._fixed
        self._connection: Union[GrpcChannel, http.client.HTTPConnection, None] = None
        self._lock = threading.Lock()
        self._closed = False

    def send(self, export: ForwardedExport) -> Delivery:
        """Try once to deliver; never raises. One thread at a time."""
        delivery = self._try(export)
        if delivery is None:
            # The other end does not speak this protocol; it may speak the other.
            self._grpc = not self._grpc
            delivery = self._try(export)
        return delivery or Delivery(False, True, f"{self.url} speaks neither gRPC nor HTTP")

    def close(self) -> None:
        """Cut the connection, also in the middle of a try; `send` fails from now on."""
        with self._lock:
            self._closed = True
            self._hang_up()

    def _try(self, export: ForwardedExport) -> Optional[Delivery]:
        try:
            return self._by_grpc(export) if self._grpc else self._by_http(export)
        except (NotHttp2, http.client.BadStatusLine) as error:
            self._drop_connection()
            return Delivery(False, True, f"{self.url}: {error!r}") if self._fixed else None
        except (OSError, http.client.HTTPException) as error:
            self._drop_connection()
            return Delivery(False, True, f"{self.url}: {str(error) or type(error).__name__}")
        except ValueError as error:
            # JSON for a receiver that takes protobuf only, and no way to translate it.
            return Delivery(False, False, str(error))

    def _by_grpc(self, export: ForwardedExport) -> Delivery:
        message = protobuf_of_json(export.signal, export.data) if export.is_json else export.data
        channel = self._connection
        if not isinstance(channel, GrpcChannel):
            context = ssl.create_default_context if self._tls else None
            channel = GrpcChannel(self.host, self.port, context, f"otel-tracepoints-sink/{VERSION}")
            self._keep(channel)
        deadline = time.monotonic() + self._timeout
        try:
            reply = channel.call(export.signal, message, self._passed_on(export), deadline)
        except ValueError as error:
            raise OSError(f"stopped: {error}") from None
        if reply.code == "OK":
            return Delivery(True)
        reason = f"{self.url}: gRPC status {reply.code} {reply.details}".rstrip()
        return Delivery(False, reply.code in _RETRYABLE_GRPC, reason)

    def _by_http(self, export: ForwardedExport) -> Delivery:
        connection = self._connection
        if not isinstance(connection, http.client.HTTPConnection):
            context = self._context()
            connection = (
                http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
                if context is None
                else http.client.HTTPSConnection(self.host, self.port, timeout=self._timeout, context=context)
            )
            self._keep(connection)
        headers: Dict[str, str] = dict(self._passed_on(export))
        headers["content-type"] = "application/json" if export.is_json else "application/x-protobuf"
        connection.request("POST", f"{self._path}/v1/{export.signal}", body=export.data, headers=headers)
        response = connection.getresponse()
        # The answer says nothing to anybody here; a bounded look keeps the connection usable.
        response.read(1 << 16)
        if not response.isclosed():
            self._drop_connection()
        if 200 <= response.status < 300:
            return Delivery(True)
        return Delivery(
            False, response.status in _RETRYABLE_HTTP, f"{self.url}: HTTP status {response.status}"
        )

    def _context(self) -> Optional[ssl.SSLContext]:
        return ssl.create_default_context() if self._tls else None

    def _passed_on(self, export: ForwardedExport) -> List[Tuple[str, str]]:
        return [
            (name, value)
            for name, value in export.headers
            if name not in _NOT_PASSED_ON and not name.startswith(("grpc-", ":"))
        ]

    def _keep(self, connection: Union[GrpcChannel, http.client.HTTPConnection]) -> None:
        with self._lock:
            self._hang_up()
            if self._closed:
                raise OSError("stopped")
            self._connection = connection

    def _drop_connection(self) -> None:
        with self._lock:
            self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        sock = connection.sock if isinstance(connection, http.client.HTTPConnection) else None
        if sock is not None:
            # Closing alone does not wake the thread that waits for an answer. The plain socket's, below TLS.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        connection.close()


def _unusable(url: str) -> ConfigError:
    return ConfigError(
        f"{url!r} is no URL to forward to: use http://host:port or https://host:port, "
        "and after it the path that stands before /v1/, if there is one.",
        {"variable": "--forward"},
    )
