"""Logpoint messages: how a template's fields print (docs/expressions.md)."""

from __future__ import annotations

import datetime  # noqa: ICN001 - named in full, like its types in the answers
import decimal
import enum
import fractions
import math
import pathlib
import sys
import uuid
from typing import Any, List

import pytest
from tests.support import hostile
from tests.support.captures import POLICY, Clock

from otel_tracepoints.capture.fields import print_field
from otel_tracepoints.capture.message import MESSAGE_LIMIT, MessageRenderer
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import parse_template
from otel_tracepoints.model import ProbeType, Snapshot
from otel_tracepoints.semconv import REDACTED

CARD = "4111 1111 1111 1111"


class Colour(enum.Enum):
    RED = 1


class Order:
    def __init__(self) -> None:
        self.number = 7

    def __format__(self, spec: str) -> str:
        raise AssertionError("the application's __format__ ran")

    __str__ = __repr__ = __format__  # type: ignore[assignment]


def render(
    template: str, value: Any = None, policy: RedactionPolicy = POLICY, callback: Any = None, **more: Any
) -> Snapshot:
    """The snapshot of a logpoint whose frame has ``value`` and, under their names, some others."""
    password = "hunter2"
    frame = sys._getframe()
    parsed = parse_template(template, policy.is_sensitive)
    snapshot = Snapshot("probe-1", ProbeType.LOGPOINT, "/srv/app/here.py", 42, "here.f")
    MessageRenderer(policy, None, callback, "probe-1").render(
        frame, parsed, snapshot, more.get("clock") or Clock()
    )
    assert password
    return snapshot


@pytest.mark.parametrize(
    ("template", "value", "text", "field"),
    [
        ("{value}", "text", "text", "text"),
        ("{value}", 5, "5", 5),
        ("{value}", 1.5, "1.5", 1.5),
        ("{value}", True, "True", True),
        ("{value}", None, "None", "null"),
        ("{value}", [1, "a", None], '[1, "a", null]', '[1, "a", null]'),
        ("{value}", {"é": 1}, '{"é": 1}', '{"é": 1}'),
        ("{value}", decimal.Decimal("1.50"), "1.50", "1.50"),
        ("{value}", fractions.Fraction(1, 3), "1/3", "1/3"),
        ("{value}", datetime.date(2026, 11, 20), "2026-11-20", "2026-11-20"),
        ("{value}", uuid.UUID(int=1), str(uuid.UUID(int=1)), str(uuid.UUID(int=1))),
        ("{value}", pathlib.PurePosixPath("/a/b"), "/a/b", "/a/b"),
        ("{value}", Colour.RED, "Colour.RED", "Colour.RED"),
        ("{value}", Order(), f'{{"__tpd_type__": "{__name__}.Order", "number": 7}}', None),
        ("{value}", ValueError("boom"), '{"__tpd_type__": "ValueError", "message": "boom"}', None),
        ("{value}", 1 << 70, str(1 << 70), str(1 << 70)),
        ("{value}", 1 << 300, '{"__tpd_type__": "int", "__tpd_bits__": 301}', None),
        ("{value}", float("nan"), "nan", "nan"),
        ("{value}", float("inf"), "inf", "inf"),
        ("{value}", b"abc", "b'abc'", "b'abc'"),
        ("{value:.2f}", 1.5, "1.50", 1.5),
        ("{value:>6}", "abc", "   abc", "abc"),
        ("{value:05d}", 42, "00042", 42),
        ("{value:,}", 1234567, "1,234,567", 1234567),
        ("{value:.2f}", decimal.Decimal("1.555"), "1.56", "1.555"),
        ("{value:%Y/%m}", datetime.datetime(2026, 11, 20), "2026/11", "2026-11-20T00:00:00"),
        ("{value!s}", datetime.datetime(2026, 11, 20), "2026-11-20 00:00:00", "2026-11-20T00:00:00"),
        ("{value!r}", "a'b", repr("a'b"), "a'b"),
        ("{value!r}", None, "None", "null"),
        ("{value!a:>6}", None, "  None", "null"),
        ("{value!a}", "é", "'\\xe9'", "é"),
        ("{value!s:>6}", 5, "     5", 5),
        ("{value!r}", decimal.Decimal("1.5"), "Decimal('1.5')", "1.5"),
        ("{{{value}}}", 5, "{5}", 5),
    ],
)
def test_printing(template: str, value: Any, text: str, field: Any) -> None:
    """Text and typed field of each kind of value, with and without conversion and format spec."""
    snapshot = render(template, value)
    assert snapshot.message == text
    assert snapshot.fields == [text if field is None else field]
    assert type(snapshot.fields[0]) in (str, int, float, bool)
    assert not isinstance(snapshot.fields[0], float) or math.isfinite(snapshot.fields[0])


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{value:d}", "text"),
        ("{value:>5}", [1]),
        ("{value:>5}", None),
        ("{value:.2f}", Order()),
        ("{value:q}", 5),
    ],
)
def test_spec_that_does_not_fit(template: str, value: Any) -> None:
    """A format spec that does not fit is TYPE_MISMATCH, in the message and in the field."""
    snapshot = render(f"a {template} b", value)
    assert snapshot.message is not None
    assert snapshot.message.startswith("a <TYPE_MISMATCH: ")
    assert snapshot.message == f"a {snapshot.fields[0]} b"


@pytest.mark.parametrize(
    ("value", "spec"), [("x", ">99999999"), (1.5, ".99999999f"), (decimal.Decimal("1E+999999"), "f")]
)
def test_spec_that_would_explode(value: Any, spec: str) -> None:
    """A result that would be large whatever the value is not made (the parser refuses most of these)."""
    with pytest.raises(EvaluationError) as caught:
        print_field(value, None, spec, POLICY, Clock())
    assert caught.value.code == "BUDGET"


def test_failed_field() -> None:
    """A field that fails reads as its code and text; the others are rendered."""
    snapshot = render("{missing} {value}", 5)
    assert snapshot.message is not None
    assert snapshot.message.startswith("<UNKNOWN_NAME: ")
    assert snapshot.message.endswith("> 5")
    assert snapshot.fields[1] == 5


@pytest.mark.parametrize(
    "template", ["{password}", "{password:>50}", "{password!r}", "{password[0:3]}", "{password.upper()}"]
)
def test_sensitive_field(template: str) -> None:
    """A sensitive name, or what is derived from it, is redacted whatever the spec."""
    snapshot = render(template)
    assert snapshot.message == REDACTED
    assert snapshot.fields == [REDACTED]


@pytest.mark.parametrize("template", ["{value}", "{value!r}", "{value:>60}", "{value:.10}"])
@pytest.mark.parametrize("secret", ["AKIAIOSFODNN7EXAMPLE", CARD, "postgres://u:hunter2@db/x"])
def test_secret_value(template: str, secret: str) -> None:
    """A secret is found before a spec takes it apart."""
    snapshot = render(template, secret)
    assert snapshot.message == snapshot.fields[0]
    assert REDACTED in str(snapshot.message)
    assert "hunter2" not in str(snapshot.message)


def test_secret_of_parts() -> None:
    """A secret that comes about only when the parts are joined is redacted, too."""
    assert render("Authorization: {value}", "hunter2").message == f"Authorization: {REDACTED}"
    assert render("password={value}", "hunter2").message == f"password={REDACTED}"


def test_number_of_a_card() -> None:
    """A card number that is an int is redacted, a number that is none is not."""
    assert render("{value}", 4111111111111111).fields == [REDACTED]
    assert render("{value}", 4111111111111112).fields == [4111111111111112]


def test_long() -> None:
    """A message is at most 8 KiB, and says that it was cut."""
    snapshot = render("{value}{value}", "ab " * 5000)
    assert len(str(snapshot.message)) == MESSAGE_LIMIT
    assert snapshot.truncated is True
    assert render("{value}", "short").truncated is False


def test_time_is_up() -> None:
    """From the third field on the clock is asked, and a field without time says so."""
    snapshot = render("{value} {value} {value}", 5, clock=Clock(0))
    assert snapshot.fields[:2] == [5, 5]
    assert str(snapshot.fields[2]).startswith("<BUDGET: ")
    assert snapshot.truncated is True


def test_hostile_values() -> None:
    """No value's own __format__, __str__ or __repr__ runs."""
    values: List[Any] = [
        hostile.plant(hostile.make(hostile.Hostile), stored=1),
        hostile.make(hostile.HostileStr, "text"),
        hostile.make(hostile.HostileInt, 5),
        hostile.make(hostile.HostileList, [1]),
        hostile.make(hostile.HostileException, "boom"),
    ]
    texts = []
    with hostile.untouched():
        for value in values:
            for template in ("{value}", "{value!r}", "{value!s:>3}"):
                texts.append(render(template, value).message)
    assert texts[3] == "text"
    assert texts[6] == "5"
    assert texts[9] == "[1]"


class TestCallback:
    """log_data_redaction_callback."""

    def test_message_and_fields(self) -> None:
        """It gets the message and each field as text, with the probe's id; an untouched number stays one."""
        calls: List[Any] = []

        def callback(message: str, probe_id: str) -> str:
            calls.append((message, probe_id))
            return message.replace("bob", "***")

        snapshot = render("{value} is {1 + 1}", "bob", callback=callback)
        assert snapshot.message == "*** is 2"
        assert snapshot.fields == ["***", 2]
        assert sorted(calls) == [("2", "probe-1"), ("bob", "probe-1"), ("bob is 2", "probe-1")]

    @pytest.mark.parametrize(
        "callback", [lambda message: None, lambda message: 1 / 0, lambda: "x", lambda message: "\udc80"]
    )
    def test_useless(self, callback: Any) -> None:
        """One that raises, or hands back no text, redacts the message."""
        snapshot = render("{value}", "bob", callback=callback)
        assert snapshot.message == REDACTED
        assert snapshot.fields == [REDACTED]
