"""The functions that a program calls: ``start``, ``stop``, ``status``, ``sleep``, ``wake``.

The agent itself is imported by ``start``, not with the package: the command line and the sink
use this package's nouns without needing what an agent needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, cast

from otel_tracepoints.config import DEFAULT_CONTROL_API_PORT, Settings
from otel_tracepoints.errors import TracepointsError

if TYPE_CHECKING:
    from otel_tracepoints.agent import Agent


class _NotGiven(int):
    """A default that can be told from the same value given on purpose.

    An argument wins over the environment, a default does not.
    """


class _TrueNotGiven(_NotGiven):
    """The same for a flag, which cannot be subclassed itself."""

    def __repr__(self) -> str:
        return repr(bool(self))


_PORT = _NotGiven(DEFAULT_CONTROL_API_PORT)
_ENABLED = cast("bool", _TrueNotGiven(True))


def start(
    tracepoint_data_redaction_callback: Optional[Callable[..., Any]] = None,
    log_data_redaction_callback: Optional[Callable[..., Any]] = None,
    enable_control_api: bool = _ENABLED,
    control_api_port: int = _PORT,
    *,
    control_api_host: Optional[str] = None,
    event_sink_url: Optional[str] = None,
    engine: Optional[str] = None,
    start_state: Optional[str] = None,
    settings: Optional[Settings] = None,
) -> Agent:
    """Start the agent in this process, or answer the one that runs already.

    What is given here wins over the environment (``docs/configuration.md``), which wins over
    the defaults.

    Args:
        tracepoint_data_redaction_callback: ``callable(value)`` or ``callable(value, name)`` → what
            is shown instead. It gets detached, JSON-like data, once per variable and watch, after
            the built-in redaction; if it raises, the value is redacted. It runs in the
            application's thread, outside the pause cap: keep it short.
        log_data_redaction_callback: ``callable(message)`` or ``callable(message, probe_id)`` → the
            message that is shown; also called for each message field.
        enable_control_api: Whether to serve the REST API.
        control_api_port: 0 is any free port; a port that is taken is replaced by a free one.
        control_api_host: Address to listen on, 127.0.0.1 by default.
        event_sink_url: Where hits go, ``http://127.0.0.1:4317`` by default; ``none`` for the
            application's own OpenTelemetry providers only.
        engine: ``auto``, ``native`` or ``pytrace``.
        start_state: ``awake`` or ``sleeping``.
        settings: All settings at once; takes the environment's place.

    Raises:
        ConfigError: a setting that cannot be used; names it, and what is allowed.
        EngineUnavailable: the engine asked for cannot run here.
        ControlApiError: the control API cannot be served.
    """
    from otel_tracepoints.agent import launch

    arguments = {
        "control_api_enabled": None if enable_control_api is _ENABLED else bool(enable_control_api),
        "control_api_port": None if control_api_port is _PORT else control_api_port,
        "control_api_host": control_api_host,
        "event_sink_url": event_sink_url,
        "engine": engine,
        "start_state": start_state,
    }
    return launch(
        {name: value for name, value in arguments.items() if value is not None},
        value_callback=tracepoint_data_redaction_callback,
        message_callback=log_data_redaction_callback,
        settings=settings,
    )


def stop() -> None:
    """Remove every hook, close the port, flush for at most 2 seconds. Fine when nothing runs."""
    from otel_tracepoints import agent

    agent.stop()


def status() -> Dict[str, Any]:
    """What ``GET /health`` answers; ``{"status": "stopped"}`` when no agent runs."""
    from otel_tracepoints import agent

    running = agent.running()
    return {"status": "stopped"} if running is None else running.status()


def sleep() -> None:
    """Every probe off at once; definitions and counts stay.

    Raises:
        TracepointsError: no agent runs.
    """
    _running().sleep()


def wake() -> None:
    """Every probe on again.

    Raises:
        TracepointsError: no agent runs.
    """
    _running().wake()


def _running() -> Agent:
    from otel_tracepoints import agent

    running = agent.running()
    if running is None:
        raise TracepointsError("No agent runs in this process. Call otel_tracepoints.start() first.")
    return running
