"""Behind a real OpenTelemetry Collector; the variable ``OTEL_COLLECTOR`` names its program."""

from __future__ import annotations

import logging
import pathlib
import sys
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest
from tests.support.collector import PROGRAM, VARIABLE, Collector
from tests.support.live import Live, TargetMaker, ok
from tests.support.otlp_receiver import grpc_available
from tests.support.processes import Process, instrument_command

import otel_tracepoints
from otel_tracepoints.emission import bridge

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason=f"{VARIABLE} does not name a Collector to test against"
)

TARGET = """
    def work(n):
        double = n * 2
        return double  # TAG: result
"""


def _json_available() -> bool:
    try:
        bridge.json_encoders()
    except ImportError:
        return False
    return True


needs_grpc = pytest.mark.skipif(not grpc_available(), reason="grpcio has no wheel for this interpreter")
WAYS = [
    pytest.param("grpc", "grpc", marks=needs_grpc),
    ("http", "http/protobuf"),
    pytest.param(
        "http", "http/json", marks=pytest.mark.skipif(not _json_available(), reason="no OTLP/JSON encoder")
    ),
    pytest.param("grpc", "auto", marks=needs_grpc),
    ("http", "auto"),
]

StartCollector = Callable[..., Collector]


@pytest.fixture
def collector(tmp_path: pathlib.Path) -> Iterator[StartCollector]:
    """Starts Collectors with these pipelines."""
    started: List[Collector] = []

    def start(*signals: str) -> Collector:
        assert PROGRAM is not None
        started.append(Collector(PROGRAM, tmp_path, signals))
        return started[-1]

    yield start
    otel_tracepoints.stop()
    for each in started:
        each.close()


def hits(collector: Collector) -> Dict[str, List[int]]:
    """The ordinals of the hits that came through, by name."""
    found: Dict[str, List[int]] = {}
    for event in collector.behind.events():
        if event["name"].startswith("probe.hit."):
            found.setdefault(event["name"], []).append(event["attributes"]["probe.hit.count"])
    return {name: sorted(counts) for name, counts in found.items()}


def send_a_thousand(collector: Collector, url: str, protocol: str, program: Any) -> Live:
    """500 arrivals at a line with a tracepoint and a logpoint, through this address."""
    live = Live(collector.behind, event_sink_url=url, event_sink_protocol=protocol)
    program.module  # noqa: B018 - imports it
    live.tracepoint(program, "result")
    live.logpoint(program, "result", "{n} twice is {double}")
    for number in range(500):
        program.work(number)
    return live


def settled(live: Live) -> Dict[str, Any]:
    """The sink's state once nothing is queued any more."""
    deadline = time.monotonic() + 30
    while True:
        status: Dict[str, Any] = ok(live.api.get("/health"))["eventSink"]
        if not status["queued"] or time.monotonic() > deadline:
            return status
        time.sleep(0.05)


@pytest.mark.parametrize(("port", "protocol"), WAYS)
def test_a_thousand_hits_arrive_exactly_once(
    collector: StartCollector, target: TargetMaker, port: str, protocol: str
) -> None:
    """Over each protocol and each way to find it out: every hit once, with its values, under one resource."""
    running = collector("traces", "logs", "metrics")
    url = running.grpc_url if port == "grpc" else running.http_url
    live = send_a_thousand(running, url, protocol, target(TARGET))
    status = settled(live)
    assert (status["sent"], status["dropped"], status["lastError"]) == (1000, 0, None)
    assert status["protocol"].startswith(port) if protocol == "auto" else status["protocol"] == protocol
    otel_tracepoints.stop()
    every = list(range(1, 501))
    running.behind.wait_for(lambda: sum(map(len, hits(running).values())) >= 1000)
    assert hits(running) == {"probe.hit.snapshot": every, "probe.hit.logpoint": every}
    logs = [log for log in running.behind.logs() if log["event_name"] == "probe.hit.logpoint"]
    assert sorted(log["body"] for log in logs) == sorted(f"{n} twice is {n * 2}" for n in range(500))
    values = [e["attributes"]["probe.variable.double"] for e in running.behind.events("probe.hit.snapshot")]
    assert sorted(map(int, values)) == [n * 2 for n in range(500)]
    assert [len(running.behind.events(f"agent.status.{what}")) for what in ("started", "stopped")] == [1, 1]


@pytest.mark.parametrize(("port", "protocol"), WAYS[:3])
def test_a_collector_that_takes_traces_only(
    collector: StartCollector,
    target: TargetMaker,
    caplog: pytest.LogCaptureFixture,
    port: str,
    protocol: str,
) -> None:
    """As Jaeger does: logpoints come as span events, every one, and the agent says so once."""
    running = collector("traces")
    with caplog.at_level(logging.INFO, "otel_tracepoints"):
        url = running.grpc_url if port == "grpc" else running.http_url
        live = send_a_thousand(running, url, protocol, target(TARGET))
        status = settled(live)
        otel_tracepoints.stop()
    every = list(range(1, 501))
    running.behind.wait_for(lambda: sum(map(len, hits(running).values())) >= 1000)
    assert hits(running) == {"probe.hit.snapshot": every, "probe.hit.logpoint": every}
    assert running.behind.logs() == []
    messages = [e["attributes"]["probe.message"] for e in running.behind.events("probe.hit.logpoint")]
    assert sorted(messages) == sorted(f"{n} twice is {n * 2}" for n in range(500))
    assert (status["sent"], status["dropped"]) == (1000, 0)
    assert len([record for record in caplog.records if "span events" in record.getMessage()]) == 1


APP = """
import sys
from opentelemetry import trace

def work(n):
    return n * 2  # line 6

print("up", flush=True)
for line in sys.stdin:
    with trace.get_tracer("app").start_as_current_span("request"):
        print("answer", work(int(line)), flush=True)
    if line.startswith("0"):
        break
"""


@pytest.mark.parametrize("port", [pytest.param("grpc", marks=needs_grpc), "http"])
def test_application_and_agent_behind_one_collector(
    collector: StartCollector, tmp_path: pathlib.Path, port: str
) -> None:
    """Under opentelemetry-instrument the snapshot comes on the request's own span, through one address."""
    running = collector("traces", "logs")
    (tmp_path / "app.py").write_text(APP, "utf-8")
    url = running.grpc_url if port == "grpc" else running.http_url
    environment = {
        "OTEL_PYTHON_DISTRO": "otel_tracepoints",
        "OTEL_PYTHON_CONFIGURATOR": "otel_tracepoints",
        "OTEL_SERVICE_NAME": "shop",
        "DEBUGIN_EVENT_SINK_PROTOCOL": "grpc" if port == "grpc" else "http/protobuf",
    }
    app = Process(instrument_command(sys.executable, "app.py"), tmp_path, environment, url)
    try:
        app.wait_for_line("up")
        app.wait_for_api()
        ok(app.api.post("/tracepoints", {"file": "app.py", "line": 6}))
        ok(app.api.post("/logpoints", {"file": "app.py", "line": 6, "message": "n={n}"}))
        app.say("0")
        assert app.end() == 0
    finally:
        app.kill()
    (hit,) = running.behind.wait_for(lambda: running.behind.events("probe.hit.snapshot"))
    assert hit["span"]["name"] == "request"
    (log,) = running.behind.wait_for(lambda: running.behind.events("probe.hit.logpoint"))
    assert (log["body"], log["span_id"]) == ("n=0", hit["span"]["span_id"])
    assert hit["span"]["resource"]["service.name"] == log["resource"]["service.name"] == "shop"
