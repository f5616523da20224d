"""The version of this package, as it was installed."""

from __future__ import annotations

import importlib.metadata

#: The distribution's name, and the agent's.
NAME = "otel-tracepoints"


def _installed() -> str:
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"  # a source tree that was never installed


VERSION = _installed()
