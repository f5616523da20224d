"""``opentelemetry-instrument python app.py``: all that a user types."""

from __future__ import annotations

import pathlib
import sys
import sysconfig
import time
from typing import Dict

import pytest
from tests.support.instrumented import LaunchApp
from tests.support.live import ok
from tests.support.otlp_receiver import OtlpReceiver, closed_port, grpc_available
from tests.support.processes import Process
from tests.support.timing import AIR

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_snapshot_is_seen_inside_its_requests_trace(launch: LaunchApp, protocol: str) -> None:
    """The snapshot is an event of the application's own span, and both reach the sink."""
    if protocol == "grpc" and not grpc_available():
        pytest.skip("no grpc on this interpreter")
    with OtlpReceiver(protocol) as sink:
        url = sink.url if protocol == "grpc" else sink.url + "/"
        chosen = {"DEBUGIN_EVENT_SINK_PROTOCOL": "grpc" if protocol == "grpc" else "http/protobuf"}
        app = launch(url, {"OTEL_SERVICE_NAME": "shop", "OTEL_BSP_SCHEDULE_DELAY": "100", **chosen})
        health = app.wait_for_api()
        assert health["process"] == {"pid": app.process.pid, "serviceName": "shop"}
        point = ok(app.api.post("/tracepoints", {"file": "app.py", "line": 7}))
        assert point["resolved"]["functions"] == ["__main__.work"]
        ok(app.api.post("/logpoints", {"file": "app.py", "line": 7, "message": "double={double}"}))
        app.say("21")
        app.wait_for_line("answer 42")
        app.say("end")
        assert app.end() == 0
        sink.wait_for(lambda: sink.events("probe.hit.snapshot") and sink.events("probe.hit.logpoint"))
        (snapshot,) = sink.events("probe.hit.snapshot")
        assert snapshot["span"]["name"] == "request"
        assert snapshot["span"]["resource"]["telemetry.distro.name"] == "otel-tracepoints"
        assert snapshot["attributes"]["probe.variable.double"] == "42"
        (log,) = sink.events("probe.hit.logpoint")
        assert (log["body"], log["trace_id"]) == ("double=42", snapshot["span"]["trace_id"])
        assert log["resource"]["service.name"] == "shop"
        assert sink.events("agent.status.stopped")


@pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has a GIL")
def test_the_gil_stays_off(launch: LaunchApp) -> None:
    """On a free-threaded interpreter the GIL is off after every import of ours, and after hits of each kind."""
    with OtlpReceiver("http") as sink:
        app = launch(sink.url, {"DEBUGIN_EVENT_SINK_PROTOCOL": "http/protobuf"})
        assert app.wait_for_api()["features"]["freeThreaded"] is True
        ok(app.api.post("/tracepoints", {"file": "app.py", "line": 7, "condition": "n > 1", "watch": ["n"]}))
        ok(app.api.post("/logpoints", {"file": "app.py", "line": 7, "message": "double={double}"}))
        app.say("21")
        app.wait_for_line("answer 42")
        sink.wait_for(lambda: sink.events("probe.hit.snapshot") and sink.events("probe.hit.logpoint"))
        app.say("end")
        app.wait_for_line("GIL False")
        assert app.end() == 0


def test_main_loop_that_runs_already_is_probed(launch: LaunchApp) -> None:
    """A probe on the loop of ``__main__``, which runs since the start, fires at its next turn."""
    with OtlpReceiver("http") as sink:
        app = launch(sink.url, {"DEBUGIN_EVENT_SINK_PROTOCOL": "http/protobuf"})
        app.wait_for_api()
        point = ok(app.api.post("/logpoints", {"file": "app.py", "line": 15, "message": "line={line}"}))
        app.say("1")
        app.wait_for_line("answer 2")
        app.say("2")
        app.wait_for_line("answer 4")
        after = ok(app.api.get(f"/points/{point['id']}"))
        assert after["hitCount"] >= 1


def test_dead_sink_delays_neither_requests_nor_exit(launch: LaunchApp) -> None:
    """With nothing listening the application answers at once, and ends at most some 2 s later."""
    app = launch(f"http://127.0.0.1:{closed_port()}")
    app.wait_for_api()
    ok(app.api.post("/logpoints", {"file": "app.py", "line": 7, "message": "{n}"}))
    started = time.monotonic()
    app.say("1")
    app.wait_for_line("answer 2")
    assert time.monotonic() - started < 2 + AIR
    app.say("end")
    app.wait_for_line("ended")
    ended = time.monotonic()
    assert app.end(15) == 0
    assert time.monotonic() - ended < 6  # 2 s for the hits and 2 s for the application's spans, and some air


def test_bad_settings_never_stop_the_application(launch: LaunchApp) -> None:
    """Settings that cannot be used are logged and shown, and the application starts with the defaults."""
    with OtlpReceiver("http") as sink:
        app = launch(
            sink.url,
            {
                "DEBUGIN_QUEUE_SIZE": "many",
                "TRACEPOINTDEBUG_ENGINE": "fast",
                "DEBUGIN_TYPO": "1",
                "SIDEKICK_BROKER_HOST": "broker.example.com",
            },
        )
        health = app.wait_for_api()
        problems = " ".join(health["problems"])
        for name in ("DEBUGIN_QUEUE_SIZE", "DEBUGIN_TYPO", "TRACEPOINTDEBUG_ENGINE", "not supported yet"):
            assert name in problems
        assert health["engine"]["name"] in ("pytrace", "native")
        assert health["broker"]["url"] == "wss://broker.example.com:443"
        app.say("3")
        app.wait_for_line("answer 6")


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "otel_tracepoints"}],
)
def test_opentelemetrys_switches_are_obeyed(launch: LaunchApp, environment: Dict[str, str]) -> None:
    """OTEL_SDK_DISABLED and OTEL_PYTHON_DISABLED_INSTRUMENTATIONS keep the agent from starting."""
    app = launch("http://127.0.0.1:9", environment)
    app.say("1")
    app.wait_for_line("answer 2")
    with pytest.raises(OSError):
        app.api.get("/health")


def test_taken_port_is_replaced_and_said(launch: LaunchApp) -> None:
    """A second process takes another port, and says which."""
    with OtlpReceiver("http") as sink:
        first = launch(sink.url)
        first.wait_for_api()
        second = launch(sink.url, {"DEBUGIN_CONTROL_API_PORT": str(first.port)})
        line = second.wait_for_line("port")
        assert str(first.port) in line
        second.say("1")
        second.wait_for_line("answer 2")


def test_forked_child_keeps_its_probes_and_sends_its_hits(tmp_path: pathlib.Path) -> None:
    """A forked child's hits arrive, from both sides exactly once, and the child serves no API."""
    (tmp_path / "forks.py").write_text(
        """
import os, sys, time
import otel_tracepoints
from otel_tracepoints import Settings

def work(who):
    return who  # line 7

agent = otel_tracepoints.start(settings=Settings(control_api_port=0, event_sink_url=sys.argv[1],
                               event_sink_protocol="http/protobuf", max_overhead_percent=100))
agent.set_logpoint(__file__, 7, "{who}")
work("before")
pid = os.fork()
work("child" if pid == 0 else "parent")
if pid == 0:
    assert agent.control_api_address is None
    otel_tracepoints.stop()
    os._exit(0)
os.waitpid(pid, 0)
otel_tracepoints.stop()
print("done", flush=True)
""",
        "utf-8",
    )
    with OtlpReceiver("http") as sink:
        process = Process([sys.executable, "forks.py", sink.url], tmp_path, {}, sink.url)
        try:
            process.wait_for_line("done")
            assert process.end() == 0
        finally:
            process.kill()
        bodies = sorted(log["body"] for log in sink.logs() if log["event_name"] == "probe.hit.logpoint")
        assert bodies == ["before", "child", "parent"]


def test_multiprocessing_child_sends_its_hits(tmp_path: pathlib.Path) -> None:
    """A forked child of multiprocessing, which skips atexit, sends its hits before it ends."""
    (tmp_path / "pool.py").write_text(
        """
import multiprocessing, sys
import otel_tracepoints
from otel_tracepoints import Settings

def work(n):
    return n + 1  # line 7

if __name__ == "__main__":
    agent = otel_tracepoints.start(settings=Settings(control_api_port=0, event_sink_url=sys.argv[1],
                                   event_sink_protocol="http/protobuf", max_overhead_percent=100))
    agent.set_logpoint(__file__, 7, "n={n}")
    context = multiprocessing.get_context("fork")
    child = context.Process(target=work, args=(5,))
    child.start()
    child.join()
    print("exit code", child.exitcode, flush=True)
    otel_tracepoints.stop()
""",
        "utf-8",
    )
    with OtlpReceiver("http") as sink:
        process = Process([sys.executable, "pool.py", sink.url], tmp_path, {}, sink.url)
        try:
            process.wait_for_line("exit code 0")
            assert process.end() == 0
        finally:
            process.kill()
        bodies = [log["body"] for log in sink.logs() if log["event_name"] == "probe.hit.logpoint"]
        assert bodies == ["n=5"]


def test_start_and_stop_any_number_of_times(tmp_path: pathlib.Path) -> None:
    """start, stop, start again leave no thread, no port and no probe of the run before."""
    from tests.support.processes import run_python

    output = run_python(
        """
import threading, otel_tracepoints
from otel_tracepoints import Settings
chosen = Settings(control_api_port=0, event_sink_url="none")
otel_tracepoints.stop()
for _ in range(3):
    agent = otel_tracepoints.start(settings=chosen)
    assert otel_tracepoints.start(settings=chosen) is agent
    assert agent.points() == []
    assert otel_tracepoints.status()["state"] == "awake"
    otel_tracepoints.sleep()
    assert otel_tracepoints.status()["state"] == "sleeping"
    otel_tracepoints.wake()
    otel_tracepoints.stop()
    otel_tracepoints.stop()
    left = [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")]
    assert left == [], left
    assert otel_tracepoints.status() == {"status": "stopped"}
print("fine")
"""
    )
    assert output.splitlines()[-1] == "fine"
