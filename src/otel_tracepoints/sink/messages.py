"""OTLP's messages in protobuf, as far as the sink reads them: field numbers, names and kinds."""

from __future__ import annotations

from otel_tracepoints.sink.wire import Field, Message

_ANY_VALUE = Message()
_KEY_VALUE = Message({1: Field("key", "string"), 2: Field("value", "message", _ANY_VALUE)})
_ANY_VALUE.fields.update(
    {
        1: Field("stringValue", "string"),
        2: Field("boolValue", "bool"),
        3: Field("intValue", "int64"),
        4: Field("doubleValue", "double"),
        5: Field(
            "arrayValue", "message", Message({1: Field("values", "message", _ANY_VALUE, repeated=True)})
        ),
        6: Field(
            "kvlistValue", "message", Message({1: Field("values", "message", _KEY_VALUE, repeated=True)})
        ),
        7: Field("bytesValue", "bytes"),
    }
)


def _attributes_field() -> Field:
    return Field("attributes", "message", _KEY_VALUE, repeated=True)


_RESOURCE = Message({1: _attributes_field()})
_SCOPE = Message({1: Field("name", "string"), 2: Field("version", "string")})
_SPAN_EVENT = Message(
    {1: Field("timeUnixNano", "fixed64"), 2: Field("name", "string"), 3: _attributes_field()}
)
_SPAN = Message(
    {
        1: Field("traceId", "hex"),
        2: Field("spanId", "hex"),
        11: Field("events", "message", _SPAN_EVENT, repeated=True),
    }
)
_LOG_RECORD = Message(
    {
        1: Field("timeUnixNano", "fixed64"),
        2: Field("severityNumber", "uint"),
        5: Field("body", "message", _ANY_VALUE),
        6: _attributes_field(),
        9: Field("traceId", "hex"),
        10: Field("spanId", "hex"),
        11: Field("observedTimeUnixNano", "fixed64"),
        12: Field("eventName", "string"),
    }
)


def _request(resources: str, scopes: str, records: str, record: Message) -> Message:
    scope = Message(
        {1: Field("scope", "message", _SCOPE), 2: Field(records, "message", record, repeated=True)}
    )
    resource = Message(
        {1: Field("resource", "message", _RESOURCE), 2: Field(scopes, "message", scope, repeated=True)}
    )
    return Message({1: Field(resources, "message", resource, repeated=True)})


#: The request of each signal.
REQUESTS = {
    "traces": _request("resourceSpans", "scopeSpans", "spans", _SPAN),
    "logs": _request("resourceLogs", "scopeLogs", "logRecords", _LOG_RECORD),
    "metrics": Message({1: Field("resourceMetrics", "message", Message(), repeated=True)}),
}
