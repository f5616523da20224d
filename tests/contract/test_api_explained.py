"""What /explain and a point's error tell of its arrivals."""

from __future__ import annotations

import pathlib
from typing import Any, Dict, List

import pytest
from tests.support.live import Live, Target, forget_modules, ok, target_maker

Body = Dict[str, Any]


def test_explain_tells_how_arrivals_ended(agent: Live, program: Target) -> None:
    """Each outcome that was not a hit, in words, with its number."""
    slow = {"limitPerSecond": 0.001, "burst": 1}
    false = agent.logpoint(program, "body", "{i}", condition="i > 99")
    wrong = agent.logpoint(program, "body", "{i}", condition="nobody > 1")
    dropped = agent.logpoint(program, "body", "{i}", rateLimit=slow)
    unreached = agent.logpoint(program, "inner", "x")
    program.work(4)
    assert "4 × the condition was false" in agent.explain(false)["summary"]
    why = agent.explain(wrong)
    assert "4 × the condition failed" in why["summary"] and why["error"]["code"] == "UNKNOWN_NAME"
    assert "1 hit" in agent.explain(dropped)["summary"]
    assert "3 × the rate limit" in agent.explain(dropped)["summary"]
    why = agent.explain(unreached)
    assert why["reached"] is False and "not been reached" in why["summary"]
    assert "exec" in why["summary"]
    # Not alone where code of this file that another test executed by hand is still alive.
    assert f"{program.name}.outer.<locals>.inner" in why["functions"]


def test_explain_tells_of_switches(agent: Live, program: Target) -> None:
    """Disabled and asleep; whether the line was reached is not known then."""
    point = agent.logpoint(program, "end", "{n}")
    ok(agent.api.post("/sleep"))
    why = agent.explain(point)
    assert "sleeps" in why["summary"] and why["reached"] is None
    ok(agent.api.post("/wake"))
    assert agent.explain(point)["reached"] is False
    ok(agent.api.post(f"/points/{point['id']}/disable"))
    why = agent.explain(point)
    assert "disabled" in why["summary"] and why["reached"] is None


def test_explain_carries_the_engines_notes(
    agent: Live, program: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine has to say stands in the summary."""
    point = agent.logpoint(program, "end", "{n}")
    engine = agent.agent._engine
    notes: List[str] = ["A frame of work() runs under another debugger and was left alone."]
    monkeypatch.setattr(type(engine), "notes", lambda _self, key: notes if key == point["id"] else [])
    assert notes[0] in agent.explain(point)["summary"]


def test_the_last_evaluation_that_failed_is_shown(agent: Live, program: Target) -> None:
    """With its code and time, in a point that stays active; a new condition clears it."""
    point = agent.logpoint(program, "body", "{i}", condition="nobody > 1")
    program.work(1)
    shown = agent.point(point)
    assert shown["state"] == "active"
    assert set(shown["error"]) == {"error", "code", "details", "at"}
    assert shown["error"]["code"] == "UNKNOWN_NAME" and "nobody" in shown["error"]["error"]
    assert shown["error"]["at"].endswith("Z") and shown["error"]["at"] >= shown["created"]
    assert ok(agent.api.put(f"/points/{point['id']}", {"condition": "n > 0"}))["error"] is None


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("nobody", "UNKNOWN_NAME"),
        ("n.nothing", "UNKNOWN_ATTRIBUTE"),
        ("this_.table['x'] > 1", "UNKNOWN_KEY"),
        ("this_.rows[5]", "INDEX_OUT_OF_RANGE"),
        ("n < 'a'", "TYPE_MISMATCH"),
        ("n // 0 > 1", "DIVISION_BY_ZERO"),
        ("this_.prop", "UNSAFE_ATTRIBUTE"),
        ("this_.strange == 1", "UNSAFE_COMPARISON"),
        ("'a'.matches(this_.pattern)", "INVALID_REGEX"),
        ("'a' * 1000000000 == 'b'", "BUDGET"),
    ],
)
def test_each_code_of_an_evaluation(
    agent: Live, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, condition: str, code: str
) -> None:
    """What can go wrong in a condition has one of ten codes."""
    monkeypatch.syspath_prepend(str(tmp_path))
    target = target_maker(tmp_path)(
        """
        class Strange:
            def __eq__(self, other):
                raise AssertionError
            __hash__ = None

        class This:
            table = {}
            rows = []
            strange = Strange()
            pattern = "("
            @property
            def prop(self):
                raise AssertionError

        def work(n, this_=This()):
            return n  # TAG: work
        """
    )
    assert target.module
    point = agent.logpoint(target, "work", "x", condition=condition)
    target.work(1)
    assert agent.counts(point) == {"conditionError": 1}
    assert agent.point(point)["error"]["code"] == code
    forget_modules(tmp_path)
