"""The OpenAPI 3.1 document: from the tables that route and validate."""

from __future__ import annotations

import functools
from typing import Any, Dict, List, Optional

from otel_tracepoints.control.refusal import STATUS
from otel_tracepoints.control.routes import Route, by_path
from otel_tracepoints.model import Outcome, ProbeState
from otel_tracepoints.schema.openapi import point_schemas
from otel_tracepoints.schema.query import Parameter
from otel_tracepoints.version import VERSION

_Schema = Dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_FLAG: _Schema = {"type": "boolean"}
_TEXTS: _Schema = {"type": "array", "items": _TEXT}
_ANY_OBJECT: _Schema = {"type": "object"}
_TEXT_OR_NULL: _Schema = {"type": ["string", "null"]}
_STATE: _Schema = {"type": "string", "enum": ["awake", "sleeping"]}
#: Codes that any call may get, also one whose body is not looked at.
_GENERAL = (
    "UNAUTHORIZED",
    "FORBIDDEN_ORIGIN",
    "FORBIDDEN_HOST",
    "BODY_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "INTERNAL",
)


@functools.lru_cache(maxsize=1)
def document() -> Dict[str, Any]:
    """The document; do not change it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otel-tracepoints control API",
            "version": VERSION,
            "description": "Puts probes on lines of a running Python process.",
        },
        "servers": [{"url": "/"}],
        "paths": {
            path: {route.method.lower(): _operation(route) for route in routes}
            for path, routes in by_path().items()
        },
        "components": {
            "schemas": {**point_schemas(), **_answers()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> Dict[str, Any]:
    operation: Dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.about,
        "parameters": _path_parameters(route) + [_parameter(each) for each in route.query or ()],
        "responses": _responses(route),
        # Without a token configured, loopback callers need none.
        "security": [{}] if route.open else [{"token": []}, {}],
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(_reference(route.body))}
    return operation


def _path_parameters(route: Route) -> List[Dict[str, Any]]:
    if "{id}" not in route.path:
        return []
    return [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]


def _parameter(parameter: Parameter) -> Dict[str, Any]:
    schema = parameter.kind.schema()
    if parameter.repeatable:
        schema = {"type": "array", "items": schema}
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": schema,
    }


def _responses(route: Route) -> Dict[str, Any]:
    success: Dict[str, Any] = {"description": route.about}
    if route.answer is not None:
        success["content"] = _json(_reference(route.answer))
    if route.status == 201:
        success["headers"] = {"Location": {"description": "The point's path.", "schema": _TEXT}}
    responses: Dict[str, Any] = {str(route.status): success}
    by_status: Dict[int, List[str]] = {}
    unknown_parameter = () if route.query is None else ("INVALID_FIELD",)
    for code in (*route.errors, *unknown_parameter, *_GENERAL):
        codes = by_status.setdefault(STATUS[code], [])
        if code not in codes:
            codes.append(code)
    for status in sorted(by_status):
        responses[str(status)] = {
            "description": ", ".join(by_status[status]),
            "content": _json(_reference("Error")),
        }
    return responses


def _answers() -> Dict[str, _Schema]:
    """Answers that are not points."""
    stack = _object({"file": _TEXT, "line": _COUNT, "function": _TEXT})
    line = _object({"line": _COUNT, "functions": _TEXTS})
    return {
        "Error": _object(
            {"error": _TEXT, "code": {"type": "string", "enum": sorted(STATUS)}, "details": _ANY_OBJECT}
        ),
        "Points": _object({"points": _array("Point"), "total": _COUNT}),
        "Removed": _object({"removed": _COUNT}),
        "Switched": _object({"id": _TEXT, "enabled": _FLAG, "message": _TEXT}),
        "EnabledByTags": _object({"enabled": _COUNT, "message": _TEXT}),
        "DisabledByTags": _object({"disabled": _COUNT, "message": _TEXT}),
        "State": _object({"state": _STATE}),
        "OpenApi": _ANY_OBJECT,
        "Lines": _object({"file": _TEXT, "imported": _FLAG, "lines": {"type": "array", "items": line}}),
        "Explanation": _object(
            {
                "summary": _TEXT,
                "state": {"type": "string", "enum": [state.value for state in ProbeState]},
                "module": _object({"imported": _FLAG, "name": _TEXT_OR_NULL}),
                "files": _TEXTS,
                "functions": _TEXTS,
                "reached": {"type": ["boolean", "null"]},
                "counts": _object({outcome.value: _COUNT for outcome in Outcome}),
                "error": {"type": ["object", "null"]},
                "eventSink": _reference("EventSink"),
            }
        ),
        "Hits": _object({"hits": _array("Hit"), "next": _COUNT, "missed": _COUNT}),
        "Hit": _object(
            {
                "sequence": _COUNT,
                "timestamp": {"type": "string", "format": "date-time"},
                "point": _TEXT,
                "type": {"type": "string", "enum": ["tracepoint", "logpoint"]},
                "file": _TEXT,
                "line": _COUNT,
                "function": _TEXT,
                "truncated": _FLAG,
                "trace": {
                    "type": ["object", "null"],
                    "properties": {"traceId": _TEXT, "spanId": _TEXT},
                },
                "thread": _object({"id": {"type": "integer"}, "name": _TEXT}),
            },
            {
                "message": _TEXT,
                "fields": {"type": "array"},
                "variables": _ANY_OBJECT,
                "watches": {"type": "array", "items": _object({"expression": _TEXT, "value": {}})},
                "stack": {"type": "array", "items": stack},
            },
        ),
        "EventSink": _object(
            {
                "url": _TEXT_OR_NULL,
                "protocol": _TEXT_OR_NULL,
                "connected": {"type": ["boolean", "null"]},
                "lastError": _TEXT_OR_NULL,
                "sent": _COUNT,
                "queued": _COUNT,
                "dropped": _COUNT,
                "onSpans": _COUNT,
            }
        ),
        "Health": _object(
            {
                "status": _TEXT,
                "state": _STATE,
                "agent": _object(
                    {"name": _TEXT, "version": _TEXT, "runtime": _TEXT, "runtimeVersion": _TEXT}
                ),
            },
            {
                "features": {"type": "object", "additionalProperties": _FLAG},
                "engine": _object(
                    {
                        "name": _TEXT,
                        "mechanism": _TEXT,
                        "reason": _TEXT,
                        "toolId": {"type": ["integer", "null"]},
                    }
                ),
                "eventSink": _reference("EventSink"),
                "broker": _object({"connected": _FLAG, "url": _TEXT_OR_NULL}),
                "process": _object({"pid": _COUNT, "serviceName": _TEXT_OR_NULL}),
                "uptime": {"type": "number", "minimum": 0},
                "tags": _TEXTS,
            },
        ),
    }


def _object(required: Dict[str, Any], optional: Optional[Dict[str, Any]] = None) -> _Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


def _array(name: str) -> _Schema:
    return {"type": "array", "items": _reference(name)}


def _reference(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: _Schema) -> Dict[str, Any]:
    return {"application/json": {"schema": schema}}
