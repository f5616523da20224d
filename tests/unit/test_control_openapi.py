"""The OpenAPI document says what the API does."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, Set

import pytest
from tests.support.control import serving

from otel_tracepoints import schema
from otel_tracepoints.control.openapi import document
from otel_tracepoints.control.refusal import STATUS
from otel_tracepoints.control.routes import ROUTES, Route
from otel_tracepoints.errors import InvalidProbe
from otel_tracepoints.model import ProbeType


@pytest.fixture(scope="module")
def doc() -> Dict[str, Any]:
    with serving() as served:
        reply = served.api.get("/openapi.json")
        assert reply.status == 200
        json_document: Dict[str, Any] = reply.json
        return json_document


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_the_document_is_plain_json_of_version_3_1(doc: Dict[str, Any]) -> None:
    """What is served is what is generated."""
    assert doc == json.loads(json.dumps(document()))
    assert doc["openapi"].startswith("3.1.") and doc["info"]["title"] and doc["info"]["version"]


def test_every_reference_leads_somewhere_and_every_schema_is_used(doc: Dict[str, Any]) -> None:
    """No dangling and no dead parts."""
    schemas = doc["components"]["schemas"]
    names = {reference.rsplit("/", 1)[1] for reference in references(doc)}
    assert names <= set(schemas)
    assert set(schemas) - names == set()


def test_every_call_of_the_contract_is_there(doc: Dict[str, Any]) -> None:
    """Methods and paths, each with a unique operation."""
    calls = {f"{method.upper()} {path}" for path, methods in doc["paths"].items() for method in methods}
    assert calls == {
        "GET /health",
        "GET /points",
        "DELETE /points",
        "POST /tracepoints",
        "POST /logpoints",
        "POST /points/validate",
        "GET /points/{id}",
        "PUT /points/{id}",
        "PATCH /points/{id}",
        "DELETE /points/{id}",
        "POST /points/{id}/enable",
        "POST /points/{id}/disable",
        "GET /points/{id}/explain",
        "POST /tags/enable",
        "POST /tags/disable",
        "GET /lines",
        "GET /hits",
        "POST /sleep",
        "POST /wake",
        "GET /openapi.json",
    }
    ids = [operation["operationId"] for methods in doc["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_refusals_that_any_call_may_get_are_described(doc: Dict[str, Any], route: Route) -> None:
    """A query parameter that nothing knows, and a body that is not JSON."""
    path = route.path.replace("{id}", "p")
    with serving() as served:
        replies = [
            served.api.request(route.method, path + "?unknown=1"),
            served.api.request(route.method, path, raw=b"x", headers={"Content-Type": "text/plain"}),
        ]
    described = doc["paths"][route.path][route.method.lower()]["responses"]
    for reply in replies:
        assert str(reply.status) in described
        assert reply.status == 200 or reply.code in described[str(reply.status)]["description"].split(", ")


def test_each_operation_is_well_formed(doc: Dict[str, Any]) -> None:
    """Path parameters declared, responses described, errors in the error form."""
    for path, methods in doc["paths"].items():
        wanted: Set[str] = set(re.findall(r"{(\w+)}", path))
        for operation in methods.values():
            parameters = operation["parameters"]
            assert {p["name"] for p in parameters if p["in"] == "path"} == wanted
            assert all(p["required"] for p in parameters if p["in"] == "path")
            assert all("schema" in p for p in parameters)
            for status, response in operation["responses"].items():
                assert response["description"]
                if int(status) >= 400:
                    content = response["content"]["application/json"]["schema"]
                    assert content == {"$ref": "#/components/schemas/Error"}
                    assert all(STATUS[code] == int(status) for code in response["description"].split(", "))


@pytest.mark.parametrize("type_", list(ProbeType))
def test_definitions_describe_what_is_taken(doc: Dict[str, Any], type_: ProbeType) -> None:
    """The schema's fields, defaults and bounds are those of the validation."""
    name = type_.value.capitalize()
    definition = doc["components"]["schemas"][f"{name}Definition"]
    body = {"file": "a.py", "line": 1, "message": "m"}
    assert set(definition["required"]) <= set(body)
    body = {key: body[key] for key in definition["required"]}
    probe = schema.parse_create(body, type_)
    shown = schema.definition(probe)
    for field, described in definition["properties"].items():
        if "default" in described:
            assert described["default"] == shown[field]
            schema.parse_create({**body, field: described["default"]}, type_)
        for member, inner in described.get("properties", {}).items():
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in inner:
                    schema.parse_create({**body, field: {member: inner[bound]}}, type_)
                    with pytest.raises(InvalidProbe):
                        schema.parse_create({**body, field: {member: inner[bound] + step}}, type_)
    assert definition["additionalProperties"] is False


@pytest.mark.parametrize(("path", "body"), [("/tracepoints", {}), ("/logpoints", {"message": "m"})])
def test_answers_have_exactly_the_described_fields(
    doc: Dict[str, Any], path: str, body: Dict[str, Any]
) -> None:
    """And in that order."""
    with serving() as served:
        point = served.api.post(path, {"file": "a.py", "line": 1, **body}).json
    described = doc["components"]["schemas"][path[1:-1].capitalize()]
    assert list(point) == list(described["properties"]) == described["required"]


def test_a_validator_of_the_standard_accepts_it(doc: Dict[str, Any]) -> None:
    """Where it is installed."""
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(doc)
