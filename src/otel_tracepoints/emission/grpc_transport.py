"""OTLP over gRPC, and what a fork may do to it.

gRPC's own handlers make it usable in a forked child, but only if no thread was inside gRPC at
the moment of the fork: otherwise it skips them, and the child may be aborted by its next call.
So a fork waits a moment for our call to end, and where that is not enough the child does
without gRPC.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from pathlib import Path
from typing import Any, ClassVar, Iterator, List, Optional

from otel_tracepoints.emission.endpoint import Endpoint
from otel_tracepoints.emission.transport import Answer, Verdict, partial_success, reason

#: Seconds that a fork waits for a call to end; a call to a sink that is well takes a few milliseconds.
_FORK_WAITS = 0.1

_GRPC_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}


def usable() -> bool:
    """Whether gRPC can be imported here, and was not cut off in the middle of a call by a fork."""
    try:
        import grpc  # noqa: F401
    except ImportError:
        return False
    for lazy in ("grpc._channel", "grpc.experimental"):
        # What making the first channel would import, in the export thread.
        with contextlib.suppress(ImportError):
            importlib.import_module(lazy)
    return not _calls.cut_off


class _Calls:
    """Our calls into gRPC in this process, as a fork sees them. gRPC's state is the process's too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held_by_fork = False
        self.cut_off = False

    @contextlib.contextmanager
    def in_call(self) -> Iterator[None]:
        with self._lock:
            yield

    def before_fork(self) -> None:
        self._held_by_fork = self._lock.acquire(timeout=_FORK_WAITS)

    def after_fork_in_parent(self) -> None:
        if self._held_by_fork:
            self._held_by_fork = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        self.cut_off = self.cut_off or not self._held_by_fork
        self._held_by_fork = False
        self._lock = threading.Lock()


_calls = _Calls()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_calls.before_fork,
        after_in_parent=_calls.after_fork_in_parent,
        after_in_child=_calls.after_fork_in_child,
    )


class GrpcTransport:
    """OTLP over gRPC. `usable` says whether it may be made here and now."""

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
            with _calls.in_call():
                data = self._calls[signal](body, timeout=timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            return self._judge(signal, error)
        except ValueError as error:  # closed by another thread
            return Answer(Verdict.RETRY, reason(error), reached=False)
        rejected, message = partial_success(signal, data, "application/grpc")
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
