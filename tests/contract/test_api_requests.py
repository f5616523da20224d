"""Requests that cannot be served: bodies, methods, paths, and clients that hang up."""

from __future__ import annotations

import socket
from typing import Any, Dict

import pytest
from tests.support.api_client import ApiClient
from tests.support.control import raw_exchange
from tests.support.live import Live, Target, ok, refused

Body = Dict[str, Any]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"a": }',
        b"{'a': 1}",
        b"nonsense",
        b'{"maxHits": NaN}',
        b'{"expireSeconds": Infinity}',
        b'{"expireSeconds": -Infinity}',
        b'{"file": "\xff"}',
        b'{"file": "a.py"} {}',
        b"[" * 200_000,
    ],
)
def test_a_body_that_is_not_json(agent: Live, raw: bytes) -> None:
    """400 MALFORMED_JSON for every call with a body, an empty one too."""
    for method, path in [
        ("POST", "/tracepoints"),
        ("POST", "/logpoints"),
        ("POST", "/points/validate"),
        ("PUT", "/points/p"),
        ("PATCH", "/points/p"),
        ("POST", "/tags/enable"),
        ("POST", "/tags/disable"),
    ]:
        refused(agent.api.request(method, path, raw=raw), 400, "MALFORMED_JSON")


def test_numbers_beyond_all_ranges_are_invalid_fields(api: ApiClient, program: Target) -> None:
    """1e999 and a number of a hundred thousand digits are JSON, and no values of any field."""
    head = b'{"file": "%s", "line": %d, ' % (str(program.path).encode(), program.line("body"))
    for text, field in [
        (b'"expireSeconds": 1e999}', "$.expireSeconds"),
        (b'"maxHits": 1e3}', "$.maxHits"),
        (b'"rateLimit": {"limitPerSecond": 1e400}}', "$.rateLimit.limitPerSecond"),
        (b'"maxHits": ' + b"9" * 100_000 + b"}", "$.maxHits"),
    ]:
        reply = api.request("POST", "/tracepoints", raw=head + text)
        assert refused(reply, 400, "INVALID_FIELD")["field"] == field


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", "", None, "json"])
def test_a_body_that_is_not_declared_json(agent: Live, body: Body, type_: Any) -> None:
    """415, and nothing is created; a POST without a body needs no Content-Type."""
    for path in ("/tracepoints", "/points/validate", "/tags/enable", "/sleep"):
        reply = agent.api.post(path, body, headers={"Content-Type": type_})
        refused(reply, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert ok(agent.api.get("/points"))["total"] == 0
    assert ok(agent.api.get("/health"))["state"] == "awake"
    for type_given in (None, "text/plain"):
        assert agent.api.post("/wake", headers={"Content-Type": type_given}).status == 200


def test_a_body_of_a_mebibyte_is_the_largest(api: ApiClient, body: Body) -> None:
    """413 BODY_TOO_LARGE one byte beyond."""
    import json

    raw = json.dumps(body).encode()
    assert api.request("POST", "/tracepoints", raw=raw.ljust(1024 * 1024)).status == 201
    refused(api.request("POST", "/tracepoints", raw=raw.ljust(1024 * 1024 + 1)), 413, "BODY_TOO_LARGE")


PATHS = {
    "/health": "GET",
    "/points": "GET DELETE",
    "/tracepoints": "POST",
    "/logpoints": "POST",
    "/points/validate": "POST",
    "/points/p": "GET PUT PATCH DELETE",
    "/points/p/enable": "POST",
    "/points/p/disable": "POST",
    "/points/p/explain": "GET",
    "/tags/enable": "POST",
    "/tags/disable": "POST",
    "/lines": "GET",
    "/hits": "GET",
    "/sleep": "POST",
    "/wake": "POST",
    "/openapi.json": "GET",
}


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_a_path_does_not_take(api: ApiClient, path: str) -> None:
    """405 with Allow, for methods that nobody knows too."""
    allowed = set(PATHS[path].split())
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - allowed:
        reply = api.request(method, path)
        refused(reply, 405, "METHOD_NOT_ALLOWED")
        assert {each.strip() for each in reply.headers["allow"].split(",")} == allowed


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/points/p/nope", "/tags", "/tracepoints/p", "/Health", "/sleep/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "BREW"])
def test_a_path_that_does_not_exist(api: ApiClient, path: str, method: str) -> None:
    """404 NOT_FOUND in the error form."""
    refused(api.request(method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"POST /sleep HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /sleep HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(9),
)
def test_what_is_no_request_at_all(api: ApiClient, sent: bytes) -> None:
    """400 in the error form, with a code of the table; nothing was done."""
    status, headers, answer = raw_exchange(api.port, sent)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert set(answer) == {"error", "code", "details"} and answer["code"] == "INVALID_FIELD"
    assert set(answer["details"]) == {"field", "expected"}
    assert ok(api.get("/health"))["state"] == "awake"


def test_an_error_of_the_agent_is_logged_and_not_shown(
    agent: Live, body: Body, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 INTERNAL; the log has the traceback."""
    debugger = agent.agent._debugger
    monkeypatch.setattr(debugger._resolver, "match", lambda _: 1 / 0)
    reply = agent.api.post("/tracepoints", body)
    refused(reply, 500, "INTERNAL")
    assert "division" not in reply.text and "Traceback" not in reply.text
    assert any(r.exc_info and r.name == "otel_tracepoints" for r in caplog.records)


def test_errors_are_redacted(api: ApiClient, body: Body) -> None:
    """An error that quotes the request does not show a secret in it."""
    key = "AKIA" + "Q7XWV5ZT2MNB4KLP"
    for fields in (
        {key: 1},
        {"condition": f"open('{key}')"},
        {"file": f"/srv/{key}/a.py"},
        {"id": f"{key}/"},
    ):
        reply = api.post("/tracepoints", {**body, **fields})
        assert reply.status >= 400 and key not in reply.text


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(api: ApiClient, body: Body) -> None:
    """Half a request creates nothing."""
    with socket.create_connection(("127.0.0.1", api.port)) as sock:
        sock.sendall(b"POST /tracepoints HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    assert ok(api.get("/points"))["total"] == 0
