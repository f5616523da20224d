"""OTLP of either encoding → the plain shape in which tests read it (`otlp_receiver` says which)."""

from __future__ import annotations

import base64
import json
from typing import Any, Dict, List, Tuple


def records_of(signal: str, body: bytes, content_type: str) -> List[Dict[str, Any]]:
    """The spans, logs or metrics of one request."""
    as_json = content_type.startswith("application/json")
    document = json.loads(body) if as_json else _from_protobuf(signal, body)
    if signal == "traces":
        return [_span(*found) for found in _flatten(document, "resourceSpans", "scopeSpans", "spans")]
    if signal == "logs":
        return [_log(*found) for found in _flatten(document, "resourceLogs", "scopeLogs", "logRecords")]
    return [_metric(*found) for found in _flatten(document, "resourceMetrics", "scopeMetrics", "metrics")]


def _from_protobuf(signal: str, body: bytes) -> Dict[str, Any]:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    message = {
        "traces": trace_service_pb2.ExportTraceServiceRequest,
        "logs": logs_service_pb2.ExportLogsServiceRequest,
        "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    }[signal]()
    message.ParseFromString(body)
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    return _ids_as_hex(document)


def _ids_as_hex(value: Any) -> Any:
    """Protobuf's own JSON has ids in base64; OTLP's JSON has them in hex."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex()
            if key in ("traceId", "spanId", "parentSpanId")
            else _ids_as_hex(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_ids_as_hex(item) for item in value]
    return value


def _flatten(
    document: Dict[str, Any], resources: str, scopes: str, records: str
) -> List[Tuple[Any, Any, str, Any]]:
    return [
        (resource.get("resource", {}), scope.get("scope", {}), scope.get("schemaUrl", ""), record)
        for resource in document.get(resources, [])
        for scope in resource.get(scopes, [])
        for record in scope.get(records, [])
    ]


def _value(value: Dict[str, Any]) -> Any:
    for key, item in value.items():
        if key == "intValue":
            return int(item)
        if key == "doubleValue":
            return float(item)
        if key == "arrayValue":
            return [_value(entry) for entry in item.get("values", [])]
        if key == "kvlistValue":
            return _attributes(item.get("values", []))
        return item
    return None


def _attributes(pairs: List[Dict[str, Any]]) -> Dict[str, Any]:
    names = [pair["key"] for pair in pairs]
    assert len(names) == len(set(names)), f"an attribute is there twice: {names}"
    return {pair["key"]: _value(pair.get("value", {})) for pair in pairs}


def _origin(resource: Any, scope: Any) -> Dict[str, Any]:
    return {
        "resource": _attributes(resource.get("attributes", [])),
        "scope": {"name": scope.get("name", ""), "version": scope.get("version", "")},
    }


def _span(resource: Any, scope: Any, schema_url: str, span: Any) -> Dict[str, Any]:
    return {
        "name": span.get("name", ""),
        "trace_id": span.get("traceId", ""),
        "span_id": span.get("spanId", ""),
        "parent_id": span.get("parentSpanId", ""),
        "kind": span.get("kind", 0),
        "start": int(span.get("startTimeUnixNano", 0)),
        "end": int(span.get("endTimeUnixNano", 0)),
        "attributes": _attributes(span.get("attributes", [])),
        "events": [
            {
                "name": event.get("name", ""),
                "time": int(event.get("timeUnixNano", 0)),
                "attributes": _attributes(event.get("attributes", [])),
            }
            for event in span.get("events", [])
        ],
        "schema_url": schema_url,
        **_origin(resource, scope),
    }


def _log(resource: Any, scope: Any, schema_url: str, log: Any) -> Dict[str, Any]:
    attributes = _attributes(log.get("attributes", []))
    return {
        "event_name": log.get("eventName") or attributes.get("event.name", ""),
        "body": _value(log.get("body", {})),
        "severity": log.get("severityNumber", 0),
        "severity_text": log.get("severityText", ""),
        "time": int(log.get("timeUnixNano", 0)),
        "trace_id": log.get("traceId", ""),
        "span_id": log.get("spanId", ""),
        "attributes": attributes,
        "schema_url": schema_url,
        **_origin(resource, scope),
    }


def _metric(resource: Any, scope: Any, _: str, metric: Any) -> Dict[str, Any]:
    data = metric.get("sum") or metric.get("gauge") or metric.get("histogram") or {}
    points = []
    for point in data.get("dataPoints", []):
        value = point.get("asInt", point.get("asDouble", point.get("count", 0)))
        points.append({"attributes": _attributes(point.get("attributes", [])), "value": float(value)})
    return {
        "name": metric.get("name", ""),
        "unit": metric.get("unit", ""),
        "points": points,
        **_origin(resource, scope),
    }
