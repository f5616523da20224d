"""The agent beside coverage.py: what was covered is the same, and probes fire all the same."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any, Dict, List

import pytest
from tests.support.beside import Stage, results
from tests.support.live import ok
from tests.support.processes import Process

pytest.importorskip("coverage")

CORES = ["pytrace"]
if importlib.util.find_spec("coverage.tracer"):  # there is none without the GIL
    CORES.append("ctrace")
if sys.version_info >= (3, 12):
    CORES.append("sysmon")

PROGRAM = """
    import sys, threading

    def price(n):
        if n > 1:
            total = n * 3
        else:
            total = 0
        return total  # TAG: priced

    def numbers(limit):
        n = 0
        while n < limit:
            yield n  # TAG: yielded
            n += 1

    def never():
        return "never"

    def careful(n):
        try:
            answer = 1 // n
        except ZeroDivisionError:
            answer = None  # TAG: divided
        finally:
            price(n)
        return answer

    def main():
        print("up and running", flush=True)
        for line in sys.stdin:
            word = line.strip()
            if word == "end":  # TAG: turned
                break
            print("said", word, flush=True)

    def work():
        print("result", sum(price(n) for n in numbers(5)), careful(0), careful(2))

    main()
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print("result end", flush=True)
"""


def _report(stage: Stage, name: str) -> Dict[str, Any]:
    """What was covered: lines, arcs and contexts of every file."""
    path = stage.folder / f"{name}.json"
    done = stage.plain("-m", "coverage", "json", f"--data-file={name}", "-o", str(path))
    assert done.code == 0
    files = json.loads(path.read_text("utf-8"))["files"]
    keys = ("executed_lines", "missing_lines", "executed_branches", "missing_branches")
    return {file: {key: data.get(key) for key in keys} for file, data in files.items()}


def _command(core: str, name: str) -> List[str]:
    branch = ["--branch"] if core != "sysmon" or sys.version_info >= (3, 14) else []
    return ["-m", "coverage", "run", *branch, "--source=.", f"--data-file={name}", "program.py"]


def _started(stage: Stage, core: str) -> Process:
    process = stage.start(*_command(core, "with"), COVERAGE_CORE=core)
    process.wait_for_line("up and running")
    process.wait_for_api()
    return process


@pytest.mark.parametrize("core", CORES)
def test_the_data_is_the_same(stage: Stage, core: str) -> None:
    """Lines and branches are the same with probes on them, in functions, generators, handlers and threads."""
    stage.write("program.py", PROGRAM)
    plain = stage.plain(*_command(core, "without"), say="end\n", COVERAGE_CORE=core)
    assert plain.code == 0 and len(plain.results) == 3
    process = _started(stage, core)
    stage.tracepoint(process.api, "program.py", "priced")
    stage.logpoint(process.api, "program.py", "yielded", "{n}")
    stage.logpoint(process.api, "program.py", "divided", "nothing is {n}")
    process.say("end")
    assert process.end() == 0, "".join(process.output)
    assert results(process.output) == plain.results
    without = _report(stage, "without")
    assert without["program.py"]["missing_lines"]  # there is something to get wrong
    assert _report(stage, "with") == without
    assert stage.messages() == {**{str(n): 2 for n in range(5)}, "nothing is 0": 2}
    assert len(stage.sink.events("probe.hit.snapshot")) == 14


@pytest.mark.parametrize("core", CORES)
def test_the_data_is_the_same_when_probes_come_and_go(stage: Stage, core: str) -> None:
    """Taking a probe away, or sleeping, in the middle of the run leaves coverage's tracer as it was."""
    stage.write("program.py", PROGRAM)
    stage.plain(*_command(core, "without"), say="one\ntwo\nend\n", COVERAGE_CORE=core)
    process = _started(stage, core)
    point = stage.logpoint(process.api, "program.py", "priced", "{n}")
    process.say("one")
    process.wait_for_line("said one")
    assert process.api.delete(f"/points/{point['id']}").status == 204
    stage.logpoint(process.api, "program.py", "priced", "{n}")
    ok(process.api.post("/sleep"))
    process.say("two")
    process.wait_for_line("said two")
    process.say("end")
    assert process.end() == 0, "".join(process.output)
    assert _report(stage, "with") == _report(stage, "without")
    assert stage.messages() == {}


def test_a_running_frame_that_coverage_traces_is_left_alone(stage: Stage) -> None:
    """On versions without sys.monitoring a frame that runs in a traced thread is not watched; explain says so."""
    if sys.version_info >= (3, 12):
        pytest.skip("sys.monitoring takes no thread's tracer")
    stage.write("program.py", PROGRAM)
    stage.plain(*_command("ctrace", "without"), say="one\nend\n", COVERAGE_CORE="ctrace")
    process = _started(stage, "ctrace")
    point = stage.logpoint(process.api, "program.py", "turned", "{word}")
    summary = ok(process.api.get(f"/points/{point['id']}/explain"))["summary"]
    assert "another trace function (a debugger or coverage) has its thread" in summary
    process.say("one")
    process.wait_for_line("said one")
    assert ok(process.api.get(f"/points/{point['id']}"))["hitCount"] == 0
    process.say("end")
    assert process.end() == 0
    assert _report(stage, "with") == _report(stage, "without")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")
@pytest.mark.parametrize("core", CORES)
def test_a_running_frame_is_watched_beside_coverage(stage: Stage, core: str) -> None:
    """With sys.monitoring a loop that runs already is hit at its next turn, whatever coverage uses."""
    stage.write("program.py", PROGRAM)
    stage.plain(*_command(core, "without"), say="one\nend\n", COVERAGE_CORE=core)
    process = _started(stage, core)
    stage.logpoint(process.api, "program.py", "turned", "{word}")
    process.say("one")
    process.wait_for_line("said one")
    process.say("end")
    assert process.end() == 0
    assert stage.messages() == {"one": 1, "end": 1}
    assert _report(stage, "with") == _report(stage, "without")
