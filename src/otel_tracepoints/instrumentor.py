"""The entry point that does the work: OpenTelemetry loads every instrumentor, beside any distro."""

from __future__ import annotations

import logging
from typing import Any, Collection

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from otel_tracepoints import config

_LOGGER = logging.getLogger("otel_tracepoints")


class TracepointsInstrumentor(BaseInstrumentor):
    """Starts the agent from the environment. Never raises: the application always starts."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing of the application is needed."""
        return ()

    def _instrument(self, **_: Any) -> None:
        if config.opentelemetry_disabled():
            _LOGGER.info("OTEL_SDK_DISABLED is true: no agent is started.")
            return
        try:
            # Here, not above: a broken installation of the agent's own dependencies is then
            # reported like any other failure to start.
            from otel_tracepoints.lifecycle import launch

            launch({}, lenient=True)
        except Exception:
            _LOGGER.exception("The agent could not be started; the application runs without it.")

    def _uninstrument(self, **_: Any) -> None:
        from otel_tracepoints import lifecycle

        lifecycle.stop()
