"""JSON ⇄ model: the one validator of the REST API, the command line and remote configuration.

A table of fields (`fields.FIELDS`) says what a point has; checks, answers and the OpenAPI
document come from it.
"""

from __future__ import annotations

from otel_tracepoints.schema.body import decode_json
from otel_tracepoints.schema.parse import parse_create, parse_tags, parse_update
from otel_tracepoints.schema.render import PointRuntime, definition, render_point, timestamp

__all__ = [
    "PointRuntime",
    "decode_json",
    "definition",
    "parse_create",
    "parse_tags",
    "parse_update",
    "render_point",
    "timestamp",
]
