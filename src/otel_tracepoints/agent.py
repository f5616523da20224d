"""The composition root: builds the parts, starts and stops them, and carries them over a fork.

Nothing else builds the parts; which agent runs is the business of `otel_tracepoints.lifecycle`.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from otel_tracepoints import config, schema, semconv
from otel_tracepoints.allowance import STOP_TIMEOUT
from otel_tracepoints.config import Settings
from otel_tracepoints.control import ControlServer
from otel_tracepoints.debugger import Debugger, Parts
from otel_tracepoints.debugger.gating import counting_for, governor_for
from otel_tracepoints.errors import ConfigError
from otel_tracepoints.foundation import Foundation
from otel_tracepoints.health import Facts, health
from otel_tracepoints.model import Outcome, Probe, ProbeType
from otel_tracepoints.probes.registry import Registry
from otel_tracepoints.probes.resolver import Resolver
from otel_tracepoints.version import VERSION

_LOGGER = logging.getLogger("otel_tracepoints")

ValueCallback = Callable[..., Any]
MessageCallback = Callable[..., Any]


#: Seconds of these that requests in progress may take to end.
_SERVER_TIMEOUT = 1.0


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
        self._started_at = time.monotonic()
        self._foundation = foundation = Foundation(settings, lenient=lenient)
        self._policy = foundation.policy
        self._engine = foundation.engine
        self._emitter = foundation.emitter
        resolver = Resolver(settings.deny_files or (), self._engine.native)
        self._debugger = Debugger(
            Parts(
                registry=Registry(counting=counting_for(self._engine.native)),
                resolver=resolver,
                engine=self._engine,
                emitter=self._emitter,
                policy=self._policy,
                redaction_problem=foundation.redaction_problem,
                governor=governor_for(settings.max_overhead_percent, self._engine.native),
                max_pause_ns=int(settings.max_pause_ms * 1_000_000),
                value_callback=value_callback,
                message_callback=message_callback,
                asleep=settings.start_state == "sleeping",
            )
        )
        self._server: Optional[ControlServer] = None
        #: A forked child was not started, so it does not tell that it stopped.
        self._forked = False
        self._stopped = False

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

    def set_tracepoint(self, file: Union[str, os.PathLike[str]], line: int, **fields: Any) -> str:
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
        return self._set(ProbeType.TRACEPOINT, file, {"line": line, **fields})

    def set_logpoint(self, file: Union[str, os.PathLike[str]], line: int, message: str, **fields: Any) -> str:
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
        return self._set(ProbeType.LOGPOINT, file, {"line": line, "message": message, **fields})

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
    def settings(self) -> Settings:
        """What this agent runs with."""
        return self._foundation.settings

    @property
    def control_api_address(self) -> Optional[Tuple[str, int]]:
        """Host and port of the control API, or None when it is not served."""
        return None if self._server is None else (self._server.host, self._server.port)

    def status(self) -> Dict[str, Any]:
        """What ``GET /health`` answers."""
        if self._stopped:
            return {"status": "stopped"}
        broker = self.settings.broker_url
        return health(
            Facts(
                engine=self._engine,
                state=self._debugger.state,
                event_sink=self._emitter.status(),
                service_name=self._emitter.service_name(),
                broker_url=None if broker is None else self._policy.text(broker),
                tags=[self._policy.text(tag) for tag in self.settings.agent_tags],
                uptime_seconds=time.monotonic() - self._started_at,
                problems=self._foundation.problems,
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
            self._foundation.tell(f"{problem.message}. The default is used.")
        unknown = config.unknown_variables()
        if unknown:
            settings = "settings" if len(unknown) > 1 else "setting"
            self._foundation.tell(f"Set, but no {settings} of the agent: {', '.join(unknown)}.")
        if self.settings.broker_url is not None:
            self._foundation.tell(
                "A broker is configured, but brokers are not supported yet: probes are set by the API."
            )
        self._emitter.attach_counters(self._debugger.hit_counts, self._debugger.active_count)
        self._emitter.start()
        if self.settings.control_api_enabled:
            self._server = self._foundation.serve(self._debugger, self.status)
        attributes: Dict[str, Any] = {
            semconv.PROBE_ENGINE: self._engine.name,
            semconv.PROBE_ENGINE_MECHANISM: self._engine.mechanism,
            semconv.PROBE_AGENT_FEATURES: _features(self.status()["features"]),
        }
        if self._server is not None:
            attributes[semconv.SERVER_ADDRESS] = self._server.host
            attributes[semconv.SERVER_PORT] = self._server.port
        self._tell(
            semconv.EVENT_STARTED, f"otel-tracepoints {VERSION} started: {self._engine.reason}", attributes
        )

    def _stop(
        self,
        timeout: float = STOP_TIMEOUT,
        *,
        tell: bool = True,
        meanwhile: Optional[Callable[[], None]] = None,
    ) -> None:
        """Leave nothing behind: no hook, no port, no thread. A silent sink may take ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        self._stopped = True
        if self._server is not None:
            self._server.stop(min(timeout, _SERVER_TIMEOUT))
            self._server = None
        probes, counts = self._debugger.probe_count(), self._debugger.hit_counts()
        self._debugger.close()
        if tell and not self._forked:
            uptime = round(time.monotonic() - self._started_at, 3)
            attributes: Dict[str, Any] = {
                semconv.PROBE_AGENT_UPTIME: uptime,
                semconv.PROBE_AGENT_PROBES: probes,
                semconv.PROBE_AGENT_EVENTS: sum(
                    count for (_, outcome), count in counts.items() if outcome == Outcome.EMITTED.value
                ),
            }
            self._tell(semconv.EVENT_STOPPED, f"otel-tracepoints stopped after {uptime} s", attributes)
        if meanwhile is not None:
            meanwhile()
        self._emitter.stop(max(0.0, deadline - time.monotonic()))

    def _before_fork(self) -> None:
        self._debugger.before_fork()

    def _after_fork_in_parent(self) -> None:
        self._debugger.after_fork_in_parent()

    def _after_fork_in_child(self) -> None:
        """Carry on in the child; what fails here must harm neither the rest nor the application."""
        self._forked = True
        server, self._server = self._server, None
        for part in (server, self._emitter, self._debugger):
            try:
                if part is not None:
                    part.after_fork_in_child()
            except Exception:
                _LOGGER.exception("The agent could not be carried over the fork")

    def _tell(self, event: str, message: str, attributes: Dict[str, Any]) -> None:
        if self.settings.agent_tags:
            attributes[semconv.PROBE_AGENT_TAGS] = [
                self._policy.text(tag) for tag in self.settings.agent_tags
            ]
        self._debugger.report_status(event, message, attributes)

    def _set(self, type: ProbeType, file: Union[str, os.PathLike[str]], fields: Mapping[str, Any]) -> str:
        path = os.fspath(file) if isinstance(file, os.PathLike) else file
        return str(self._debugger.create({"file": path, **_camel_case(fields)}, type)["id"])


def _camel_case(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """``max_hits`` → ``maxHits``."""
    result = {}
    for name, value in fields.items():
        first, *rest = name.split("_")
        result[first + "".join(part.capitalize() for part in rest)] = value
    return result


def _features(features: Mapping[str, bool]) -> List[str]:
    return sorted(name for name, on in features.items() if on)
