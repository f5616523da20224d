"""OTLP bytes → signals: both encodings give the same, and nothing but `MalformedBody` for the rest."""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_tracepoints.sink.otlp import read_export
from otel_tracepoints.sink.transcode import protobuf_of_json
from otel_tracepoints.sink.wire import MalformedBody

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def every(name: str) -> bool:
    return True


def attribute(key: str, **value: Any) -> Dict[str, Any]:
    return {"key": key, "value": value}


def traces(**event: Any) -> bytes:
    event = {"timeUnixNano": "1700000000123456789", "name": "probe.hit.snapshot", **event}
    span = {"traceId": TRACE, "spanId": SPAN, "name": "GET /", "kind": 2, "events": [event]}
    scope = {"scope": {"name": "otel_tracepoints", "version": "1.2"}, "spans": [span]}
    resource = {"attributes": [attribute("service.name", stringValue="shop")]}
    return json.dumps(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [scope], "schemaUrl": "x"}]}
    ).encode()


def logs(**record: Any) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


VALUES = [
    attribute("s", stringValue="ü\u20ac"),
    attribute("i", intValue="-9223372036854775808"),
    attribute("b", boolValue=True),
    attribute("d", doubleValue=0.25),
    attribute("a", arrayValue={"values": [{"stringValue": "x"}, {"intValue": "3"}, {}]}),
    attribute("m", kvlistValue={"values": [attribute("k", boolValue=False)]}),
    attribute("y", bytesValue="AAEC"),
    attribute("n"),
]


def test_json_and_protobuf_are_read_alike() -> None:
    """The same request gives the same signals in both encodings, values of every type included."""
    body = traces(attributes=VALUES)
    read = read_export("traces", body, True, every)
    assert read == read_export("traces", protobuf_of_json("traces", body), False, every)
    (signal,) = read.signals
    assert (read.spans, read.logs) == (1, 0)
    assert signal.attributes == {
        "s": "ü\u20ac",
        "i": -(1 << 63),
        "b": True,
        "d": 0.25,
        "a": ["x", 3, None],
        "m": {"k": False},
        "y": "AAEC",
        "n": None,
    }
    assert (signal.trace_id, signal.span_id, signal.time_unix_nano) == (TRACE, SPAN, 1700000000123456789)
    assert (signal.resource, signal.agent_version) == ({"service.name": "shop"}, "1.2")


@pytest.mark.parametrize(
    "record",
    [
        {"eventName": "probe.hit.logpoint"},
        {"attributes": [attribute("event.name", stringValue="probe.hit.logpoint")]},
    ],
)
def test_a_records_name_is_its_event_name_or_the_older_attribute(record: Dict[str, Any]) -> None:
    """Agents on OpenTelemetry before 1.35 name their records by the attribute ``event.name``."""
    body = logs(body={"stringValue": "hi"}, observedTimeUnixNano="5", **record)
    (signal,) = read_export("logs", body, True, every).signals
    assert (signal.name, signal.body, signal.time_unix_nano) == ("probe.hit.logpoint", "hi", 5)
    assert (signal.trace_id, signal.span_id) == (None, None)


def test_an_event_name_in_protobuf_is_read_whatever_the_installed_classes_know() -> None:
    """Field 12 of a record is its name, also where opentelemetry-proto is too old to say so."""
    record = bytes((12 << 3 | 2, 3)) + b"abc"
    for field in (2, 2, 1):  # LogRecord in ScopeLogs in ResourceLogs in the request
        record = bytes((field << 3 | 2, len(record))) + record
    (signal,) = read_export("logs", record, False, every).signals
    assert signal.name == "abc"


def test_only_wanted_names_are_kept_and_everything_is_counted() -> None:
    """Records that are no events count as logs and are not kept."""
    read = read_export("logs", logs(eventName="probe.audit"), True, lambda name: name != "probe.audit")
    assert (read.logs, read.signals) == (1, [])


def test_metrics_are_accepted_and_forgotten() -> None:
    """A metrics request must be one, and leaves nothing behind."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add().name = "m"
    assert read_export("metrics", request.SerializeToString(), False, every) == (0, 0, [])
    with pytest.raises(MalformedBody):
        read_export("metrics", b'{"resourceMetrics": 1}', True, every)


def test_empty_protobuf_is_an_empty_request() -> None:
    """Exporters may send a request without records; no byte is its encoding."""
    assert read_export("traces", b"", False, every) == (0, 0, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"x"',
        b"\xff",
        b'{"resourceSpans": {}}',
        b'{"resourceSpans": [1]}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        traces(timeUnixNano="soon"),
        traces(timeUnixNano=-1),
        traces(name=1),
        traces(timeUnixNano=str(1 << 64)),
        traces(attributes=[attribute("x", intValue="1.5")]),
        traces(attributes=[attribute("x", doubleValue="x")]),
        traces(attributes=[attribute("x", stringValue=1)]),
        traces().replace(TRACE.encode(), b"CvdlGRbNQ92ESOshHIAxnA=="),
        b"[" * 100_000,
    ],
)
def test_wrong_json_is_malformed(body: bytes) -> None:
    """Whatever is not an OTLP/JSON request is refused as such: ids in base64 and ``NaN`` too."""
    with pytest.raises(MalformedBody):
        read_export("traces", body, True, every)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x08",
        b"\xff" * 12,
        b"\x00",
        b"\x0b",
        b"\x09\x00",
        b"\x0d\x00",
        b"\x0a\x04\x12\x02\x0a\x05",
        b"\x0a\x0b\x12\x09\x12\x07\x5a\x05\x12\x03\xff\xfe\xfd",  # a name that is not UTF-8
    ],
)
def test_wrong_protobuf_is_malformed(body: bytes) -> None:
    """Bytes that end early, unknown wire types and strings that are no UTF-8 are refused."""
    with pytest.raises(MalformedBody):
        read_export("traces", body, False, every)


def test_nesting_is_bounded_in_both_encodings() -> None:
    """A value nested a thousand deep is refused, not followed."""
    value: Dict[str, Any] = {"stringValue": "x"}
    wire = b""
    for _ in range(150):
        value = {"arrayValue": {"values": [value]}}
    for _ in range(1000):
        for field in (1, 5):
            wire = bytes((field << 3 | 2,)) + varint(len(wire)) + wire
    with pytest.raises(MalformedBody):
        read_export("traces", traces(attributes=[attribute("x", **value)]), True, every)
    for field in (2, 3, 11, 2, 2, 1):
        wire = bytes((field << 3 | 2,)) + varint(len(wire)) + wire
    with pytest.raises(MalformedBody):
        read_export("traces", wire, False, every)


def test_not_a_number_keeps_its_name() -> None:
    """JSON has no nan and inf, so they become OTLP/JSON's words for them, from both encodings."""
    request = ExportTraceServiceRequest()
    event = request.resource_spans.add().scope_spans.add().spans.add().events.add()
    for key, number in (("n", float("nan")), ("p", float("inf")), ("m", float("-inf"))):
        pair = event.attributes.add()
        pair.key, pair.value.double_value = key, number
    (signal,) = read_export("traces", request.SerializeToString(), False, every).signals
    assert signal.attributes == {"n": "NaN", "p": "Infinity", "m": "-Infinity"}


def varint(number: int) -> bytes:
    out: List[int] = []
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        TEXT,
        st.one_of(
            TEXT,
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.booleans(),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=5,
    ),
    TEXT,
    st.integers(0, (1 << 64) - 1),
)
def test_protobuf_is_read_as_the_official_classes_wrote_it(
    attributes: Dict[str, Any], text: str, moment: int
) -> None:
    """Whatever a record holds is read back unchanged."""
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(time_unix_nano=moment, trace_id=b"\x01" * 16)
    )
    record.body.string_value = text
    name = record.attributes.add()
    name.key, name.value.string_value = "event.name", "e"
    for key, value in attributes.items():
        pair = record.attributes.add()
        pair.key = key
        field = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[
            type(value)
        ]
        setattr(pair.value, field, value)
    (signal,) = read_export("logs", request.SerializeToString(), False, every).signals
    assert signal.attributes == {"event.name": "e", **attributes}
    assert (signal.body, signal.time_unix_nano, signal.trace_id) == (text, moment, "01" * 16)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["traces", "logs", "metrics"]), st.booleans())
def test_any_bytes_are_read_or_malformed(data: bytes, signal: str, is_json: bool) -> None:
    """No bytes raise anything but `MalformedBody`."""
    try:
        read_export(signal, data, is_json, every)
    except MalformedBody:
        pass


def test_fixed_and_double_are_little_endian() -> None:
    """A sanity check against the format's definition, not against the library."""
    value = b"\x21" + struct.pack("<d", 1.5)
    pair = b"\x0a\x01k\x12" + bytes((len(value),)) + value
    event = b"\x09" + struct.pack("<Q", 7) + b"\x1a" + bytes((len(pair),)) + pair
    for field in (11, 2, 2, 1):
        event = bytes((field << 3 | 2, len(event))) + event
    (signal,) = read_export("traces", event, False, every).signals
    assert (signal.time_unix_nano, signal.attributes) == (7, {"k": 1.5})
