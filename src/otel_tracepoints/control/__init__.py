"""The control API: probes over HTTP and JSON, for this process only."""

from __future__ import annotations

from otel_tracepoints.control.server import ControlServer

__all__ = ["ControlServer"]
