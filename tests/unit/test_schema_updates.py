"""What an update may say; bodies that are not JSON; what is shown can be sent back."""

from __future__ import annotations

import json
from typing import Any, Dict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.definitions import LOGPOINT, TRACEPOINT, create, hide, plain

from otel_tracepoints import schema
from otel_tracepoints.errors import (
    ImmutableField,
    InvalidCondition,
    InvalidField,
    InvalidProbe,
    MalformedJson,
    UnknownField,
)
from otel_tracepoints.model import CaptureLimits, ProbeState, RateLimit


def test_an_update_changes_what_is_given_and_nothing_else() -> None:
    """Sub-fields left out keep their values; an empty body is fine."""
    probe = create(id="p", rateLimit={"limitPerSecond": 5}, snapshot={"maxDepth": 5}, watch=["x"])
    assert schema.parse_update(probe, {}, plain) == probe
    changed = schema.parse_update(
        probe,
        {"rateLimit": {"limitPerSecond": 7}, "snapshot": {"maxFrames": 1}, "maxHits": 2, "watch": []},
        plain,
    )
    assert changed == probe.replace(
        rate_limit=RateLimit(7.0, 1), snapshot=CaptureLimits(5, 100, 1024, 1), max_hits=2, watch=()
    )
    assert schema.parse_update(probe, {"rateLimit": {"burst": 4}}, plain).rate_limit == RateLimit(5.0, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "b.py"},
        {"line": 2},
        {"line": 1.0},
        {"line": True},
        {"line": 0},
        {"type": "logpoint"},
        {"type": None},
        {"id": "q"},
        {"id": None},
    ],
)
def test_what_a_point_is_cannot_change(change: Dict[str, Any]) -> None:
    """file, line, type and id may be sent with the value they have, and no other."""
    probe = create(id="p")
    with pytest.raises(ImmutableField) as caught:
        schema.parse_update(probe, {**change, "maxHits": 0}, plain)
    assert caught.value.details == {"field": "$." + next(iter(change))}
    same = {"file": "a.py", "line": 1, "type": "tracepoint", "id": "p", "maxHits": 4}
    assert schema.parse_update(probe, same, plain) == probe.replace(max_hits=4)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (UnknownField, {"message": "m"}),
        (UnknownField, {"nope": 1}),
        (InvalidField, {"maxHits": 0}),
        (InvalidField, {"rateLimit": None}),
        (InvalidCondition, {"condition": "lambda: 1"}),
    ],
)
def test_an_update_is_checked_as_a_creation(error: type, change: Dict[str, Any]) -> None:
    """The same errors for the same values."""
    with pytest.raises(error):
        schema.parse_update(create(), change, plain)


def test_an_answer_may_be_edited_and_sent_back() -> None:
    """Agent's fields are ignored, redacted strings mean "unchanged", redaction loses nothing."""
    probe = create(
        id="p",
        condition="x == 'hunter2'",
        watch=["'hunter2'", "y"],
        tags=["hunter2", "b"],
        rateLimit={"limitPerSecond": 0.5},
    )
    runtime = schema.PointRuntime(ProbeState.ACTIVE, None, None, 0, 5, {})
    answer = schema.render_point(probe, runtime, hide)
    assert schema.parse_update(probe, answer, hide) == probe
    answer["maxHits"], answer["watch"] = 3, ["z", "'[REDACTED]'"]
    edited = schema.parse_update(probe, answer, hide)
    assert edited == probe.replace(max_hits=3, watch=("z", "'hunter2'"))


def test_two_secrets_that_look_the_same_keep_their_places() -> None:
    """The same index means the same secret."""
    probe = create(watch=["'hunter2'", "'hunter3'"])

    def hide_both(text: str) -> str:
        return text.replace("hunter2", "*").replace("hunter3", "*")

    assert schema.parse_update(probe, {"watch": ["'*'", "'*'"]}, hide_both).watch == probe.watch


def test_tags_of_a_bulk_call() -> None:
    """Exactly one member, checked as the tags of a point."""
    assert schema.parse_tags({"tags": ["a", "a"]}) == ("a",)
    for payload, error in [({}, InvalidField), ({"tags": [1]}, InvalidField), ({"tag": []}, UnknownField)]:
        with pytest.raises(error):
            schema.parse_tags(payload)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": [{"b": 1, "b": 1}]}',
        b"\xff\xfe{}",
        b'"\xc3"',
        b"{} {}",
        b"[" * 200_000,
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """NaN, a member twice and depth without end included."""
    with pytest.raises(MalformedJson):
        schema.decode_json(body)


def test_numbers_too_long_to_read_are_out_of_every_range() -> None:
    """A megabyte of digits costs nothing and is no integer."""
    payload = schema.decode_json(b'{"file": "a", "line": ' + b"9" * 1_000_000 + b"}")
    with pytest.raises(InvalidField):
        schema.parse_create(payload, TRACEPOINT)


VALID = st.fixed_dictionaries(
    {"file": st.sampled_from(["a.py", "b/c.py"]), "line": st.integers(1, 10**6)},
    optional={
        "id": st.from_regex(r"\A[A-Za-z0-9_:-]{1,20}\Z").filter(lambda text: text != "validate"),
        "condition": st.sampled_from([None, "", "x", "x == 1"]),
        "tags": st.lists(st.text("abc", min_size=1, max_size=5), max_size=8),
        "enabled": st.booleans(),
        "rateLimit": st.fixed_dictionaries(
            {},
            optional={
                "limitPerSecond": st.floats(0.001, 1e9) | st.integers(1, 10**9),
                "burst": st.integers(1, 10**9),
            },
        ),
        "snapshot": st.fixed_dictionaries(
            {}, optional={"maxDepth": st.integers(1, 10), "maxFrames": st.integers(0, 200)}
        ),
        "watch": st.lists(st.sampled_from(["x", "y.z"]), max_size=8),
        "maxHits": st.none() | st.integers(1, 10**12),
        "expireSeconds": st.none() | st.floats(0.001, 1e12) | st.integers(1, 10**6),
    },
)


@settings(max_examples=60, deadline=None)
@given(VALID)
def test_a_definition_makes_the_same_probe_again(payload: Dict[str, Any]) -> None:
    """Create → definition → JSON → create is the identity, and so is sending an answer back."""
    probe = schema.parse_create(payload, TRACEPOINT)
    body = json.loads(json.dumps(schema.definition(probe)))
    assert schema.parse_create(body, None) == probe
    runtime = schema.PointRuntime(ProbeState.ACTIVE, None, None, 0, None, {})
    answer = json.loads(json.dumps(schema.render_point(probe, runtime, plain)))
    assert schema.parse_update(probe, answer, plain) == probe


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            "id type file line condition message level tags enabled rateLimit snapshot watch maxHits "
            "expireSeconds state counts".split()
        ),
        ANY_JSON,
    ),
    st.sampled_from([TRACEPOINT, LOGPOINT, None]),
)
def test_any_json_is_taken_or_refused_by_name(payload: Dict[str, Any], type_: Any) -> None:
    """Nothing but `InvalidProbe` ever comes out, and it names a field or an expression."""
    try:
        schema.parse_create(payload, type_)
    except InvalidProbe as error:
        assert error.details.get("field", error.details.get("expression")) is not None
    try:
        schema.parse_update(create(), payload, plain)
    except InvalidProbe:
        pass
