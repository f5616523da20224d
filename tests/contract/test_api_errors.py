"""Refusals: the error form, each code with its status and details, and validate as create."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from typing import Any, Callable, Dict

import pytest
from tests.support.api_client import ApiClient, Reply
from tests.support.live import Target, ok, refused

Body = Dict[str, Any]
CODES = {
    "MALFORMED_JSON": 400,
    "INVALID_FIELD": 400,
    "UNKNOWN_FIELD": 400,
    "INVALID_LINE": 400,
    "LINE_NOT_EXECUTABLE": 400,
    "AMBIGUOUS_FILE": 400,
    "IMMUTABLE_FIELD": 400,
    "MISSING_SELECTOR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN_ORIGIN": 403,
    "FORBIDDEN_HOST": 403,
    "FORBIDDEN_FILE": 403,
    "FILE_NOT_FOUND": 404,
    "POINT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "DUPLICATE_ID": 409,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INVALID_CONDITION": 422,
    "INVALID_MESSAGE": 422,
    "INVALID_WATCH": 422,
    "INTERNAL": 500,
}


def test_there_are_these_codes_and_no_other(api: ApiClient) -> None:
    """The OpenAPI document lists exactly the contract's codes."""
    document = ok(api.get("/openapi.json"))
    assert set(document["components"]["schemas"]["Error"]["properties"]["code"]["enum"]) == set(CODES)


@pytest.fixture
def everywhere(api: ApiClient, body: Body) -> Callable[[Body], Reply]:
    """Refused by validate exactly as by create."""

    def send(fields: Body) -> Reply:
        type_ = "logpoint" if "message" in fields else "tracepoint"
        made = api.post(f"/{type_}s", {**body, **fields})
        checked = api.post("/points/validate", {"type": type_, **body, **fields})
        assert (made.status, made.json) == (checked.status, checked.json)
        return made

    return send


@pytest.mark.parametrize(
    ("fields", "code", "expression"),
    [
        ({"condition": "x = 1"}, "INVALID_CONDITION", "x = 1"),
        ({"condition": "open('f')"}, "INVALID_CONDITION", "open('f')"),
        ({"condition": "a.__class__"}, "INVALID_CONDITION", "a.__class__"),
        ({"condition": "1 + " * 40 + "1"}, "INVALID_CONDITION", None),
        ({"condition": "x" * 4097}, "INVALID_CONDITION", None),
        ({"condition": "s.matches('(')"}, "INVALID_CONDITION", None),
        ({"message": "ok {n} but {n!"}, "INVALID_MESSAGE", None),
        ({"message": "open {"}, "INVALID_MESSAGE", None),
        ({"message": "close }"}, "INVALID_MESSAGE", None),
        ({"message": "{}"}, "INVALID_MESSAGE", None),
        ({"message": "{n:{m}}"}, "INVALID_MESSAGE", None),
        ({"watch": ["n", "[i for i in n]"]}, "INVALID_WATCH", "[i for i in n]"),
        ({"watch": ["   "]}, "INVALID_WATCH", "   "),
    ],
)
def test_an_expression_outside_the_language(
    everywhere: Callable[[Body], Reply], fields: Body, code: str, expression: Any
) -> None:
    """422 with the expression, the position of the offending part and what is allowed instead."""
    details = refused(everywhere(fields), 422, code)
    assert {"expression", "position", "allowed"} <= set(details)
    if expression is not None:
        assert details["expression"] == expression
    assert isinstance(details["expression"], str)
    assert type(details["position"]) is int and details["position"] >= 0
    assert isinstance(details["allowed"], list) and all(type(each) is str for each in details["allowed"])
    assert details["allowed"]


def test_positions_count_characters_of_what_was_sent(everywhere: Callable[[Body], Reply]) -> None:
    """Blanks in front and characters beyond ASCII included; in a template, of the whole message."""
    text = "  'ä😀' == n and f(n)"
    assert refused(everywhere({"condition": text}), 422, "INVALID_CONDITION")["position"] == text.index(
        "f(n)"
    )
    text = "😀 {{}} {n} {f(n)}"
    assert refused(everywhere({"message": text}), 422, "INVALID_MESSAGE")["position"] == text.index("f(n)")
    details = refused(everywhere({"watch": ["n", " n or f(n)"]}), 422, "INVALID_WATCH")
    assert (details["expression"], details["position"]) == (" n or f(n)", 6)


def test_a_line_without_code_names_the_nearest(everywhere: Callable[[Body], Reply], program: Target) -> None:
    """400 LINE_NOT_EXECUTABLE; `nearest` ascends, and the sentence names them."""
    line = program.line("comment")
    reply = everywhere({"line": line})
    nearest = refused(reply, 400, "LINE_NOT_EXECUTABLE")["nearest"]
    assert nearest == [line - 2, program.line("module")]
    assert all(str(each) in reply.json["error"] for each in nearest)
    for beyond in (10_000, 10**20):
        reply = everywhere({"line": beyond})
        assert refused(reply, 400, "LINE_NOT_EXECUTABLE")["nearest"] == [program.line("end")]


def test_a_file_that_is_not_imported_is_compiled_not_run(
    everywhere: Callable[[Body], Reply], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are known, and nothing of it happened."""
    mark = tmp_path / "ran"
    (tmp_path / "sleeper.py").write_text(f"\nopen({str(mark)!r}, 'w')\n\n\nx = 1\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refused(everywhere({"file": "sleeper.py", "line": 1}), 400, "LINE_NOT_EXECUTABLE")["nearest"] == [
        2
    ]
    details = refused(everywhere({"file": "sleeper.py", "line": 3}), 400, "LINE_NOT_EXECUTABLE")
    assert details["nearest"] == [2, 5]
    assert not mark.exists()


@pytest.mark.parametrize(
    "text", ["not python at all (", "", "# nothing here\n", "\0", "x = 1 if\n", "\udcff"], ids=range(6)
)
def test_a_file_without_python_code_has_no_lines(
    everywhere: Callable[[Body], Reply], tmp_path: pathlib.Path, text: str
) -> None:
    """It is there, so it is not FILE_NOT_FOUND; an empty module still has its first line or none."""
    file = tmp_path / "strange.py"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    details = refused(everywhere({"file": str(file), "line": 7}), 400, "LINE_NOT_EXECUTABLE")
    assert details["nearest"] in ([], [1])


def test_a_file_that_nobody_knows(everywhere: Callable[[Body], Reply], tmp_path: pathlib.Path) -> None:
    """404 FILE_NOT_FOUND, for a directory too."""
    for file in ("no/such/file.py", str(tmp_path), str(tmp_path / "none.py"), "..", "/", "x" * 5000 + ".py"):
        refused(everywhere({"file": file}), 404, "FILE_NOT_FOUND")


def test_a_path_of_absurd_depth_costs_nothing(everywhere: Callable[[Body], Reply]) -> None:
    """Not found, at once: half a million segments are looked for nowhere."""
    refused(everywhere({"file": "a/" * 400_000 + "b.py"}), 404, "FILE_NOT_FOUND")


@pytest.mark.parametrize(
    "module",
    [
        "logging",
        "threading",
        "queue",
        "logging.handlers",
        "otel_tracepoints.agent",
        "opentelemetry.trace",
        "opentelemetry.sdk.trace",
        "opentelemetry.sdk._logs.export",
    ],
)
def test_a_file_of_the_deny_list(everywhere: Callable[[Body], Reply], api: ApiClient, module: str) -> None:
    """403 FORBIDDEN_FILE, for its lines too."""
    spec = importlib.util.find_spec(module)
    file = spec.origin if spec and spec.origin != "frozen" else sys.modules[module].__file__
    refused(everywhere({"file": file, "line": 1}), 403, "FORBIDDEN_FILE")
    refused(api.get("/lines", {"file": file}), 403, "FORBIDDEN_FILE")


def test_400_comes_before_422(everywhere: Callable[[Body], Reply]) -> None:
    """And unknown fields before invalid ones, whatever their order."""
    refused(everywhere({"condition": "x = 1", "maxHits": 0}), 400, "INVALID_FIELD")
    refused(everywhere({"maxHits": 0, "nope": 1}), 400, "UNKNOWN_FIELD")
