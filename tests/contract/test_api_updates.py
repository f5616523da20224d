"""Updating points: PUT and PATCH change what is given, and nothing else."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import Live, Target, ok, refused

Body = Dict[str, Any]


@pytest.fixture(params=["PUT", "PATCH"])
def change(request: pytest.FixtureRequest, api: ApiClient) -> Callable[..., Any]:
    """An update call, by either method."""
    return lambda point, sent: api.request(request.param, f"/points/{point['id']}", sent)


@pytest.fixture
def trace(api: ApiClient, body: Body) -> Body:
    """A tracepoint with something in every field."""
    limits = {"maxDepth": 4, "maxProperties": 5, "maxStringLength": 6, "maxFrames": 7}
    point: Body = ok(
        api.post(
            "/tracepoints",
            {
                **body,
                "condition": "n > 1",
                "tags": ["a"],
                "rateLimit": {"limitPerSecond": 2, "burst": 3},
                "snapshot": limits,
                "watch": ["n", "i"],
                "maxHits": 9,
            },
        )
    )
    return point


@pytest.fixture
def log(api: ApiClient, body: Body) -> Body:
    """A logpoint."""
    point: Body = ok(api.post("/logpoints", {**body, "message": "{n}", "level": "WARN"}))
    return point


@pytest.mark.parametrize(
    "fields",
    [
        {"condition": "i == 3"},
        {"condition": None},
        {"enabled": False},
        {"tags": []},
        {"tags": ["x", "y"]},
        {"watch": []},
        {"watch": ["total"]},
        {"maxHits": 1},
        {"maxHits": None},
        {"expireSeconds": None},
        {"expireSeconds": 12.5},
        {},
    ],
)
def test_only_what_is_given_changes(
    change: Callable[..., Any], api: ApiClient, trace: Body, fields: Body
) -> None:
    """200 and the point, as every later answer shows it."""
    reply = change(trace, fields)
    state = {"state": "disabled"} if fields.get("enabled") is False else {}
    assert ok(reply) == {**trace, **fields, **state}
    assert ok(api.get(f"/points/{trace['id']}")) == reply.json


def test_fields_of_a_logpoint_change(change: Callable[..., Any], log: Body) -> None:
    """Message and level."""
    assert ok(change(log, {"message": "now {i}"})) == {**log, "message": "now {i}"}
    assert ok(change(log, {"level": "FATAL"})) == {**log, "message": "now {i}", "level": "FATAL"}


@pytest.mark.parametrize("name", ["maxDepth", "maxProperties", "maxStringLength", "maxFrames"])
def test_sub_fields_left_out_keep_their_values(change: Callable[..., Any], trace: Body, name: str) -> None:
    """Not the defaults, as at creation; a limit given alone keeps the burst."""
    point = ok(change(trace, {"snapshot": {name: 1}}))
    assert point["snapshot"] == {**trace["snapshot"], name: 1}
    point = ok(change(trace, {"rateLimit": {"limitPerSecond": 8}}))
    assert point["rateLimit"] == {"limitPerSecond": 8, "burst": 3}
    assert ok(change(trace, {"rateLimit": {"burst": 1}}))["rateLimit"] == {"limitPerSecond": 8, "burst": 1}
    assert ok(change(trace, {"rateLimit": {}, "snapshot": {}}))["rateLimit"]["burst"] == 1


def test_blank_conditions_are_null_and_repeated_tags_count_once(
    change: Callable[..., Any], trace: Body
) -> None:
    """As at creation."""
    point = ok(change(trace, {"condition": "  ", "tags": ["b", "a", "b"]}))
    assert (point["condition"], point["tags"]) == (None, ["b", "a"])


@pytest.mark.parametrize(
    ("sent", "status", "code", "field"),
    [
        ({"maxHits": 0}, 400, "INVALID_FIELD", "$.maxHits"),
        ({"maxHits": 2.0}, 400, "INVALID_FIELD", "$.maxHits"),
        ({"expireSeconds": 0}, 400, "INVALID_FIELD", "$.expireSeconds"),
        ({"condition": 1}, 400, "INVALID_FIELD", "$.condition"),
        ({"enabled": None}, 400, "INVALID_FIELD", "$.enabled"),
        ({"enabled": "yes"}, 400, "INVALID_FIELD", "$.enabled"),
        ({"tags": ["ok", ""]}, 400, "INVALID_FIELD", "$.tags[1]"),
        ({"tags": None}, 400, "INVALID_FIELD", "$.tags"),
        ({"rateLimit": {"burst": 0}}, 400, "INVALID_FIELD", "$.rateLimit.burst"),
        ({"rateLimit": None}, 400, "INVALID_FIELD", "$.rateLimit"),
        ({"rateLimit": {"rate": 1}}, 400, "UNKNOWN_FIELD", "$.rateLimit.rate"),
        ({"snapshot": {"maxDepth": 11}}, 400, "INVALID_FIELD", "$.snapshot.maxDepth"),
        ({"snapshot": {"maxFrames": 201}}, 400, "INVALID_FIELD", "$.snapshot.maxFrames"),
        ({"watch": ["n"] * 9}, 400, "INVALID_FIELD", "$.watch"),
        ({"message": "m"}, 400, "UNKNOWN_FIELD", "$.message"),
        ({"level": "INFO"}, 400, "UNKNOWN_FIELD", "$.level"),
        ({"nope": 1}, 400, "UNKNOWN_FIELD", "$.nope"),
        ([], 400, "INVALID_FIELD", "$"),
    ],
)
def test_a_bad_value_changes_nothing(
    change: Callable[..., Any], api: ApiClient, trace: Body, sent: Any, status: int, code: str, field: str
) -> None:
    """Nor do the good ones beside it."""
    beside = {"tags": ["changed"], "condition": "n > 99"}
    body = {**beside, **sent} if isinstance(sent, dict) else sent
    details = refused(change(trace, body), status, code)
    assert details["field"] == field
    assert ok(api.get(f"/points/{trace['id']}")) == trace


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"condition": "lambda: 1"}, "INVALID_CONDITION"),
        ({"watch": ["n", "f(n)"]}, "INVALID_WATCH"),
        ({"watch": [""]}, "INVALID_WATCH"),
    ],
)
def test_a_bad_expression_changes_nothing(
    change: Callable[..., Any], api: ApiClient, trace: Body, sent: Body, code: str
) -> None:
    """422, with where and what instead."""
    details = refused(change(trace, {"tags": ["changed"], **sent}), 422, code)
    assert isinstance(details["position"], int) and isinstance(details["allowed"], list)
    assert details["expression"] in (sent.get("condition"), *sent.get("watch", []))
    assert ok(api.get(f"/points/{trace['id']}")) == trace


def test_a_bad_message_changes_nothing(change: Callable[..., Any], api: ApiClient, log: Body) -> None:
    """422; the position counts in the whole message."""
    details = refused(change(log, {"message": "n is {n} and {f(n)}"}), 422, "INVALID_MESSAGE")
    assert details["position"] == "n is {n} and {f(n)}".index("f(n)")
    for name in ("snapshot", "watch"):
        assert refused(change(log, {name: None}), 400, "UNKNOWN_FIELD")["field"] == f"$.{name}"
    assert ok(api.get(f"/points/{log['id']}")) == log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("file", "other.py"),
        ("file", None),
        ("line", 1),
        ("line", "3"),
        ("line", 3.0),
        ("type", "logpoint"),
        ("type", "nope"),
        ("id", "other"),
        ("id", None),
    ],
)
def test_what_cannot_change(
    change: Callable[..., Any], api: ApiClient, trace: Body, name: str, value: Any
) -> None:
    """400 IMMUTABLE_FIELD; the value that it has anyway is fine."""
    details = refused(change(trace, {"tags": ["changed"], name: value}), 400, "IMMUTABLE_FIELD")
    assert details["field"] == f"$.{name}"
    assert ok(api.get(f"/points/{trace['id']}")) == trace
    assert ok(change(trace, {name: trace[name]})) == trace


def test_the_line_as_a_float_is_another_value(change: Callable[..., Any], trace: Body) -> None:
    """10.0 is not an integer, also where nothing would change."""
    refused(change(trace, {"line": float(trace["line"])}), 400, "IMMUTABLE_FIELD")


def test_an_answer_may_be_edited_and_sent_back(
    change: Callable[..., Any], agent: Live, trace: Body, program: Target
) -> None:
    """Fields that the agent sets are ignored, whatever they hold."""
    program.work(3)
    shown = agent.point(trace)
    assert sum(shown["counts"].values()) == 3
    assert ok(change(trace, shown)) == shown
    edited = {
        **shown,
        "tags": ["edited"],
        "state": "nonsense",
        "resolved": 5,
        "error": [],
        "created": None,
        "lastHit": "never",
        "hitCount": -1,
        "counts": {},
    }
    assert ok(change(trace, edited)) == {**shown, "tags": ["edited"]}


def test_a_string_in_its_redacted_form_means_unchanged(
    change: Callable[..., Any], agent: Live, body: Body, program: Target
) -> None:
    """Sending an answer back loses no secret: the condition works on."""
    key = "AKIA" + "Q7XWV5ZT2MNB4KLP"
    sent = {
        **body,
        "condition": f"n != '{key}'",
        "watch": [f"'{key}'", "n"],
        "tags": [f"key-{key}", "plain"],
    }
    point = ok(agent.api.post("/tracepoints", sent))
    assert key not in str(point) and "[REDACTED]" in point["condition"]
    back = ok(change(point, {**point, "maxHits": 50}))
    assert back == {**point, "maxHits": 50}
    ok(change(point, {"watch": ["n", *point["watch"]]}))
    program.work(2)
    assert agent.counts(point) == {"emitted": 2}
    assert key not in str(agent.hits(point))
    ok(change(point, {"condition": "'[REDACTED]' == n"}))
    program.work(2)
    assert agent.counts(point) == {"emitted": 2, "conditionFalse": 2}


def test_updating_what_is_not_there(change: Callable[..., Any]) -> None:
    """404 POINT_NOT_FOUND, before the body's fields are looked at."""
    refused(change({"id": "nobody"}, {"nope": 1}), 404, "POINT_NOT_FOUND")


def test_an_update_takes_hold_at_once(
    change: Callable[..., Any], agent: Live, trace: Body, program: Target
) -> None:
    """A new condition, limit or watch holds from the next arrival on."""
    ok(change(trace, {"condition": "i == 2", "rateLimit": {"limitPerSecond": 1e9, "burst": 10**9}}))
    program.work(5)
    assert agent.counts(trace) == {"conditionFalse": 4, "emitted": 1}
    ok(change(trace, {"condition": None, "watch": ["i * 10"], "snapshot": {"maxDepth": 1}}))
    program.work(1)
    hit = agent.hits(trace)[-1]
    assert hit["watches"] == [{"expression": "i * 10", "value": 0}]
    ok(change(trace, {"enabled": False}))
    program.work(5)
    ok(change(trace, {"enabled": True}))
    assert agent.counts(trace) == {"conditionFalse": 4, "emitted": 2}
