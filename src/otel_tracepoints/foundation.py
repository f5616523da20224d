"""The parts that a wrong setting can break, built strictly or leniently.

Strictly, what cannot be used raises. Leniently (through ``opentelemetry-instrument``) it is told
and its default used, because the application always starts; only a broken redaction rule has no
default: nothing is captured until it is right.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, Callable, Dict, List, Optional

from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.config import Settings
from otel_tracepoints.control import ControlServer
from otel_tracepoints.control.target import Target
from otel_tracepoints.emission import Emitter
from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.base import Engine
from otel_tracepoints.errors import (
    ConfigError,
    ControlApiError,
    EngineUnavailable,
    InvalidRedaction,
    TracepointsError,
)
from otel_tracepoints.guard import guard_thread

_LOGGER = logging.getLogger("otel_tracepoints")

_TOKENS = ("DEBUGIN_CONTROL_API_TOKEN", "DEBUGIN_CONTROL_API_TOKEN_FILE")


class Foundation:
    """Builds the parts, and remembers what was wrong with the settings.

    Attributes:
        settings: As they are used.
        problems: What was told, for ``GET /health``.
        redaction_problem: Why nothing may be captured, or None.

    Raises:
        ConfigError: a setting that cannot be used.
        EngineUnavailable: the engine asked for cannot run here.
    """

    def __init__(self, settings: Settings, *, lenient: bool) -> None:
        self.settings = settings
        self.problems: List[str] = []
        self.redaction_problem: Optional[str] = None
        self._lenient = lenient
        self.policy = self._policy()
        self.emitter = self._emitter()
        # Last of what can fail: it takes something that others want too (a tool id).
        self.engine = self._engine()

    def tell(self, sentence: str) -> None:
        """Something is configured wrongly: say so in the log and in ``/health``."""
        self.problems.append(sentence)
        _LOGGER.warning(sentence)

    def serve(
        self, target: Target, health: Callable[[], Dict[str, Any]], *, guarded: bool = False
    ) -> Optional[ControlServer]:
        """The running control API, or None where it cannot be had and the application comes first.

        Args:
            target: What it acts on.
            health: What ``GET /health`` answers.
            guarded: A token was meant to be needed, on whatever address.

        Raises:
            ConfigError: its host or token cannot be used.
            ControlApiError: the address cannot be had on any port.
        """
        server = ControlServer(self.settings, target, health, guarded=guarded)
        try:
            server.start()
        except (TracepointsError, OSError, RuntimeError) as error:
            if not self._lenient:
                raise
            default = Settings().control_api_host
            if _about_host(error) and self.settings.control_api_host != default:
                sentence = str(error).rstrip(".")
                self.tell(f"{sentence}. The default, {default}, is used.")
                self.settings = dataclasses.replace(self.settings, control_api_host=default)
                return self.serve(target, health, guarded=guarded)
            if _about_token(error):
                # Without any the door would be open that was meant to be shut; without an API the
                # operator's switch would be gone. So it is as where a token is needed and none given.
                self.tell(f"{error}. The agent makes a token of its own.")
                self.settings = dataclasses.replace(
                    self.settings, control_api_token=None, control_api_token_file=None
                )
                return self.serve(target, health, guarded=True)
            self.tell(f"The control API is not served: {error}")
            return None
        return server

    def _policy(self) -> RedactionPolicy:
        settings = self.settings
        try:
            return RedactionPolicy.build(
                settings.redact_names, settings.redact_exclude, settings.redact_patterns
            )
        except InvalidRedaction as error:
            # Of the rules only a pattern can be wrong.
            problem = f"DEBUGIN_REDACT_PATTERNS: {error.message}."
            if not self._lenient:
                allowed = "must be regular expressions, one a line"
                about = {
                    "variable": "DEBUGIN_REDACT_PATTERNS",
                    "field": "redact_patterns",
                    "allowed": allowed,
                }
                raise ConfigError(f"{problem} It {allowed}.", {**about, **error.details}) from error
            self.redaction_problem = problem
            self.tell(f"{problem} Nothing is captured until this is right.")
            return RedactionPolicy.build((), (), ())

    def _emitter(self) -> Emitter:
        try:
            return Emitter(self.settings, self.policy.text, guard_thread)
        except ConfigError as error:
            if not self._lenient:
                raise
            # The URL was checked when it was read, so it is the certificate; without it those of
            # the system are trusted.
            self.tell(f"{error.message}. The default is used.")
            self.settings = dataclasses.replace(self.settings, event_sink_certificate=None)
            return Emitter(self.settings, self.policy.text, guard_thread)

    def _engine(self) -> Engine:
        choice, tool_id = self.settings.engine, self.settings.monitoring_tool_id
        try:
            return create_engine(choice, tool_id=tool_id)
        except EngineUnavailable as error:
            if not self._lenient or choice == "auto":
                raise
            self.tell(f"The engine {choice} cannot be used: {error.message} The engine auto is used.")
            return create_engine("auto", tool_id=tool_id)


def _about_token(error: BaseException) -> bool:
    return isinstance(error, ConfigError) and str(error.details.get("variable")) in _TOKENS


def _about_host(error: BaseException) -> bool:
    if isinstance(error, ConfigError):
        return bool(error.details.get("variable") == "DEBUGIN_CONTROL_API_HOST")
    return isinstance(error, ControlApiError)
