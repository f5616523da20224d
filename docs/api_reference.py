"""Writes ``api.md`` from the OpenAPI document that the agent serves at ``/openapi.json``."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Dict, List

from otel_tracepoints.control.openapi import document

HEAD = """# Control API

Written from the OpenAPI document that every agent serves at `/openapi.json`. Default address:
`http://127.0.0.1:5001`. Errors are `{"error", "code", "details"}`; each code has an entry in
[troubleshooting](troubleshooting.md).
"""


def write_reference(target: pathlib.Path) -> None:
    """Write the page, if it would change."""
    spec = document()
    parts = [HEAD]
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if isinstance(operation, dict) and "responses" in operation:
                parts.append(_operation(method, path, operation))
    parts.append("## Schemas\n")
    for name, schema in spec["components"]["schemas"].items():
        parts.append(_schema(name, schema))
    text = "\n".join(parts)
    if not target.exists() or target.read_text("utf-8") != text:
        target.write_text(text, "utf-8")


def _operation(method: str, path: str, operation: Dict[str, Any]) -> str:
    lines: List[str] = [f"## `{method.upper()} {path}`\n", operation.get("summary", "") + "\n"]
    if operation.get("description"):
        lines.append(operation["description"] + "\n")
    parameters = [p for p in operation.get("parameters", []) if "name" in p]
    if parameters:
        lines += ["| parameter | in | |", "|---|---|---|"]
        lines += [f"| `{p['name']}` | {p['in']} | {p.get('description', '')} |" for p in parameters]
        lines.append("")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        lines.append(f"Body: {_reference(body)}\n")
    lines += ["| status | |", "|---|---|"]
    lines += [
        f"| {status} | {answer.get('description', '')} |" for status, answer in operation["responses"].items()
    ]
    return "\n".join(lines) + "\n"


def _schema(name: str, schema: Dict[str, Any]) -> str:
    lines = [f"### {name}\n", schema.get("description", "") + "\n"]
    properties = schema.get("properties")
    if properties:
        lines += ["| field | type | |", "|---|---|---|"]
        lines += [
            f"| `{field}` | {_reference(of)} | {of.get('description', '')} |"
            for field, of in properties.items()
        ]
    return "\n".join(lines) + "\n"


def _reference(schema: Dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rsplit('/', 1)[-1]}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type", "")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
