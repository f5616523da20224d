"""Who may call: this host's users, never a web page, or who has the token."""

from __future__ import annotations

import os
import pathlib
import stat
from typing import Any, Optional

import pytest
from tests.support.control import serving

from otel_tracepoints.config import Settings
from otel_tracepoints.control import bearer
from otel_tracepoints.control.refusal import Refusal
from otel_tracepoints.control.security import Guard, is_json, is_loopback
from otel_tracepoints.errors import ConfigError

PORT = 5001


def verdict(
    guard: Guard,
    *,
    authorization: str = "",
    host: str = "localhost:5001",
    origin: Optional[str] = None,
    is_open: bool = False,
) -> str:
    try:
        guard.check(authorization=authorization, host=host, origin=origin, is_open=is_open)
    except Refusal as refusal:
        return refusal.code
    return "ok"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5001",
        "localhost.",
        "127.0.0.1:5001",
        "127.1.2.3",
        "[::1]:5001",
        "[::1]",
        "localhost:9",
    ],
)
def test_loopback_hosts_may_be_called(host: str) -> None:
    """Any name that can mean this host only, with any port (a forwarded one too)."""
    assert verdict(Guard(None, PORT), host=host) == "ok"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:5001",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0.0.0.0:5001",
        "10.0.0.1",
        "localhost:5001, evil.example",
        "evil.example@localhost",
        "localhost:5001:1",
        "localhost:port",
        "::1",
        "[::1",
        "[::1]x",
        "",
    ],
)
def test_other_hosts_are_dns_rebinding(host: str) -> None:
    """A page of evil.example whose name now means 127.0.0.1 sends its own name."""
    assert verdict(Guard(None, PORT), host=host) == "FORBIDDEN_HOST"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5001", True),
        ("http://127.0.0.1:5001", True),
        ("http://[::1]:5001", True),
        ("HTTP://LOCALHOST:5001", True),
        ("http://localhost:5002", False),
        ("http://localhost", False),
        ("https://localhost:5001", False),
        ("http://evil.example:5001", False),
        ("http://evil.example", False),
        ("http://localhost:5001.evil.example", False),
        ("http://localhost:5001/", False),
        ("http://localhost:5001 http://evil.example", False),
        ("file://", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_its_own_origin_may_call(origin: str, allowed: bool) -> None:
    """Another port of this host is another origin; null and an empty one are foreign."""
    assert verdict(Guard(None, PORT), origin=origin) == ("ok" if allowed else "FORBIDDEN_ORIGIN")


def test_an_origin_without_a_port_is_port_80() -> None:
    """So says the URL standard."""
    assert verdict(Guard(None, 80), origin="http://localhost") == "ok"


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Bearer s3same", "ok"),
        ("bearer  s3same ", "ok"),
        ("BEARER s3same", "ok"),
        ("", "UNAUTHORIZED"),
        ("Bearer", "UNAUTHORIZED"),
        ("Bearer ", "UNAUTHORIZED"),
        ("Bearer s3sam", "UNAUTHORIZED"),
        ("Bearer s3same2", "UNAUTHORIZED"),
        ("Bearer S3SAME", "UNAUTHORIZED"),
        ("Basic s3same", "UNAUTHORIZED"),
        ("s3same", "UNAUTHORIZED"),
        ("Bearer s3same, Bearer x", "UNAUTHORIZED"),
        ("Bearer \u20ac", "UNAUTHORIZED"),
    ],
)
def test_a_configured_token_is_required(authorization: str, expected: str) -> None:
    """Exactly it, as a bearer token; then Host and Origin are not looked at."""
    guard = Guard("s3same", PORT)
    assert verdict(guard, authorization=authorization) == expected
    assert verdict(guard, authorization=authorization, host="shop", origin="null") == expected
    assert verdict(guard, authorization=authorization, is_open=True) == "ok"
    assert guard.allows_all(authorization) == (expected == "ok")


def test_a_token_may_have_any_letters() -> None:
    """Compared as the bytes that were sent."""
    sent = "Bearer schlüssel".encode().decode("latin-1")
    assert verdict(Guard("schlüssel", PORT), authorization=sent) == "ok"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("shop", False),
    ],
)
def test_loopback_is_decided_without_asking_a_name_server(name: str, expected: bool) -> None:
    """Only what can mean nothing else."""
    assert is_loopback(name) is expected


def test_content_types() -> None:
    """What a page may send without a preflight is never JSON."""
    assert is_json("application/json") and is_json("application/ld+json; x=y")
    for simple in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "", "json"):
        assert not is_json(simple)


@pytest.mark.parametrize("text", ["", "  \n", "two words"])
def test_a_token_that_cannot_be_used_keeps_the_door_shut(text: str, tmp_path: pathlib.Path) -> None:
    """An empty or unreadable token file, or an empty token, is a ConfigError: never "no token"."""
    path = tmp_path / "token"
    path.write_text(text)
    for settings in (
        Settings(control_api_token_file=str(path)),
        Settings(control_api_token_file=str(tmp_path / "none")),
        Settings(control_api_token_file=str(tmp_path)),
        Settings(control_api_token=text),
    ):
        with pytest.raises(ConfigError) as caught:
            bearer.configured_token(settings)
        assert caught.value.details["variable"].startswith("DEBUGIN_CONTROL_API_TOKEN")


def test_a_token_is_read_from_its_file(tmp_path: pathlib.Path) -> None:
    """Without the line's end; a token given directly comes first."""
    path = tmp_path / "token"
    path.write_text("s3same\n")
    assert bearer.configured_token(Settings(control_api_token_file=str(path))) == "s3same"
    both = Settings(control_api_token="direct", control_api_token_file=str(path))
    assert bearer.configured_token(both) == "direct"
    assert bearer.configured_token(Settings()) is None


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_a_made_token_is_private(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 0600 whatever the umask, in XDG_RUNTIME_DIR, another one each time."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    before = os.umask(0)
    try:
        made = bearer.make_token()
    finally:
        os.umask(before)
    assert made is not None and os.path.dirname(made.path) == str(tmp_path)
    assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
    assert pathlib.Path(made.path).read_text().strip() == made.token and len(made.token) >= 43
    other = bearer.make_token()
    assert other is not None and other.token != made.token
    bearer.remove_token(made.path)
    bearer.remove_token(made.path)
    assert not os.path.exists(made.path)


def test_without_a_runtime_directory_the_temporary_one_is_used(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with neither there is no token."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(bearer.tempfile, "gettempdir", lambda: str(tmp_path))
    made = bearer.make_token()
    assert made is not None and os.path.dirname(made.path) == str(tmp_path)
    monkeypatch.setattr(bearer.tempfile, "gettempdir", lambda: str(tmp_path / "none"))
    assert bearer.make_token() is None


def test_over_http_a_token_opens_everything_and_nothing_else_does() -> None:
    """401 with WWW-Authenticate; health is reduced to what anyone may know."""
    with serving(control_api_token="s3same") as served:
        api, debugger = served.api, served.debugger
        reply = api.post("/tracepoints", {"file": "a.py", "line": 1})
        assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert debugger.audits == [("create", "UNAUTHORIZED", None, 0, "127.0.0.1")]
        for path in ("/points", "/hits", "/nope", "/lines?file=a"):
            assert api.get(path).code == "UNAUTHORIZED"
        assert api.request("DELETE", "/health").code == "UNAUTHORIZED"
        assert set(api.get("/health").json) == {"status", "state", "agent"}
        assert api.get("/openapi.json").status == 200
        api.token = "s3same"
        assert "process" in api.get("/health").json
        foreign = {"Host": "shop.example", "Origin": "http://evil.example"}
        assert api.get("/points", headers=foreign).status == 200
        assert api.post("/sleep", headers=foreign).status == 200
        text = api.post("/sleep", {}, headers={"Content-Type": "text/plain"})
        assert text.code == "UNSUPPORTED_MEDIA_TYPE"


def test_over_http_no_web_page_may_call() -> None:
    """Foreign Host and Origin are refused for every path, open and unknown ones too."""
    with serving() as served:
        api = served.api
        own = {"Origin": f"http://localhost:{api.port}"}
        assert api.post("/sleep", headers=own).status == 200
        for path in ("/health", "/openapi.json", "/points", "/nope"):
            reply = api.get(path, headers={"Host": "evil.example"})
            assert (reply.status, reply.code) == (403, "FORBIDDEN_HOST")
            for origin in ("null", "http://localhost:1", "http://evil.example"):
                reply = api.get(path, headers={"Origin": origin})
                assert (reply.status, reply.code) == (403, "FORBIDDEN_ORIGIN")
        preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        reply = api.request("OPTIONS", "/tracepoints", headers=preflight)
        assert reply.status == 403
        assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize("settings", [{"control_api_bind_all": True}, {"control_api_host": "0.0.0.0"}])
def test_an_address_that_others_reach_always_has_a_token(
    settings: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its file's path is logged, not the token, and the file goes when the server stops."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with serving(**settings) as served:
        assert served.server.host == "0.0.0.0"
        [path] = tmp_path.iterdir()
        token = path.read_text().strip()
        warnings = [record.getMessage() for record in caplog.records if record.name == "otel_tracepoints"]
        assert any(str(path) in message for message in warnings)
        assert not any(token in message for message in warnings)
        assert served.api.get("/points").code == "UNAUTHORIZED"
        served.api.token = token
        assert served.api.get("/points").status == 200
    assert list(tmp_path.iterdir()) == []


def test_where_no_token_can_be_left_the_server_stays_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than open to the network without one."""
    monkeypatch.setattr("otel_tracepoints.control.server.make_token", lambda: None)
    with serving(control_api_bind_all=True) as served:
        assert served.server.host == "127.0.0.1"
        assert served.api.get("/points").status == 200
