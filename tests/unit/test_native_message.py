"""Compiled messages beside those of Python: the same text and fields, or none."""

from __future__ import annotations

import gc
import os
import sys
from types import FrameType
from typing import Any, Dict, List

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otel_tracepoints.capture.message import MessageRenderer, compiled_parts
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.expression import parse_template
from otel_tracepoints.limits import PauseClock
from otel_tracepoints.model import ProbeType, Snapshot

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")

EXAMPLES = int(os.environ.get("TRACEPOINTS_EXAMPLES", "300"))
POLICY = RedactionPolicy.build((), (), ())


class Customer:
    def __init__(self, name: Any) -> None:
        self.name = name
        self.password = "hunter2"


def frame_of(a: Any, b: Any, text: Any) -> FrameType:
    customer = Customer(text)
    items = [a, b]
    assert customer and items is not None
    return sys._getframe()


def python(message: str, frame: FrameType, policy: RedactionPolicy = POLICY) -> Snapshot:
    snapshot = Snapshot("p", ProbeType.LOGPOINT, "f.py", 1, "f")
    template = parse_template(message, policy.is_sensitive)
    MessageRenderer(policy).render(frame, template, snapshot, PauseClock(0))
    return snapshot


def compiled(message: str, frame: FrameType, policy: RedactionPolicy = POLICY) -> Any:
    """(message, fields), None where it was left to Python."""
    parts = compiled_parts(parse_template(message, policy.is_sensitive), policy)
    if parts is None:
        return None
    try:
        return native.Message(parts, policy).render(frame)
    except ValueError:
        return None


def agree(message: str, frame: FrameType, policy: RedactionPolicy = POLICY) -> bool:
    """Whether the compiled one said something; it must be what Python says."""
    expected = python(message, frame, policy)
    said = compiled(message, frame, policy)
    if said is None:
        return False
    text, fields = said
    assert text == expected.message and fields == expected.fields
    assert list(map(type, fields)) == list(map(type, expected.fields))
    assert not expected.truncated and expected.failure is None
    return True


PIECES = st.sampled_from(
    [
        "qty=",
        " total: ",
        "password=",
        "token: ",
        "a b",
        "{a}",
        "{b}",
        "{text}",
        "{text[1:]}",
        "{text.lower()}",
        "{a / 2}",
        "{-b}",
        "{max(a, b)}",
        "{locals.a}",
        "{args[0]}",
        "{len(args)}",
        "{any(items)}",
        "{customer.name}",
        "{items[0]}",
        "{len(items)}",
        "{customer.password}",
        "{a > 1}",
        "{items}",
        "{nothing}",
        "{a!r}",
        "{b:>4}",
        "://",
        "Bearer ",
        "key",
        " api key=",
        "%3D",
        "=",
        ":",
        "é",
        "4111",
    ]
)
SECRETS = [
    "eyJhbGciOi.J9abcdefghij",
    "4111 1111 1111 1111",
    "4111111111111111",
    "AKIAIOSFODNN7EXAMPLE",
    "token=abcdefgh",
    "Cookie: a=b",
    "password: x",
    "x-cookie: v",
    "ghp_0123456789abcdefABCD",
    "https://u:p@host/",
    "12:30:45",
    "a.b-c=1",
    "naïve=1",
    "key=1",
    "my key=1",
    '"secret"=1',
    "n=1",
]
TEXTS = st.one_of(st.sampled_from(SECRETS), st.text(max_size=30), st.text("ab_.-=: 'key4%3x", max_size=20))
VALUES = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    TEXTS,
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=3),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.one_of(PIECES, TEXTS.map(lambda t: t.replace("{", "{{").replace("}", "}}"))), max_size=6),
    VALUES,
    VALUES,
    TEXTS,
)
@example(["qty=", "{a}", " total: ", "{b}"], 1, 2.5, "x")
def test_both_render_the_same(pieces: List[str], a: Any, b: Any, text: str) -> None:
    """Whatever the literals, the fields and the values are; or the compiled one leaves it to Python."""
    agree("".join(pieces), frame_of(a, b, text))


@settings(max_examples=EXAMPLES, deadline=None)
@given(TEXTS, TEXTS)
def test_what_stands_together_is_looked_at_together(a: str, b: str) -> None:
    """A secret may be put together from two fields."""
    agree("{a}{b}", frame_of(a, b, ""))


@pytest.mark.parametrize(
    "message",
    [
        "here",
        "qty={a} total={b}",
        "{customer.name}: {a}",
        "{text}",
        "{a}",
        "{None}",
        "{a > 1} {b}",
        "at 12:30 {text}",
        "{items[0]} of {len(items)}",
    ],
)
def test_plain_messages_are_not_left_to_python(message: str) -> None:
    """So that the fast way cannot vanish unseen: the second time, when the names in it are known."""
    frame = frame_of(7, 2.5, "some text")
    python(message, frame)
    assert agree(message, frame)


@pytest.mark.parametrize(
    "message",
    [
        "{customer.password}",
        "{args[0]}",
        "{len(args)}",
        "{items[a]}",
        "{a!r}",
        "{a:>3}",
        "{nothing}",
        "{items}",
        "{customer}",
    ],
)
def test_all_else_is_left_to_python(message: str) -> None:
    """Sensitive names, keys that are not written down, conversions, formats, errors, containers, objects."""
    assert compiled(message, frame_of(1, 2, "x")) is None


@pytest.mark.parametrize(
    "number", [4111111111111111, 4111111111111111.0, 10**12, -(10**12), 10**30, float("nan")]
)
def test_large_numbers_are_left_to_python(number: Any) -> None:
    """Also on their own: an int may be the number of a card, which is not told."""
    frame = frame_of(number, 1, "x")
    assert compiled("{a}", frame) is None
    if number == 4111111111111111 and type(number) is int:
        assert python("{a}", frame).message == "[REDACTED]"


def test_patterns_of_the_user_are_pythons() -> None:
    """Any text may match one, and so may the digits of a number that is all there is."""
    policy = RedactionPolicy.build((), (), ["some", "[0-9]{6}"])
    for message, value in (
        ("{text}", "some text"),
        ("{text}", 123456),
        ("{text}", 1234567.5),
        ("{text}", True),
    ):
        frame = frame_of(1, 2, value)
        assert compiled(message, frame, policy) is None
        assert "123456" not in str(python(message, frame, policy).message)
    assert python("{text}", frame_of(1, 2, "some text"), policy).message == "[REDACTED] text"


def test_a_list_is_never_seen_half_made() -> None:
    """Before 3.12 any allocation may have the collector ask somebody of the application, who sees all objects."""
    frame = frame_of(1, 2.5, "é")
    message = native.Message(
        compiled_parts(parse_template("é{a} {b} {text}", POLICY.is_sensitive), POLICY), POLICY
    )
    seen: List[str] = []
    before = {id(each) for each in gc.get_objects() if type(each) is list}

    def look(phase: str, _: Any) -> None:
        for each in gc.get_objects() if phase == "start" else ():
            if type(each) is list and id(each) not in before and 0 < len(each) <= 3:
                seen.append(repr(each))  # shows what is missing, which nothing else survives

    threshold = gc.get_threshold()
    gc.callbacks.append(look)
    gc.set_threshold(1, 1, 1)
    try:
        assert message.render(frame) == ("é1 2.5 é", [1, 2.5, "é"])
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(look)
    assert not [each for each in seen if "NULL" in each]


def test_nothing_is_kept_alive() -> None:
    """Values, frames and messages go as they came."""
    text = "a text of its own " * 3
    frame = frame_of(1, 2, text)
    message = native.Message(
        compiled_parts(parse_template("{text} {a}", POLICY.is_sensitive), POLICY), POLICY
    )
    before: Dict[str, int] = {"text": sys.getrefcount(text), "frame": sys.getrefcount(frame)}
    for _ in range(100):
        message.render(frame)
    assert {"text": sys.getrefcount(text), "frame": sys.getrefcount(frame)} == before


@settings(max_examples=EXAMPLES * 3)
@given(
    st.one_of(
        st.floats(-1e12, 1e12),
        st.builds(
            lambda units, places: units / 10**places, st.integers(-(10**13), 10**13), st.integers(0, 9)
        ),
        st.builds(
            lambda units, by: units * by, st.integers(-999, 999), st.sampled_from([0.1, 0.07, 1e-4, 1e-5])
        ),
    )
)
@example(-0.0)
@example(1e-4)
@example(9.999e-5)
@example(999999999.9999999)
@example(1e9)
@example(0.30000000000000004)
def test_numbers_are_written_as_python_writes_them(number: float) -> None:
    """Digit for digit, short decimals and long ones."""
    frame = frame_of(number, int(number), "")
    said = compiled("{a} {b}", frame)
    if said is not None:
        assert said[0] == f"{number!r} {int(number)}" == python("{a} {b}", frame).message
    assert said is not None or abs(number) >= 10**12 or len(repr(number)) > 12  # like a card's number


@given(st.lists(st.sampled_from(["x" * 100, "é" * 60, "\U0001f600", "plain ", ""]), max_size=12))
def test_long_messages_and_all_scripts_are_put_together(texts: List[str]) -> None:
    """In whatever order they come, and whatever fits into what is kept at hand."""
    message = "".join(f"{text}{{a}}" for text in texts) or "nothing"
    frame = frame_of("abcé", 1, "")
    said = compiled(message, frame)
    assert said is None or said[0] == python(message, frame).message == message.replace("{a}", "abcé")
    assert said is not None or len(message) > 512
