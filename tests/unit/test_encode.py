"""What a hit looks like in OpenTelemetry's attributes (docs/telemetry.md)."""

from __future__ import annotations

import json
import math

import pytest
from tests.support.snapshots import logpoint, report, tracepoint

from otel_tracepoints.emission.encode import (
    MAX_HIT_BYTES,
    MAX_VARIABLES,
    body_text,
    event_name,
    hit_attributes,
    report_attributes,
    stack_text,
)
from otel_tracepoints.model import StackFrame, WatchValue

LIMIT = 2000


def test_every_attribute_of_a_tracepoint_is_there_under_its_name():
    """A tracepoint's event has exactly the attributes of the table, each with its documented value."""
    hit = tracepoint(
        tags=("a", "b"),
        condition="n > 1",
        hit_count=3,
        task_name="Task-1",
        arguments=("self", "*rest", "**more"),
        variables={"n": 2, "self": {"__tpd_type__": "shop.Cart", "items": [1]}},
        watches=[WatchValue("n + 1", 3), WatchValue("gone", "<UNKNOWN_NAME: gone>")],
        stack=[StackFrame("/srv/shop/cart.py", 42, "shop.cart.total"), StackFrame("/srv/app.py", 7, "app")],
        omitted=2,
        truncated=True,
    )
    assert hit_attributes(hit, LIMIT) == {
        "probe.id": "tp",
        "probe.type": "tracepoint",
        "probe.tags": ("a", "b"),
        "probe.condition": "n > 1",
        "probe.hit.count": 3,
        "code.file.path": "/srv/shop/cart.py",
        "code.line.number": 42,
        "code.function.name": "shop.cart.total",
        "code.stacktrace": '  File "/srv/app.py", line 7, in app\n'
        '  File "/srv/shop/cart.py", line 42, in shop.cart.total\n',
        "thread.id": 7,
        "thread.name": "worker-7",
        "asyncio.task.name": "Task-1",
        "probe.arguments": ("self", "*rest", "**more"),
        "probe.variable.n": "2",
        "probe.variable.self": '{"__tpd_type__": "shop.Cart", "items": [1]}',
        "probe.watch.0": "3",
        "probe.watch.0.expression": "n + 1",
        "probe.watch.1": '"<UNKNOWN_NAME: gone>"',
        "probe.watch.1.expression": "gone",
        "probe.variables.omitted": 2,
        "probe.truncated": True,
    }
    assert event_name(hit) == "probe.hit.snapshot"


def test_what_there_is_none_of_has_no_attribute():
    """Without tags, condition, task, stack, watches or cuts the attributes for them are absent."""
    assert set(hit_attributes(tracepoint(), LIMIT)) == {
        "probe.id", "probe.type", "probe.hit.count", "thread.id", "thread.name",
        "code.file.path", "code.line.number", "code.function.name",
    }  # fmt: skip


def test_a_logpoint_has_its_template_and_typed_fields():
    """Each field of a message keeps its type, so that a back end can filter on it."""
    hit = logpoint(template="{a} {b}", fields=["x", 1, 1.5, True, '{"k": 1}'])
    attributes = hit_attributes(hit, LIMIT)
    fields = [attributes[f"probe.field.{index}"] for index in range(5)]
    assert fields == ["x", 1, 1.5, True, '{"k": 1}']
    assert [type(field) for field in fields] == [str, int, float, bool, str]
    assert attributes["probe.message.template"] == "{a} {b}"
    assert "probe.message" not in attributes
    assert event_name(hit) == "probe.hit.logpoint"


def test_a_logpoint_as_a_span_event_carries_its_message():
    """A span event has no body, so the message becomes an attribute."""
    assert hit_attributes(logpoint(message="hello"), LIMIT, with_message=True)["probe.message"] == "hello"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, math.nan, math.inf, -math.inf])
def test_a_number_that_otlp_cannot_hold_becomes_text(value):
    """An int beyond 64 bits or a float that is not finite is sent as its text."""
    assert hit_attributes(logpoint(fields=[value]), LIMIT)["probe.field.0"] == str(value)


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1e308])
def test_the_largest_numbers_of_otlp_stay_numbers(value):
    """The ends of the 64-bit range are still numbers."""
    assert hit_attributes(logpoint(fields=[value]), LIMIT)["probe.field.0"] == value


def test_variables_beyond_ninety_are_counted():
    """At most 90 variables a hit; the rest is counted, on top of what capture left out."""
    hit = tracepoint(variables={f"v{index}": index for index in range(100)}, omitted=5)
    attributes = hit_attributes(hit, LIMIT)
    assert sum(name.startswith("probe.variable.") for name in attributes) == MAX_VARIABLES
    assert attributes["probe.variables.omitted"] == 15
    assert attributes["probe.truncated"] is True


def test_a_hit_has_at_most_32_kib():
    """Large variables stop at 32 KiB a hit; those left out are counted, smaller ones still go."""
    hit = tracepoint(variables={f"v{index}": "x" * 1900 for index in range(40)})
    hit.variables["small"] = 1
    attributes = hit_attributes(hit, LIMIT)
    total = sum(len(name) + len(str(value)) for name, value in attributes.items())
    kept = sum(name.startswith("probe.variable.v") for name in attributes)
    assert MAX_HIT_BYTES * 0.9 < total <= MAX_HIT_BYTES
    assert attributes["probe.variables.omitted"] == 40 - kept
    assert attributes["probe.variable.small"] == "1"


def test_a_hit_never_has_more_attributes_than_a_span_event_or_loki_takes():
    """With everything at its limit a hit stays below 128 attributes."""
    hit = tracepoint(
        variables={f"v{index}": index for index in range(200)},
        watches=[WatchValue("n", 1)] * 8,
        stack=[StackFrame("f", 1, "f")],
        arguments=("a",),
        tags=("t",),
        condition="c",
        task_name="t",
    )
    assert len(hit_attributes(hit, LIMIT)) < 128
    assert len(hit_attributes(logpoint(fields=[1] * 300), LIMIT)) < 128


def test_every_string_attribute_keeps_the_limit_in_bytes():
    """No attribute is longer than the limit in UTF-8, however it was filled."""
    hit = tracepoint(
        condition="ü" * 5000,
        task_name="é" * 5000,
        arguments=tuple(f"argument_{index}" for index in range(500)),
        variables={"v": ["日本" * 900] * 3},
        watches=[WatchValue("w" * 5000, {"k": "ß" * 5000})],
        stack=[StackFrame("/very/long/" * 5, index, "function") for index in range(200)],
        function="f" * 5000,
        file="/p" * 5000,
    )
    attributes = hit_attributes(hit, LIMIT)
    for name, value in attributes.items():
        texts = value if isinstance(value, tuple) else [value] if isinstance(value, str) else []
        assert sum(len(text.encode("utf-8")) for text in texts) <= LIMIT, name
    assert attributes["probe.truncated"] is True


def test_a_stack_loses_its_outermost_frames_first_and_whole():
    """A stack that is too long keeps the innermost frames, each as a whole line."""
    stack = [StackFrame("/srv/app.py", line, "f") for line in range(1, 200)]
    text, cut = stack_text(stack, 500)
    lines = text.splitlines()
    assert cut
    assert lines[-1] == '  File "/srv/app.py", line 1, in f'
    assert all(line.endswith(", in f") for line in lines)
    assert len(text) <= 500


def test_a_raised_limit_lets_one_attribute_be_larger_than_a_hit_usually_is():
    """DEBUGIN_MAX_ATTRIBUTE_BYTES above 32 KiB is kept: the user has a sink that takes it."""
    attributes = hit_attributes(tracepoint(variables={"v": "x" * 50_000}), 100_000)
    assert json.loads(attributes["probe.variable.v"]) == "x" * 50_000


def test_lone_surrogates_leave_as_valid_utf8():
    """A string that UTF-8 cannot hold is escaped wherever it stands: names, text and JSON."""
    hit = tracepoint(
        variables={"v\ud800": "a\udfff"}, condition="\ud800", thread_name="t\udc80", arguments=("\ud800",)
    )
    for name, value in hit_attributes(hit, LIMIT).items():
        for text in (name, *(value if isinstance(value, tuple) else [str(value)])):
            text.encode("utf-8")
    assert json.loads(hit_attributes(hit, LIMIT)["probe.variable.v\\ud800"]) == "a\udfff"
    assert body_text("x\ud800") == "x\\ud800"


def test_what_identifies_a_hit_comes_last():
    """An SDK with a lower limit drops the oldest attributes, so the identity is written last."""
    names = list(hit_attributes(tracepoint(variables={"v": 1}), LIMIT))
    assert names[0] == "probe.variable.v"
    assert names[-1] == "probe.id"


def test_encoding_changes_nothing_in_the_snapshot():
    """The snapshot is read by the hit log too, so encoding leaves it as it is."""
    hit = tracepoint(variables={"v": ["x" * 5000]})
    hit_attributes(hit, LIMIT)
    assert hit.variables == {"v": ["x" * 5000]}
    assert hit.truncated is False


def test_a_report_is_made_safe_too():
    """A report's attributes pass as they are where OTLP can hold them, else as text."""
    said = report(a=1, b="x\ud800", c=["p", "q"], d=2**70, e={"k": 1}, f=True)
    assert report_attributes(said, LIMIT) == {
        "a": 1, "b": "x\\ud800", "c": ("p", "q"), "d": str(2**70), "e": '{"k": 1}', "f": True,
    }  # fmt: skip
