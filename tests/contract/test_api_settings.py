"""Who may call, where the API listens, and what the settings change about it."""

from __future__ import annotations

import http.client
import os
import pathlib
import queue
import socket
import stat
import threading
from typing import Any, Callable, Dict

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import Live, ok, refused

import otel_tracepoints
from otel_tracepoints import ConfigError
from otel_tracepoints.lifecycle import launch

#: Calls of every kind; the last three need no token.
CALLS = (
    ("GET", "/points", None),
    ("POST", "/tracepoints", {"file": "a.py", "line": 1}),
    ("POST", "/points/validate", {"file": "a.py", "line": 1}),
    ("PUT", "/points/p", {}),
    ("DELETE", "/points?all=true", None),
    ("POST", "/tags/enable", {"tags": []}),
    ("GET", "/lines?file=a.py", None),
    ("GET", "/hits", None),
    ("POST", "/sleep", None),
    ("GET", "/nope", None),
    ("PATCH", "/health", {}),
    ("GET", "/health", None),
    ("GET", "/openapi.json", None),
)


def place(api: ApiClient, file: Any, line: int = 2) -> Any:
    """What a create call would answer."""
    return api.post("/points/validate", {"file": str(file), "line": line})


def test_a_list_of_ones_own_denies_what_it_names(
    live_with: Callable[..., Live], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the place of the built-in one; the agent itself never takes a probe."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("secrets7/keys7.py", "open7/keys7.py", "deep7/vault7.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("def work(n):\n    return n\n", "utf-8")
    api = live_with(deny_files=("*/secrets7/*", "vault7.py")).api
    for file in ("secrets7/keys7.py", "vault7.py", tmp_path / "deep7" / "vault7.py"):
        refused(place(api, file), 403, "FORBIDDEN_FILE")
        refused(api.get("/lines", {"file": str(file)}), 403, "FORBIDDEN_FILE")
    assert ok(place(api, "open7/keys7.py"))["state"] == "pending"
    assert place(api, queue.__file__, 10_000).code == "LINE_NOT_EXECUTABLE"
    for file in ("otel_tracepoints/agent.py", otel_tracepoints.__file__):
        refused(place(api, file), 403, "FORBIDDEN_FILE")


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://localhost:1", "https://localhost", "", "file://"]
)
def test_no_web_page_may_call(live_with: Callable[..., Live], origin: str) -> None:
    """A foreign Origin is refused by every call, whatever else it says."""
    api = live_with().api
    for method, path, body in CALLS:
        refused(api.request(method, path, body, headers={"Origin": origin}), 403, "FORBIDDEN_ORIGIN")
    assert ok(api.get("/health"))["state"] == "awake"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "0.0.0.0", "10.0.0.1", ""])
def test_no_rebound_name_may_call(live_with: Callable[..., Live], host: str) -> None:
    """A Host that is not loopback is refused by every call."""
    api = live_with().api
    for method, path, body in CALLS:
        reply = api.request(method, path, body, headers={"Host": f"{host}:{api.port}" if host else ""})
        refused(reply, 403, "FORBIDDEN_HOST")
    assert ok(api.get("/health"))["state"] == "awake"


def test_its_own_origin_and_all_loopback_names_may_call(live_with: Callable[..., Live]) -> None:
    """Any loopback name with the API's own port is its own origin; no CORS headers are ever sent."""
    api = live_with().api
    for name in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST", "127.0.0.9"):
        headers = {"Host": f"{name}:{api.port}", "Origin": f"http://{name}:{api.port}"}
        reply = api.post("/wake", headers=headers)
        assert reply.status == 200
        assert not any(each.startswith("access-control-") for each in reply.headers)


def test_a_configured_token_is_asked_for(live_with: Callable[..., Live]) -> None:
    """By all calls but the open ones; with it Host and Origin are not looked at."""
    api = live_with(control_api_token="s3same").api
    foreign = {"Host": "shop.example", "Origin": "http://evil.example"}
    for token in (None, "", "s3sam", "s3same2", "S3SAME"):
        api.token = token
        for method, path, body in CALLS[:-2]:
            reply = api.request(method, path, body)
            refused(reply, 401, "UNAUTHORIZED")
            assert "token" in reply.json["error"] and "REDACTED" not in reply.json["error"]
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert "[REDACTED]" not in reply.text
        health = ok(api.get("/health", headers=foreign))
        assert set(health) == {"status", "state", "agent"} and health["state"] == "awake"
        assert api.get("/openapi.json", headers=foreign).status == 200
    api.token = "s3same"
    assert ok(api.get("/points", headers=foreign))["total"] == 0
    assert ok(api.post("/sleep", headers=foreign)) == {"state": "sleeping"}
    assert "process" in ok(api.get("/health", headers=foreign))
    refused(api.post("/sleep", {}, headers={"Content-Type": "text/plain"}), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_token_is_read_from_a_file(live_lenient: Callable[..., Live], tmp_path: pathlib.Path) -> None:
    """DEBUGIN_CONTROL_API_TOKEN_FILE; the line's end does not belong to it."""
    file = tmp_path / "token"
    file.write_text("from-a-file\n", "utf-8")
    api = live_lenient({"DEBUGIN_CONTROL_API_TOKEN_FILE": str(file)}).api
    refused(api.get("/points"), 401, "UNAUTHORIZED")
    api.token = "from-a-file"
    assert api.get("/points").status == 200
    otel_tracepoints.stop()
    assert file.exists()


@pytest.mark.parametrize("how", [{"control_api_bind_all": True}, {"control_api_host": "0.0.0.0"}])
def test_an_address_that_others_reach_gets_a_token(
    live_with: Callable[..., Live],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: Dict[str, Any],
) -> None:
    """In a file of mode 0600 below XDG_RUNTIME_DIR; its path is logged at WARNING, the token nowhere."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    live = live_with(**how)
    assert live.agent.control_api_address == ("0.0.0.0", live.api.port)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = file.read_text("utf-8").strip()
    records = [r for r in caplog.records if r.name == "otel_tracepoints" and r.levelname == "WARNING"]
    assert any(str(file) in r.getMessage() for r in records)
    assert not any(token in r.getMessage() for r in caplog.records)
    refused(live.api.get("/points"), 401, "UNAUTHORIZED")
    live.api.token = token
    assert live.api.get("/points", headers={"Host": "shop.example"}).status == 200
    live.sink.wait_for(lambda: live.logs("agent.status.started"))
    (started,) = live.logs("agent.status.started")
    assert started["attributes"]["server.address"] == "0.0.0.0"
    assert started["attributes"]["server.port"] == live.api.port
    assert token not in str(live.sink.logs())
    otel_tracepoints.stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["DEBUGIN_CONTROL_API_TOKEN", "DEBUGIN_CONTROL_API_TOKEN_FILE"])
def test_a_token_that_cannot_be_used_is_replaced(
    live_lenient: Callable[..., Live],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """The application starts, the API is served, and the door that was meant to be shut is: a token is made."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    live = live_lenient({variable: "/no such file"})
    (file,) = tmp_path.iterdir()
    refused(live.api.post("/sleep"), 401, "UNAUTHORIZED")
    live.api.token = file.read_text("utf-8").strip()
    assert ok(live.api.post("/sleep")) == {"state": "sleeping"}
    (problem,) = ok(live.api.get("/health"))["problems"]
    assert problem.startswith(f"{variable}: must be ")
    otel_tracepoints.stop()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such/directory")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/no/such/directory")
    assert launch({}, lenient=True).control_api_address is None


def test_where_no_file_can_be_written_it_stays_on_loopback(
    live_with: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than open to the network without a token."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such/directory")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/no/such/directory")
    live = live_with(control_api_bind_all=True)
    assert live.agent.control_api_address == ("127.0.0.1", live.api.port)
    assert live.api.get("/points").status == 200


def test_a_taken_port_is_replaced(live_with: Callable[..., Live], caplog: pytest.LogCaptureFixture) -> None:
    """Another free one; both are logged at WARNING, and the start event has the new one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        live = live_with(control_api_port=port)
    assert live.api.port not in (0, port)
    (text,) = [
        r.getMessage() for r in caplog.records if r.levelname == "WARNING" and str(port) in r.getMessage()
    ]
    assert str(live.api.port) in text
    live.sink.wait_for(lambda: live.logs("agent.status.started"))
    assert live.logs("agent.status.started")[0]["attributes"]["server.port"] == live.api.port


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "::1"])
def test_hosts_that_mean_this_one(live_with: Callable[..., Live], host: str) -> None:
    """A name, an IPv4 and an IPv6 address."""
    try:
        live = live_with(control_api_host=host)
    except otel_tracepoints.TracepointsError:
        assert ":" in host
        pytest.skip("no IPv6 here")
    address, port = live.agent.control_api_address or ("", 0)
    connection = http.client.HTTPConnection(address, port, timeout=5)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "not a host"])
def test_a_host_that_means_nothing_is_a_bad_setting(live_with: Callable[..., Live], host: str) -> None:
    """ConfigError that names the variable."""
    with pytest.raises(ConfigError) as caught:
        live_with(control_api_host=host)
    assert caught.value.details["variable"] == "DEBUGIN_CONTROL_API_HOST"
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_a_host_that_means_nothing_is_told_where_the_default_is_used(
    live_lenient: Callable[..., Live],
) -> None:
    """From the environment: one problem of two sentences, and the API on loopback."""
    live = live_lenient({"DEBUGIN_CONTROL_API_HOST": "no.such.host.invalid"})
    (problem,) = ok(live.api.get("/health"))["problems"]
    assert problem.startswith("DEBUGIN_CONTROL_API_HOST: ")
    assert problem.endswith(" that means one. The default, 127.0.0.1, is used.")


def test_the_api_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """DEBUGIN_CONTROL_API_ENABLED=0 listens nowhere; the Python API works on."""
    monkeypatch.setenv("DEBUGIN_CONTROL_API_ENABLED", "0")
    monkeypatch.setenv("DEBUGIN_EVENT_SINK_URL", "none")
    agent = otel_tracepoints.start()
    try:
        assert agent.control_api_address is None and agent.points() == []
        assert not [t for t in threading.enumerate() if t.name.startswith("otel-tracepoints-control")]
    finally:
        otel_tracepoints.stop()


def test_a_broken_redaction_rule_is_an_error_of_every_point(
    live_lenient: Callable[..., Live], tmp_path: pathlib.Path
) -> None:
    """Nothing is captured; validate says so as well as create, and so does health."""
    file = tmp_path / "plain9.py"
    file.write_text("def work(n):\n    return n\n", "utf-8")
    api = live_lenient({"DEBUGIN_REDACT_PATTERNS": "("}).api
    made = ok(api.post("/tracepoints", {"file": str(file), "line": 2}))
    checked = ok(place(api, file))
    for point in (made, checked):
        assert (point["state"], point["error"]["code"]) == ("error", "INVALID_REDACTION")
    assert "DEBUGIN_REDACT_PATTERNS" in str(ok(api.get("/health"))["problems"])
    assert os.path.basename(made["file"]) == "plain9.py"


def test_health_has_exactly_these_fields(live_with: Callable[..., Live]) -> None:
    """In the contract's form, before anything was sent."""
    health = ok(live_with(agent_tags=("blue",), event_sink_url="http://127.0.0.1:9").api.get("/health"))
    assert set(health) == {
        "status", "state", "agent", "features", "engine", "eventSink", "broker", "process", "uptime", "tags",
    }  # fmt: skip
    assert (health["status"], health["state"], health["tags"]) == ("healthy", "awake", ["blue"])
    assert set(health["agent"]) == {"name", "version", "runtime", "runtimeVersion"}
    assert health["agent"]["runtime"] == "python"
    assert set(health["features"]) == {"tracepoints", "logpoints", "conditions", "rateLimit", "freeThreaded"}
    assert all(type(each) is bool for each in health["features"].values())
    assert set(health["engine"]) == {"name", "mechanism", "reason", "toolId"}
    assert set(health["eventSink"]) == {
        "url", "protocol", "connected", "lastError", "sent", "queued", "dropped", "onSpans",
    }  # fmt: skip
    assert health["broker"] == {"connected": False, "url": None}
    assert health["process"] == {"pid": os.getpid(), "serviceName": health["process"]["serviceName"]}
    assert 0 <= health["uptime"] < 60
