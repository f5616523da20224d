"""Snapshot → OpenTelemetry: encoding, the bounded pipeline, the memory of the last hits."""

from otel_tracepoints.emission.emitter import Emitter
from otel_tracepoints.emission.hitlog import HitPage

__all__ = ["Emitter", "HitPage"]
