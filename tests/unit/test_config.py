"""Settings: precedence, refusals, and that the documentation says the same."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

from otel_tracepoints import config
from otel_tracepoints.config import Settings
from otel_tracepoints.errors import ConfigError

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "configuration.md"


def test_defaults_are_those_of_the_contract() -> None:
    """With nothing set, every setting has the contract's default."""
    settings = Settings.load({})
    assert settings == Settings()
    assert (settings.control_api_port, settings.control_api_host) == (5001, "127.0.0.1")
    assert (settings.event_sink_url, settings.event_sink_protocol) == ("http://127.0.0.1:4317", "auto")
    assert (settings.queue_size, settings.max_attribute_bytes) == (2048, 2000)
    assert (settings.max_pause_ms, settings.max_overhead_percent) == (5, 2)


def test_argument_wins_over_environment_wins_over_default() -> None:
    """An argument wins over the environment, and that over the default; None is no argument."""
    environ = {"DEBUGIN_CONTROL_API_PORT": "6000", "DEBUGIN_START_STATE": "sleeping"}
    settings = Settings.load(environ, control_api_port=7000, start_state=None)
    assert (settings.control_api_port, settings.start_state) == (7000, "sleeping")


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("DEBUGIN_CONTROL_API_ENABLED", "0", "control_api_enabled", False),
        ("DEBUGIN_CONTROL_API_BIND_ALL", "TRUE", "control_api_bind_all", True),
        ("DEBUGIN_CONTROL_API_PORT", " 0 ", "control_api_port", 0),
        ("DEBUGIN_EVENT_SINK_URL", "NONE", "event_sink_url", "none"),
        ("DEBUGIN_EVENT_SINK_HEADERS", "A=1, b=x=y", "event_sink_headers", {"a": "1", "b": "x=y"}),
        ("DEBUGIN_AGENT_TAGS", "a, b,,", "agent_tags", ("a", "b")),
        ("DEBUGIN_REDACT_PATTERNS", "a,b\nc{2}\n", "redact_patterns", ("a,b", "c{2}")),
        ("DEBUGIN_MAX_PAUSE_MS", "0.5", "max_pause_ms", 0.5),
        ("DEBUGIN_MONITORING_TOOL_ID", "5", "monitoring_tool_id", 5),
        ("TRACEPOINTDEBUG_ENGINE", "PyTrace", "engine", "pytrace"),
    ],
)
def test_text_is_read(name: str, text: str, field: str, value: Any) -> None:
    """Each kind of variable is read from its text form."""
    assert getattr(Settings.load({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("DEBUGIN_CONTROL_API_PORT", "65536", "integer from 0 to 65535"),
        ("DEBUGIN_CONTROL_API_PORT", "5001.0", "integer from 0 to 65535"),
        ("DEBUGIN_CONTROL_API_ENABLED", "maybe", "1 or 0"),
        ("DEBUGIN_EVENT_SINK_CERTIFICATE", "/no/such.pem", "file of certificates"),
        ("DEBUGIN_EVENT_SINK_URL", "localhost:4317", "http:// or https://"),
        ("DEBUGIN_EVENT_SINK_PROTOCOL", "udp", "auto, grpc, http/protobuf, http/json"),
        ("DEBUGIN_EVENT_SINK_HEADERS", "novalue", "k=v"),
        ("DEBUGIN_MAX_OVERHEAD_PERCENT", "nan", "number from 0 to 100"),
        ("DEBUGIN_MONITORING_TOOL_ID", "6", "integer from 0 to 5"),
        ("DEBUGIN_QUEUE_SIZE", "0", "integer from 1"),
        ("TRACEPOINTDEBUG_ENGINE", "rust", "auto, native, pytrace"),
    ],
)
def test_bad_value_is_refused_by_name(name: str, text: str, allowed: str) -> None:
    """A value that cannot be used is a ConfigError that names the variable and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        Settings.load({name: text})
    assert name in str(caught.value)
    assert allowed in str(caught.value)
    assert caught.value.details["variable"] == name


def test_lenient_loading_keeps_the_default_and_tells() -> None:
    """Where the application must start, a bad value leaves the default and is told."""
    settings, problems = Settings.load_leniently({"DEBUGIN_QUEUE_SIZE": "many", "DEBUGIN_AGENT_TAGS": "x"})
    assert (settings.queue_size, settings.agent_tags) == (2048, ("x",))
    assert [problem.details["variable"] for problem in problems] == ["DEBUGIN_QUEUE_SIZE"]


def test_bad_argument_is_refused() -> None:
    """An argument is held to the same range as its variable."""
    with pytest.raises(ConfigError, match="control_api_port"):
        Settings.load({}, control_api_port=-1)


def test_unknown_variables_are_found() -> None:
    """A slip of the pen under DEBUGIN_ is named; other prefixes are not ours."""
    assert config.unknown_variables(
        {"DEBUGIN_CONTROL_PORT": "1", "DEBUGIN_QUEUE_SIZE": "1", "OTHER": "1"}
    ) == ["DEBUGIN_CONTROL_PORT"]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"DEBUGIN_BROKER_URL": "wss://b:1"}, "wss://b:1"),
        ({"SIDEKICK_BROKER_HOST": "ws://localhost", "SIDEKICK_BROKER_PORT": "7777"}, "ws://localhost:7777"),
        ({"SIDEKICK_BROKER_HOST": "b.example"}, "wss://b.example:443"),
        ({}, None),
    ],
)
def test_broker_is_read_from_either_product(environ: Any, url: Any) -> None:
    """A broker asked for in either product's variables is known, so that it can be answered."""
    assert Settings.load(environ).broker_url == url


def test_secrets_are_not_in_the_repr() -> None:
    """Printing the settings shows neither the token nor the sink's headers."""
    settings = Settings.load({"DEBUGIN_CONTROL_API_TOKEN": "tok-1", "DEBUGIN_EVENT_SINK_HEADERS": "k=tok-2"})
    assert "tok-" not in repr(settings)


def test_documentation_lists_every_variable_and_no_other() -> None:
    """docs/configuration.md has a row for each variable, and the code a row for each of the page."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(variable.name for variable in config.VARIABLES)


def test_resource_attributes_are_added_once() -> None:
    """The distro's name is added to the resource attributes that the user set, and only once."""
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}
    for _ in range(2):
        config.append_resource_attributes({"telemetry.distro.name": "x"}, environ)
    assert environ["OTEL_RESOURCE_ATTRIBUTES"] == "service.name=shop,telemetry.distro.name=x"
