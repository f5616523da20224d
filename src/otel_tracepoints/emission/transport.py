"""Bytes to the sink and its answer back: what every way there has in common.

OpenTelemetry's exporters are not used for this. Those of 1.33 to 1.45 retry for between 10 and
63 s, hide the status that tells a traces-only sink from a dead one, and log on the
application's loggers.
"""

from __future__ import annotations

import enum
import json
import sys
from typing import Any, NamedTuple, Optional, Protocol, Tuple

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
        compression_refused: It may take the same body uncompressed.
        broke_off: The connection was made and then ended without an answer.
    """

    verdict: Verdict
    error: Optional[str] = None
    rejected: int = 0
    retry_after: float = 0.0
    reached: bool = True
    compression_refused: bool = False
    broke_off: bool = False


class Transport(Protocol):
    """A way to the sink."""

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """Send one export request, already encoded; never raises."""

    def close(self) -> None:
        """Let go of the connection. Also from another thread, to end a request that hangs."""

    def abandon(self) -> None:
        """After a fork, in the child: let go without touching what the parent still uses."""


def partial_success(signal: str, data: bytes, content_type: str) -> Tuple[int, Optional[str]]:
    """How many records of an accepted request the sink rejected all the same, and what it said."""
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


def reason(error: BaseException) -> str:
    """The error as a person may read it."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
