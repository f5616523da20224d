"""Choosing points: lists, filters, removal, switches by id and by tag."""

from __future__ import annotations

import pathlib
from typing import Any, Dict, List

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import Live, Target, ok, refused

Body = Dict[str, Any]


@pytest.fixture
def five(api: ApiClient, body: Body, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> List[Body]:
    """Points of every sort: a to d in the program, e in a file that is not imported."""
    other = tmp_path / "warehouse" / "stock.py"
    other.parent.mkdir()
    other.write_text("x = 1\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sent = [
        ("/tracepoints", {**body, "id": "a", "tags": ["red", "big"]}),
        ("/tracepoints", {**body, "id": "b", "tags": ["red"], "enabled": False}),
        ("/logpoints", {**body, "id": "c", "tags": ["blue & green"], "message": "m"}),
        ("/logpoints", {**body, "id": "d", "message": "m"}),
        ("/tracepoints", {"file": "warehouse/stock.py", "line": 1, "id": "e", "tags": ["é"]}),
    ]
    return [ok(api.post(path, fields)) for path, fields in sent]


def ids(api: ApiClient, query: Any = None) -> str:
    """The ids that a list shows, in its order."""
    answer = ok(api.get("/points", query))
    assert set(answer) == {"points", "total"} and answer["total"] == len(answer["points"])
    return "".join(point["id"] for point in answer["points"])


def test_a_list_shows_the_points_in_the_order_of_their_creation(api: ApiClient, five: List[Body]) -> None:
    """Each exactly as its own path shows it."""
    points = ok(api.get("/points"))["points"]
    assert points == five == [ok(api.get(f"/points/{id}")) for id in "abcde"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"type": "tracepoint"}, "abe"),
        ({"type": "logpoint"}, "cd"),
        ({"enabled": "true"}, "acde"),
        ({"enabled": "false"}, "b"),
        ({"tag": "red"}, "ab"),
        ({"tag": "blue & green"}, "c"),
        ({"tag": "é"}, "e"),
        ({"tag": "Red"}, ""),
        ([("tag", "big"), ("tag", "blue & green")], "ac"),
        ({"state": "active"}, "acd"),
        ({"state": "disabled"}, "b"),
        ({"state": "pending"}, "e"),
        ({"state": "expired"}, ""),
        ({"state": "error"}, ""),
        ({"file": "stock.py"}, "e"),
        ({"file": "warehouse/stock.py"}, "e"),
        ({"file": "warehouse\\stock.py"}, "e"),
        ({"file": "/home/me/warehouse/stock.py"}, "e"),
        ({"file": "ock.py"}, ""),
        ({"file": "nowhere.py"}, ""),
        ({"type": "tracepoint", "enabled": "true", "tag": "red", "state": "active"}, "a"),
    ],
)
def test_all_criteria_must_hold(api: ApiClient, five: List[Body], query: Any, expected: str) -> None:
    """Several tags: any of them; a file: its path or a suffix of whole segments."""
    assert ids(api, query) == expected


def test_a_file_may_be_given_in_full(api: ApiClient, five: List[Body], program: Target) -> None:
    """By real path, base name, and as the point has it."""
    for file in (
        str(program.path),
        program.path.name,
        "/x/y/../" + program.path.parent.name + "/" + program.path.name,
    ):
        assert ids(api, {"file": file}) == "abcd"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=probe", "type"),
        ("type=", "type"),
        ("enabled=1", "enabled"),
        ("enabled=True", "enabled"),
        ("state=Active", "state"),
        ("tag=", "tag"),
        ("file=", "file"),
        ("type=tracepoint&type=tracepoint", "type"),
        ("limit=1", "limit"),
        ("tags=red", "tags"),
    ],
)
def test_a_bad_or_unknown_parameter_is_named(api: ApiClient, query: str, field: str) -> None:
    """400 INVALID_FIELD with the parameter's name and what is expected."""
    details = refused(api.get("/points?" + query), 400, "INVALID_FIELD")
    assert details["field"] == field and details["expected"]


@pytest.mark.parametrize(
    "call",
    [
        "GET /health?x=1",
        "GET /points/a?x=1",
        "DELETE /points/a?x=1",
        "PUT /points/a?x=1",
        "POST /points/a/enable?x=1",
        "GET /points/a/explain?x=1",
        "POST /tracepoints?x=1",
        "POST /points/validate?x=1",
        "POST /tags/enable?x=1",
        "DELETE /points?all=true&x=1",
        "GET /lines?file=stock.py&x=1",
        "GET /hits?x=1",
    ],
)
def test_every_call_refuses_parameters_that_it_does_not_have(
    api: ApiClient, five: List[Body], call: str
) -> None:
    """And does nothing."""
    method, path = call.split()
    data = {} if method in ("PUT", "POST") and "enable?" not in path.replace("tags/enable", "") else None
    assert refused(api.request(method, path, data), 400, "INVALID_FIELD")["field"] == "x"
    assert ids(api) == "abcde"


def test_removing_one(api: ApiClient, five: List[Body]) -> None:
    """204 without a body; then it is gone for every call."""
    reply = api.delete("/points/a")
    assert (reply.status, reply.text) == (204, "")
    for method, path, data in [
        ("GET", "/points/a", None),
        ("PUT", "/points/a", {}),
        ("PATCH", "/points/a", {}),
        ("DELETE", "/points/a", None),
        ("POST", "/points/a/enable", None),
        ("POST", "/points/a/disable", None),
        ("GET", "/points/a/explain", None),
    ]:
        refused(api.request(method, path, data), 404, "POINT_NOT_FOUND")
    assert ids(api) == "bcde"


@pytest.mark.parametrize(
    ("query", "removed", "left"),
    [
        ("tag=red", 2, "cde"),
        ("tag=red&tag=%C3%A9", 3, "cd"),
        ("tag=nobody", 0, "abcde"),
        ("all=true", 5, ""),
    ],
)
def test_removing_many(api: ApiClient, five: List[Body], query: str, removed: int, left: str) -> None:
    """By any of the tags, or all; the answer counts them."""
    assert ok(api.delete("/points?" + query)) == {"removed": removed}
    assert ids(api) == left


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MISSING_SELECTOR"),
        ("?all=false", "MISSING_SELECTOR"),
        ("?all=true&tag=red", "INVALID_FIELD"),
        ("?all=false&tag=red", "INVALID_FIELD"),
        ("?all=1", "INVALID_FIELD"),
        ("?all=", "INVALID_FIELD"),
        ("?all=true&all=true", "INVALID_FIELD"),
        ("?tag=", "INVALID_FIELD"),
        ("?type=tracepoint", "INVALID_FIELD"),
    ],
)
def test_a_removal_must_say_of_what(api: ApiClient, five: List[Body], query: str, code: str) -> None:
    """Neither, or both, removes nothing."""
    refused(api.delete("/points" + query), 400, code)
    assert ids(api) == "abcde"


def test_one_point_is_switched(agent: Live, five: List[Body], program: Target) -> None:
    """200 with id, enabled and a message; twice is fine."""
    for action, enabled in [("disable", False), ("disable", False), ("enable", True), ("enable", True)]:
        reply = agent.api.post(f"/points/a/{action}")
        assert reply.status == 200 and set(reply.json) == {"id", "enabled", "message"}
        assert (reply.json["id"], reply.json["enabled"]) == ("a", enabled)
        assert isinstance(reply.json["message"], str) and reply.json["message"]
        assert agent.point({"id": "a"})["enabled"] is enabled
        assert agent.point({"id": "a"})["state"] == ("active" if enabled else "disabled")
    program.work(1)
    assert agent.counts({"id": "a"}) == {"emitted": 1}


def test_points_are_switched_by_tag(api: ApiClient, five: List[Body]) -> None:
    """Those that carry any of the tags; n counts those that changed."""
    answer = ok(api.post("/tags/disable", {"tags": ["red", "blue & green", "nobody"]}))
    assert set(answer) == {"disabled", "message"} and answer["disabled"] == 2 and answer["message"]
    assert ids(api, {"enabled": "false"}) == "abc"
    assert ok(api.post("/tags/disable", {"tags": ["red"]}))["disabled"] == 0
    answer = ok(api.post("/tags/enable", {"tags": ["big", "é", "big"]}))
    assert set(answer) == {"enabled", "message"} and answer["enabled"] == 1
    assert ids(api, {"enabled": "false"}) == "bc"
    assert ok(api.post("/tags/enable", {"tags": []}))["enabled"] == 0


@pytest.mark.parametrize("action", ["enable", "disable"])
def test_tags_are_checked(api: ApiClient, five: List[Body], action: str) -> None:
    """As the tags of a point; nothing else is taken."""
    path = f"/tags/{action}"
    assert refused(api.post(path, {"tags": "red"}), 400, "INVALID_FIELD")["field"] == "$.tags"
    assert refused(api.post(path, {}), 400, "INVALID_FIELD")["field"] == "$.tags"
    assert refused(api.post(path, {"tags": ["red", ""]}), 400, "INVALID_FIELD")["field"] == "$.tags[1]"
    details = refused(api.post(path, {"tags": ["red"], "type": "x"}), 400, "UNKNOWN_FIELD")
    assert details == {"field": "$.type", "allowed": ["tags"]}
    assert refused(api.post(path, []), 400, "INVALID_FIELD")["field"] == "$"
    refused(api.post(path), 400, "MALFORMED_JSON")
    assert ids(api, {"enabled": "false"}) == "b"
