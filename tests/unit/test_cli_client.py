"""The command line's HTTP client: answers as they come, refusals and silence told apart."""

from __future__ import annotations

import socket

import pytest
from tests.support.fake_control_api import error, fake_control_api, raw_server

from otel_tracepoints.cli.client import Client, Refused, Unreachable, base_url


def test_answer_keeps_the_bytes_of_the_body():
    """What the API wrote is kept byte for byte beside what it means."""
    body = b'{ "points" : [],\n"total":0 }'
    with fake_control_api() as api:
        api.replies["GET /points"] = (200, body)
        answer = Client(api.url).get("/points")
    assert (answer.status, answer.body, answer.document) == (200, body, {"points": [], "total": 0})


def test_body_goes_out_as_declared_json():
    """A body is JSON and says so; a POST without one has neither body nor type."""
    with fake_control_api() as api:
        api.replies["POST /tracepoints"] = (201, {"id": "a"})
        api.replies["POST /sleep"] = (200, {"state": "sleeping"})
        client = Client(api.url)
        client.post("/tracepoints", {"file": "ü.py"})
        client.post("/sleep")
    with_body, without = api.requests
    assert with_body.headers["content-type"] == "application/json"
    assert with_body.document() == {"file": "ü.py"}
    assert "content-type" not in without.headers
    assert without.headers["content-length"] == "0"


def test_token_is_sent_as_bearer():
    """A token goes out as a bearer token; without one there is no such header."""
    with fake_control_api() as api:
        api.replies["GET /health"] = (200, {"status": "healthy"})
        Client(api.url, "s3cret").get("/health")
        Client(api.url).get("/health")
    assert api.requests[0].headers["authorization"] == "Bearer s3cret"
    assert "authorization" not in api.requests[1].headers


def test_no_content_is_an_empty_answer():
    """A 204 is an answer with nothing in it."""
    with fake_control_api() as api:
        api.replies["DELETE /points/a"] = (204, b"")
        answer = Client(api.url).call("DELETE", "/points/a")
    assert (answer.status, answer.body, answer.document) == (204, b"", {})


def test_error_form_is_a_refusal():
    """An answer in the API's error form carries its sentence, code, details and bytes."""
    with fake_control_api() as api:
        api.replies["GET /points/a"] = (404, error("POINT_NOT_FOUND", "No point a.", id="a"))
        with pytest.raises(Refused) as caught:
            Client(api.url).get("/points/a")
    assert caught.value.message == "No point a."
    assert caught.value.code == "POINT_NOT_FOUND"
    assert caught.value.details == {"id": "a"}
    assert b"POINT_NOT_FOUND" in caught.value.body


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>welcome</html>"),
        (200, b"[1, 2]"),
        (200, b"\xff\xfe"),
        (200, b"[" * 100_000),
        (404, b"<html>no such page</html>"),
        (502, b'{"message": "bad gateway"}'),
        (404, b'{"error": 7, "code": null}'),
        (302, b"elsewhere"),
    ],
)
def test_somebody_else_is_not_an_agent(status, body):
    """Whatever does not answer as a control API is somebody else, with advice about the address."""
    with fake_control_api() as api:
        api.replies["GET /points"] = (status, body)
        with pytest.raises(Unreachable) as caught:
            Client(api.url).get("/points")
    assert "not an agent's control API" in caught.value.message
    assert "--url" in caught.value.advice


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"]
)
def test_no_http_or_half_an_answer_is_unreachable(answer):
    """A server that speaks something else, hangs up or stops half way is unreachable, not a crash."""
    with raw_server(answer) as url, pytest.raises(Unreachable):
        Client(url, timeout=5).get("/points")


def test_silence_ends_at_the_timeout():
    """A server that accepts and never answers is given up after the timeout, and it is named."""
    with raw_server(None) as url, pytest.raises(Unreachable) as caught:
        Client(url, timeout=0.3).get("/points")
    assert "did not answer within 0.3 s" in caught.value.message


def test_nobody_there_says_what_to_do():
    """A refused connection says how a service is started and where the address comes from."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable) as caught:
            Client(url).get("/points")
    assert caught.value.message.startswith(f"Cannot connect to {url}: ")
    assert "opentelemetry-instrument" in caught.value.advice
    assert "DEBUGIN_CONTROL_API_URL" in caught.value.advice


def test_proxy_is_ignored_for_loopback(monkeypatch):
    """A proxy named in the environment is not asked for this machine's own addresses."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with fake_control_api() as api:
        api.replies["GET /points"] = (200, {"points": []})
        assert Client(api.url).get("/points").status == 200
        assert Client(api.url.replace("127.0.0.1", "localhost")).get("/points").status == 200


def test_redirect_does_not_carry_the_token_away():
    """A redirect is not followed, so that a token stays with the address it was given for."""
    with fake_control_api() as other, fake_control_api() as api:
        api.replies["GET /points"] = (307, b"")
        with pytest.raises(Unreachable):
            Client(api.url, "s3cret").get("/points")
    assert other.requests == []


def test_path_of_the_url_is_kept():
    """Behind a reverse proxy the API may live under a path."""
    with fake_control_api() as api:
        api.replies["GET /agents/7/points"] = (200, {"points": []})
        assert Client(api.url + "/agents/7/").get("/points").status == 200


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:5001/", "http://127.0.0.1:5001"),
        ("127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("localhost:5001", "http://localhost:5001"),
        ("https://host/agent", "https://host/agent"),
        ("http://[::1]:5001", "http://[::1]:5001"),
    ],
)
def test_base_url(text, url):
    """An address may leave out the scheme and end with a slash."""
    assert base_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://u:p@host",
        "http://h/?a=b",
        "http://a b",
        "http://[::1",
    ],
)
def test_base_url_refuses(text):
    """What is no address of an API is refused before anything is sent."""
    with pytest.raises(ValueError):
        base_url(text)
