"""Refusals, odd answers and nobody there: what the command line says, and its exit code."""

from __future__ import annotations

import json

import pytest
from tests.support.fake_control_api import POINT, error

from otel_tracepoints.cli.main import main


def test_refusal_is_a_sentence_and_its_details(api, capsys):
    """A refusal ends with 1; stderr has the sentence and what the details know beyond it."""
    api.replies["POST /tracepoints"] = (
        400,
        error("LINE_NOT_EXECUTABLE", "No code starts on line 4 of a.py.", nearest=[3, 6]),
    )
    assert main(["set", "a.py:4"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "No code starts on line 4 of a.py. (LINE_NOT_EXECUTABLE)" in err
    assert "nearest lines with code: 3, 6" in err


def test_refused_expression_is_pointed_at(api, capsys):
    """The offending part of an expression has a caret under it."""
    api.replies["POST /tracepoints"] = (
        422,
        error(
            "INVALID_CONDITION",
            "A call is not allowed.",
            expression="a and f(x)",
            position=6,
            allowed=["len"],
        ),
    )
    assert main(["set", "a.py:4", "--if", "a and f(x)"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].index("f(x)") == lines[2].index("^")
    assert "  allowed: len" in lines


def test_refusal_obeys_nothing(api, capsys):
    """Control characters in a sentence or in details are shown."""
    api.replies["GET /points/a"] = (
        404,
        error(
            "POINT_NOT_FOUND",
            "No \x1b[31mpoint.",
            candidates=["x\x1b]0;t\x07"],
            expression="\x1b\x1b",
            position=1,
        ),
    )
    assert main(["show", "a"]) == 1
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\x07" not in err
    assert "\\x1b[31mpoint" in err


def test_unauthorized_says_where_the_token_goes(api, capsys):
    """A 401 is a refusal, with how to give a token."""
    api.replies["GET /points"] = (401, error("UNAUTHORIZED", "A token is required."))
    assert main(["list"]) == 1
    err = capsys.readouterr().err
    assert "A token is required." in err
    assert "--token-file" in err


def test_refusal_with_json_has_the_answer_on_stdout(api, capsysbinary):
    """With ``--json`` the API's error answer is its answer too; the sentence is on stderr."""
    body = json.dumps(error("POINT_NOT_FOUND", "No point a.")).encode()
    api.replies["GET /points/a"] = (404, body)
    assert main(["show", "a", "--json"]) == 1
    out, err = capsysbinary.readouterr()
    assert out == body
    assert b"No point a." in err


def test_one_refused_id_does_not_keep_the_others(api, capsys):
    """Of several ids the good ones are done and the bad ones are named; the exit code is 1."""
    api.replies["DELETE /points/a"] = (404, error("POINT_NOT_FOUND", "No point a."))
    api.replies["DELETE /points/b"] = (204, b"")
    assert main(["remove", "a", "b"]) == 1
    out, err = capsys.readouterr()
    assert out == "b removed.\n"
    assert "No point a." in err


def test_values_of_others_are_shown_and_never_obeyed(api, capsys):
    """Escapes and markup in what a service says reach the terminal as text."""
    nasty = "\x1b[2J[red]x[/red] :smile:"
    api.replies["GET /points"] = (200, {"points": [{**POINT, "message": nasty, "tags": [nasty]}], "total": 1})
    api.replies["GET /points/p1"] = (200, {**POINT, "condition": nasty})
    assert main(["list"]) == 0
    assert main(["show", "p1"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("\\x1b[2J[red]x[/red] :smile:") == 3


@pytest.mark.parametrize("body", [b'{"points": 3}', b'{"points": [1, null, {}]}', b"{}"])
@pytest.mark.parametrize("command", [["list"], ["show", "p1"], ["explain", "p1"], ["lines", "f"], ["health"]])
def test_odd_documents_end_without_a_traceback(api, capsys, command, body):
    """JSON of another shape than expected is shown as far as it goes."""
    for path in ("/points", "/points/p1", "/points/p1/explain", "/lines", "/health"):
        api.replies[f"GET {path}"] = (200, body)
    assert main(command) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_cannot_connect_is_three(capsys, monkeypatch):
    """Nobody at the address: exit code 3, and what to do."""
    monkeypatch.delenv("DEBUGIN_CONTROL_API_URL", raising=False)
    assert main(["list", "--url", "http://127.0.0.1:1"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "Cannot connect to http://127.0.0.1:1" in err
    assert "opentelemetry-instrument" in err


def test_something_else_on_the_port_is_three(api, capsys):
    """A server that is not an agent: exit code 3, on stdout nothing, even with ``--json``."""
    api.replies["GET /points"] = (200, b"<html>")
    assert main(["list", "--json"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "not an agent's control API" in err


@pytest.mark.parametrize("arguments", [["show", "\udcff"], ["list", "--tag", "\udcff"], ["remove", "\udcff"]])
def test_bytes_that_are_no_text_are_the_apis_to_refuse(api, capsys, arguments):
    """What the shell handed over in another encoding leaves as it was typed; nothing is "unexpected"."""
    assert main(arguments) == 1
    assert "%FF" in api.requests[0].target
    assert "nexpected" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["watch"], 0),
        (["--url", "list", "watch", "a"], 0),
        (["--json", "sink"], 0),
        (["demo", "--keep"], 0),
        (["demo"], 130),
        (["list", "--tag", "watch"], 130),
        (["--token", "watch", "list"], 130),
        ([], 130),
    ],
)
def test_ctrl_c_before_anything_has_begun(monkeypatch, arguments, code):
    """It ends the commands that it is meant to end with 0, however early it comes; others with 130."""

    def interrupted(_given):
        raise KeyboardInterrupt

    monkeypatch.setattr("otel_tracepoints.cli.main._run", interrupted)
    assert main(arguments) == code
