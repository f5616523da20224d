"""The control path: what the REST API, the Python API and the agent call to set and see probes."""

from otel_tracepoints.debugger.debugger import Debugger, Parts

__all__ = ["Debugger", "Parts"]
