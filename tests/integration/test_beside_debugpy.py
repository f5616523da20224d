"""The agent beside debugpy: listening, attached, stopped at a breakpoint, stepping, and left again."""

from __future__ import annotations

import sys
from typing import List, Tuple

import pytest
from tests.support.beside import Stage, results
from tests.support.dap import Debugger, Stop
from tests.support.live import ok
from tests.support.otlp_receiver import closed_port
from tests.support.processes import Process

pytest.importorskip("debugpy")

PROGRAM = """
    import sys
    import debugpy

    debugpy.listen(("127.0.0.1", int(sys.argv[1])))

    def price(n):
        total = n * 3
        return total  # TAG: priced

    def main():
        print("up and running", flush=True)
        for line in sys.stdin:
            word = line.strip()
            if word == "end":
                break
            total = price(int(word))
            print("result", total, flush=True)  # TAG: told

    main()
    print("result end", flush=True)
"""


def _start(stage: Stage, **environment: str) -> Tuple[Process, int]:
    stage.write("program.py", PROGRAM)
    port = closed_port()
    process = stage.start("-X", "frozen_modules=off", "program.py", str(port), **environment)
    process.wait_for_line("up and running", 40)
    return process, port


def _debug(stage: Stage, process: Process, port: int) -> List[Stop]:
    """A session with a breakpoint, a step and a way out; where the program stopped."""
    stops: List[Stop] = []
    with Debugger(port, str(stage.folder / "program.py"), [stage.line("program.py", "priced")]) as debugger:
        process.say("2")
        stops.append(debugger.stopped())
        debugger.resume("next")
        stops.append(debugger.stopped())
        debugger.resume()
        process.wait_for_line("result 6")
        process.say("3")
        stops.append(debugger.stopped())
        debugger.resume("stepOut")
        stops.append(debugger.stopped())
        debugger.resume()
        process.wait_for_line("result 9")
        debugger.detach()
    process.say("4")
    process.wait_for_line("result 12")
    return stops


def test_breakpoints_and_steps_are_as_without_the_agent(stage: Stage) -> None:
    """With a probe on the breakpoint's line both work, and the program stops where it stops without us."""
    alone, port = _start(stage, OTEL_SDK_DISABLED="true")
    alone.say("1")
    alone.wait_for_line("result 3")
    plain = _debug(stage, alone, port)
    alone.say("end")
    assert alone.end() == 0
    assert [(stop.reason, stop.function) for stop in plain[:1]] == [("breakpoint", "price")]
    assert (plain[2].variables["n"], plain[2].variables["total"]) == ("3", "9")

    process, port = _start(stage)
    process.wait_for_api()
    stage.logpoint(process.api, "program.py", "priced", "{n} costs {total}")
    process.say("1")  # nobody is attached yet
    process.wait_for_line("result 3")
    assert stage.wait_for_messages(1) == {"1 costs 3": 1}
    assert _debug(stage, process, port) == plain
    process.say("end")
    assert process.end() == 0, "".join(process.output)
    assert results(process.output) == results(alone.output)
    assert stage.messages() == {f"{n} costs {3 * n}": 1 for n in (1, 2, 3, 4)}


def test_probes_that_are_set_and_removed_while_a_debugger_is_attached(stage: Stage) -> None:
    """A probe set after the debugger attached is hit; when it is gone the breakpoint still stops."""
    process, port = _start(stage)
    process.wait_for_api()
    with Debugger(port, str(stage.folder / "program.py"), [stage.line("program.py", "told")]) as debugger:
        point = stage.logpoint(process.api, "program.py", "priced", "{n} costs {total}")
        for n in (1, 2):
            process.say(str(n))
            assert debugger.stopped().variables["word"] == f"'{n}'"
            debugger.resume()
            process.wait_for_line(f"result {3 * n}")
        assert process.api.delete(f"/points/{point['id']}").status == 204
        process.say("3")
        assert debugger.stopped().variables["total"] == "9"
        debugger.resume()
        process.wait_for_line("result 9")
        debugger.detach()
    process.say("end")
    assert process.end() == 0, "".join(process.output)
    assert stage.messages() == {"1 costs 3": 1, "2 costs 6": 1}


def test_a_running_frame_that_the_debugger_traces(stage: Stage) -> None:
    """Without sys.monitoring such a frame is left to the debugger, and explain says so; with it, it is hit."""
    process, port = _start(stage)
    process.wait_for_api()
    with Debugger(port, str(stage.folder / "program.py"), [stage.line("program.py", "priced")]) as debugger:
        process.say("1")
        debugger.stopped()
        debugger.resume()
        process.wait_for_line("result 3")
        point = stage.logpoint(process.api, "program.py", "told", "{word}")
        process.say("2")
        assert debugger.stopped().variables["n"] == "2"
        debugger.resume()
        process.wait_for_line("result 6")
        answer = ok(process.api.get(f"/points/{point['id']}/explain"))
        if sys.version_info >= (3, 12):
            assert answer["counts"]["emitted"] == 1
        else:
            assert answer["counts"]["emitted"] == 0
            assert "another trace function (a debugger or coverage) has its thread" in answer["summary"]
        debugger.detach()
    process.say("end")
    assert process.end() == 0, "".join(process.output)
