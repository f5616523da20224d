"""OTLP/JSON → protobuf, for a request that came as JSON and goes on over gRPC."""

from __future__ import annotations

import base64
import json
from typing import Any, Dict

#: Fields that OTLP/JSON writes as hex and protobuf's JSON mapping as base64.
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def protobuf_of_json(signal: str, data: bytes) -> bytes:
    """The request ``data`` in protobuf.

    Raises:
        ValueError: it cannot be translated; the message says why.
    """
    try:
        from google.protobuf import json_format
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        raise ValueError(
            "JSON can be passed on over gRPC only where opentelemetry-proto is installed"
        ) from None
    requests: Dict[str, Any] = {
        "traces": ExportTraceServiceRequest,
        "logs": ExportLogsServiceRequest,
        "metrics": ExportMetricsServiceRequest,
    }
    try:
        document = _with_base64_ids(json.loads(data))
        message = json_format.ParseDict(document, requests[signal](), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise ValueError(f"JSON that is no protobuf: {type(error).__name__}") from None
    encoded: bytes = message.SerializeToString()
    return encoded


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64encode(bytes.fromhex(item)).decode("ascii")
            if name in _IDS and isinstance(item, str)
            else _with_base64_ids(item)
            for name, item in value.items()
        }
    return value
