"""The functions that a program calls: ``start``, ``stop``, ``status``, ``sleep``, ``wake``.

The agent itself is imported by ``start``, not with the package: the command line and the sink
use this package's nouns without needing what an agent needs.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, TypeVar, cast

from otel_tracepoints.config import DEFAULT_CONTROL_API_PORT, Settings
from otel_tracepoints.errors import TracepointsError

if TYPE_CHECKING:
    from otel_tracepoints.agent import Agent

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _given_only(function: _Function) -> _Function:
    """Hand over the arguments that were given, and None for all others.

    An argument wins over the environment, a default does not; so a default has to be told from
    the same value given on purpose, and the signature still has to show it.
    """
    signature = inspect.signature(function)
    nothing = dict.fromkeys(signature.parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(**{**nothing, **signature.bind(*args, **kwargs).arguments})

    return cast("_Function", call)


@_given_only
def start(
    tracepoint_data_redaction_callback: Optional[Callable[..., Any]] = None,
    log_data_redaction_callback: Optional[Callable[..., Any]] = None,
    enable_control_api: bool = True,
    control_api_port: int = DEFAULT_CONTROL_API_PORT,
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
    from otel_tracepoints.lifecycle import launch

    return launch(
        {
            "control_api_enabled": enable_control_api,
            "control_api_port": control_api_port,
            "control_api_host": control_api_host,
            "event_sink_url": event_sink_url,
            "engine": engine,
            "start_state": start_state,
        },
        value_callback=tracepoint_data_redaction_callback,
        message_callback=log_data_redaction_callback,
        settings=settings,
    )


def stop() -> None:
    """Remove every hook, close the port, flush for at most 2 seconds. Fine when nothing runs."""
    lifecycle = _lifecycle()
    if lifecycle is not None:
        lifecycle.stop()


def status() -> Dict[str, Any]:
    """What ``GET /health`` answers; ``{"status": "stopped"}`` when no agent runs."""
    agent = _agent()
    return {"status": "stopped"} if agent is None else agent.status()


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


def _lifecycle() -> Any:
    """The module, if any agent was ever started: asking must not import all that an agent needs."""
    return sys.modules.get("otel_tracepoints.lifecycle")


def _agent() -> Optional[Agent]:
    lifecycle = _lifecycle()
    agent: Optional[Agent] = None if lifecycle is None else lifecycle.running()
    return agent


def _running() -> Agent:
    agent = _agent()
    if agent is None:
        raise TracepointsError("No agent runs in this process. Call otel_tracepoints.start() first.")
    return agent
