"""The composition root: builds the parts, starts and stops them, and carries them over a fork.

Nothing else builds the parts, and the one running agent is the only global.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from otel_tracepoints import config, schema, semconv
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.config import Settings
from otel_tracepoints.control import ControlServer
from otel_tracepoints.debugger import Debugger, Parts
from otel_tracepoints.emission import Emitter
from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.base import Engine
from otel_tracepoints.errors import (
    ConfigError,
    EngineUnavailable,
    InvalidRedaction,
    TracepointsError,
)
from otel_tracepoints.health import Facts, health
from otel_tracepoints.limits import Governor
from otel_tracepoints.model import Probe, ProbeType
from otel_tracepoints.pipeline import guard_thread
from otel_tracepoints.probes.registry import Registry
from otel_tracepoints.probes.resolver import Resolver
from otel_tracepoints.version import VERSION

_LOGGER = logging.getLogger("otel_tracepoints")

ValueCallback = Callable[..., Any]
MessageCallback = Callable[..., Any]

#: Seconds that stopping, and the exit of the process, may wait for the event sink.
STOP_TIMEOUT = 2.0


class Agent:
    """A running agent. Made by `start`; its methods are safe from any thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        value_callback: Optional[ValueCallback] = None,
        message_callback: Optional[MessageCallback] = None,
        lenient: bool = False,
    ) -> None:
        self.settings = settings
        self._lenient = lenient
        self._started_at = time.monotonic()
        self._problems: List[str] = []
        self._policy = self._build_policy()
        self._engine = self._build_engine()
        self._emitter = Emitter(settings, self._policy.text, guard_thread)
        resolver = Resolver(deny=settings.deny_files or ())
        self._debugger = Debugger(
            Parts(
                registry=Registry(),
                resolver=resolver,
                engine=self._engine,
                emitter=self._emitter,
                policy=self._policy,
                redaction_problem=self._redaction_problem,
                governor=Governor(settings.max_overhead_percent),
                max_pause_ns=int(settings.max_pause_ms * 1_000_000),
                value_callback=value_callback,
                message_callback=message_callback,
                asleep=settings.start_state == "sleeping",
            )
        )
        self._server: Optional[ControlServer] = None
        self._pid = os.getpid()

    # -- Probes ----------------------------------------------------------------------------

    def add(self, probe: Union[Probe, Mapping[str, Any]]) -> str:
        """Set a probe; answers its id.

        Args:
            probe: A `Probe`, or the body of the API's create call with ``type``.

        Raises:
            InvalidProbe: and its subclasses, with the API's codes.
            DuplicateId: the id is taken.
        """
        payload = schema.definition(probe) if isinstance(probe, Probe) else probe
        return str(self._debugger.create(payload)["id"])

    def set_tracepoint(self, file: str, line: int, **fields: Any) -> str:
        """Set a tracepoint; answers its id.

        Args:
            file: Path or path suffix.
            line: From 1.
            **fields: The API's fields in snake_case, with the API's values:
                ``condition="x > 1"``, ``max_hits=3``, ``rate_limit={"limitPerSecond": 5}``, …

        Raises:
            InvalidProbe: and its subclasses, with the API's codes.
            DuplicateId: the id is taken.
        """
        return self._set(ProbeType.TRACEPOINT, {"file": file, "line": line, **_camel_case(fields)})

    def set_logpoint(self, file: str, line: int, message: str, **fields: Any) -> str:
        """Set a logpoint; answers its id.

        Args:
            file: Path or path suffix.
            line: From 1.
            message: Template with ``{expression}``.
            **fields: As in `set_tracepoint`, and ``level``.

        Raises:
            InvalidProbe: and its subclasses, with the API's codes.
            DuplicateId: the id is taken.
        """
        body = {"file": file, "line": line, "message": message, **_camel_case(fields)}
        return self._set(ProbeType.LOGPOINT, body)

    def points(self) -> List[Dict[str, Any]]:
        """All probes, as the API shows them."""
        return self._debugger.points()

    def remove(self, id: str) -> None:
        """Remove a probe.

        Raises:
            PointNotFound: there is none.
        """
        self._debugger.delete(id)

    def enable(self, id: str) -> None:
        """Switch a probe on; raises `PointNotFound`."""
        self._debugger.set_enabled(id, True)

    def disable(self, id: str) -> None:
        """Switch a probe off; raises `PointNotFound`."""
        self._debugger.set_enabled(id, False)

    # -- State -----------------------------------------------------------------------------

    @property
    def control_api_address(self) -> Optional[Tuple[str, int]]:
        """Host and port of the control API, or None when it is not served."""
        return None if self._server is None else (self._server.host, self._server.port)

    def status(self) -> Dict[str, Any]:
        """What ``GET /health`` answers."""
        broker = self.settings.broker_url
        return health(
            Facts(
                engine=self._engine,
                state=self._debugger.state,
                event_sink=self._emitter.status(),
                service_name=self._emitter.service_name(),
                broker_url=None if broker is None else self._policy.text(broker),
                tags=self.settings.agent_tags,
                uptime_seconds=time.monotonic() - self._started_at,
                problems=self._problems,
            )
        )

    def sleep(self) -> None:
        """Every probe off at once; definitions and counts stay."""
        self._debugger.sleep()

    def wake(self) -> None:
        """Every probe on again."""
        self._debugger.wake()

    # -- Life ------------------------------------------------------------------------------

    def _start(self, problems: List[ConfigError]) -> None:
        for problem in problems:
            self._problem(f"{problem.message}. The default is used.")
        for name in config.unknown_variables():
            self._problem(f"{name} is set, but there is no such setting.")
        if self.settings.broker_url is not None:
            self._problem(
                "A broker is configured, but brokers are not supported yet: probes are set by the API."
            )
        self._emitter.attach_counters(self._debugger.hit_counts, self._debugger.active_count)
        self._emitter.start()
        if self.settings.control_api_enabled:
            self._serve()
        attributes: Dict[str, Any] = {
            semconv.PROBE_ENGINE: self._engine.name,
            semconv.PROBE_ENGINE_MECHANISM: self._engine.mechanism,
            semconv.PROBE_AGENT_FEATURES: _features(self.status()["features"]),
        }
        if self.settings.agent_tags:
            attributes[semconv.PROBE_AGENT_TAGS] = list(self.settings.agent_tags)
        if self._server is not None:
            attributes[semconv.SERVER_ADDRESS] = self._server.host
            attributes[semconv.SERVER_PORT] = self._server.port
        self._debugger.report_status(
            semconv.EVENT_STARTED, f"otel-tracepoints {VERSION} started: {self._engine.reason}", attributes
        )

    def _serve(self) -> None:
        server = ControlServer(self.settings, self._debugger, self.status)
        try:
            server.start()
        except (TracepointsError, OSError) as error:
            if not self._lenient:
                raise
            self._problem(f"The control API is not served: {error}")
        else:
            self._server = server

    def _stop(self) -> None:
        """Leave nothing behind: no hook, no port, no thread; waits at most `STOP_TIMEOUT` for the sink."""
        probes, events = (
            self._debugger.probe_count(),
            sum(count for (_, outcome), count in self._debugger.hit_counts().items() if outcome == "emitted"),
        )
        if self._server is not None:
            self._server.stop()
        self._debugger.close()
        uptime = round(time.monotonic() - self._started_at, 3)
        attributes: Dict[str, Any] = {
            semconv.PROBE_AGENT_UPTIME: uptime,
            semconv.PROBE_AGENT_PROBES: probes,
            semconv.PROBE_AGENT_EVENTS: events,
        }
        self._debugger.report_status(
            semconv.EVENT_STOPPED, f"otel-tracepoints stopped after {uptime} s", attributes
        )
        self._emitter.stop(STOP_TIMEOUT)

    def _after_fork_in_child(self) -> None:
        self._pid = os.getpid()
        if self._server is not None:
            self._server.after_fork_in_child()
            self._server = None
        self._emitter.after_fork_in_child()
        self._debugger.after_fork_in_child()

    # -- Parts -----------------------------------------------------------------------------

    def _build_policy(self) -> RedactionPolicy:
        settings = self.settings
        self._redaction_problem: Optional[str] = None
        try:
            return RedactionPolicy.build(
                settings.redact_names, settings.redact_exclude, settings.redact_patterns
            )
        except InvalidRedaction as error:
            if not self._lenient:
                raise ConfigError(error.message, error.details) from error
            # Closed, not open: nothing is captured until the rule is right.
            self._redaction_problem = error.message
            self._problem(f"{error.message} Nothing is captured until this is right.")
            return RedactionPolicy.build((), (), ())

    def _build_engine(self) -> Engine:
        choice, tool_id = self.settings.engine, self.settings.monitoring_tool_id
        try:
            return create_engine(choice, tool_id=tool_id)
        except EngineUnavailable as error:
            if not self._lenient or choice == "auto":
                raise
            self._problem(f"The engine {choice} cannot be used: {error.message} The engine auto is used.")
            return create_engine("auto", tool_id=tool_id)

    def _problem(self, sentence: str) -> None:
        self._problems.append(sentence)
        _LOGGER.warning(sentence)

    def _set(self, type: ProbeType, payload: Mapping[str, Any]) -> str:
        return str(self._debugger.create(payload, type)["id"])


class _Runtime:
    """The one running agent, if there is one."""

    def __init__(self) -> None:
        self.agent: Optional[Agent] = None
        self.lock = threading.RLock()
        self.arguments: Mapping[str, Any] = {}
        self.hooked = False


_RUNTIME = _Runtime()


def launch(
    arguments: Mapping[str, Any],
    *,
    value_callback: Optional[ValueCallback] = None,
    message_callback: Optional[MessageCallback] = None,
    settings: Optional[Settings] = None,
    lenient: bool = False,
) -> Agent:
    """Start the agent, or answer the one that runs.

    Args:
        arguments: Settings that were given by name; they win over ``settings``, which wins over
            the environment.
        value_callback: See ``start``.
        message_callback: See ``start``.
        settings: Takes the environment's place.
        lenient: A setting that cannot be used is logged, and its default used, instead of raised.

    Raises:
        ConfigError: a setting that cannot be used.
        EngineUnavailable: the engine asked for cannot run here.
        ControlApiError: the control API cannot be served.
    """
    asked = {**arguments, "value": value_callback, "message": message_callback, "settings": settings}
    with _RUNTIME.lock:
        if _RUNTIME.agent is not None:
            if asked != _RUNTIME.arguments:
                _LOGGER.warning("The agent runs already; the new arguments are not used. Call stop() first.")
            return _RUNTIME.agent
        problems: List[ConfigError] = []
        if settings is not None:
            chosen = settings.override(**arguments)
        elif lenient:
            chosen, problems = Settings.load_leniently(**arguments)
        else:
            chosen = Settings.load(**arguments)
        agent = Agent(
            chosen, value_callback=value_callback, message_callback=message_callback, lenient=lenient
        )
        try:
            agent._start(problems)
        except BaseException:
            agent._stop()
            raise
        _hook_process()
        _RUNTIME.agent, _RUNTIME.arguments = agent, asked
        return agent


def running() -> Optional[Agent]:
    """The running agent, if there is one."""
    return _RUNTIME.agent


def stop() -> None:
    """Stop the running agent; fine when there is none."""
    with _RUNTIME.lock:
        agent, _RUNTIME.agent = _RUNTIME.agent, None
        if agent is not None:
            agent._stop()


def _hook_process() -> None:
    """Once a process: these cannot be taken back, and do nothing while no agent runs."""
    if _RUNTIME.hooked:
        return
    _RUNTIME.hooked = True
    atexit.register(stop)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork_in_child)


def _after_fork_in_child() -> None:
    _RUNTIME.lock = threading.RLock()  # another thread may have held it
    agent = _RUNTIME.agent
    if agent is None:
        return
    try:
        agent._after_fork_in_child()
    except Exception:
        # The application forked, not us: it must go on.
        _LOGGER.exception("The agent could not be carried over the fork")


def _camel_case(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """``max_hits`` → ``maxHits``."""
    result = {}
    for name, value in fields.items():
        first, *rest = name.split("_")
        result[first + "".join(part.capitalize() for part in rest)] = value
    return result


def _features(features: Mapping[str, bool]) -> List[str]:
    return sorted(name for name, on in features.items() if on)
