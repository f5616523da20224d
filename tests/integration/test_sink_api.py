"""The sink's own HTTP interface: what came in is asked for, added to and cleared."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest

from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink import Event, SinkServer
from otel_tracepoints.sink.store import MemoryStore, StoreUnavailable

CLIENT = {
    "hostname": "box",
    "applicationName": "shop",
    "applicationInstanceId": "1",
    "agentVersion": "2.0",
    "runtime": "java",
    "runtimeVersion": "21",
}


def envelope(number: int, second: int = 0, **payload: Any) -> Dict[str, Any]:
    return {
        "name": "probe.hit.logpoint",
        "timestamp": f"2026-11-20T10:00:{second:02d}.000Z",
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "client": CLIENT,
        "payload": {"probeId": f"p{number}", "file": "A.java", "line": 1, "message": "hi", **payload},
    }


class Api:
    """Asks a sink, as any HTTP client would."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def __call__(
        self, method: str, path: str, body: Any = None, headers: Optional[Dict[str, str]] = None
    ) -> Tuple[int, Any, http.client.HTTPResponse]:
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(headers or {})} if raw is not None else headers or {}
        self.connection.request(method, path, raw, sent)
        answer = self.connection.getresponse()
        assert answer.getheader("content-type") == "application/json"
        return answer.status, json.loads(answer.read()), answer


@pytest.fixture
def api() -> Iterator[Api]:
    """A sink in memory."""
    with SinkServer(port=0) as sink:
        made = Api(sink.port)
        yield made
        made.connection.close()


def test_health_has_the_fields_of_the_contract(api: Api) -> None:
    """Exactly these, with a version and an uptime that grows."""
    status, health, _ = api("GET", "/health")
    assert status == 200
    version, uptime = health.pop("version"), health.pop("uptime")
    assert re.fullmatch(r"\d+\.\d+.*", version)
    assert health == {
        "status": "healthy",
        "received": {"spans": 0, "logs": 0, "events": 0},
        "stored": 0,
        "dropped": 0,
    }
    assert 0 <= uptime <= api("GET", "/health")[1]["uptime"] < 60


def test_an_event_is_posted_and_read_back(api: Api) -> None:
    """202 with id and time; then it is there, unchanged, by its id and in the list, on one connection."""
    status, accepted, _ = api("POST", "/api/events", envelope(1, extra={"a": [1, None, "é"]}))
    assert (status, accepted) == (
        202,
        {"status": "accepted", "id": envelope(1)["id"], "timestamp": envelope(1)["timestamp"]},
    )
    assert api("GET", f"/api/events/{envelope(1)['id']}")[:2] == (
        200,
        envelope(1, extra={"a": [1, None, "é"]}),
    )
    assert api("GET", "/api/events")[:2] == (
        200,
        {"events": [envelope(1, extra={"a": [1, None, "é"]})], "total": 1},
    )
    assert api("GET", "/health")[1]["received"]["events"] == 1


def test_the_list_is_newest_first_and_limited(api: Api) -> None:
    """100 at most unless asked otherwise; ``total`` counts all that match."""
    for number in range(103):
        api("POST", "/api/events", envelope(number, second=number % 60))
    _, page, _ = api("GET", "/api/events")
    times = [event["timestamp"] for event in page["events"]]
    assert (len(times), page["total"], times) == (100, 103, sorted(times, reverse=True))
    _, page, _ = api("GET", "/api/events?since=2026-11-20T10:00:59.000Z&limit=1")
    assert ([event["payload"]["probeId"] for event in page["events"]], page["total"]) == (["p59"], 1)
    assert api("GET", "/api/events?probe=p7&service=shop&name=probe.hit.logpoint")[1]["total"] == 1
    assert api("GET", "/api/events?service=bank")[1] == {"events": [], "total": 0}


def test_everything_can_be_cleared(api: Api) -> None:
    """The answer says how many there were."""
    for number in range(3):
        api("POST", "/api/events", envelope(number))
    assert api("DELETE", "/api/events")[:2] == (200, {"removed": 3})
    assert api("DELETE", "/api/events")[:2] == (200, {"removed": 0})
    assert api("GET", "/health")[1]["stored"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("GET", "/", None, {}, 404, "NOT_FOUND"),
        ("GET", "/api/events/00000000-0000-4000-8000-000000000000", None, {}, 404, "NOT_FOUND"),
        ("GET", "/api/events/", None, {}, 404, "NOT_FOUND"),
        ("POST", "/v1/profiles", b"x", {}, 404, "NOT_FOUND"),
        ("GET", "/v1/traces", None, {}, 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/api/events", b"x" * 100_000, {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", b"", {}, 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/api/events/1", None, {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/events?limit=1001", None, {}, 400, "INVALID_FIELD"),
        ("GET", "/api/events?lmit=1", None, {}, 400, "INVALID_FIELD"),
        ("GET", "/api/events?since=%00", None, {}, 400, "INVALID_FIELD"),
        ("POST", "/api/events", b"{", {}, 400, "MALFORMED_JSON"),
        ("POST", "/api/events", b"\xff", {}, 400, "MALFORMED_JSON"),
        ("POST", "/api/events", b'{"a": NaN}', {}, 400, "MALFORMED_JSON"),
        ("POST", "/api/events", b"[" * 100_000, {}, 400, "MALFORMED_JSON"),
        ("POST", "/api/events", [], {}, 400, "INVALID_FIELD"),
        ("POST", "/api/events", {}, {}, 400, "INVALID_FIELD"),
        ("POST", "/api/events", {**envelope(1), "x": 1}, {}, 400, "UNKNOWN_FIELD"),
        ("POST", "/api/events", envelope(1), {"content-type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/api/events", b" " * ((16 << 20) + 1), {}, 413, "BODY_TOO_LARGE"),
        ("GET", "/api/events", None, {"host": "evil.example"}, 403, "FORBIDDEN_HOST"),
        ("DELETE", "/api/events", None, {"origin": "http://evil.example"}, 403, "FORBIDDEN_ORIGIN"),
    ],
)
def test_errors(
    api: Api, method: str, path: str, body: Any, headers: Dict[str, str], status: int, code: str
) -> None:
    """The control API's form for every error, on a connection that can be used again."""
    answered, error, answer = api(method, path, body, headers)
    assert (answered, error["code"], sorted(error)) == (status, code, ["code", "details", "error"])
    assert isinstance(error["details"], dict)
    assert (answer.getheader("allow") is not None) == (status == 405)
    assert api("GET", "/health")[0] == 200


def test_allow_names_the_methods(api: Api) -> None:
    """A 405 says what would be possible."""
    assert api("PATCH", "/api/events")[2].getheader("allow") == "DELETE, GET, POST"
    assert api("GET", "/v1/logs")[2].getheader("allow") == "POST"


def test_a_bad_envelope_says_where(api: Api) -> None:
    """``details.field`` is the JSON path of what is wrong."""
    broken = envelope(1)
    del broken["payload"]["probeId"]
    assert api("POST", "/api/events", broken)[1]["details"]["field"] == "$.payload.probeId"
    assert api("GET", "/health")[1]["stored"] == 0


def test_events_are_told_once_in_order() -> None:
    """``on_events`` sees each event when it is new, and not when it comes again."""
    told: List[Event] = []
    with SinkServer(port=0, on_events=told.extend) as sink:
        api = Api(sink.port)
        for number in (1, 2, 1):
            api("POST", "/api/events", envelope(number))
        api.connection.close()
    assert [event.probe for event in told] == ["p1", "p2"]


def test_a_store_that_fails_is_worth_another_try() -> None:
    """A full disk is 503 with Retry-After, so that exporters keep what they have; health still answers."""

    class FullStore(MemoryStore):
        def add(self, events: Any) -> List[Event]:
            raise StoreUnavailable("disk full")

    with SinkServer(port=0, store=FullStore()) as sink:
        api = Api(sink.port)
        status, error, answer = api("POST", "/api/events", envelope(1))
        assert (status, error["code"], answer.getheader("retry-after")) == (503, "STORE_UNAVAILABLE", "1")
        assert api("GET", "/health")[1]["stored"] == 0
        api.connection.close()


def test_a_port_that_is_taken_and_forwarding_to_itself() -> None:
    """Both are clear errors before anything is served."""
    with SinkServer(port=0) as sink:
        with pytest.raises(ConfigError, match="--port 0"):
            SinkServer(port=sink.port).start()
        port = sink.port
    with pytest.raises(ConfigError, match="itself"):
        SinkServer(port=port, forward=f"http://localhost:{port}").start()


def test_stop_is_quick_and_final(tmp_path: Any) -> None:
    """Open connections do not keep a sink alive, and it may be stopped twice."""
    sink = SinkServer(port=0, store=str(tmp_path / "events.db")).start()
    api = Api(sink.port)
    api("POST", "/api/events", envelope(1))
    assert sink.stop() and sink.stop()
    assert not sink.serving
    api.connection.close()
    with SinkServer(port=0, store=str(tmp_path / "events.db")) as again:
        assert again.store.stored == 1
