"""The real agent into the real sink: the seven event types, rebuilt from nothing but what OTLP carried."""

from __future__ import annotations

import concurrent.futures
import json
import os
import platform
import re
import socket
import sys
import urllib.request
from typing import Any, Dict, Iterator, List

import pytest
from tests.support.live import Live, TargetMaker, ok
from tests.support.otlp_receiver import grpc_available

import otel_tracepoints
from otel_tracepoints.capture.collector import Collector
from otel_tracepoints.emission import bridge
from otel_tracepoints.engine.compiled import COMPILED
from otel_tracepoints.sink import SinkServer
from otel_tracepoints.version import VERSION


def _json_available() -> bool:
    try:
        bridge.json_encoders()
    except ImportError:
        return False
    return True


PROTOCOLS = [
    pytest.param("grpc", marks=pytest.mark.skipif(not grpc_available(), reason="no grpc here")),
    "http/protobuf",
    pytest.param("http/json", marks=pytest.mark.skipif(not _json_available(), reason="no OTLP/JSON here")),
]
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
CLIENT = ("hostname", "applicationName", "applicationInstanceId", "agentVersion", "runtime", "runtimeVersion")
PLACE = ["probeId", "probeType", "file", "line"]
HIT = [*PLACE, "method", "className", "condition"]
HIT_END = ["stack", "hitCount", "tags", "traceId", "spanId"]

TARGET = """
    class Cart:
        def __init__(self):
            self.items = ["tea"]
            self.password = "hunter2"

        def add(self, item, *rest, **more):
            count = len(self.items) + 1
            return count  # TAG: added

    def fill(item):
        return Cart().add(item, 1, gift=True)

    def failing():
        return 1  # TAG: failing
"""


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    """A sink in memory."""
    with SinkServer(port=0) as server:
        yield server
    otel_tracepoints.stop()


def events(sink: SinkServer, query: str = "") -> List[Dict[str, Any]]:
    """What the sink answers, oldest first."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{sink.url}/api/events?limit=1000{query}", timeout=10) as answer:
        page = json.load(answer)
    assert page["total"] == len(page["events"])
    return list(reversed(page["events"]))


def arrived(sink: SinkServer, live: Live) -> Dict[str, List[Dict[str, Any]]]:
    """All events by name, once the agent has stopped and so sent everything."""
    otel_tracepoints.stop()
    found: Dict[str, List[Dict[str, Any]]] = {}
    for event in events(sink):
        found.setdefault(event["name"], []).append(event)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_seven_event_types(
    sink: SinkServer, target: TargetMaker, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """Each with exactly the fields of its type, and the envelope around it."""
    program = target(TARGET)
    program.module
    live = Live(sink, event_sink_protocol=protocol)  # type: ignore[arg-type]
    snapshot = live.tracepoint(
        program,
        "added",
        condition="count > 1",
        tags=["a", "b"],
        watch=["self.items"],
    )
    logpoint = live.logpoint(program, "added", "{item} is {count}, {self.password}", level="WARN")
    broken = live.tracepoint(program, "added", condition="item.price > 1")
    limited = live.logpoint(program, "added", "x", rateLimit={"limitPerSecond": 0.001, "burst": 1})
    # In a thread of its own, where the stack is short enough not to be cut.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.map(program.fill, ("cup", "pot", "tray"))) == [2, 2, 2]
    faulty = live.tracepoint(program, "failing")
    with monkeypatch.context() as patch:
        # What is left to fail in a capture: memory, recursion, or a fault of ours.
        patch.setattr(Collector, "variables", lambda *_: (_ for _ in ()).throw(MemoryError("secret")))
        assert program.failing() == 1
    assert live.counts(faulty) == {"captureError": 1}
    ok(live.api.delete("/points", {"tag": "a"}))
    found = arrived(sink, live)

    assert sorted(found) == [
        "agent.status.started",
        "agent.status.stopped",
        "probe.error.condition",
        "probe.error.rateLimit",
        "probe.error.snapshot",
        "probe.hit.logpoint",
        "probe.hit.snapshot",
    ]
    for event in (event for group in found.values() for event in group):
        assert list(event) == ["name", "timestamp", "id", "client", "payload"]
        assert re.fullmatch(UUID, event["id"])
        assert re.fullmatch(TIMESTAMP, event["timestamp"])
        assert tuple(event["client"]) == CLIENT
        client = event["client"]
        assert (client["hostname"], client["runtime"]) == (socket.gethostname(), "python")
        assert (client["agentVersion"], client["runtimeVersion"]) == (VERSION, platform.python_version())
        assert re.fullmatch(UUID, client["applicationInstanceId"])
        assert client["applicationName"].startswith("unknown_service")
    assert len({event["id"] for group in found.values() for event in group}) == sum(map(len, found.values()))

    hits = [event["payload"] for event in found["probe.hit.snapshot"]]
    mine = [payload for payload in hits if payload["probeId"] == snapshot["id"]]
    assert [payload["hitCount"] for payload in mine] == [1, 2, 3]
    hit = mine[0]
    assert list(hit) == [*HIT, "snapshot", *HIT_END, "watches"]
    assert (hit["probeType"], hit["file"], hit["line"]) == (
        "tracepoint",
        str(program.path),
        program.line("added"),
    )
    assert (hit["method"], hit["className"], hit["condition"]) == ("add", "Cart", "count > 1")
    cart = {"__tpd_type__": f"{program.name}.Cart", "items": ["tea"], "password": "[REDACTED]"}
    assert hit["snapshot"] == {
        "locals": {"count": 2},
        "arguments": {"self": cart, "item": "cup", "rest": [1], "more": {"gift": True}},
    }
    assert hit["stack"][:2] == [
        {"file": str(program.path), "line": program.line("added"), "method": "add"},
        {"file": str(program.path), "line": program.line("added") + 3, "method": "fill"},
    ]
    assert hit["tags"] == ["a", "b"]
    assert re.fullmatch("[0-9a-f]{32}", hit["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", hit["spanId"])
    assert hit["watches"] == [{"expression": "self.items", "value": ["tea"]}]

    log = next(e["payload"] for e in found["probe.hit.logpoint"] if e["payload"]["probeId"] == logpoint["id"])
    assert list(log) == [*HIT, "message", "messageTemplate", "fields", *HIT_END]
    assert log["message"] == "cup is 2, [REDACTED]"
    assert log["messageTemplate"] == "{item} is {count}, {self.password}"
    assert log["fields"] == ["cup", 2, "[REDACTED]"]
    assert (log["probeType"], log["hitCount"], log["tags"]) == ("logpoint", 1, [])

    (condition,) = (event["payload"] for event in found["probe.error.condition"])
    assert list(condition) == [*PLACE, "error", "errorType"]
    assert (condition["probeId"], condition["errorType"]) == (broken["id"], "UNKNOWN_ATTRIBUTE")
    (failed,) = (event["payload"] for event in found["probe.error.snapshot"])
    assert list(failed) == [*PLACE, "error", "errorType"]
    assert (failed["probeId"], failed["errorType"]) == (faulty["id"], "INTERNAL")
    assert "secret" not in failed["error"]
    rates = [event["payload"] for event in found["probe.error.rateLimit"]]
    for rate in rates:
        assert list(rate) == [*PLACE, "error", "errorType", "limit", "droppedCount", "message"]
        assert (rate["probeId"], rate["limit"]) == (limited["id"], 0.001)
    # The second may come when the first has been told already; then the end of the probe tells it.
    assert sum(rate["droppedCount"] for rate in rates) == 2

    (started,) = (event["payload"] for event in found["agent.status.started"])
    assert list(started) == ["message", "engine", "features"]
    assert started["engine"] == ("pytrace" if COMPILED.module() is None else "native")
    assert {"tracepoints", "logpoints", "conditions", "rateLimit"} <= set(started["features"])
    (stopped,) = (event["payload"] for event in found["agent.status.stopped"])
    assert list(stopped) == ["message", "uptime", "totalProbes", "totalEvents"]
    assert stopped["totalProbes"] == 4
    assert stopped["totalEvents"] == len(found["probe.hit.snapshot"]) + len(found["probe.hit.logpoint"])


def test_the_filters(sink: SinkServer, target: TargetMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """``name``, ``probe``, ``service``, ``trace`` and ``since`` select; together they narrow."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    program = target(TARGET)
    program.module
    live = Live(sink, event_sink_protocol="http/protobuf")  # type: ignore[arg-type]
    first = live.tracepoint(program, "added")
    second = live.logpoint(program, "added", "{item}")
    for item in ("cup", "pot"):
        program.fill(item)
    arrived(sink, live)
    snapshots = events(sink, "&name=probe.hit.snapshot")
    assert [e["payload"]["snapshot"]["arguments"]["item"] for e in snapshots] == ["cup", "pot"]
    assert {e["payload"]["probeId"] for e in events(sink, f"&probe={second['id']}")} == {second["id"]}
    assert events(sink, f"&probe={first['id']}&name=probe.hit.logpoint") == []
    assert events(sink, f"&trace={snapshots[1]['payload']['traceId']}") == [snapshots[1]]
    assert {e["name"] for e in events(sink, f"&since={snapshots[1]['timestamp']}")} >= {
        "agent.status.stopped"
    }
    services = {e["client"]["applicationName"] for e in events(sink)}
    assert services <= {"shop", "unknown_service", f"unknown_service:{os.path.basename(sys.executable)}"}
    (service,) = services
    assert len(events(sink, f"&service={service}")) == len(events(sink))
    assert events(sink, "&service=another") == []
