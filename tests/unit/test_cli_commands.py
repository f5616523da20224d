"""Every command: what it asks of the API, what it prints, and its exit code."""

from __future__ import annotations

import json

import pytest
from tests.support.fake_control_api import error, fake_control_api

from otel_tracepoints.cli.main import main

POINT = {
    "id": "p1",
    "type": "tracepoint",
    "file": "shop/cart.py",
    "line": 42,
    "resolved": {"file": "/srv/shop/cart.py", "line": 42, "functions": ["shop.cart.total"]},
    "condition": "a > 1",
    "tags": ["t"],
    "enabled": True,
    "rateLimit": {"limitPerSecond": 10, "burst": 10},
    "snapshot": {"maxDepth": 3},
    "watch": ["b"],
    "maxHits": None,
    "expireSeconds": 3600,
    "state": "active",
    "error": None,
    "created": "2026-11-20T10:00:00.000Z",
    "lastHit": None,
    "hitCount": 3,
    "counts": {"emitted": 3, "conditionFalse": 97},
}


@pytest.fixture
def api(monkeypatch):
    for name in ("URL", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"DEBUGIN_CONTROL_API_{name}", raising=False)
    with fake_control_api() as server:
        monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", server.url)
        yield server


def test_set_sends_only_what_was_given(api, capsys):
    """``set FILE:LINE`` alone sends file and line: every default is the agent's."""
    api.replies["POST /tracepoints"] = (201, POINT)
    assert main(["set", "shop/cart.py:42"]) == 0
    assert api.requests[0].document() == {"file": "shop/cart.py", "line": 42}
    out, err = capsys.readouterr()
    assert "Tracepoint p1 set." in out
    assert "/srv/shop/cart.py:42" in out
    assert "shop.cart.total" in out
    assert "otel-tracepoints watch p1" in err


def test_set_sends_every_option(api):
    """Each option of ``set`` is one field of the API."""
    api.replies["POST /tracepoints"] = (201, POINT)
    arguments = [
        "set",
        "C:\\shop\\cart.py:12",
        "--if",
        "a > 1",
        "--watch",
        "b",
        "--watch",
        "c.d",
        "--tag",
        "x",
        "--tag",
        "y",
        "--max-hits",
        "5",
        "--expire",
        "90",
        "--rate",
        "0.5/3",
        "--id",
        "mine",
    ]
    assert main(arguments) == 0
    assert api.requests[0].document() == {
        "file": "C:\\shop\\cart.py",
        "line": 12,
        "condition": "a > 1",
        "watch": ["b", "c.d"],
        "tags": ["x", "y"],
        "maxHits": 5,
        "expireSeconds": 90,
        "rateLimit": {"limitPerSecond": 0.5, "burst": 3},
        "id": "mine",
    }


def test_log_sends_message_and_level(api, capsys):
    """``log FILE:LINE MESSAGE`` makes a logpoint; ``never`` is no expiry."""
    api.replies["POST /logpoints"] = (201, {**POINT, "type": "logpoint"})
    assert main(["log", "a.py:1", "{x} {{y}}", "--level", "WARN", "--rate", "5", "--expire", "never"]) == 0
    assert api.requests[0].document() == {
        "file": "a.py",
        "line": 1,
        "message": "{x} {{y}}",
        "level": "WARN",
        "rateLimit": {"limitPerSecond": 5},
        "expireSeconds": None,
    }
    assert "Logpoint p1 set." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["set", "a.py:1", "--if", "x"], {"type": "tracepoint", "file": "a.py", "line": 1, "condition": "x"}),
        (
            ["log", "a.py:1", "m", "--tag", "t"],
            {"type": "logpoint", "file": "a.py", "line": 1, "message": "m", "tags": ["t"]},
        ),
    ],
)
def test_validate_asks_and_sets_nothing(api, capsys, arguments, body):
    """``validate set`` and ``validate log`` take the same options and say that nothing was set."""
    api.replies["POST /points/validate"] = (200, POINT)
    assert main(["validate", *arguments]) == 0
    assert api.requests[0].document() == body
    assert "nothing was set" in capsys.readouterr().out


def test_list_filters_and_shows_a_table(api, capsys):
    """``list`` sends its filters and shows each point on a line."""
    api.replies["GET /points"] = (200, {"points": [POINT], "total": 1})
    assert main(["list", "--tag", "a b", "--tag", "c", "--state", "active"]) == 0
    assert api.requests[0].target == "/points?tag=a+b&tag=c&state=active"
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "TYPE", "STATE", "HITS", "WHERE", "WHAT", "TAGS"]
    assert row.split() == ["p1", "tracepoint", "active", "3", "shop/cart.py:42", "if", "a", ">", "1", "t"]


def test_a_long_value_is_not_cut_in_a_pipe(api, capsys):
    """Where the output is no terminal nothing is wrapped or cut."""
    api.replies["GET /points"] = (200, {"points": [{**POINT, "message": "x" * 500}], "total": 1})
    assert main(["list"]) == 0
    assert "x" * 500 in capsys.readouterr().out


def test_show_tells_all(api, capsys):
    """``show`` has the point's fields by name."""
    api.replies["GET /points/p1"] = (200, POINT)
    assert main(["show", "p1"]) == 0
    out = capsys.readouterr().out
    for text in (
        "asked for",
        "shop/cart.py:42",
        "97 conditionFalse",
        "10 a second, burst 10",
        "after 3600 s",
    ):
        assert text in out


def test_an_id_cannot_leave_its_place_in_the_path(api):
    """Whatever an id holds, it stays one segment of the path; an empty one is a usage error."""
    api.replies["GET /points/a%2F..%2Fb%3Fc"] = (200, POINT)
    assert main(["show", "a/../b?c"]) == 0
    assert main(["show", ""]) == 2


def test_explain_speaks_in_sentences(api, capsys):
    """``explain`` begins with the summary and goes on in sentences."""
    api.replies["GET /points/p1/explain"] = (
        200,
        {
            "summary": "It waits for shop.cart to be imported.",
            "state": "pending",
            "module": {"imported": False, "name": "shop.cart"},
            "files": ["/srv/shop/cart.py"],
            "functions": ["shop.cart.total"],
            "reached": False,
            "counts": {"emitted": 0},
            "error": {"error": "No such name: x.", "code": "UNKNOWN_NAME", "at": "2026-11-20T10:00:00.000Z"},
            "eventSink": {"url": "http://127.0.0.1:4317", "connected": False, "lastError": "refused"},
        },
    )
    assert main(["explain", "p1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "It waits for shop.cart to be imported."
    assert "Module shop.cart is not imported yet." in lines
    assert "The line has not been reached since the probe was placed." in lines
    assert "Hits go to http://127.0.0.1:4317, which does not take them: refused." in lines


@pytest.mark.parametrize("reached", [None, "maybe", {}])
def test_explain_bears_an_unknown_reach(api, capsys, reached):
    """That it is not known whether the line was reached is said."""
    api.replies["GET /points/p1/explain"] = (200, {"summary": "s", "reached": reached})
    assert main(["explain", "p1"]) == 0
    assert "not known" in capsys.readouterr().out


def test_lines_are_grouped_by_function(api, capsys):
    """``lines`` shows, for each function, the lines that take a probe."""
    lines = [
        {"line": 3, "functions": ["m"]},
        {"line": 4, "functions": ["m.f"]},
        {"line": 5, "functions": ["m.f"]},
    ]
    api.replies["GET /lines"] = (200, {"file": "/srv/m.py", "imported": True, "lines": lines})
    assert main(["lines", "m.py"]) == 0
    assert api.requests[0].target == "/lines?file=m.py"
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "/srv/m.py (imported)"
    assert [line.rstrip().split(None, 1) for line in out[2:]] == [["m", "3"], ["m.f", "4, 5"]]


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_switching_by_id_and_by_tag(api, capsys, verb):
    """``enable`` and ``disable`` take ids, one call each, or tags, in one call."""
    api.replies[f"POST /points/a/{verb}"] = (200, {"id": "a", "enabled": True, "message": ""})
    api.replies[f"POST /points/b/{verb}"] = (200, {"id": "b", "enabled": True, "message": ""})
    api.replies[f"POST /tags/{verb}"] = (200, {f"{verb}d": 4, "message": ""})
    assert main([verb, "a", "b"]) == 0
    assert main([verb, "--tag", "x", "--tag", "y"]) == 0
    assert api.requests[2].document() == {"tags": ["x", "y"]}
    assert capsys.readouterr().out.splitlines() == [f"a {verb}d.", f"b {verb}d.", "4 changed."]


def test_remove_by_id_tag_or_all(api, capsys):
    """``remove`` takes exactly one of ids, tags and all."""
    api.replies["DELETE /points/a"] = (204, b"")
    api.replies["DELETE /points"] = (200, {"removed": 2})
    assert main(["remove", "a"]) == 0
    assert main(["remove", "--tag", "x", "--tag", "y"]) == 0
    assert main(["remove", "--all"]) == 0
    assert [request.target for request in api.requests] == [
        "/points/a",
        "/points?tag=x&tag=y",
        "/points?all=true",
    ]
    assert capsys.readouterr().out.splitlines() == ["a removed.", "2 removed.", "2 removed."]


@pytest.mark.parametrize(
    "arguments",
    [
        ["remove"],
        ["remove", "a", "--all"],
        ["remove", "--tag", "x", "--all"],
        ["enable"],
        ["disable", "a", "--tag", "x"],
        ["set"],
        ["set", "cart.py"],
        ["set", "cart.py:x"],
        ["set", ":3"],
        ["set", "cart.py:3", "--rate", "fast"],
        ["set", "cart.py:3", "--rate", "5/"],
        ["set", "cart.py:3", "--rate", "nan"],
        ["set", "cart.py:3", "--expire", "soon"],
        ["set", "cart.py:3", "--max-hits", "many"],
        ["set", "cart.py:3", "--level", "INFO"],
        ["log", "cart.py:3"],
        ["log", "cart.py:3", "m", "--level", "LOUD"],
        ["log", "cart.py:3", "m", "--watch", "x"],
        ["list", "--state", "odd"],
        ["watch", "--tail", "-1"],
        ["nonsense"],
        [],
        ["list", "--url", "ftp://x"],
        ["list", "--token", "a b"],
        ["list", "--token-file", "/nowhere/at/all"],
        ["list", "--token", "a", "--token-file", "b"],
        ["list", "--token-file", "b", "--token", "a"],
    ],
)
def test_usage_errors_ask_nothing(api, capsys, arguments):
    """A command that is not well formed ends with 2, a word on stderr and no call."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, api.requests) == ("", [])
    assert err
    assert "Traceback" not in err


def test_health_is_readable_and_hints(api, capsys):
    """``health`` shows engine and sink, and what to do when it sleeps or nobody takes the hits."""
    api.replies["GET /health"] = (
        200,
        {
            "status": "healthy",
            "state": "sleeping",
            "agent": {
                "name": "otel-tracepoints",
                "version": "1",
                "runtime": "python",
                "runtimeVersion": "3.11.7",
            },
            "features": {"tracepoints": True, "freeThreaded": False},
            "engine": {"name": "pytrace", "mechanism": "monitoring", "reason": "why", "toolId": 4},
            "eventSink": {
                "url": "u",
                "connected": False,
                "lastError": "refused",
                "sent": 1,
                "queued": 2,
                "dropped": 3,
                "onSpans": 4,
            },
            "broker": {"connected": False, "url": None},
            "process": {"pid": 7, "serviceName": "shop"},
            "uptime": 61.5,
            "tags": [],
        },
    )
    assert main(["health"]) == 0
    out = capsys.readouterr().out
    for text in (
        "healthy, sleeping",
        "pytrace by monitoring, tool id 4: why",
        "7 (shop)",
        "1 min 1 s",
        "3 dropped",
    ):
        assert text in out
    assert "→ It sleeps" in out
    assert "→ Nobody takes the hits" in out
    assert "→ Hits were dropped" in out


def test_reduced_health_asks_for_the_token(api, capsys):
    """What is told without a token is shown, with how to see the rest."""
    api.replies["GET /health"] = (200, {"status": "healthy", "state": "awake", "agent": {"name": "a"}})
    assert main(["health"]) == 0
    assert "--token" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "state"), [("sleep", "sleeping"), ("wake", "awake")])
def test_sleep_and_wake(api, capsys, verb, state):
    """``sleep`` and ``wake`` say the state that the API answered."""
    api.replies[f"POST /{verb}"] = (200, {"state": state})
    assert main([verb]) == 0
    assert state in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "show", "p1"],
        ["show", "--json", "p1"],
        ["show", "p1", "--json"],
        ["--json", "show", "p1", "--json"],
    ],
)
def test_json_is_the_answer_unchanged(api, capsysbinary, arguments):
    """``--json``, before or after, gives the body byte for byte and nothing else."""
    body = b'{ "id":"p1",\n  "x": "\xc3\xbc\\u001b" }'
    api.replies["GET /points/p1"] = (200, body)
    assert main(arguments) == 0
    out, err = capsysbinary.readouterr()
    assert (out, err) == (body, b"")


def test_json_of_an_answer_without_body_is_an_empty_object(api, capsysbinary):
    """Where the API answers nothing, ``--json`` prints ``{}``."""
    api.replies["DELETE /points/a"] = (204, b"")
    assert main(["remove", "a", "--json"]) == 0
    assert capsysbinary.readouterr().out == b"{}"


def test_json_of_several_calls_is_a_line_each(api, capsysbinary):
    """Several answers in one command are told apart by newlines."""
    api.replies["DELETE /points/a"] = (204, b"")
    api.replies["DELETE /points/b"] = (204, b"")
    assert main(["remove", "a", "b", "--json"]) == 0
    assert [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()] == [{}, {}]


def test_json_of_a_created_point_has_no_hint_on_stdout(api, capsysbinary):
    """Words for a person stay away from stdout with ``--json``."""
    api.replies["POST /tracepoints"] = (201, POINT)
    assert main(["--json", "set", "a.py:1"]) == 0
    assert json.loads(capsysbinary.readouterr().out) == POINT


@pytest.mark.parametrize("place", ["before", "after", "variable", "beaten"])
def test_url_and_token_are_taken_everywhere(api, monkeypatch, place):
    """``--url`` and ``--token`` count before and after the subcommand, and beat the environment."""
    api.replies["GET /points"] = (200, {"points": []})
    options = ["--url", api.url, "--token", "right"]
    monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DEBUGIN_CONTROL_API_TOKEN", "wrong")
    arguments = {
        "before": [*options, "list"],
        "after": ["list", *options],
        "beaten": ["--url", "http://127.0.0.1:2", "--token", "wrong", "list", *options],
        "variable": ["list"],
    }[place]
    if place == "variable":
        monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", api.url)
        monkeypatch.setenv("DEBUGIN_CONTROL_API_TOKEN", "right")
    assert main(arguments) == 0
    assert api.requests[0].headers["authorization"] == "Bearer right"


@pytest.mark.parametrize("before", [True, False])
def test_token_file_beats_the_token_of_the_environment(api, monkeypatch, tmp_path, before):
    """The file's token is used, without its newline, though the environment has another."""
    api.replies["GET /points"] = (200, {"points": []})
    monkeypatch.setenv("DEBUGIN_CONTROL_API_TOKEN", "other")
    file = tmp_path / "token"
    file.write_text("from-file\n")
    option = ["--token-file", str(file)]
    assert main([*option, "list"] if before else ["list", *option]) == 0
    assert api.requests[0].headers["authorization"] == "Bearer from-file"


def test_nested_subcommands_take_the_options_too(api, capsysbinary):
    """``validate`` passes the options given to it on to ``set``."""
    api.replies["POST /points/validate"] = (200, b'{"id": "x"}')
    assert main(["validate", "--json", "--token", "t", "set", "a.py:1"]) == 0
    assert capsysbinary.readouterr().out == b'{"id": "x"}'
    assert api.requests[0].headers["authorization"] == "Bearer t"


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


@pytest.fixture
def ran(monkeypatch):
    """Keeps ``sink`` and ``demo`` from running; what they would have run with, last the ``--json``."""
    pytest.importorskip("hypercorn")
    seen = []
    monkeypatch.setattr("otel_tracepoints.cli.sink._run", lambda *given: seen.append(given) or 0)
    monkeypatch.setattr(
        "otel_tracepoints.demo.run.run", lambda keep, as_json: seen.append((keep, as_json)) or 0
    )
    return seen


@pytest.mark.parametrize("name", ["sink", "demo"])
@pytest.mark.parametrize("before", [True, False])
def test_json_reaches_sink_and_demo_from_either_side(ran, name, before):
    """``--json`` counts before and after these subcommands, too."""
    assert main(["--json", name] if before else [name, "--json"]) == 0
    assert ran[0][-1] is True
    assert main([name]) == 0
    assert ran[1][-1] is False


@pytest.mark.parametrize("name", ["sink", "demo"])
@pytest.mark.parametrize("before", [True, False])
def test_options_without_a_meaning_are_taken_and_said(ran, capsys, name, before):
    """``sink`` and ``demo`` call no API: ``--url`` and ``--token`` are taken, and said to be of no use."""
    options = ["--url", "http://127.0.0.1:1", "--token", "t"]
    assert main([*options, name] if before else [name, *options]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(" is not used")[0] for line in err.splitlines()] == ["--url", "--token"]


def test_environment_of_the_client_is_nothing_to_sink_and_demo(ran, capsys, monkeypatch):
    """The client's variables, even bad ones, neither stop these commands nor make them talk."""
    monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", "ftp://nowhere")
    monkeypatch.setenv("DEBUGIN_CONTROL_API_TOKEN", "t")
    assert main(["sink"]) == main(["demo"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["list"]) == 2
    assert "DEBUGIN_CONTROL_API_URL" in capsys.readouterr().err
