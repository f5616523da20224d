"""The Python API: its surface, starting and stopping."""

from __future__ import annotations

import inspect
import logging
import pathlib
import socket
import threading
import types
from typing import Callable, List

import pytest
from tests.support.live import WIDE_OPEN, TargetMaker

import otel_tracepoints
from otel_tracepoints import Settings

WORK = """
def work(n):
    return n + 1  # TAG: work
"""


pytestmark = pytest.mark.usefixtures("_stopped")


def test_the_exported_surface_is_exactly_all() -> None:
    """What the package shows is what ``__all__`` names, and each of it can be had."""
    shown = {
        name
        for name, value in vars(otel_tracepoints).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert shown - set(otel_tracepoints.__all__) == set()
    assert set(dir(otel_tracepoints)) == set(otel_tracepoints.__all__)
    assert all(hasattr(otel_tracepoints, name) for name in otel_tracepoints.__all__)
    assert not hasattr(otel_tracepoints, "nothing")


def test_the_signature_of_start() -> None:
    """``start`` takes these arguments, with these defaults, in this order."""
    parameters = inspect.signature(otel_tracepoints.start).parameters
    defaults = {name: each.default for name, each in parameters.items()}
    assert list(defaults.items())[:4] == [
        ("tracepoint_data_redaction_callback", None),
        ("log_data_redaction_callback", None),
        ("enable_control_api", True),
        ("control_api_port", 5001),
    ]
    assert defaults["enable_control_api"] is True
    keyword_only = [name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY]
    assert keyword_only == ["control_api_host", "event_sink_url", "engine", "start_state", "settings"]
    assert all(defaults[name] is None for name in keyword_only)
    with pytest.raises(TypeError):
        otel_tracepoints.start(no_such_argument=1)  # type: ignore[call-arg]


# -- Start and stop ----------------------------------------------------------------------------


def test_start_twice_returns_the_running_agent(caplog: pytest.LogCaptureFixture) -> None:
    """A second start changes nothing, and says so when the arguments differ."""
    first = otel_tracepoints.start(event_sink_url="none", control_api_port=0)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "otel_tracepoints"):
        assert otel_tracepoints.start(event_sink_url="none", control_api_port=0) is first
        assert caplog.records == []
        assert (
            otel_tracepoints.start(event_sink_url="none", control_api_port=0, start_state="sleeping") is first
        )
    assert "runs already" in caplog.text
    assert otel_tracepoints.status()["state"] == "awake"


def test_probes_do_not_outlive_stop(target: TargetMaker) -> None:
    """After stop nothing fires, nothing can be set, the port is closed; a new start begins with nothing."""
    program = target(WORK)
    code = program.work.__code__
    agent = otel_tracepoints.start(event_sink_url="none", control_api_port=0)
    address = agent.control_api_address
    assert address is not None
    agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    otel_tracepoints.stop()
    otel_tracepoints.stop()
    assert program.work.__code__ is code
    assert program.work(1) == 2
    assert agent.points() == []
    assert otel_tracepoints.status() == agent.status() == {"status": "stopped"}
    with pytest.raises(otel_tracepoints.TracepointsError, match="stopped"):
        agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    with pytest.raises(OSError):
        socket.create_connection(address, 2).close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")] == []
    again = otel_tracepoints.start(event_sink_url="none", control_api_port=address[1])
    assert again is not agent
    assert again.control_api_address == address
    assert again.points() == []


def test_sleep_and_wake_without_an_agent_are_errors() -> None:
    """There is nothing to switch off, and that is said; stop and status are always fine."""
    for switch in (otel_tracepoints.sleep, otel_tracepoints.wake):
        with pytest.raises(otel_tracepoints.TracepointsError, match="start"):
            switch()
    otel_tracepoints.stop()
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_start_and_stop_from_any_thread_in_any_order(target: TargetMaker) -> None:
    """Many threads that start, stop and ask while hits are on their way harm nothing."""
    program = target(WORK)
    file, line = str(program.path), program.line("work")
    program.work(0)
    done = threading.Event()
    failures: List[BaseException] = []

    def guarded(body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not done.is_set():
                    body()
            except BaseException as error:
                failures.append(error)

        return run

    def start_and_set() -> None:
        agent = otel_tracepoints.start(event_sink_url="none", enable_control_api=False)
        try:
            agent.set_logpoint(file, line, "{n}", rate_limit=WIDE_OPEN)
        except otel_tracepoints.TracepointsError as error:
            assert "stopped" in str(error)

    def hit() -> None:
        assert program.work(1) == 2

    bodies = [start_and_set, start_and_set, otel_tracepoints.stop, hit, hit]
    bodies.append(lambda: bool(otel_tracepoints.status()))
    threads = [threading.Thread(target=guarded(body)) for body in bodies]
    for thread in threads:
        thread.start()
    done.wait(1.0)
    done.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []
    otel_tracepoints.stop()
    assert program.work(1) == 2
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")] == []


def test_a_failed_start_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """Whatever it fails at, no thread, port or tool id is left, and the next start works."""
    wrong = [
        Settings(control_api_port=0, control_api_token_file=str(tmp_path / "missing"), event_sink_url="none"),
        Settings(event_sink_url="https://127.0.0.1:1", event_sink_certificate=str(tmp_path / "missing")),
        Settings(control_api_port=0, redact_patterns=("(",)),
    ]
    for settings in wrong * 3:
        with pytest.raises(otel_tracepoints.ConfigError):
            otel_tracepoints.start(settings=settings)
    assert otel_tracepoints.status() == {"status": "stopped"}
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")] == []
    otel_tracepoints.start(event_sink_url="none", control_api_port=0)
    assert otel_tracepoints.status()["engine"]["mechanism"] in ("monitoring", "injection")


# -- Settings ----------------------------------------------------------------------------------
