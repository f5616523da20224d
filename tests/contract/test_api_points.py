"""Creating points: every field, its default, what it takes and what it refuses."""

from __future__ import annotations

import re
import uuid
from typing import Any, Dict

import pytest
from tests.support.api_client import ApiClient, both
from tests.support.live import Target, ok, refused

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
