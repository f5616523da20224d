"""The command line against a real agent: each command, each exit code, both places of each option."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import pytest
from tests.support.live import Live, Target, TargetMaker, ok
from tests.support.otlp_receiver import closed_port

pytest.importorskip("click")
from otel_tracepoints.cli.main import main  # noqa: E402 - only where its extra is installed

TARGET = """
    class Cart:
        def add(self, item, price):
            total = price * 2
            return total  # TAG: added

    # TAG: nothing here
"""


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Terminal:
    """Runs commands against an agent, its address before or after the subcommand."""

    def __init__(self, live: Live, capsys: Any, program: Target, *, after: bool) -> None:
        self.live, self.program, self.after = live, program, after
        self.url = f"http://127.0.0.1:{live.api.port}"
        self.line = program.line("added")
        self._capsys = capsys

    def __call__(self, *arguments: str, options: Tuple[str, ...] = ()) -> Ran:
        options = ("--url", self.url, *options)
        code = main([*arguments, *options] if self.after else [*options, *arguments])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    def json(self, *arguments: str) -> Any:
        """The answer with ``--json``, of a command that is done and says nothing else."""
        ran = self(*arguments, options=("--json",))
        assert (ran.code, ran.err) == (0, "")
        return ran.json

    def raw(self, path: str) -> str:
        """The API's own answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


MakeTerminal = Callable[..., Terminal]


@pytest.fixture
def terminal(
    live_with: Callable[..., Live], target: TargetMaker, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> MakeTerminal:
    """Starts an agent and a terminal beside it."""
    monkeypatch.setenv("COLUMNS", "200")

    def make(*, after: bool = True, **settings: Any) -> Terminal:
        program = target(TARGET)
        program.module
        return Terminal(live_with(**settings), capsys, program, after=after)

    return make


@pytest.mark.parametrize("after", [True, False])
def test_every_command(terminal: MakeTerminal, after: bool) -> None:
    """A probe's whole life: with ``--json`` each answer is the API's own, unchanged, and nothing else."""
    cli = terminal(after=after)
    where = f"{cli.program.path}:{cli.line}"
    wanted = [where, "--if", "price > 1", "--tag", "a", "--tag", "b", "--max-hits", "5"]
    wanted += ["--expire", "60", "--rate", "7/9"]

    checked = cli.json("validate", "set", *wanted, "--watch", "price", "--id", "t")
    assert cli.json("list") == {"points": [], "total": 0}
    made = cli.json("set", *wanted, "--watch", "price", "--watch", "self", "--id", "t")
    assert (made["id"], made["type"], made["state"]) == ("t", "tracepoint", "active")
    assert (made["condition"], made["tags"], made["watch"]) == ("price > 1", ["a", "b"], ["price", "self"])
    assert (made["maxHits"], made["expireSeconds"]) == (5, 60)
    assert made["rateLimit"] == {"limitPerSecond": 7, "burst": 9}
    assert {**checked, "watch": made["watch"], "created": made["created"]} == made
    assert cli.json("validate", "log", where, "{item}")["type"] == "logpoint"
    log = cli.json("log", where, "{item} costs {price:.2f}", "--level", "WARN", "--expire", "never")
    assert (log["message"], log["level"]) == ("{item} costs {price:.2f}", "WARN")
    assert log["expireSeconds"] is None

    assert cli.program.module.Cart().add("tea", 2) == 4
    for path, arguments in (
        ("/points", ["list"]),
        ("/points?tag=a&tag=x", ["list", "--tag", "a", "--tag", "x"]),
        ("/points?state=expired", ["list", "--state", "expired"]),
        ("/points/t", ["show", "t"]),
        (f"/lines?file={cli.program.path}", ["lines", str(cli.program.path)]),
    ):
        ran = cli(*arguments, options=("--json",))
        assert (ran.code, ran.out, ran.err) == (0, cli.raw(path), "")
    assert cli.json("explain", "t")["counts"]["emitted"] == 1
    assert sorted(cli.json("health")) == sorted(json.loads(cli.raw("/health")))

    assert cli.json("disable", "t") == {
        "id": "t",
        "enabled": False,
        "message": cli.json("disable", "t")["message"],
    }
    assert cli.json("enable", "--tag", "b")["enabled"] == 1
    assert cli.json("disable", "--tag", "b")["disabled"] == 1
    assert cli.json("show", "t")["state"] == "disabled"
    assert cli.json("enable", "t")["enabled"] is True
    assert cli.json("sleep") == {"state": "sleeping"}
    assert cli.json("wake") == {"state": "awake"}
    assert cli.json("remove", "t") == {}
    assert cli.json("remove", "--tag", "a") == {"removed": 0}
    assert cli.json("remove", "--all") == {"removed": 1}


def test_a_person_reads_words(terminal: MakeTerminal) -> None:
    """Without ``--json`` each command says what it did or what there is, on stdout."""
    cli = terminal()
    where = f"{cli.program.path}:{cli.line}"
    for arguments, said in (
        (["set", where, "--id", "t"], "Tracepoint t set."),
        (["log", where, "{item}", "--id", "l"], "Logpoint l set."),
        (["list"], "tracepoint"),
        (["show", "t"], "active"),
        (["explain", "t"], "has not been reached since"),
        (["lines", str(cli.program.path)], f"{cli.program.name}.Cart.add"),
        (["health"], "healthy, awake"),
        (["disable", "t"], "t disabled."),
        (["enable", "t"], "t enabled."),
        (["sleep"], "The agent is sleeping"),
        (["wake"], "The agent is awake"),
        (["validate", "set", where], "nothing was set"),
        (["remove", "t", "l"], "t removed.\nl removed."),
    ):
        ran = cli(*arguments)
        assert (ran.code, said in ran.out) == (0, True), ran


def test_the_last_colon_is_the_lines(terminal: MakeTerminal) -> None:
    r"""``C:\work\shop\cart.py:12``: the drive's colon and the backslashes are the file's."""
    cli = terminal()
    folder, name = cli.program.path.parent.name, cli.program.path.name
    point = cli.json("set", f"C:\\work\\{folder}\\{name}:{cli.line}")
    assert point["file"] == f"C:\\work\\{folder}\\{name}"
    assert point["resolved"]["file"] == os.path.realpath(cli.program.path)


def test_a_refusal_is_one_with_its_sentence(terminal: MakeTerminal) -> None:
    """Exit code 1, the API's sentence on stderr; with ``--json`` its answer on stdout."""
    cli = terminal()
    nothing = cli.program.line("nothing here")
    for arguments, code, hint in (
        (["set", f"{cli.program.path}:{nothing}"], "LINE_NOT_EXECUTABLE", str(cli.line)),
        (["set", f"{cli.program.path}:0"], "INVALID_LINE", "line"),
        (["set", "no_such_file_anywhere.py:1"], "FILE_NOT_FOUND", "no_such_file_anywhere.py"),
        (["set", f"{cli.program.path}:{cli.line}", "--if", "price = 1"], "INVALID_CONDITION", "^"),
        (["log", f"{cli.program.path}:{cli.line}", "{price"], "INVALID_MESSAGE", "{price"),
        (["show", "nobody"], "POINT_NOT_FOUND", "otel-tracepoints list"),
        (["remove", "nobody"], "POINT_NOT_FOUND", "nobody"),
        (["set", f"{cli.program.path}:{cli.line}", "--expire", "0"], "INVALID_FIELD", "expireSeconds"),
    ):
        ran = cli(*arguments)
        assert (ran.code, ran.out) == (1, ""), ran
        assert code in ran.err
        assert hint in ran.err
        ran = cli(*arguments, options=("--json",))
        assert (ran.code, ran.json["code"]) == (1, code)
        assert ran.json["error"] in ran.err


@pytest.mark.parametrize("after", [True, False])
def test_the_token_by_each_way(
    terminal: MakeTerminal, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Without it 401 is exit code 1; option, file and environment give it."""
    cli = terminal(after=after, control_api_token="s3cret")
    refused = cli("list")
    assert (refused.code, refused.out) == (1, "")
    assert "UNAUTHORIZED" in refused.err
    assert cli("list", options=("--token", "wrong")).code == 1
    assert cli("list", options=("--token", "s3cret")).code == 0
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    assert cli("list", options=("--token-file", str(file))).code == 0
    assert cli("list", options=("--token-file", str(tmp_path / "none"))).code == 2
    assert cli("health").code == 0
    monkeypatch.setenv("DEBUGIN_CONTROL_API_TOKEN", "s3cret")
    assert cli("list").code == 0
    assert cli("list", options=("--token", "wrong")).code == 1


def test_nobody_there_is_three(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that asks an agent ends with 3 and says what to do; so does an address from the environment."""
    monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", f"http://127.0.0.1:{closed_port()}")
    for arguments in (
        ["set", "a.py:1"],
        ["log", "a.py:1", "x"],
        ["list"],
        ["show", "a"],
        ["explain", "a"],
        ["enable", "a"],
        ["disable", "--tag", "a"],
        ["remove", "--all"],
        ["watch"],
        ["watch", "a"],
        ["lines", "a.py"],
        ["health"],
        ["sleep"],
        ["wake"],
        ["validate", "set", "a.py:1"],
        ["validate", "log", "a.py:1", "x"],
    ):
        for options in ([], ["--json"]):
            assert main([*arguments, *options]) == 3
            out, err = capsys.readouterr()
            assert out == ""
            assert "Cannot connect" in err
            assert "opentelemetry-instrument" in err


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX only")
def test_watch_follows_real_hits_until_ctrl_c(terminal: MakeTerminal) -> None:
    """A hit a line, each as ``GET /hits`` has it, those of before first; Ctrl-C ends it with 0."""
    cli = terminal()
    cli.json("set", f"{cli.program.path}:{cli.line}", "--id", "t", "--rate", "1000/1000")
    cart = cli.program.module.Cart()
    cart.add("before", 1)
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_tracepoints", "watch", "t", "--json", "--url", cli.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: List[Dict[str, Any]] = [json.loads(process.stdout.readline())]
        assert "Watching t" in process.stderr.readline()
        for number in range(3):
            cart.add(f"after {number}", number)
            lines.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, "Traceback" in err) == (0, "", False)
    assert lines == ok(cli.live.api.get("/hits"))["hits"]
    assert [line["variables"]["item"] for line in lines] == ["before", "after 0", "after 1", "after 2"]
