"""The link to the sink: which protocol it speaks, found out once something has answered.

A URL alone cannot say it: 4317 is gRPC at most sinks, everything on one port at ours, and plain
HTTP at some. So the port is a hint, and what actually answers decides. Where protobuf is slow
(free-threaded builds) HTTP with JSON comes first, and gRPC only if nothing else is understood.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Dict, Optional, Sequence

from otel_tracepoints.config import Settings
from otel_tracepoints.emission import bridge
from otel_tracepoints.emission.endpoint import Endpoint
from otel_tracepoints.emission.grpc_transport import GrpcTransport
from otel_tracepoints.emission.http_transport import HttpTransport
from otel_tracepoints.emission.transport import Answer, Transport, Verdict

GRPC, HTTP_PROTOBUF, HTTP_JSON = "grpc", "http/protobuf", "http/json"

#: OpenTelemetry's port for OTLP over HTTP, and the one for gRPC.
_HTTP_PORT, _GRPC_PORT = 4318, 4317
_CONTENT_TYPES = {HTTP_PROTOBUF: "application/x-protobuf", HTTP_JSON: "application/json"}
#: Bytes of one request: a gRPC server takes 4 MiB.
MAX_REQUEST_BYTES = 3 * 1024 * 1024
#: Seconds that a second attempt has at least.
_LEAST_TIME = 0.05


class Link:
    """Encodes and sends; used by one thread, but `close` may come from any.

    Everything that has to be imported is imported by the constructor: a fork while another
    thread is in the middle of an import leaves a module locked for ever in the child.

    Raises:
        ConfigError: the URL or the certificate cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._asked = settings.event_sink_protocol
        self._configured = Endpoint.parse(
            settings.event_sink_url, settings.event_sink_headers, settings.event_sink_certificate
        )
        self._endpoint = self._configured
        self._user_agent = f"otel-tracepoints/{bridge.SCOPE_VERSION}"
        #: What is spoken, or None until something was tried.
        self.protocol: Optional[str] = None
        #: Why something other than what was asked for is used; None if nothing stands in the way.
        self.problem: Optional[str] = None
        self._transport: Optional[Transport] = None
        self._closed = False
        self._encoders: Dict[str, Dict[str, bridge.Encode]] = {}
        self._load_encoders()
        http_hinted = self._configured.port == _HTTP_PORT or bool(self._configured.path)
        self._grpc = self._asked in ("auto", GRPC) and HTTP_PROTOBUF in self._encoders
        self._http = self._http_protocol()
        if self._asked == GRPC and not self._grpc:
            self.problem = "grpc needs opentelemetry-exporter-otlp-proto-common; HTTP is used instead"
        hinted = not http_hinted and bridge.protobuf_is_fast()
        self._grpc_first = self._grpc and (self._asked == GRPC or hinted)

    @property
    def url(self) -> str:
        """The sink's URL without credentials."""
        return self._configured.shown

    def export(self, signal: str, records: Sequence[Any], timeout: float) -> Answer:
        """Send these records in one request. Raises only what the encoder raises."""
        deadline = time.monotonic() + timeout
        if self._transport is None and not self._choose():
            missing = "no OTLP encoder is installed (opentelemetry-exporter-otlp-proto-http)"
            return Answer(Verdict.RETRY, missing, reached=False)
        answer = self._send(signal, records, timeout)
        if answer.broke_off and self._asked == "auto":
            # Go's gRPC servers say nothing to HTTP/1, they hang up.
            answer = answer._replace(verdict=Verdict.OTHER_PROTOCOL)
        if answer.verdict is Verdict.OTHER_PROTOCOL and self._switch():
            second = self._send(signal, records, max(_LEAST_TIME, deadline - time.monotonic()))
            answer = answer if second.verdict is Verdict.OTHER_PROTOCOL else second
        if answer.verdict is Verdict.OTHER_PROTOCOL:
            self._reset()
            answer = answer._replace(verdict=Verdict.RETRY, reached=False)
        if self._closed or (not answer.reached and self._asked == "auto"):
            self._reset()
        return answer

    def close(self) -> None:
        """Let go of the connection for good; a request in flight ends."""
        self._closed = True
        self._reset()

    def abandon(self) -> None:
        """After a fork, in the child: a link of its own, without touching the parent's."""
        transport, self._transport = self._transport, None
        self.protocol = None
        if transport is not None:
            transport.abandon()

    def _send(self, signal: str, records: Sequence[Any], timeout: float) -> Answer:
        transport, protocol = self._transport, self.protocol
        if transport is None or protocol is None:
            return Answer(Verdict.RETRY, "closed", reached=False)
        encoders = self._encoders[HTTP_PROTOBUF if protocol == GRPC else protocol]
        body = encoders[signal](records)
        if len(body) > MAX_REQUEST_BYTES and len(records) > 1:
            return Answer(Verdict.TOO_LARGE)
        return transport.send(signal, body, timeout)

    def _choose(self) -> bool:
        """Take the protocol that is likelier; False if none can be spoken."""
        if self._grpc_first:
            self._use(GRPC)
        elif self._http is not None:
            self._use(self._http)
        return self._transport is not None

    def _use(self, protocol: str) -> None:
        if protocol == GRPC:
            self._transport = GrpcTransport(self._endpoint, self._user_agent)
        else:
            self._transport = HttpTransport(self._endpoint, _CONTENT_TYPES[protocol], self._user_agent)
        self.protocol = protocol

    def _switch(self) -> bool:
        """The other protocol answered: speak that, or try the port that HTTP usually has."""
        spoken = self.protocol
        self._hang_up()
        if self._asked != "auto":
            return False
        if spoken == GRPC and self._http is not None:
            self._grpc_first = False
            self._use(self._http)
            return True
        if spoken != GRPC and self._grpc:
            self._grpc_first = True
            self._use(GRPC)
            return True
        if self._endpoint.port == _GRPC_PORT and self._http is not None:
            self._endpoint = self._endpoint._replace(port=_HTTP_PORT)
            self._use(self._http)
            return True
        return False

    def _reset(self) -> None:
        self._hang_up()
        self._endpoint = self._configured

    def _hang_up(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _load_encoders(self) -> None:
        with contextlib.suppress(ImportError):
            self._encoders[HTTP_PROTOBUF] = bridge.protobuf_encoders()
        if self._asked == HTTP_JSON or (self._asked in ("auto", GRPC) and not bridge.protobuf_is_fast()):
            with contextlib.suppress(ImportError):
                self._encoders[HTTP_JSON] = bridge.json_encoders()

    def _http_protocol(self) -> Optional[str]:
        if self._asked in (HTTP_PROTOBUF, HTTP_JSON):
            if self._asked in self._encoders:
                return self._asked
            package = "json" if self._asked == HTTP_JSON else "proto"
            self.problem = (
                f"{self._asked} needs the package opentelemetry-exporter-otlp-{package}-http"
                + (" (Python 3.10 or later)" if package == "json" else "")
                + "; another encoding is used instead"
            )
        # JSON is only among them where it was asked for, or where protobuf is slow.
        if HTTP_JSON in self._encoders:
            return HTTP_JSON
        return HTTP_PROTOBUF if HTTP_PROTOBUF in self._encoders else None
