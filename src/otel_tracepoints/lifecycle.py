"""The one running agent of this process: start, stop, exit and fork.

It is the only global. Its lock orders starts and stops; asking who runs never waits for it.
"""

from __future__ import annotations

import atexit
import logging
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from otel_tracepoints import allowance, unpatched
from otel_tracepoints.agent import Agent
from otel_tracepoints.config import Settings
from otel_tracepoints.errors import ConfigError

_LOGGER = logging.getLogger("otel_tracepoints")

Callback = Callable[..., Any]


class _Process:
    """What there is of us in this process."""

    def __init__(self) -> None:
        self.agent: Optional[Agent] = None
        #: The one that is being started or stopped.
        self.changing: Optional[Agent] = None
        self.lock = unpatched.RLock()
        self.arguments: Mapping[str, Any] = {}
        self.hooked = False
        #: Thread → the agents that wait for its fork.
        self.forking: Dict[int, Sequence[Agent]] = {}


_PROCESS = _Process()


def launch(
    arguments: Mapping[str, Any],
    *,
    value_callback: Optional[Callback] = None,
    message_callback: Optional[Callback] = None,
    settings: Optional[Settings] = None,
    lenient: bool = False,
) -> Agent:
    """Start the agent, or answer the one that runs.

    Args:
        arguments: Settings that were given by name (None: not given); they win over
            ``settings``, which wins over the environment.
        value_callback: See ``start``.
        message_callback: See ``start``.
        settings: Takes the environment's place.
        lenient: A setting that cannot be used is logged, and its default used, instead of raised.

    Raises:
        ConfigError: a setting that cannot be used.
        EngineUnavailable: the engine asked for cannot run here.
        ControlApiError: the control API cannot be served.
    """
    asked: Dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
    others = {"value_callback": value_callback, "message_callback": message_callback, "settings": settings}
    asked.update((name, value) for name, value in others.items() if value is not None)
    with _PROCESS.lock:
        if _PROCESS.agent is not None:
            if asked != _PROCESS.arguments:
                _LOGGER.warning("The agent runs already; the new arguments are not used. Call stop() first.")
            return _PROCESS.agent
        problems: List[ConfigError] = []
        if settings is not None:
            chosen = _settings(settings).override(**arguments)
        elif lenient:
            chosen, problems = Settings.load_leniently(**arguments)
        else:
            chosen = Settings.load(**arguments)
        agent = Agent(
            chosen,
            value_callback=_callable(value_callback, "tracepoint_data_redaction_callback"),
            message_callback=_callable(message_callback, "log_data_redaction_callback"),
            lenient=lenient,
        )
        _hook_process()
        _PROCESS.changing = agent
        try:
            agent._start(problems)
        except BaseException:
            agent._stop(tell=False)
            raise
        finally:
            _PROCESS.changing = None
        _PROCESS.agent, _PROCESS.arguments = agent, asked
        return agent


def running() -> Optional[Agent]:
    """The running agent, if there is one."""
    return _PROCESS.agent


def stop(timeout: float = allowance.STOP_TIMEOUT, *, meanwhile: Optional[Callable[[], None]] = None) -> None:
    """Stop the running agent; fine when there is none.

    Args:
        timeout: Seconds that it may take altogether.
        meanwhile: Called while the last hits are on their way.
    """
    with _PROCESS.lock:
        agent = _PROCESS.agent
        if agent is None:
            return
        _PROCESS.changing, _PROCESS.agent = agent, None
        try:
            agent._stop(timeout, meanwhile=meanwhile)
        finally:
            _PROCESS.changing = None


def _callable(callback: Optional[Callback], argument: str) -> Optional[Callback]:
    if callback is not None and not callable(callback):
        raise _unusable(argument, "must be callable, or None")
    return callback


def _settings(settings: Settings) -> Settings:
    if not isinstance(settings, Settings):
        raise _unusable("settings", "must be otel_tracepoints.Settings, or None")
    return settings


def _unusable(argument: str, allowed: str) -> ConfigError:
    return ConfigError(f"{argument}: {allowed}", {"field": argument, "allowed": allowed})


def _hook_process() -> None:
    """Once a process: these cannot be taken back, and do nothing while no agent runs."""
    if _PROCESS.hooked:
        return
    _PROCESS.hooked = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork,
            after_in_parent=_after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )


def _at_exit() -> None:
    if _PROCESS.agent is not None:
        stop(allowance.left(), meanwhile=allowance.flush_others)


def _before_fork() -> None:
    # Those are released again that were held, whoever starts or stops meanwhile.
    agents = [each for each in {_PROCESS.agent, _PROCESS.changing} if each is not None]
    _PROCESS.forking[unpatched.get_ident()] = agents
    for agent in agents:
        agent._before_fork()


def _after_fork_in_parent() -> None:
    for agent in _PROCESS.forking.pop(unpatched.get_ident(), ()):
        agent._after_fork_in_parent()


def _after_fork_in_child() -> None:
    _PROCESS.lock = unpatched.RLock()  # another thread may have held it
    _PROCESS.forking = {}
    agent, changing = _PROCESS.agent, _PROCESS.changing
    _PROCESS.changing = None
    if agent is not None:
        agent._after_fork_in_child()
    if changing is not None and changing is not agent:
        # Half started, or half stopped, by a thread that is not here to go on.
        changing._after_fork_in_child()
        changing._stop(tell=False)
