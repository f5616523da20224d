"""Every call, status and code of the control API, over real HTTP."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, Tuple

import pytest
from tests.support.api_client import ApiClient, Reply
from tests.support.control import Served, serving

from otel_tracepoints.control.app import _encoded

BODY = {"file": "a.py", "line": 3}


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def served(shared: Served) -> Served:
    shared.debugger.probes.clear()
    shared.debugger.audits.clear()
    return shared


@pytest.fixture
def api(served: Served) -> ApiClient:
    return served.api


def is_error(reply: Reply, status: int, code: str) -> Dict[str, Any]:
    assert (reply.status, reply.code) == (status, code), reply.text
    assert set(reply.json) == {"error", "code", "details"}
    assert reply.json["error"] and isinstance(reply.json["details"], dict)
    assert reply.headers["content-type"] == "application/json"
    details: Dict[str, Any] = reply.json["details"]
    return details


@pytest.mark.parametrize(("path", "body"), [("/tracepoints", BODY), ("/logpoints", {**BODY, "message": "m"})])
def test_a_create_call_answers_the_point_and_where_it_is(api: ApiClient, path: str, body: Any) -> None:
    """201, a Location that can be followed, and the point as every other call shows it."""
    reply = api.post(path, {**body, "id": "shop:1.a_b-c"})
    assert reply.status == 201
    assert reply.headers["location"] == "/points/shop:1.a_b-c"
    assert reply.json["type"] == path[1:-1]
    assert api.get(reply.headers["location"]).json == reply.json
    assert api.get("/points").json == {"points": [reply.json], "total": 1}


def test_ids_in_paths_are_percent_decoded(api: ApiClient) -> None:
    """%3A is a colon; a slash never belongs to an id."""
    api.post("/tracepoints", {**BODY, "id": "a:b"})
    assert api.get("/points/a%3Ab").json["id"] == "a:b"
    assert api.get("/points/a%2Fb").code == "NOT_FOUND"
    is_error(api.get("/points/%C3%A4"), 404, "POINT_NOT_FOUND")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_put_and_patch_both_change_what_is_given(api: ApiClient, method: str) -> None:
    """200 and the point; a bad value changes nothing."""
    point = api.post("/tracepoints", {**BODY, "id": "p"}).json
    reply = api.request(method, "/points/p", {"maxHits": 4, "tags": ["a"]})
    assert reply.status == 200 and reply.json == {**point, "maxHits": 4, "tags": ["a"]}
    details = is_error(api.request(method, "/points/p", {"maxHits": 9, "tags": 1}), 400, "INVALID_FIELD")
    assert details["field"] == "$.tags"
    is_error(api.request(method, "/points/p", {"line": 4}), 400, "IMMUTABLE_FIELD")
    is_error(api.request(method, "/points/q", {}), 404, "POINT_NOT_FOUND")
    assert api.get("/points/p").json["maxHits"] == 4
    assert api.request(method, "/points/p", api.get("/points/p").json).json == reply.json


def test_deleting_one_point(api: ApiClient) -> None:
    """204 without a body, then 404."""
    api.post("/tracepoints", {**BODY, "id": "p"})
    reply = api.delete("/points/p")
    assert (reply.status, reply.text) == (204, "")
    is_error(api.delete("/points/p"), 404, "POINT_NOT_FOUND")


def test_deleting_many_points_needs_to_be_told_which(api: ApiClient) -> None:
    """By tag, or all of them; saying neither or both is refused."""
    for id, tags in [("a", ["x"]), ("b", ["y"]), ("c", ["z"]), ("d", [])]:
        api.post("/tracepoints", {**BODY, "id": id, "tags": tags})
    is_error(api.delete("/points"), 400, "MISSING_SELECTOR")
    is_error(api.delete("/points", {"all": "false"}), 400, "MISSING_SELECTOR")
    for both in ("tag=x&all=true", "tag=x&all=false"):
        assert is_error(api.delete("/points?" + both), 400, "INVALID_FIELD")["field"] == "all"
    is_error(api.delete("/points", {"all": "1"}), 400, "INVALID_FIELD")
    is_error(api.delete("/points", {"all": ""}), 400, "INVALID_FIELD")
    assert api.delete("/points?tag=x&tag=y").json == {"removed": 2}
    assert api.delete("/points?all=true").json == {"removed": 2}


def test_points_can_be_listed_by_each_criterion(api: ApiClient) -> None:
    """All criteria must hold; any of several tags will do."""
    api.post("/tracepoints", {**BODY, "id": "a", "tags": ["x", "é"]})
    api.post("/tracepoints", {**BODY, "id": "b", "enabled": False, "tags": ["y"]})
    api.post("/logpoints", {"file": "b.py", "line": 1, "id": "c", "message": "m"})

    def ids(**query: str) -> str:
        return "".join(point["id"] for point in api.get("/points", query).json["points"])

    assert ids() == "abc"
    assert ids(type="logpoint") == "c"
    assert ids(enabled="false") == "b" and ids(enabled="true") == "ac"
    assert ids(state="disabled") == "b"
    assert ids(file="b.py") == "c"
    assert ids(tag="é") == "a"
    assert ids(type="tracepoint", enabled="true") == "a"
    assert api.get("/points?tag=x&tag=y").json["total"] == 2


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/points?type=probe", "type"),
        ("/points?type=tracepoint&type=logpoint", "type"),
        ("/points?enabled=1", "enabled"),
        ("/points?enabled=", "enabled"),
        ("/points?state=", "state"),
        ("/points?state=Active", "state"),
        ("/points?tag=", "tag"),
        ("/points?tag=" + "x" * 65, "tag"),
        ("/points?file=", "file"),
        ("/points?limit=1", "limit"),
        ("/points?%FF=1", "\ufffd"),
        ("/points/p?x=1", "x"),
        ("/hits?limit=0", "limit"),
        ("/hits?limit=1001", "limit"),
        ("/hits?limit=1.0", "limit"),
        ("/hits?limit=%2B5", "limit"),
        ("/hits?limit=1_0", "limit"),
        ("/hits?limit=%D9%A3", "limit"),
        ("/hits?after=-1", "after"),
        ("/hits?after=", "after"),
        ("/hits?wait=31", "wait"),
        ("/hits?wait=30.1", "wait"),
        ("/hits?wait=-1", "wait"),
        ("/hits?wait=nan", "wait"),
        ("/hits?wait=1e1", "wait"),
        ("/hits?point=a/b", "point"),
        ("/hits?sequence=1", "sequence"),
        ("/lines", "file"),
        ("/lines?file=a.py&line=1", "line"),
    ],
)
def test_a_bad_query_parameter_is_named(api: ApiClient, path: str, field: str) -> None:
    """400 INVALID_FIELD with the parameter's name and what is expected."""
    details = is_error(api.get(path), 400, "INVALID_FIELD")
    assert details["field"] == field and details["expected"]


def test_switching_one_point(api: ApiClient) -> None:
    """Twice is fine; without a body no Content-Type is needed."""
    api.post("/tracepoints", {**BODY, "id": "p"})
    for action, enabled in [("disable", False), ("disable", False), ("enable", True), ("enable", True)]:
        reply = api.post(f"/points/p/{action}")
        assert reply.status == 200 and set(reply.json) == {"id", "enabled", "message"}
        assert (reply.json["id"], reply.json["enabled"]) == ("p", enabled)
        assert api.get("/points/p").json["enabled"] is enabled
    is_error(api.post("/points/q/enable"), 404, "POINT_NOT_FOUND")


def test_switching_by_tags_counts_what_changed(api: ApiClient) -> None:
    """Points that carry any of the tags."""
    api.post("/tracepoints", {**BODY, "tags": ["x"]})
    api.post("/tracepoints", {**BODY, "tags": ["y"], "enabled": False})
    reply = api.post("/tags/disable", {"tags": ["x", "y", "z"]})
    assert reply.status == 200 and reply.json["disabled"] == 1 and reply.json["message"]
    assert api.post("/tags/enable", {"tags": ["y"]}).json["enabled"] == 1
    assert api.post("/tags/enable", {"tags": []}).json["enabled"] == 0
    assert is_error(api.post("/tags/enable", {"tags": "x"}), 400, "INVALID_FIELD")["field"] == "$.tags"
    assert is_error(api.post("/tags/enable", {}), 400, "INVALID_FIELD")["field"] == "$.tags"
    assert is_error(api.post("/tags/enable", {"tag": "x"}), 400, "UNKNOWN_FIELD")["allowed"] == ["tags"]
    is_error(api.post("/tags/enable"), 400, "MALFORMED_JSON")


def test_validate_answers_as_create_and_creates_nothing(served: Served) -> None:
    """200 instead of 201, the same errors, and no audit record."""
    api = served.api
    reply = api.post("/points/validate", BODY)
    assert reply.status == 200 and reply.json["type"] == "tracepoint"
    assert api.post("/points/validate", {**BODY, "message": "m"}).json["type"] == "logpoint"
    is_error(api.post("/points/validate", {**BODY, "type": "nope"}), 400, "INVALID_FIELD")
    is_error(api.post("/points/validate", {**BODY, "line": 0}), 400, "INVALID_LINE")
    is_error(api.post("/points/validate", {**BODY, "file": "missing.py"}), 404, "FILE_NOT_FOUND")
    assert served.debugger.probes == {} and served.debugger.audits == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**BODY, "maxHits": 0}, 400, "INVALID_FIELD"),
        ({**BODY, "nope": 0}, 400, "UNKNOWN_FIELD"),
        ({**BODY, "message": "m"}, 400, "UNKNOWN_FIELD"),
        ({**BODY, "line": 0}, 400, "INVALID_LINE"),
        ({**BODY, "line": 1001}, 400, "LINE_NOT_EXECUTABLE"),
        ({**BODY, "file": "twice.py"}, 400, "AMBIGUOUS_FILE"),
        ({**BODY, "file": "logging.py"}, 403, "FORBIDDEN_FILE"),
        ({**BODY, "file": "missing.py"}, 404, "FILE_NOT_FOUND"),
        ({**BODY, "condition": "lambda: 1"}, 422, "INVALID_CONDITION"),
        ({**BODY, "watch": ["lambda: 1"]}, 422, "INVALID_WATCH"),
        ({**BODY, "file": "broken.py"}, 500, "INTERNAL"),
        ([], 400, "INVALID_FIELD"),
    ],
)
def test_each_reason_to_refuse_a_point_has_its_status(
    api: ApiClient, body: Any, status: int, code: str
) -> None:
    """And the error form, whatever it was; an inner error shows nothing of itself."""
    reply = api.post("/tracepoints", body)
    is_error(reply, status, code)
    assert "secret" not in reply.text and "Traceback" not in reply.text


def test_messages_and_ids_are_refused_too(api: ApiClient) -> None:
    """422 INVALID_MESSAGE, 409 DUPLICATE_ID."""
    is_error(api.post("/logpoints", {**BODY, "message": "{lambda: 1}"}), 422, "INVALID_MESSAGE")
    is_error(api.post("/logpoints", BODY), 400, "INVALID_FIELD")
    api.post("/tracepoints", {**BODY, "id": "p"})
    is_error(api.post("/tracepoints", {**BODY, "id": "p"}), 409, "DUPLICATE_ID")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": NaN}', b'{"a": 1, "a": 1}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_malformed(api: ApiClient, raw: bytes) -> None:
    """400 MALFORMED_JSON, an empty body too."""
    is_error(api.request("POST", "/tracepoints", raw=raw), 400, "MALFORMED_JSON")
    is_error(api.request("PUT", "/points/p", raw=raw), 400, "MALFORMED_JSON")


@pytest.mark.parametrize(
    "type_", ["text/plain", "application/x-www-form-urlencoded", "", None, "application/jsonx"]
)
def test_a_body_must_be_declared_json(api: ApiClient, type_: Any) -> None:
    """415 for what a web page may send unasked, on every call that has a body."""
    for method, path in [
        ("POST", "/tracepoints"),
        ("PATCH", "/points/p"),
        ("POST", "/sleep"),
        ("GET", "/points"),
    ]:
        reply = api.request(method, path, BODY, headers={"Content-Type": type_})
        is_error(reply, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "type_", ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
)
def test_all_ways_to_declare_json_are_taken(api: ApiClient, type_: str) -> None:
    """Parameters, case and structured suffixes."""
    assert api.post("/tracepoints", BODY, headers={"Content-Type": type_}).status == 201


@pytest.mark.parametrize("path", ["/", "/nope", "/points/", "/points/p/x", "/tracepoints/p", "/Points"])
def test_unknown_paths_are_not_found(api: ApiClient, path: str) -> None:
    """In the error form, whatever the method."""
    for method in ("GET", "POST", "DELETE", "FOO"):
        reply = api.request(method, path)
        assert (reply.status, reply.code) in (
            (404, "NOT_FOUND"),
            # "/points/" is a point with an empty id for those who read it so.
            *([(404, "POINT_NOT_FOUND"), (405, "METHOD_NOT_ALLOWED")] if path == "/points/" else []),
        )


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/health", {"GET"}),
        ("/points", {"GET", "DELETE"}),
        ("/points/p", {"GET", "PUT", "PATCH", "DELETE"}),
        ("/points/validate", {"POST"}),
        ("/tracepoints", {"POST"}),
        ("/sleep", {"POST"}),
        ("/hits", {"GET"}),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    api: ApiClient, path: str, allowed: Any
) -> None:
    """405 with Allow, for methods that HTTP does not know too."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"):
        if method not in allowed:
            reply = api.request(method, path)
            is_error(reply, 405, "METHOD_NOT_ALLOWED")
            assert set(reply.headers["allow"].split(", ")) == allowed
    assert api.request("HEAD", path).status == 405


def test_sleeping_and_waking(api: ApiClient) -> None:
    """The switch works with any query string, and health shows it."""
    assert api.post("/sleep?now=1").json == {"state": "sleeping"}
    assert api.get("/health").json["state"] == "sleeping"
    assert api.post("/wake").json == {"state": "awake"}


def test_health_lines_and_explain_answer_what_the_agent_knows(api: ApiClient) -> None:
    """Passed on as they are."""
    assert api.get("/health").json["process"] == {"pid": 1, "serviceName": None}
    assert api.get("/lines", {"file": "a.py"}).json["lines"] == [{"line": 1, "functions": ["m.f"]}]
    is_error(api.get("/lines", {"file": "missing.py"}), 404, "FILE_NOT_FOUND")
    is_error(api.get("/lines", {"file": "twice.py"}), 400, "AMBIGUOUS_FILE")
    api.post("/tracepoints", {**BODY, "id": "p"})
    assert api.get("/points/p/explain").json["summary"]
    is_error(api.get("/points/q/explain"), 404, "POINT_NOT_FOUND")


def test_hits_come_in_pages() -> None:
    """The last ones, or the first after a sequence; of one point or all."""
    with serving() as served:
        for name in "abab":
            served.debugger.hit(name)

        def sequences(query: Dict[str, str]) -> Tuple[Any, int]:
            page = served.api.get("/hits", query).json
            return [hit["sequence"] for hit in page["hits"]], page["next"]

        assert sequences({}) == ([1, 2, 3, 4], 4)
        assert sequences({"limit": "2"}) == ([3, 4], 4)
        assert sequences({"after": "1", "limit": "2"}) == ([2, 3], 3)
        assert sequences({"after": "4"}) == ([], 4)
        assert sequences({"point": "b", "after": "0"}) == ([2, 4], 4)


def test_errors_are_redacted(api: ApiClient, served: Served) -> None:
    """An error that quotes the request does not show what answers hide."""
    reply = api.post("/tracepoints", {**BODY, "s3cr3t": 1})
    assert is_error(reply, 400, "UNKNOWN_FIELD")["field"] == "$.[REDACTED]"
    assert "s3cr3t" not in reply.text


def test_every_change_that_is_asked_for_is_audited_once(served: Served) -> None:
    """With its outcome, refused ones too; questions are not."""
    api, client = served.api, "127.0.0.1"
    api.post("/tracepoints", {**BODY, "id": "p", "tags": ["x"]})
    api.post("/logpoints", BODY)
    api.post("/tracepoints", {**BODY, "condition": "lambda: 1"})
    api.post("/tracepoints", {**BODY, "file": "broken.py"})
    api.request("POST", "/tracepoints", raw=b"{")
    api.put("/points/p", {"maxHits": 2})
    api.patch("/points/q", {})
    api.post("/points/p/disable")
    api.post("/tags/enable", {"tags": ["x"]})
    api.delete("/points")
    api.delete("/points", {"tag": "x"})
    api.delete("/points/p")
    api.post("/sleep")
    api.post("/wake", headers={"Host": "evil.example"})
    for path in ("/health", "/points", "/points/p", "/hits", "/openapi.json", "/nope"):
        api.get(path)
    api.post("/points/validate", BODY)
    assert served.debugger.audits == [
        ("create", "ok", "p", 1, client),
        ("create", "INVALID_FIELD", None, 0, client),
        ("create", "INVALID_CONDITION", None, 0, client),
        ("create", "INTERNAL", None, 0, client),
        ("create", "MALFORMED_JSON", None, 0, client),
        ("update", "ok", "p", 1, client),
        ("update", "POINT_NOT_FOUND", "q", 0, client),
        ("disable", "ok", "p", 1, client),
        ("enable", "ok", None, 1, client),
        ("delete", "MISSING_SELECTOR", None, 0, client),
        ("delete", "ok", None, 1, client),
        ("delete", "POINT_NOT_FOUND", "p", 0, client),
        ("sleep", "ok", None, 0, client),
        ("wake", "FORBIDDEN_HOST", None, 0, client),
    ]


def test_a_broken_audit_does_not_undo_an_answer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is made, so it is answered as made."""
    monkeypatch.setattr(served.debugger, "audit", None)
    assert served.api.post("/tracepoints", BODY).status == 201


def test_a_list_is_encoded_as_any_other_answer() -> None:
    """Encoding item by item, so that the application may run in between, gives the same JSON."""
    data = {"points": [{"a": None, "é": [1, 2.5, "\x00"]}, "x"], "total": 2, "none": [], "deep": {"l": [{}]}}
    assert _encoded(data) == json.dumps(data).encode()
    assert _encoded([1]) == b"[1]"
    assert _encoded({}) == b"{}"
    with pytest.raises(ValueError, match="JSON compliant"):
        _encoded({"hits": [float("nan")]})
