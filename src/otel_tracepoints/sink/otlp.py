"""OTLP requests, protobuf or JSON, read into the few things that the sink needs of them.

Only what can be an event is kept as a `Signal`: span events and log records. Spans, log records
and metrics as such are counted, passed on (`forward`) and forgotten; a sink is not a back end.
OTLP/JSON differs from protobuf's JSON mapping: ids are hex, not base64, and unknown fields are
ignored (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding").
"""

from __future__ import annotations

import base64
import contextlib
import math
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional

from otel_tracepoints import semconv
from otel_tracepoints.sink import json_text
from otel_tracepoints.sink.messages import REQUESTS
from otel_tracepoints.sink.wire import MalformedBody, read_message

#: The three kinds of OTLP request, as they stand in ``/v1/<signal>``.
SIGNALS = tuple(REQUESTS)


class Signal(NamedTuple):
    """A span event or a log record: all that an event can be rebuilt from.

    Attributes:
        name: The span event's name; a record's ``event_name`` or, before that existed, its
            attribute ``event.name``.
        body: The text of a record; None for a span event.
        trace_id, span_id: Lower-case hex; None when there is no span.
        agent_version: The instrumentation scope's version where the agent itself is the scope.
    """

    name: str
    time_unix_nano: int
    attributes: Mapping[str, Any]
    body: Optional[Any]
    trace_id: Optional[str]
    span_id: Optional[str]
    resource: Mapping[str, Any]
    agent_version: Optional[str]


class Export(NamedTuple):
    """What one OTLP request held; ``signals`` are only those whose name was asked for."""

    spans: int
    logs: int
    signals: List[Signal]


def read_export(signal: str, data: bytes, is_json: bool, wanted: Callable[[str], bool]) -> Export:
    """Read the OTLP request ``data`` of one of `SIGNALS`.

    Raises:
        MalformedBody: it is not such a request.
    """
    request = parse_json_object(data) if is_json else read_message(REQUESTS[signal], data)
    if signal == "traces":
        return _read_traces(request, wanted)
    if signal == "logs":
        return _read_logs(request, wanted)
    _objects(request, "resourceMetrics")
    return Export(0, 0, [])


def _read_traces(request: Mapping[str, Any], wanted: Callable[[str], bool]) -> Export:
    spans = 0
    signals: List[Signal] = []
    for resource, scope, span in _records(request, "resourceSpans", "scopeSpans", "spans"):
        spans += 1
        for event in _objects(span, "events"):
            name = _text(event, "name")
            if wanted(name):
                signals.append(
                    Signal(
                        name,
                        _unsigned(event, "timeUnixNano"),
                        _attributes(event),
                        None,
                        _identifier(span, "traceId"),
                        _identifier(span, "spanId"),
                        _attributes(resource),
                        _agent_version(scope),
                    )
                )
    return Export(spans, 0, signals)


def _read_logs(request: Mapping[str, Any], wanted: Callable[[str], bool]) -> Export:
    logs = 0
    signals: List[Signal] = []
    for resource, scope, record in _records(request, "resourceLogs", "scopeLogs", "logRecords"):
        logs += 1
        attributes = _attributes(record)
        name = _text(record, "eventName") or attributes.get(semconv.EVENT_NAME_ATTRIBUTE)
        if isinstance(name, str) and wanted(name):
            signals.append(
                Signal(
                    name,
                    _unsigned(record, "timeUnixNano") or _unsigned(record, "observedTimeUnixNano"),
                    attributes,
                    _any_value(_object(record, "body")),
                    _identifier(record, "traceId"),
                    _identifier(record, "spanId"),
                    _attributes(resource),
                    _agent_version(scope),
                )
            )
    return Export(0, logs, signals)


def _records(request: Mapping[str, Any], resources: str, scopes: str, records: str) -> Iterator[Any]:
    for group in _objects(request, resources):
        resource = _object(group, "resource")
        for scoped in _objects(group, scopes):
            scope = _object(scoped, "scope")
            for record in _objects(scoped, records):
                yield resource, scope, record


def _agent_version(scope: Mapping[str, Any]) -> Optional[str]:
    return (_text(scope, "version") or None) if _text(scope, "name") == semconv.SCOPE_NAME else None


def _attributes(holder: Mapping[str, Any]) -> Dict[str, Any]:
    return {_text(pair, "key"): _any_value(_object(pair, "value")) for pair in _objects(holder, "attributes")}


def _any_value(value: Mapping[str, Any], depth: int = 0) -> Any:
    if depth > json_text.MAX_DEPTH:
        raise MalformedBody(f"A value is nested deeper than {json_text.MAX_DEPTH}.")
    for kind, content in value.items():
        if content is None:
            continue  # In JSON null is the same as absent.
        if kind in ("stringValue", "boolValue"):
            if not isinstance(content, str if kind == "stringValue" else bool):
                raise MalformedBody(f"{kind} has the wrong type.")
            return content
        if kind == "intValue":
            return _integer(kind, content, -(1 << 63), (1 << 63) - 1)
        if kind == "doubleValue":
            return _double(content)
        if kind == "arrayValue":
            return [_any_value(item, depth + 1) for item in _objects(_object(value, kind), "values")]
        if kind == "kvlistValue":
            pairs = _objects(_object(value, kind), "values")
            return {_text(pair, "key"): _any_value(_object(pair, "value"), depth + 1) for pair in pairs}
        if kind == "bytesValue":
            return (
                base64.b64encode(content).decode("ascii")
                if isinstance(content, bytes)
                else _text(value, kind)
            )
    return None


def _double(content: Any) -> Any:
    if isinstance(content, str) and content in ("NaN", "Infinity", "-Infinity"):
        return content
    number = _float(content)
    # JSON has no word for these: they stay the text that OTLP/JSON uses.
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def parse_json_object(data: bytes) -> Dict[str, Any]:
    """The JSON object in ``data``; raises `MalformedBody` for anything else, ``NaN`` included."""
    try:
        request = json_text.parse(data.decode("utf-8"))
    except ValueError:
        raise MalformedBody("The body is not JSON.", "MALFORMED_JSON") from None
    if not isinstance(request, dict):
        raise MalformedBody("The body is not a JSON object.")
    return request


def _float(content: Any) -> float:
    if not isinstance(content, bool):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(content)
    raise MalformedBody("doubleValue is not a number.")


def _objects(holder: Mapping[str, Any], name: str) -> List[Mapping[str, Any]]:
    items = holder.get(name)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise MalformedBody(f"{name} is not a list of objects.")
    return items


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    item = holder.get(name)
    if item is None:
        return {}
    if not isinstance(item, dict):
        raise MalformedBody(f"{name} is not an object.")
    return item


def _text(holder: Mapping[str, Any], name: str) -> str:
    text = holder.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise MalformedBody(f"{name} is not a string.")
    return text


def _unsigned(holder: Mapping[str, Any], name: str) -> int:
    return _integer(name, holder.get(name) or 0, 0, (1 << 64) - 1)


def _integer(name: str, content: Any, lowest: int, highest: int) -> int:
    # 64-bit integers are strings in JSON, but the contract takes numbers too.
    is_whole = not isinstance(content, bool) and (not isinstance(content, float) or content.is_integer())
    try:
        number = int(content) if is_whole else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        raise MalformedBody(f"{name} is not an integer.")
    if not lowest <= number <= highest:
        raise MalformedBody(f"{name} is out of range.")
    return number


def _identifier(holder: Mapping[str, Any], name: str) -> Optional[str]:
    text = _text(holder, name).lower()
    if text.strip("0123456789abcdef"):
        raise MalformedBody(f"{name} is not hexadecimal.")
    return text if text.strip("0") else None
