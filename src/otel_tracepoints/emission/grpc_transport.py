"""OTLP over gRPC, and what the answers mean."""

from __future__ import annotations

import time

from otel_tracepoints.emission.endpoint import Endpoint
from otel_tracepoints.emission.grpc_channel import GrpcChannel, Reply
from otel_tracepoints.emission.http2 import NotHttp2
from otel_tracepoints.emission.transport import Answer, Verdict, partial_success, reason


class GrpcTransport:
    """One connection, kept open. A broken one is replaced at the next request."""

    def __init__(self, endpoint: Endpoint, user_agent: str) -> None:
        context = endpoint.tls_context if endpoint.secure else None
        self._channel = GrpcChannel(endpoint.host, endpoint.port, context, user_agent)
        self._metadata = [(name.lower(), value) for name, value in endpoint.headers.items()]

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """Call ``Export`` of the signal's service."""
        try:
            reply = self._channel.call(signal, body, self._metadata, time.monotonic() + timeout)
        except NotHttp2 as error:
            return Answer(Verdict.OTHER_PROTOCOL, str(error))
        except (OSError, ValueError) as error:
            return Answer(Verdict.RETRY, reason(error), reached=False)
        return _judge(signal, reply)

    def close(self) -> None:
        """Close the connection; a request in flight ends with an error."""
        self._channel.close()

    def abandon(self) -> None:
        """Close this process's copy of the socket and nothing more: the parent's stays as it is."""
        self._channel.abandon()


def _judge(signal: str, reply: Reply) -> Answer:
    if reply.code == "OK":
        rejected, message = partial_success(signal, reply.message, "application/grpc")
        return Answer(Verdict.ACCEPTED, message, rejected)
    error = f"the sink answered {reply.code} to {signal}: {reply.details}"
    if reply.code == "UNIMPLEMENTED":
        return Answer(Verdict.UNKNOWN_SIGNAL, error)
    if reply.code == "RESOURCE_EXHAUSTED":
        details = reply.details.lower()
        too_large = "larger than max" in details or "too large" in details or "message size" in details
        return Answer(Verdict.TOO_LARGE if too_large else Verdict.RETRY, error)
    if reply.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return Answer(Verdict.RETRY, error, reached=False)
    if reply.code in ("CANCELLED", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS"):
        return Answer(Verdict.RETRY, error)
    return Answer(Verdict.REFUSED, error)
