"""Settings: argument, then environment, then default. The only reader of ``os.environ``.

Every variable is one row of `VARIABLES`: the field that it sets and how its text is read.
``docs/configuration.md`` has the same table for people; a test compares the two.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from otel_tracepoints import readers
from otel_tracepoints.errors import ConfigError

DEFAULT_EVENT_SINK_URL = "http://127.0.0.1:4317"
DEFAULT_CONTROL_API_PORT = 5001
ENGINES = ("auto", "native", "pytrace")
PROTOCOLS = ("auto", "grpc", "http/protobuf", "http/json")
START_STATES = ("awake", "sleeping")
#: ``DEBUGIN_EVENT_SINK_URL`` for "use the application's own providers only".
NO_SINK = readers.NO_SINK


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that can be set about an agent; ``docs/configuration.md`` explains each field."""

    control_api_enabled: bool = True
    control_api_port: int = DEFAULT_CONTROL_API_PORT
    control_api_host: str = "127.0.0.1"
    control_api_bind_all: bool = False
    control_api_token: Optional[str] = dataclasses.field(default=None, repr=False)
    control_api_token_file: Optional[str] = None
    event_sink_url: str = DEFAULT_EVENT_SINK_URL
    event_sink_protocol: str = "auto"
    event_sink_headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    event_sink_certificate: Optional[str] = None
    engine: str = "auto"
    start_state: str = "awake"
    agent_tags: Tuple[str, ...] = ()
    #: Milliseconds; 0 is no cap.
    max_pause_ms: float = 5.0
    monitoring_tool_id: Optional[int] = None
    #: Percent of the process's CPU time; 100 is no limit.
    max_overhead_percent: float = 2.0
    redact_names: Tuple[str, ...] = ()
    redact_exclude: Tuple[str, ...] = ()
    redact_patterns: Tuple[str, ...] = ()
    #: None is the built-in list.
    deny_files: Optional[Tuple[str, ...]] = None
    queue_size: int = 2048
    #: Bytes of UTF-8.
    max_attribute_bytes: int = 2000
    broker_url: Optional[str] = None

    @classmethod
    def load(cls, environ: Optional[Mapping[str, str]] = None, **arguments: Any) -> Settings:
        """Settings from arguments (None: not given), then the environment, then the defaults.

        Raises:
            ConfigError: naming the variable or argument and what is allowed.
        """
        settings, problems = cls.load_leniently(environ, **arguments)
        if problems:
            raise problems[0]
        return settings

    @classmethod
    def load_leniently(
        cls, environ: Optional[Mapping[str, str]] = None, **arguments: Any
    ) -> Tuple[Settings, List[ConfigError]]:
        """As `load`, but a bad value leaves the default in place and is returned as a problem."""
        environ = os.environ if environ is None else environ
        given = {name for name, value in arguments.items() if value is not None}
        values: Dict[str, Any] = {}
        problems: List[ConfigError] = []
        for variable in VARIABLES:
            text = environ.get(variable.name, "")
            if variable.read is None or not text.strip() or variable.field in given:
                continue
            try:
                values[variable.field] = variable.read(text)
            except ValueError as error:
                problems.append(_problem(variable, str(error)))
        broker = _broker(environ)
        if broker:
            values["broker_url"] = broker
        try:
            return cls(**values).override(**arguments), problems
        except ConfigError as problem:
            return cls(**values), [*problems, problem]

    def override(self, **arguments: Any) -> Settings:
        """These settings, checked, with what was given by argument (None: not given).

        Raises:
            ConfigError: naming the argument, its variable, and what is allowed.
        """
        values: Dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = arguments.get(field.name)
            if value is None:
                value = getattr(self, field.name)
            variable = _OF_FIELD[field.name]
            if variable.read is None or (value is None and field.default is None):
                continue
            try:
                values[field.name] = variable.read(value)
            except ValueError as error:
                raise _problem(variable, str(error), argument=True) from None
        return dataclasses.replace(self, **values)


class Variable(NamedTuple):
    """An environment variable: the field it sets, and the reader of its value.

    ``read`` is None where the agent only has to know the name.
    """

    name: str
    field: str
    read: Optional[Callable[[str], Any]]


def unknown_variables(environ: Optional[Mapping[str, str]] = None) -> List[str]:
    """Names under ``DEBUGIN_`` that are set and mean nothing: most likely slips of the pen."""
    environ = os.environ if environ is None else environ
    known = {variable.name for variable in VARIABLES}
    return sorted(name for name in environ if name.startswith("DEBUGIN_") and name not in known)


def opentelemetry_disabled(environ: Optional[Mapping[str, str]] = None) -> bool:
    """Whether ``OTEL_SDK_DISABLED`` switches all of OpenTelemetry off in this process."""
    environ = os.environ if environ is None else environ
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def service_name(environ: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """``service.name`` as the environment gives it, or None."""
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SERVICE_NAME"):
        return environ["OTEL_SERVICE_NAME"]
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            return value.strip()
    return None


def set_defaults(defaults: Mapping[str, str], environ: Optional[Any] = None) -> None:
    """Set environment variables that the user left unset (the distro's way to configure the SDK)."""
    target = os.environ if environ is None else environ
    for name, value in defaults.items():
        target.setdefault(name, value)


def append_resource_attributes(attributes: Mapping[str, str], environ: Optional[Any] = None) -> None:
    """Add to ``OTEL_RESOURCE_ATTRIBUTES`` what is not there yet."""
    target = os.environ if environ is None else environ
    present = target.get("OTEL_RESOURCE_ATTRIBUTES", "")
    missing = [f"{key}={value}" for key, value in attributes.items() if f"{key}=" not in present]
    target["OTEL_RESOURCE_ATTRIBUTES"] = ",".join([part for part in [present] if part] + missing)


def given(prefix: str, environ: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """The variables that begin with this and are not empty."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if name.startswith(prefix) and value}


@contextlib.contextmanager
def replaced(name: str, value: str) -> Iterator[None]:
    """The variable has this value inside, and its own again afterwards."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def has_sdk_file(environ: Optional[Mapping[str, str]] = None) -> bool:
    """Whether a file configures all of OpenTelemetry's SDK, so that its variables mean nothing."""
    return any(given(name, environ) for name in ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"))


def runtime_directory(environ: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """``XDG_RUNTIME_DIR``: the user's private directory for sockets and tokens, or None."""
    environ = os.environ if environ is None else environ
    return environ.get("XDG_RUNTIME_DIR") or None


def metric_interval_seconds(environ: Optional[Mapping[str, str]] = None) -> float:
    """``OTEL_METRIC_EXPORT_INTERVAL`` (milliseconds, 60 000 by default), in seconds."""
    environ = os.environ if environ is None else environ
    try:
        return max(0.1, float(environ.get("OTEL_METRIC_EXPORT_INTERVAL", "60000")) / 1000)
    except ValueError:
        return 60.0


def _problem(variable: Variable, allowed: str, *, argument: bool = False) -> ConfigError:
    name = f"{variable.field} ({variable.name})" if argument else variable.name
    details = {"variable": variable.name, "field": variable.field, "allowed": allowed}
    return ConfigError(f"{name}: {allowed}", details)


def _broker(environ: Mapping[str, str]) -> Optional[str]:
    """The broker that the user asked for, as one URL, from either product's variables."""
    url = environ.get("DEBUGIN_BROKER_URL", "").strip()
    host = environ.get("SIDEKICK_BROKER_HOST", "").strip()
    port = environ.get("SIDEKICK_BROKER_PORT", "").strip()
    if url:
        return url
    if host or port:
        host = host or "broker.service.runsidekick.com"
        scheme = "" if host.startswith(("ws://", "wss://")) else "wss://"
        return f"{scheme}{host}:{port or '443'}"
    return None


VARIABLES: Tuple[Variable, ...] = (
    Variable("DEBUGIN_CONTROL_API_ENABLED", "control_api_enabled", readers.flag),
    Variable("DEBUGIN_CONTROL_API_PORT", "control_api_port", readers.integer(0, 65535)),
    Variable("DEBUGIN_CONTROL_API_HOST", "control_api_host", readers.text),
    Variable("DEBUGIN_CONTROL_API_BIND_ALL", "control_api_bind_all", readers.flag),
    Variable("DEBUGIN_CONTROL_API_TOKEN", "control_api_token", readers.text),
    Variable("DEBUGIN_CONTROL_API_TOKEN_FILE", "control_api_token_file", readers.text),
    Variable("DEBUGIN_EVENT_SINK_URL", "event_sink_url", readers.url),
    Variable("DEBUGIN_EVENT_SINK_PROTOCOL", "event_sink_protocol", readers.one_of(PROTOCOLS)),
    Variable("DEBUGIN_EVENT_SINK_HEADERS", "event_sink_headers", readers.headers),
    Variable("DEBUGIN_EVENT_SINK_CERTIFICATE", "event_sink_certificate", readers.certificates),
    Variable("TRACEPOINTDEBUG_ENGINE", "engine", readers.one_of(ENGINES)),
    Variable("DEBUGIN_START_STATE", "start_state", readers.one_of(START_STATES)),
    Variable("DEBUGIN_AGENT_TAGS", "agent_tags", readers.words),
    Variable("DEBUGIN_MAX_PAUSE_MS", "max_pause_ms", readers.number(0, 60_000)),
    Variable("DEBUGIN_MONITORING_TOOL_ID", "monitoring_tool_id", readers.integer(0, 5)),
    Variable("DEBUGIN_MAX_OVERHEAD_PERCENT", "max_overhead_percent", readers.number(0, 100)),
    Variable("DEBUGIN_REDACT_NAMES", "redact_names", readers.words),
    Variable("DEBUGIN_REDACT_EXCLUDE", "redact_exclude", readers.words),
    Variable("DEBUGIN_REDACT_PATTERNS", "redact_patterns", readers.lines),
    Variable("DEBUGIN_DENY_FILES", "deny_files", readers.words),
    Variable("DEBUGIN_QUEUE_SIZE", "queue_size", readers.integer(1, 1_000_000)),
    Variable("DEBUGIN_MAX_ATTRIBUTE_BYTES", "max_attribute_bytes", readers.integer(64, 1_048_576)),
    Variable("DEBUGIN_BROKER_URL", "broker_url", readers.text),
    Variable("SIDEKICK_BROKER_HOST", "broker_url", None),
    Variable("SIDEKICK_BROKER_PORT", "broker_url", None),
    Variable("DEBUGIN_CONTROL_API_URL", "", None),
    Variable("DEBUGIN_PURE_PYTHON", "", None),
)

#: Field → the variable that it comes from.
_OF_FIELD: Dict[str, Variable] = {v.field: v for v in reversed(VARIABLES) if v.field}
