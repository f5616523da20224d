"""What a create call may say, and how it is told what is wrong."""

from __future__ import annotations

import json
import uuid
from typing import Any, Dict

import pytest
from tests.support.definitions import LOGPOINT, TRACEPOINT, create, hide, plain, refused

from otel_tracepoints import schema
from otel_tracepoints.errors import (
    InvalidCondition,
    InvalidField,
    InvalidLine,
    InvalidMessage,
    InvalidWatch,
    UnknownField,
)
from otel_tracepoints.model import CaptureLimits, Probe, ProbeState, ProbeType, RateLimit


def test_a_minimal_tracepoint_has_the_documented_defaults() -> None:
    """Everything but file and line may be left out; the id is a new UUID."""
    probe = create()
    assert uuid.UUID(probe.id).version == 4
    assert probe == Probe(id=probe.id, type=TRACEPOINT, file="a.py", line=1)
    assert probe.rate_limit == RateLimit(10.0, 10)
    assert probe.snapshot == CaptureLimits(3, 100, 1024, 20)
    assert probe.expire_seconds == 3600
    assert create().id != probe.id


def test_a_point_shows_its_fields_in_the_documented_order() -> None:
    """Each type has its own fields and no other."""
    runtime = schema.PointRuntime(ProbeState.PENDING, None, None, 0, None, {"emitted": 2})
    tracepoint = schema.render_point(create(), runtime, plain)
    logpoint = schema.render_point(create(LOGPOINT, message="m"), runtime, plain)
    assert (
        list(tracepoint)
        == (
            "id type file line resolved condition tags enabled rateLimit snapshot watch maxHits "
            "expireSeconds state error created lastHit hitCount counts"
        ).split()
    )
    assert (
        list(logpoint)
        == (
            "id type file line resolved condition message level tags enabled rateLimit maxHits "
            "expireSeconds state error created lastHit hitCount counts"
        ).split()
    )
    assert logpoint["level"] == "INFO" and logpoint["expireSeconds"] == 3600
    assert json.dumps(tracepoint["rateLimit"]) == '{"limitPerSecond": 10, "burst": 10}'
    assert tracepoint["hitCount"] == 2
    assert list(tracepoint["counts"]) == (
        "emitted conditionFalse conditionError rateLimited overBudget captureError dropped reentrant".split()
    )
    assert tracepoint["counts"]["dropped"] == 0
    assert tracepoint["created"] == "1970-01-01T00:00:00.000Z" and tracepoint["lastHit"] is None


def test_times_are_rfc_3339_with_milliseconds() -> None:
    """Cut, not rounded: a time is never in the future."""
    assert schema.timestamp(1_763_632_800_999_999_999) == "2025-11-20T10:00:00.999Z"


def test_redaction_covers_what_the_user_wrote() -> None:
    """Condition, message, watches and tags are shown redacted."""
    runtime = schema.PointRuntime(ProbeState.ACTIVE, None, None, 0, 1, {})
    one = create(LOGPOINT, message="hunter2", condition="x == 'hunter2'", tags=["hunter2"])
    shown = schema.render_point(one, runtime, hide)
    assert "hunter2" not in json.dumps(shown)
    assert shown["condition"] == "x == '[REDACTED]'"
    watched = schema.render_point(create(watch=["'hunter2'"]), runtime, hide)
    assert watched["watch"] == ["'[REDACTED]'"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": ""}, "$.id"),
        ({"id": "validate"}, "$.id"),
        ({"id": "."}, "$.id"),
        ({"id": ".."}, "$.id"),
        ({"id": "a/b"}, "$.id"),
        ({"id": "a\n"}, "$.id"),
        ({"id": "ä"}, "$.id"),
        ({"id": "x" * 129}, "$.id"),
        ({"id": 1}, "$.id"),
        ({"id": None}, "$.id"),
        ({"type": "logpoint"}, "$.type"),
        ({"type": "probe"}, "$.type"),
        ({"type": None}, "$.type"),
        ({"file": ""}, "$.file"),
        ({"file": "  "}, "$.file"),
        ({"file": "a\0.py"}, "$.file"),
        ({"file": 1}, "$.file"),
        ({"file": None}, "$.file"),
        ({"line": 10.0}, "$.line"),
        ({"line": True}, "$.line"),
        ({"line": "1"}, "$.line"),
        ({"line": None}, "$.line"),
        ({"condition": 1}, "$.condition"),
        ({"condition": True}, "$.condition"),
        ({"condition": "\ud800"}, "$.condition"),
        ({"tags": "a"}, "$.tags"),
        ({"tags": None}, "$.tags"),
        ({"tags": [""]}, "$.tags[0]"),
        ({"tags": ["a", "x" * 65]}, "$.tags[1]"),
        ({"tags": ["a", 1]}, "$.tags[1]"),
        ({"tags": [str(n) for n in range(51)]}, "$.tags"),
        ({"enabled": 1}, "$.enabled"),
        ({"enabled": "true"}, "$.enabled"),
        ({"enabled": None}, "$.enabled"),
        ({"rateLimit": 5}, "$.rateLimit"),
        ({"rateLimit": None}, "$.rateLimit"),
        ({"rateLimit": {"limitPerSecond": 0}}, "$.rateLimit.limitPerSecond"),
        ({"rateLimit": {"limitPerSecond": -1}}, "$.rateLimit.limitPerSecond"),
        ({"rateLimit": {"limitPerSecond": 1e9 + 1}}, "$.rateLimit.limitPerSecond"),
        ({"rateLimit": {"limitPerSecond": 10**400}}, "$.rateLimit.limitPerSecond"),
        ({"rateLimit": {"limitPerSecond": True}}, "$.rateLimit.limitPerSecond"),
        ({"rateLimit": {"limitPerSecond": "5"}}, "$.rateLimit.limitPerSecond"),
        ({"rateLimit": {"burst": 0}}, "$.rateLimit.burst"),
        ({"rateLimit": {"burst": 1.0}}, "$.rateLimit.burst"),
        ({"rateLimit": {"burst": 10**9 + 1}}, "$.rateLimit.burst"),
        ({"snapshot": []}, "$.snapshot"),
        ({"snapshot": {"maxDepth": 0}}, "$.snapshot.maxDepth"),
        ({"snapshot": {"maxDepth": 11}}, "$.snapshot.maxDepth"),
        ({"snapshot": {"maxProperties": 10001}}, "$.snapshot.maxProperties"),
        ({"snapshot": {"maxStringLength": 65537}}, "$.snapshot.maxStringLength"),
        ({"snapshot": {"maxFrames": -1}}, "$.snapshot.maxFrames"),
        ({"snapshot": {"maxFrames": 201}}, "$.snapshot.maxFrames"),
        ({"snapshot": {"maxDepth": None}}, "$.snapshot.maxDepth"),
        ({"watch": ["x"] * 9}, "$.watch"),
        ({"watch": "x"}, "$.watch"),
        ({"watch": ["x", None]}, "$.watch[1]"),
        ({"maxHits": 0}, "$.maxHits"),
        ({"maxHits": 1.0}, "$.maxHits"),
        ({"maxHits": True}, "$.maxHits"),
        ({"expireSeconds": 0}, "$.expireSeconds"),
        ({"expireSeconds": -1}, "$.expireSeconds"),
        ({"expireSeconds": float("inf")}, "$.expireSeconds"),
        ({"expireSeconds": False}, "$.expireSeconds"),
    ],
)
def test_a_bad_value_is_named_by_its_json_path(fields: Dict[str, Any], path: str) -> None:
    """`field` says where, `expected` says what would do, and the sentence quotes no value."""
    details = refused(InvalidField, **fields)
    assert details["field"] == path
    assert isinstance(details["expected"], str) and details["expected"]


@pytest.mark.parametrize("level", ["info", "WARNING", "Info", "", None, 9])
def test_levels_are_exact(level: Any) -> None:
    """Only TRACE, DEBUG, INFO, WARN, ERROR and FATAL, exactly so."""
    assert refused(InvalidField, LOGPOINT, message="m", level=level)["field"] == "$.level"


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "a.B_9:-" + "x" * 121},
        {"tags": ["a"] * 60 + ["b"]},
        {"tags": ["x" * 64]},
        {"snapshot": {"maxDepth": 10, "maxProperties": 1, "maxStringLength": 65536, "maxFrames": 0}},
        {"rateLimit": {"limitPerSecond": 0.001, "burst": 10**9}},
        {"rateLimit": {"limitPerSecond": 10**9}},
        {"maxHits": None, "expireSeconds": None},
        {"maxHits": 10**18, "expireSeconds": 0.5},
        {"watch": ["x"] * 8},
        {"type": "tracepoint"},
        {"file": "C:\\shop\\cart.py"},
    ],
)
def test_the_edges_of_each_range_are_inside(fields: Dict[str, Any]) -> None:
    """What the table allows is taken."""
    create(**fields)


def test_repeated_tags_count_once_and_blank_conditions_are_none() -> None:
    """Order is that of the first occurrence."""
    probe = create(tags=["b", "a", "b"], condition=" \t")
    assert probe.tags == ("b", "a") and probe.condition is None


@pytest.mark.parametrize("line", [0, -1, -(10**30)])
def test_a_line_below_one_has_its_own_code(line: int) -> None:
    """INVALID_LINE, not INVALID_FIELD."""
    assert refused(InvalidLine, line=line)["field"] == "$.line"


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        (TRACEPOINT, "message"),
        (TRACEPOINT, "level"),
        (LOGPOINT, "snapshot"),
        (LOGPOINT, "watch"),
        *((TRACEPOINT, name) for name in "resolved state error created lastHit hitCount counts".split()),
        (TRACEPOINT, "lines"),
    ],
)
def test_fields_of_the_other_type_and_of_the_agent_are_unknown_at_creation(
    type_: ProbeType, name: str
) -> None:
    """Whatever their value, null included."""
    more = {"message": "m"} if type_ is LOGPOINT else {}
    details = refused(UnknownField, type_, **{**more, name: None})
    assert details["field"] == f"$.{name}"
    assert name not in details["allowed"] and "condition" in details["allowed"]


def test_unknown_members_of_a_group_are_named_with_what_is_allowed() -> None:
    """The path goes down to the member."""
    assert refused(UnknownField, snapshot={"depth": 1}) == {
        "field": "$.snapshot.depth",
        "allowed": ["maxDepth", "maxProperties", "maxStringLength", "maxFrames"],
    }
    assert refused(UnknownField, **{"a b'": 1})["field"] == "$['a b\\'']"


@pytest.mark.parametrize("payload", [None, [], "x", 1, True])
def test_a_body_is_an_object(payload: Any) -> None:
    """`$` is the body itself."""
    for call in (
        lambda: schema.parse_create(payload, TRACEPOINT),
        lambda: schema.parse_update(create(), payload, plain),
        lambda: schema.parse_tags(payload),
    ):
        with pytest.raises(InvalidField) as caught:
            call()
        assert caught.value.details["field"] == "$"


@pytest.mark.parametrize(
    ("payload", "type_", "field"),
    [
        ({"line": 1}, TRACEPOINT, "$.file"),
        ({"file": "a"}, TRACEPOINT, "$.line"),
        ({"file": "a", "line": 1}, LOGPOINT, "$.message"),
    ],
)
def test_a_missing_field_is_invalid(payload: Any, type_: ProbeType, field: str) -> None:
    """File and line always, message for a logpoint."""
    with pytest.raises(InvalidField) as caught:
        schema.parse_create(payload, type_)
    assert caught.value.details["field"] == field


def test_a_call_without_a_type_in_its_path_may_name_it() -> None:
    """Left out it is a logpoint exactly when there is a message."""
    body = {"file": "a", "line": 1}
    assert schema.parse_create(body, None).type is TRACEPOINT
    assert schema.parse_create({**body, "message": "m"}, None).type is LOGPOINT
    assert schema.parse_create({**body, "type": "logpoint", "message": "m"}, None).type is LOGPOINT
    with pytest.raises(UnknownField):
        schema.parse_create({**body, "type": "tracepoint", "message": "m"}, None)


def test_a_limit_without_a_burst_has_burst_one_at_creation() -> None:
    """A burst without a limit, or an empty object, has the other defaults."""
    assert create(rateLimit={"limitPerSecond": 5}).rate_limit == RateLimit(5.0, 1)
    assert create(rateLimit={"burst": 3}).rate_limit == RateLimit(10.0, 3)
    assert create(rateLimit={}).rate_limit == RateLimit(10.0, 10)
    assert create(snapshot={"maxDepth": 5}).snapshot == CaptureLimits(5, 100, 1024, 20)


@pytest.mark.parametrize(
    ("error", "type_", "fields"),
    [
        (InvalidCondition, TRACEPOINT, {"condition": "lambda: 1"}),
        (InvalidWatch, TRACEPOINT, {"watch": ["x", "lambda: 1"]}),
        (InvalidMessage, LOGPOINT, {"message": "{lambda: 1}"}),
    ],
)
def test_expressions_are_checked_after_all_fields(
    error: type, type_: ProbeType, fields: Dict[str, Any]
) -> None:
    """A 400 wins over a 422."""
    refused(error, type_, **fields)
    refused(InvalidField, type_, **fields, maxHits=0)


def test_the_order_of_checks_is_fixed() -> None:
    """Unknown before invalid, the table's order among invalid ones."""
    assert refused(UnknownField, line=0, x=1)["field"] == "$.x"
    assert refused(InvalidField, maxHits=0, tags=1, condition=1)["field"] == "$.condition"
    assert refused(InvalidField, type="logpoint", x=1)["field"] == "$.type"
