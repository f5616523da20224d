"""What a person is told of a place: why not there, why nothing arrives, and what it is called."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from tests.support.live import Live, TargetMaker, ok


def test_line_without_code_is_refused_with_the_nearest(live: Live, target: TargetMaker) -> None:
    """A comment line is refused, and the two nearest lines that hold code are named."""
    program = target(
        """
        x = 1  # TAG: before

        # TAG: comment

        y = 2  # TAG: after
        """
    )
    reply = live.api.post("/tracepoints", {"file": str(program.path), "line": program.line("comment")})
    assert (reply.status, reply.code) == (400, "LINE_NOT_EXECUTABLE")
    nearest = [program.line("before"), program.line("after")]
    assert reply.json["details"]["nearest"] == nearest
    assert all(str(line) in reply.json["error"] for line in nearest)
    beyond = live.api.post("/tracepoints", {"file": str(program.path), "line": 4000})
    assert beyond.json["details"]["nearest"] == [program.line("after")]


def test_explain_says_why_nothing_arrives(live: Live, target: TargetMaker) -> None:
    """Explain tells pending, unreached, false condition, disabled and asleep apart."""
    program = target(
        """
        def work(n):
            return n  # TAG: work
        """
    )
    point = live.tracepoint(program, "work", condition="n > 5")

    def explain() -> Dict[str, Any]:
        answer: Dict[str, Any] = ok(live.api.get(f"/points/{point['id']}/explain"))
        return answer

    pending = explain()
    assert (pending["state"], pending["reached"], pending["module"]["imported"]) == ("pending", None, False)
    assert "not imported yet" in pending["summary"]
    assert program.module
    unreached = explain()
    assert (unreached["state"], unreached["reached"]) == ("active", False)
    assert unreached["functions"] == [f"{program.name}.work"]
    program.work(1)
    assert "1 × the condition was false" in explain()["summary"]
    assert explain()["reached"] is True
    live.api.post("/sleep")
    assert "sleeps" in explain()["summary"]
    live.api.post("/wake")
    live.api.post(f"/points/{point['id']}/disable")
    assert "disabled" in explain()["summary"]
    assert list(explain()) == [
        "summary",
        "state",
        "module",
        "files",
        "functions",
        "reached",
        "counts",
        "error",
        "eventSink",
    ]


NESTED = """
    def outer(value):
        class Local:
            def method(self):
                return value  # TAG: method
        return Local().method()
"""


@pytest.mark.parametrize("imported", [True, False])
def test_a_hit_and_its_caller_have_qualified_names(live: Live, target: TargetMaker, imported: bool) -> None:
    """``outer.<locals>.Local.method``: in the point, the hit and the stack, whatever the engine exchanged."""
    program = target(NESTED)
    if imported:
        program.module
    point = live.tracepoint(program, "method")
    assert program.outer(3) == 3
    name = f"{program.name}.outer.<locals>.Local.method"
    (hit,) = live.hits(point)
    assert hit["function"] == name
    assert [frame["function"] for frame in hit["stack"][:2]] == [name, f"{program.name}.outer"]
    assert live.point(point)["resolved"]["functions"] == [name]
