"""Live tracepoints and logpoints for running Python services, out as OpenTelemetry.

Most users never import this package: ``opentelemetry-instrument python app.py`` starts the
agent. For the others there are `start`, `stop`, `status`, `sleep` and `wake`.
"""

import typing as _typing

from otel_tracepoints.api import sleep, start, status, stop, wake
from otel_tracepoints.config import Settings
from otel_tracepoints.errors import (
    AmbiguousFile,
    ConfigError,
    ControlApiError,
    DuplicateId,
    EngineUnavailable,
    EvaluationError,
    FileNotFound,
    ForbiddenFile,
    ImmutableField,
    InvalidCondition,
    InvalidExpression,
    InvalidField,
    InvalidLine,
    InvalidMessage,
    InvalidProbe,
    InvalidRedaction,
    InvalidWatch,
    LineNotExecutable,
    MalformedJson,
    MissingSelector,
    PlacingFailed,
    PointNotFound,
    TracepointsError,
    UnknownField,
)
from otel_tracepoints.model import CaptureLimits, Probe, ProbeType, RateLimit

if _typing.TYPE_CHECKING:
    from otel_tracepoints.agent import Agent
    from otel_tracepoints.version import VERSION as __version__  # noqa: N811 - the usual name of it

__all__ = [
    "Agent",
    "AmbiguousFile",
    "CaptureLimits",
    "ConfigError",
    "ControlApiError",
    "DuplicateId",
    "EngineUnavailable",
    "EvaluationError",
    "FileNotFound",
    "ForbiddenFile",
    "ImmutableField",
    "InvalidCondition",
    "InvalidExpression",
    "InvalidField",
    "InvalidLine",
    "InvalidMessage",
    "InvalidProbe",
    "InvalidRedaction",
    "InvalidWatch",
    "LineNotExecutable",
    "MalformedJson",
    "MissingSelector",
    "PlacingFailed",
    "PointNotFound",
    "Probe",
    "ProbeType",
    "RateLimit",
    "Settings",
    "TracepointsError",
    "UnknownField",
    "__version__",
    "sleep",
    "start",
    "status",
    "stop",
    "wake",
]


def __getattr__(name: str) -> _typing.Any:
    """Imported when asked for: an agent needs all of OpenTelemetry, the version the package's metadata."""
    if name == "Agent":
        from otel_tracepoints.agent import Agent

        return Agent
    if name == "__version__":
        from otel_tracepoints.version import VERSION

        return VERSION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> _typing.List[str]:
    return list(__all__)
