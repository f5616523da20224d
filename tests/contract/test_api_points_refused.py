"""What a create call refuses, and how it says so."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from tests.support.api_client import ApiClient, both
from tests.support.live import Live, ok, refused

Body = Dict[str, Any]


INVALID = [
    ("id", value, "$.id")
    for value in ["", "x" * 129, "a/b", "a b", "ä", "validate", ".", "..", 1, None, ["a"], "a\n"]
]


INVALID += [("file", value, "$.file") for value in [None, 1, "", " ", [], "a\0b", "\ud800"]]


INVALID += [("line", value, "$.line") for value in [None, "3", 3.0, 3.5, True, [3], 1e30, {}]]


INVALID += [("condition", value, "$.condition") for value in [1, True, [], {}]]


INVALID += [("tags", value, "$.tags") for value in [None, "a", {}, [f"t{n}" for n in range(51)]]]


INVALID += [("tags", ["a", value], "$.tags[1]") for value in ["", "x" * 65, 1, None, []]]


INVALID += [("enabled", value, "$.enabled") for value in [None, 1, 0, "true", []]]


INVALID += [("rateLimit", value, "$.rateLimit") for value in [None, 5, [], "10"]]


INVALID += [
    ("rateLimit", {"limitPerSecond": value}, "$.rateLimit.limitPerSecond")
    for value in [0, -1, 1e9 + 1, "5", None, True]
]


INVALID += [
    ("rateLimit", {"burst": value}, "$.rateLimit.burst") for value in [0, -1, 1.0, 1.5, 10**9 + 1, None, "1"]
]


INVALID += [("snapshot", value, "$.snapshot") for value in [None, 3, []]]


INVALID += [
    ("snapshot", {name: value}, f"$.snapshot.{name}")
    for name, values in {
        "maxDepth": [0, 11],
        "maxProperties": [0, 10_001],
        "maxStringLength": [0, 65_537],
        "maxFrames": [-1, 201],
    }.items()
    for value in [*values, 1.0, "3", None, True]
]


INVALID += [("watch", value, "$.watch") for value in [None, "n", {}, ["n"] * 9]]


INVALID += [("watch", ["n", value], "$.watch[1]") for value in [1, None, []]]


INVALID += [("maxHits", value, "$.maxHits") for value in [0, -1, 1.0, "1", True, []]]


INVALID += [("expireSeconds", value, "$.expireSeconds") for value in [0, -1, "1", True, []]]


INVALID += [("message", value, "$.message") for value in [None, 1, []]]


INVALID += [
    ("level", value, "$.level") for value in [None, "info", "WARNING", "", 1, "TRACE ", "CRITICAL", []]
]


@pytest.mark.parametrize(("name", "value", "path"), INVALID)
def test_a_value_that_a_field_does_not_take_is_named(
    api: ApiClient, body: Body, name: str, value: Any, path: str
) -> None:
    """400 INVALID_FIELD with the field as a JSON path and what is expected; a line below 1 is below."""
    type_ = "logpoint" if name in ("message", "level") else "tracepoint"
    reply = both(api, {**body, name: value}, type_)
    details = refused(reply, 400, "INVALID_FIELD")
    assert details["field"] == path
    assert isinstance(details["expected"], str) and details["expected"]
    assert path in reply.json["error"]


@pytest.mark.parametrize("line", [0, -1, -(10**20)])
def test_a_line_below_one_has_its_own_code(api: ApiClient, body: Body, line: int) -> None:
    """400 INVALID_LINE."""
    refused(both(api, {**body, "line": line}), 400, "INVALID_LINE")


@pytest.mark.parametrize(
    ("body_", "path"),
    [
        ({}, "$.file"),
        ({"line": 1}, "$.file"),
        ({"file": "a.py"}, "$.line"),
        ([], "$"),
        ("text", "$"),
        (None, "$"),
        (3, "$"),
        (True, "$"),
    ],
)
def test_what_is_required_is_named(api: ApiClient, body_: Any, path: str) -> None:
    """A missing field, or a body that is no object, is INVALID_FIELD; `$` is the body itself."""
    import json

    for call in ("/tracepoints", "/points/validate"):
        reply = api.request("POST", call, raw=json.dumps(body_).encode())
        details = refused(reply, 400, "INVALID_FIELD")
        assert details["field"] == path and details["expected"]


def test_a_logpoint_needs_a_message(api: ApiClient, body: Body) -> None:
    """INVALID_FIELD `$.message`, also in a validation that says its type."""
    for reply in (
        api.post("/logpoints", body),
        api.post("/points/validate", {**body, "type": "logpoint"}),
    ):
        assert refused(reply, 400, "INVALID_FIELD")["field"] == "$.message"


AGENT_FIELDS = ["resolved", "state", "error", "created", "lastHit", "hitCount", "counts"]


@pytest.mark.parametrize(
    ("type_", "name"),
    [("tracepoint", name) for name in [*AGENT_FIELDS, "message", "level", "nope", "Line", "max_hits", ""]]
    + [("logpoint", name) for name in [*AGENT_FIELDS, "snapshot", "watch", "captureStackTrace"]],
)
def test_fields_that_a_create_call_does_not_have(api: ApiClient, body: Body, type_: str, name: str) -> None:
    """UNKNOWN_FIELD for the other type's, the agent's own and invented ones, whatever their value."""
    for value in (None, 1):
        details = refused(both(api, {**body, name: value}, type_), 400, "UNKNOWN_FIELD")
        assert details["field"] == (f"$.{name}" if name else "$['']")
        assert {"id", "type", "file", "line", "condition", "tags"} <= set(details["allowed"])
        assert name not in details["allowed"]


def test_unknown_sub_fields_are_named_too(api: ApiClient, body: Body) -> None:
    """The path goes down to the member, and `allowed` says what there is."""
    details = refused(both(api, {**body, "rateLimit": {"perSecond": 1}}), 400, "UNKNOWN_FIELD")
    assert details == {"field": "$.rateLimit.perSecond", "allowed": ["limitPerSecond", "burst"]}
    details = refused(both(api, {**body, "snapshot": {"depth": 1}}), 400, "UNKNOWN_FIELD")
    assert details["field"] == "$.snapshot.depth"
    assert set(details["allowed"]) == {"maxDepth", "maxProperties", "maxStringLength", "maxFrames"}


def test_a_type_may_be_repeated_but_not_contradicted(api: ApiClient, body: Body) -> None:
    """The path decides; another type is INVALID_FIELD at creation."""
    assert api.post("/tracepoints", {**body, "type": "tracepoint"}).status == 201
    for value in ("logpoint", "Tracepoint", None, 1):
        assert (
            refused(api.post("/tracepoints", {**body, "type": value}), 400, "INVALID_FIELD")["field"]
            == "$.type"
        )
    message = {**body, "message": "m"}
    assert (
        refused(api.post("/logpoints", {**message, "type": "tracepoint"}), 400, "INVALID_FIELD")["field"]
        == "$.type"
    )


def test_validation_guesses_the_type(agent: Live, body: Body) -> None:
    """Left out, it is a logpoint if there is a message, else a tracepoint; nothing is created."""
    api = agent.api
    assert ok(api.post("/points/validate", body))["type"] == "tracepoint"
    assert ok(api.post("/points/validate", {**body, "message": "m"}))["type"] == "logpoint"
    reply = api.post("/points/validate", {**body, "type": "tracepoint", "message": "m"})
    assert refused(reply, 400, "UNKNOWN_FIELD")["field"] == "$.message"
    refused(api.post("/points/validate", {**body, "type": "probe"}), 400, "INVALID_FIELD")
    assert ok(api.get("/points"))["total"] == 0
