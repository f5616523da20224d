"""Signals → events in the DebugIn envelope."""

from __future__ import annotations

import json
from typing import Any, Dict

import pytest

from otel_tracepoints.sink import json_text
from otel_tracepoints.sink.envelope import events_of, is_event
from otel_tracepoints.sink.event import Event, format_timestamp, parse_timestamp
from otel_tracepoints.sink.function_name import split_function_name
from otel_tracepoints.sink.otlp import Signal

RESOURCE = {
    "host.name": "box",
    "service.name": "shop",
    "service.instance.id": "i-1",
    "telemetry.sdk.language": "python",
    "process.runtime.name": "cpython",
    "process.runtime.version": "3.11.7",
}
PLACE = {
    "probe.id": "p1",
    "probe.type": "tracepoint",
    "code.file.path": "/srv/shop/cart.py",
    "code.line.number": 12,
    "code.function.name": "shop.cart.Cart.add",
}
STACK = (
    'Traceback (most recent call last):\n  File "/srv/shop/app.py", line 3, in main\n    cart.add(1)\n'
    '  File "/srv/shop/cart.py", line 12, in add\n    total += 1\n'
)


def event_of(name: str, attributes: Dict[str, Any], **changes: Any) -> Event:
    signal = Signal(name, 1_700_000_000_123_456_789, attributes, None, "aa" * 16, "bb" * 8, RESOURCE, "1.0")
    (event,) = events_of([signal._replace(**changes)])
    return event


def test_a_snapshot_becomes_the_envelope_of_the_contract() -> None:
    """Every field of the envelope and of a snapshot's payload, and no other."""
    attributes = {
        **PLACE,
        "probe.tags": ["a", "b"],
        "probe.condition": "n > 1",
        "probe.hit.count": 7,
        "probe.arguments": ["self", "n", "rest"],
        "probe.variable.n": "2",
        "probe.variable.self": '{"__tpd_type__": "shop.cart.Cart"}',
        "probe.variable.rest": "[1]",
        "probe.variable.total": '"x"',
        "code.stacktrace": STACK,
    }
    envelope = event_of("probe.hit.snapshot", attributes).envelope()
    identifier = envelope.pop("id")
    assert len(identifier) == 36
    assert envelope == {
        "name": "probe.hit.snapshot",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "client": {
            "hostname": "box",
            "applicationName": "shop",
            "applicationInstanceId": "i-1",
            "agentVersion": "1.0",
            "runtime": "python",
            "runtimeVersion": "3.11.7",
        },
        "payload": {
            "probeId": "p1",
            "probeType": "tracepoint",
            "file": "/srv/shop/cart.py",
            "line": 12,
            "method": "add",
            "className": "Cart",
            "condition": "n > 1",
            "snapshot": {
                "locals": {"total": "x"},
                "arguments": {"self": {"__tpd_type__": "shop.cart.Cart"}, "n": 2, "rest": [1]},
            },
            "stack": [
                {"file": "/srv/shop/cart.py", "line": 12, "method": "add"},
                {"file": "/srv/shop/app.py", "line": 3, "method": "main"},
            ],
            "hitCount": 7,
            "tags": ["a", "b"],
            "traceId": "aa" * 16,
            "spanId": "bb" * 8,
        },
    }


def test_a_logpoint_becomes_the_same_without_snapshot_and_with_its_message() -> None:
    """Message, template and the typed fields, in order."""
    attributes = {
        **PLACE,
        "probe.message.template": "n={n}",
        **{f"probe.field.{n}": n * n for n in range(11)},
    }
    payload = event_of("probe.hit.logpoint", attributes, body="n=1").payload
    assert list(payload) == [
        "probeId",
        "probeType",
        "file",
        "line",
        "method",
        "className",
        "condition",
        "message",
        "messageTemplate",
        "fields",
        "stack",
        "hitCount",
        "tags",
        "traceId",
        "spanId",
    ]
    assert (payload["message"], payload["messageTemplate"]) == ("n=1", "n={n}")
    assert payload["fields"] == [n * n for n in range(11)]
    assert (payload["stack"], payload["tags"], payload["condition"], payload["hitCount"]) == (
        [],
        [],
        None,
        None,
    )


def test_a_logpoint_on_a_span_has_its_message_from_the_attribute() -> None:
    """A sink without logs gets logpoints as span events, which have no body."""
    assert event_of("probe.hit.logpoint", {**PLACE, "probe.message": "hi"}).payload["message"] == "hi"


def test_errors_and_rate_limits() -> None:
    """An error says what and of which kind; a rate limit also how much and how many."""
    failed = {**PLACE, "exception.type": "UNKNOWN_NAME", "exception.message": "no x"}
    expected = {
        "probeId": "p1",
        "probeType": "tracepoint",
        "file": "/srv/shop/cart.py",
        "line": 12,
        "error": "no x",
        "errorType": "UNKNOWN_NAME",
    }
    assert event_of("probe.error.condition", failed, body="failed").payload == expected
    assert event_of("probe.error.snapshot", failed, body="failed").payload == expected
    limited = {**failed, "probe.dropped.count": 4, "probe.rate_limit": 10.0}
    assert event_of("probe.error.rateLimit", limited, body="4 dropped").payload == {
        **expected,
        "limit": 10.0,
        "droppedCount": 4,
        "message": "4 dropped",
    }


def test_status_events() -> None:
    """Start and stop of an agent."""
    started = {"probe.engine": "pytrace", "probe.agent.features": ["conditions", "logpoints"]}
    assert event_of("agent.status.started", started, body="up").payload == {
        "message": "up",
        "engine": "pytrace",
        "features": ["conditions", "logpoints"],
    }
    stopped = {"probe.agent.uptime": 1.5, "probe.agent.probes": 2, "probe.agent.events": 3}
    assert event_of("agent.status.stopped", stopped, body="down").payload == {
        "message": "down",
        "uptime": 1.5,
        "totalProbes": 2,
        "totalEvents": 3,
    }


def test_an_audit_record_is_no_event() -> None:
    """The envelope has seven event types, and a change through the API is none of them."""
    assert is_event("agent.status.stopped")
    assert not is_event("probe.audit")


def test_watches_and_cuts_are_added_only_where_there_are_some() -> None:
    """What the envelope has no word for comes beside it: watches by number, and that something was cut."""
    attributes = {
        "probe.watch.10": "3",
        "probe.watch.10.expression": "c",
        "probe.watch.2": '"x"',
        "probe.watch.2.expression": "b",
        "probe.truncated": True,
    }
    payload = event_of("probe.hit.snapshot", {**PLACE, **attributes}).payload
    assert payload["watches"] == [{"expression": "b", "value": "x"}, {"expression": "c", "value": 3}]
    assert payload["truncated"] is True


def test_ids_come_from_the_data() -> None:
    """A repeated delivery has the same ids; another time, trace, value or twin another one."""
    signal = Signal("probe.hit.snapshot", 1, dict(PLACE), None, "aa" * 16, "bb" * 8, RESOURCE, None)
    first, twin = events_of([signal, signal])
    assert [first.id, twin.id] == [event.id for event in events_of([signal, signal])]
    others = [
        signal._replace(time_unix_nano=2),
        signal._replace(trace_id="cc" * 16),
        signal._replace(attributes={}),
    ]
    assert len({first.id, twin.id, *(event.id for event in events_of(others))}) == 5


@pytest.mark.parametrize("text", ["{", "NaN", "1e999", "[" * 70 + "]" * 70, "[" * 5000, ""])
def test_a_value_that_is_no_json_stays_text(text: str) -> None:
    """Whatever a stranger puts into a variable, the envelope can be written as JSON."""
    payload = event_of("probe.hit.snapshot", {"probe.variable.x": text}).payload
    assert payload["snapshot"]["locals"] == {"x": text}
    assert json.loads(json_text.dump(payload))["snapshot"]["locals"] == {"x": text}


def test_hostile_attributes_do_no_harm() -> None:
    """Wrong types and absurd numbers end as data, not as an exception or a huge list."""
    attributes = {
        "probe.arguments": "x",
        "probe.tags": 3,
        "code.function.name": 5,
        "code.file.path": ["a"],
        "code.stacktrace": 7,
        "probe.field.99999999": 1,
        "probe.field.x": 1,
        "probe.field.\u0663": 1,
        "probe.watch.": 1,
    }
    payload = event_of("probe.hit.snapshot", attributes).payload
    assert (payload["tags"], payload["method"], payload["stack"]) == ([], None, [])
    assert event_of("probe.hit.logpoint", attributes).payload["fields"] == []


@pytest.mark.parametrize(
    ("function", "file", "expected"),
    [
        ("shop.cart.Cart.add", "/srv/shop/cart.py", ("Cart", "add")),
        ("shop.cart.cart.add", "/srv/shop/cart.py", ("cart", "add")),
        ("shop.Outer.Inner.m", "/srv/shop/__init__.py", ("Outer.Inner", "m")),
        ("shop.cart.add", "/srv/shop/cart.py", (None, "add")),
        ("shop.cart", "/srv/shop/cart.py", (None, "<module>")),
        ("shop.cart.add.<locals>.inner", "/srv/shop/cart.py", (None, "inner")),
        ("shop.cart.Cart.add.<locals>.<lambda>", "/srv/shop/cart.py", (None, "<lambda>")),
        ("shop.cart.make.<locals>.Local.m", "/srv/shop/cart.py", ("Local", "m")),
        ("__main__.Cart.add", "/srv/run.py", ("Cart", "add")),
        ("__main__", "/srv/run.py", (None, "<module>")),
        ("app.main", "C:\\srv\\app.py", (None, "main")),
        ("zipped.mod.Cls.f", "/srv/a.zip/zipped/mod.py", ("Cls", "f")),
        ("moved.mod.Cls.f", "/elsewhere/x.py", ("Cls", "f")),
        ("moved.mod.f", "/elsewhere/x.py", (None, "f")),
        ("moved.mod.f.<locals>.g", "", (None, "g")),
        ("", "/srv/a.py", (None, None)),
    ],
)
def test_function_names_come_apart(function: str, file: str, expected: Any) -> None:
    """The file says where the module ends, the rest is classes and the method."""
    assert split_function_name(function, file) == expected


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:00.0019+01:00", 1),
        ("2016-12-31T23:59:60.5Z", 1483228800500),
        ("yesterday", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-01T00:00:00", None),
        ("2026-01-01 00:00:00Z", None),
        ("2026-01-01T00:00:00+25:00", None),
        ("", None),
    ],
)
def test_timestamps_are_rfc_3339(text: str, milliseconds: Any) -> None:
    """Any offset is read, fractions are cut to milliseconds, anything else is no timestamp."""
    assert parse_timestamp(text) == milliseconds
    if milliseconds is not None:
        assert parse_timestamp(format_timestamp(milliseconds)) == milliseconds
