"""Creating points: every field, its default, what it takes and what it refuses."""

from __future__ import annotations

import re
import uuid
from typing import Any, Dict

import pytest
from tests.support.api_client import ApiClient, Reply
from tests.support.live import Live, Target, ok, refused

Body = Dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COUNTS = (
    "emitted",
    "conditionFalse",
    "conditionError",
    "rateLimited",
    "overBudget",
    "captureError",
    "dropped",
    "reentrant",
)
COMMON = {
    "condition": None,
    "tags": [],
    "enabled": True,
    "rateLimit": {"limitPerSecond": 10, "burst": 10},
    "maxHits": None,
    "expireSeconds": 3600,
    "state": "active",
    "error": None,
    "lastHit": None,
    "hitCount": 0,
    "counts": dict.fromkeys(COUNTS, 0),
}


def both(api: ApiClient, body: Body, type_: str = "tracepoint") -> Reply:
    """Validate, then create: the same answer, but for the status, a generated id and the time."""
    if type_ == "logpoint":
        body = {"message": "m", **body}
    checked = api.post("/points/validate", {"type": type_, **body})
    made = api.post(f"/{type_}s", body)
    if made.status != 201:
        assert (checked.status, checked.json) == (made.status, made.json)
    else:
        assert checked.status == 200, checked.text
        differ = {"created"} if "id" in body else {"created", "id"}
        assert {**checked.json, **{key: made.json[key] for key in differ}} == made.json
        assert list(checked.json) == list(made.json)
    return made


def test_a_tracepoint_has_these_fields_and_defaults(api: ApiClient, body: Body, program: Target) -> None:
    """A file and a line are enough; what is left out is what the contract says."""
    reply = both(api, body)
    point = reply.json
    assert str(uuid.UUID(point["id"])) == point["id"]
    assert reply.headers["location"] == f"/points/{point['id']}"
    assert TIME.fullmatch(point["created"])
    assert point == {
        **COMMON,
        "id": point["id"],
        "type": "tracepoint",
        "file": body["file"],
        "line": body["line"],
        "resolved": {
            "file": str(program.path),
            "line": body["line"],
            "functions": [f"{program.name}.work"],
        },
        "snapshot": {"maxDepth": 3, "maxProperties": 100, "maxStringLength": 1024, "maxFrames": 20},
        "watch": [],
        "created": point["created"],
    }
    assert ok(api.get(reply.headers["location"])) == point
    assert ok(api.get("/points")) == {"points": [point], "total": 1}


def test_a_logpoint_has_these_fields_and_defaults(api: ApiClient, body: Body, program: Target) -> None:
    """A message and a level in place of the snapshot's limits and watches."""
    point = both(api, {**body, "message": "{{n}} is {n}"}, "logpoint").json
    assert point == {
        **COMMON,
        "id": point["id"],
        "type": "logpoint",
        "file": body["file"],
        "line": body["line"],
        "resolved": point["resolved"],
        "message": "{{n}} is {n}",
        "level": "INFO",
        "created": point["created"],
    }


def test_everything_that_is_given_is_answered(api: ApiClient, body: Body) -> None:
    """All fields at once, of either type."""
    common = {
        **body,
        "condition": "n > 1 && !done",
        "tags": ["a", "b"],
        "enabled": False,
        "rateLimit": {"limitPerSecond": 0.5, "burst": 3},
        "maxHits": 7,
        "expireSeconds": 1.5,
    }
    limits = {"maxDepth": 1, "maxProperties": 2, "maxStringLength": 3, "maxFrames": 0}
    trace = {**common, "id": "t", "type": "tracepoint", "snapshot": limits, "watch": ["n", "n"]}
    log = {**common, "id": "l", "type": "logpoint", "message": "{n}", "level": "FATAL"}
    for sent in (trace, log):
        point = both(api, sent, str(sent["type"])).json
        assert {key: point[key] for key in sent} == sent
        assert point["state"] == "disabled"


@pytest.mark.parametrize("id", ["a", "x" * 128, "A-Z.a_z:0-9", "...", "validate2", "Validate", "-", ":"])
def test_ids_that_a_client_may_choose(api: ApiClient, body: Body, id: str) -> None:
    """1 to 128 of A-Za-z0-9._:- ; the point is found under it."""
    reply = both(api, {**body, "id": id})
    assert (reply.status, reply.json["id"]) == (201, id)
    assert ok(api.get(reply.headers["location"]))["id"] == id


def test_an_id_is_given_once(api: ApiClient, body: Body) -> None:
    """A second point with it is 409, of either type; after a removal it is free."""
    both(api, {**body, "id": "p"})
    refused(both(api, {**body, "id": "p"}), 409, "DUPLICATE_ID")
    refused(both(api, {**body, "id": "p"}, "logpoint"), 409, "DUPLICATE_ID")
    assert api.delete("/points/p").status == 204
    assert both(api, {**body, "id": "p"}).status == 201


@pytest.mark.parametrize(
    ("fields", "type_"),
    [
        ({"condition": " \t\n"}, "tracepoint"),
        ({"condition": ""}, "logpoint"),
        ({"condition": None, "maxHits": None, "expireSeconds": None}, "tracepoint"),
        ({"message": ""}, "logpoint"),
        ({"tags": [f"t{n}" for n in range(50)]}, "tracepoint"),
        ({"tags": ["x" * 64, "ä b/c?"]}, "tracepoint"),
        ({"rateLimit": {"limitPerSecond": 1e9, "burst": 10**9}}, "tracepoint"),
        ({"rateLimit": {"limitPerSecond": 1e-9, "burst": 1}}, "tracepoint"),
        (
            {"snapshot": {"maxDepth": 10, "maxProperties": 10_000, "maxStringLength": 65_536}},
            "tracepoint",
        ),
        ({"snapshot": {"maxFrames": 200}}, "tracepoint"),
        ({"watch": ["n"] * 8}, "tracepoint"),
        ({"maxHits": 10**30}, "tracepoint"),
        ({"expireSeconds": 9.5}, "tracepoint"),
        ({"expireSeconds": 1e300}, "tracepoint"),
    ],
)
def test_values_at_the_edge_are_taken(api: ApiClient, body: Body, fields: Body, type_: str) -> None:
    """What the contract allows is a point."""
    assert both(api, {**body, **fields}, type_).status == 201


@pytest.mark.parametrize("level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"])
def test_each_level_is_taken(api: ApiClient, body: Body, level: str) -> None:
    """Exactly these six."""
    assert both(api, {**body, "level": level}, "logpoint").json["level"] == level


def test_sub_fields_left_out_have_their_defaults(api: ApiClient, body: Body) -> None:
    """A limit given without a burst has burst 1, a burst without a limit has the usual limit."""

    def of(**fields: Any) -> Body:
        point: Body = both(api, {**body, **fields}).json
        return point

    assert of(rateLimit={"limitPerSecond": 5})["rateLimit"] == {"limitPerSecond": 5, "burst": 1}
    assert of(rateLimit={"burst": 5})["rateLimit"] == {"limitPerSecond": 10, "burst": 5}
    assert of(rateLimit={})["rateLimit"] == {"limitPerSecond": 10, "burst": 10}
    defaults = {"maxDepth": 3, "maxProperties": 100, "maxStringLength": 1024, "maxFrames": 20}
    for name in defaults:
        assert of(snapshot={name: 1})["snapshot"] == {**defaults, name: 1}


def test_repeated_tags_count_once_and_blank_conditions_are_null(api: ApiClient, body: Body) -> None:
    """Fifty different tags fit, however often each is repeated."""
    tags = [f"t{n % 50}" for n in range(120)]
    point = both(api, {**body, "tags": tags, "condition": "  "}).json
    assert point["tags"] == tags[:50]
    assert point["condition"] is None


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
