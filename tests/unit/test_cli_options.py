"""Options of every command: --json, --url, --token, and usage errors."""

from __future__ import annotations

import json

import pytest
from tests.support.fake_control_api import POINT

from otel_tracepoints.cli.main import main


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
