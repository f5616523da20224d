"""JSON Schemas of points, for the OpenAPI document: from the same table that validates."""

from __future__ import annotations

from typing import Any, Dict, List

from otel_tracepoints.model import ProbeType
from otel_tracepoints.schema.fields import FIELDS, TAGS, TYPE, Field, settable


def point_schemas() -> Dict[str, Dict[str, Any]]:
    """Components: what is sent and what is answered, by name."""
    schemas: Dict[str, Dict[str, Any]] = {
        "Point": {"oneOf": [_reference("Tracepoint"), _reference("Logpoint")]},
        "ProbeDefinition": {"anyOf": [_reference("TracepointDefinition"), _reference("LogpointDefinition")]},
        "PointUpdate": {"anyOf": [_reference("TracepointUpdate"), _reference("LogpointUpdate")]},
        "Tags": {
            "type": "object",
            "properties": {"tags": TAGS.schema()},
            "required": ["tags"],
            "additionalProperties": False,
        },
    }
    for type_ in ProbeType:
        name = type_.value.capitalize()
        schemas[name] = _answer(type_)
        schemas[f"{name}Definition"] = _definition(type_)
        schemas[f"{name}Update"] = _update(type_)
    return schemas


def _definition(type_: ProbeType) -> Dict[str, Any]:
    fields = settable(type_)
    return {
        "type": "object",
        "properties": {field.name: _described(field, type_, True) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def _update(type_: ProbeType) -> Dict[str, Any]:
    properties: Dict[str, Any] = {}
    for field in FIELDS:
        if not field.belongs_to(type_):
            continue
        if field.kind is None:
            properties[field.name] = {"description": "Ignored: the agent sets it."}
        else:
            properties[field.name] = _described(field, type_, False)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _answer(type_: ProbeType) -> Dict[str, Any]:
    fields: List[Field] = [field for field in FIELDS if field.belongs_to(type_)]
    properties = {}
    for field in fields:
        properties[field.name] = _described(field, type_, False)
        if field.kind is None:
            properties[field.name]["readOnly"] = True
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in fields],
    }


def _described(field: Field, type_: ProbeType, with_default: bool) -> Dict[str, Any]:
    schema = dict(field.agent_schema) if field.kind is None else field.kind.schema()
    if field.kind is TYPE:
        schema = {"type": "string", "const": type_.value}
    schema["description"] = field.about
    default = field.default()
    generated = field.required or field.name in ("id", "type")
    if with_default and field.kind is not None and not generated:
        schema["default"] = field.kind.render(default, str)
    return schema


def _reference(name: str) -> Dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
