"""The control path: what the REST API, the Python API and the agent call to set and see probes."""

from otel_tracepoints.debugger.debugger import Debugger
from otel_tracepoints.debugger.parts import Parts

__all__ = ["Debugger", "Parts"]
