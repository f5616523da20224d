"""The Python API: settings, where they come from, and what is refused."""

from __future__ import annotations

import logging
import socket
from typing import Any, Callable, Dict

import pytest
from tests.support.live import Live, ok
from tests.support.otlp_receiver import OtlpReceiver, closed_port

import otel_tracepoints
from otel_tracepoints import Settings
from otel_tracepoints.engine.compiled import COMPILED

pytestmark = pytest.mark.usefixtures("_stopped")


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument that equals the default is given all the same, and wins."""
    port = closed_port()
    monkeypatch.setenv("DEBUGIN_CONTROL_API_ENABLED", "0")
    monkeypatch.setenv("DEBUGIN_START_STATE", "sleeping")
    monkeypatch.setenv("DEBUGIN_EVENT_SINK_URL", f"http://127.0.0.1:{closed_port()}")
    agent = otel_tracepoints.start(
        None, None, True, port, control_api_host="127.0.0.1", event_sink_url="none", start_state="awake"
    )
    assert agent.control_api_address == ("127.0.0.1", port)
    status = otel_tracepoints.status()
    assert (status["state"], status["eventSink"]["url"]) == ("awake", "none")


def test_the_environment_wins_over_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not given by argument comes from the environment."""
    for name, value in {
        "DEBUGIN_CONTROL_API_ENABLED": "0",
        "DEBUGIN_START_STATE": "sleeping",
        "DEBUGIN_EVENT_SINK_URL": "none",
        "DEBUGIN_AGENT_TAGS": "blue, canary",
        "TRACEPOINTDEBUG_ENGINE": "pytrace",
        "DEBUGIN_BROKER_URL": "wss://broker.example:443",
    }.items():
        monkeypatch.setenv(name, value)
    agent = otel_tracepoints.start()
    assert agent.control_api_address is None
    status = otel_tracepoints.status()
    assert status["state"] == "sleeping"
    assert status["tags"] == ["blue", "canary"]
    assert status["engine"]["reason"].startswith("pytrace: as asked")
    assert status["broker"]["connected"] is False
    assert "not supported yet" in " ".join(status["problems"])


def test_settings_take_the_environments_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``settings`` the environment is not asked; an argument still wins."""
    monkeypatch.setenv("DEBUGIN_START_STATE", "sleeping")
    monkeypatch.setenv("DEBUGIN_QUEUE_SIZE", "not a number")
    settings = Settings(event_sink_url="none", control_api_port=0, agent_tags=("a",))
    agent = otel_tracepoints.start(enable_control_api=False, settings=settings)
    assert agent.control_api_address is None
    assert otel_tracepoints.status()["state"] == "awake"
    assert otel_tracepoints.status()["tags"] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"control_api_port": 65536}, "DEBUGIN_CONTROL_API_PORT"),
        ({"control_api_port": True}, "control_api_port"),
        ({"control_api_port": 5001.5}, "control_api_port"),
        ({"event_sink_url": "localhost:4317"}, "DEBUGIN_EVENT_SINK_URL"),
        ({"event_sink_url": "http://localhost:port"}, "DEBUGIN_EVENT_SINK_URL"),
        ({"event_sink_url": ""}, "DEBUGIN_EVENT_SINK_URL"),
        ({"engine": "rust"}, "TRACEPOINTDEBUG_ENGINE"),
        ({"start_state": "dozing"}, "DEBUGIN_START_STATE"),
        ({"control_api_host": 7}, "DEBUGIN_CONTROL_API_HOST"),
        ({"control_api_host": "no such host.invalid"}, "DEBUGIN_CONTROL_API_HOST"),
        ({"enable_control_api": "perhaps"}, "DEBUGIN_CONTROL_API_ENABLED"),
        ({"tracepoint_data_redaction_callback": 7}, "tracepoint_data_redaction_callback"),
        ({"log_data_redaction_callback": "x"}, "log_data_redaction_callback"),
        ({"settings": {"queue_size": 5}}, "settings"),
        ({"settings": Settings(queue_size=0)}, "DEBUGIN_QUEUE_SIZE"),
        ({"settings": Settings(event_sink_certificate="no/such.pem")}, "DEBUGIN_EVENT_SINK_CERTIFICATE"),
        ({"settings": Settings(max_pause_ms=-1)}, "DEBUGIN_MAX_PAUSE_MS"),
        ({"settings": Settings(redact_patterns=("(",))}, "DEBUGIN_REDACT_PATTERNS"),
        ({"settings": Settings(redact_names=(1,))}, "DEBUGIN_REDACT_NAMES"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_value_is_a_config_error_that_names_it(arguments: Dict[str, Any], named: str) -> None:
    """``start`` refuses what cannot be used, and says which setting and what is allowed."""
    with pytest.raises(otel_tracepoints.ConfigError) as caught:
        otel_tracepoints.start(**{"control_api_port": 0, **arguments})
    assert named in str(caught.value)
    assert caught.value.code == "INVALID_CONFIG"
    assert caught.value.details["allowed"]
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_a_bad_variable_is_a_config_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that cannot be used is refused too, unless an argument takes its place."""
    monkeypatch.setenv("DEBUGIN_CONTROL_API_PORT", "many")
    monkeypatch.setenv("DEBUGIN_EVENT_SINK_URL", "none")
    with pytest.raises(otel_tracepoints.ConfigError, match="DEBUGIN_CONTROL_API_PORT.*0 to 65535"):
        otel_tracepoints.start()
    assert otel_tracepoints.start(control_api_port=0).control_api_address is not None


def test_the_native_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the compiled engine where there is none is refused with the way out."""
    monkeypatch.setattr(COMPILED, "_module", None)
    monkeypatch.setattr(COMPILED, "_why", "it was not built")
    with pytest.raises(otel_tracepoints.EngineUnavailable, match="auto or pytrace") as caught:
        otel_tracepoints.start(engine="native", event_sink_url="none")
    assert caught.value.code == "ENGINE_UNAVAILABLE"
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_unknown_variables_are_named_in_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All slips of the pen under DEBUGIN_ stand in one warning; a .env file is not read."""
    monkeypatch.setenv("DEBUGIN_CONTROL_PORT", "1")
    monkeypatch.setenv("DEBUGIN_SINK", "")
    monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DEBUGIN_PURE_PYTHON", "1")
    with caplog.at_level(logging.WARNING, "otel_tracepoints"):
        otel_tracepoints.start(event_sink_url="none", enable_control_api=False)
    (record,) = caplog.records
    assert "DEBUGIN_CONTROL_PORT, DEBUGIN_SINK" in record.getMessage()
    assert "DEBUGIN_CONTROL_API_URL" not in record.getMessage()


def test_a_taken_port_is_never_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Another free port is taken instead, which log and start event name."""
    with socket.socket() as taken, OtlpReceiver("http") as sink:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        agent = otel_tracepoints.start(control_api_port=port, event_sink_url=sink.url)
        address = agent.control_api_address
        assert address is not None and address[1] not in (0, port)
        assert str(port) in caplog.text and str(address[1]) in caplog.text
        (started,) = sink.wait_for(lambda: sink.events("agent.status.started"))
        assert started["attributes"]["server.port"] == address[1]
        assert started["attributes"]["server.address"] == "127.0.0.1"


def test_agent_tags_are_on_health_and_on_the_agents_events(live_with: Callable[..., Live]) -> None:
    """DEBUGIN_AGENT_TAGS are told with the start, the stop and the health."""
    live = live_with(agent_tags=("blue", "canary"))
    assert ok(live.api.get("/health"))["tags"] == ["blue", "canary"]
    otel_tracepoints.stop()
    for name in ("agent.status.started", "agent.status.stopped"):
        (event,) = live.logs(name)
        assert event["attributes"]["probe.agent.tags"] == ["blue", "canary"]
