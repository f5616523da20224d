"""The entry point that does the work: OpenTelemetry loads every instrumentor, beside any distro."""

from __future__ import annotations

import logging
import pathlib
import sys
from typing import Any, Collection, List

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from otel_tracepoints import config

_LOGGER = logging.getLogger("otel_tracepoints")

#: Interpreters that multiprocessing starts for itself: none of the application's code runs in
#: them (in the forkserver's children it does, but they would have no API and no probes).
_HELPERS = (
    "multiprocessing.resource_tracker",
    "multiprocessing.semaphore_tracker",
    "multiprocessing.forkserver",
)


class TracepointsInstrumentor(BaseInstrumentor):
    """Starts the agent from the environment. Never raises: the application always starts."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing of the application is needed."""
        return ()

    def _instrument(self, **_: Any) -> None:
        if config.opentelemetry_disabled():
            _LOGGER.info("OTEL_SDK_DISABLED is true: no agent is started.")
            return
        if _is_helper(_command()):
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


def _is_helper(command: List[str]) -> bool:
    """Whether this is ``python -c 'from multiprocessing.… import main; …'``."""
    if "-c" not in command[:-1]:
        return False
    # Later 3.13 and 3.14 put "import sys;" in front.
    first = [statement.strip() for statement in command[command.index("-c") + 1].split(";")[:2]]
    begins = tuple(f"{words} {name}" for name in _HELPERS for words in ("from", "import"))
    return any(statement.startswith(begins) for statement in first)


def _command() -> List[str]:
    """The interpreter's command line; `sys.argv` is without the program of ``-c``."""
    original = getattr(sys, "orig_argv", None)  # since 3.10
    if original is not None:
        return list(original)
    try:
        return pathlib.Path("/proc/self/cmdline").read_text("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []
