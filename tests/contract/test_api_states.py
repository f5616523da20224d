"""The state of a point and its explanation: pending, active, disabled, expired, error."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
import threading
import time
import types
from typing import Any, Callable, Dict, Iterator

import pytest
from tests.support.live import Live, Target, forget_modules, ok, target_maker

Body = Dict[str, Any]
SOURCE = """
    def work(n):
        return n  # TAG: work
"""


@pytest.fixture
def fresh(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A program that is not imported yet."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield target_maker(tmp_path)(SOURCE)
    forget_modules(tmp_path)


def until(question: Callable[[], Any], seconds: float = 5.0) -> Any:
    """The answer, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.01)


def set_on(agent: Live, target: Target, **fields: Any) -> Body:
    """A logpoint on the tagged line."""
    return agent.logpoint(target, "work", "{n}", **fields)


def test_pending_until_the_import(agent: Live, fresh: Target) -> None:
    """`resolved` is null until then; explain names the file and the functions that will hold it."""
    point = set_on(agent, fresh)
    assert (point["state"], point["resolved"], point["error"]) == ("pending", None, None)
    why = agent.explain(point)
    assert why["module"] == {"imported": False, "name": None}
    assert (why["files"], why["reached"]) == ([str(fresh.path)], None)
    assert why["functions"] == [f"{fresh.name}.work"]
    assert "not imported yet" in why["summary"]
    fresh.work(1)
    after = agent.point(point)
    assert (after["state"], after["hitCount"]) == ("active", 1)
    assert after["resolved"] == {
        "file": str(fresh.path),
        "line": fresh.line("work"),
        "functions": [f"{fresh.name}.work"],
    }
    assert agent.explain(point)["module"] == {"imported": True, "name": fresh.name}


def test_the_module_counts_not_the_switch(agent: Live, fresh: Target) -> None:
    """Asleep or disabled, a module that was imported meanwhile is no reason to be pending."""
    point = set_on(agent, fresh)
    disabled = set_on(agent, fresh, enabled=False)
    ok(agent.api.post("/sleep"))
    assert fresh.module
    assert agent.point(point)["state"] == "active"
    assert agent.explain(disabled)["module"] == {"imported": True, "name": fresh.name}
    ok(agent.api.post(f"/points/{disabled['id']}/enable"))
    assert agent.point(disabled)["state"] == "active"
    assert [p["id"] for p in ok(agent.api.get("/points", {"state": "pending"}))["points"]] == []
    fresh.work(1)
    ok(agent.api.post("/wake"))
    fresh.work(2)
    assert [agent.counts(each) for each in (point, disabled)] == [{"emitted": 1}] * 2


def test_a_module_that_no_import_hook_sees_is_found_within_a_second(agent: Live, fresh: Target) -> None:
    """Put into sys.modules by hand, for instance by a loader that compiles for itself."""
    point = set_on(agent, fresh)
    module = types.ModuleType(fresh.name)
    module.__file__ = str(fresh.path)
    sys.modules[fresh.name] = module
    exec(compile(fresh.source, str(fresh.path), "exec"), module.__dict__)
    started = time.monotonic()
    until(lambda: agent.point(point)["state"] == "active")
    assert time.monotonic() - started < 2
    until(lambda: module.work(1) and agent.counts(point))
    assert set(agent.counts(point)) == {"emitted"}


def test_a_module_that_is_not_registered_is_found_within_a_second(agent: Live, fresh: Target) -> None:
    """Loaded by its spec, as plugin systems do, without an entry in sys.modules."""
    point = set_on(agent, fresh)
    spec = importlib.util.spec_from_file_location("plugin", str(fresh.path))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    until(lambda: agent.point(point)["state"] == "active")
    module.work(1)
    assert agent.counts(point) == {"emitted": 1}


def test_an_import_that_fails_leaves_the_point_pending(agent: Live, fresh: Target, program: Target) -> None:
    """Though somebody keeps the traceback, and other probes are set; the next import, which succeeds, has its hits."""
    unless = "\nif not hasattr(__import__('sys'), 'now_it_works'):\n    raise KeyError\n"
    fresh.path.write_text(fresh.source + unless)
    point = set_on(agent, fresh)
    with pytest.raises(KeyError) as kept:
        importlib.import_module(fresh.name)
    until(lambda: agent.point(point)["state"] == "pending")
    hooks = agent.agent._debugger._hooks
    with hooks.lock:
        hooks.placer.patrol()
    agent.logpoint(program, "end", "{n}")
    after = agent.point(point)
    assert (after["state"], after["resolved"], after["error"]) == ("pending", None, None)
    sys.now_it_works = True  # type: ignore[attr-defined]
    try:
        importlib.import_module(fresh.name).work(1)
    finally:
        del sys.now_it_works  # type: ignore[attr-defined]
    assert kept.type is KeyError
    assert agent.point(point)["state"] == "active"
    assert agent.counts(point) == {"emitted": 1}


def test_a_file_that_changed_before_its_import_is_an_error(agent: Live, fresh: Target) -> None:
    """PLACING_FAILED, in the error form with `at`; once the line is there again all is well."""
    point = set_on(agent, fresh)
    text = fresh.source
    fresh.path.write_text("# shorter now, with a size of its own\n")
    importlib.invalidate_caches()
    importlib.import_module(fresh.name)
    after = agent.point(point)
    assert (after["state"], after["resolved"]) == ("error", None)
    assert set(after["error"]) == {"error", "code", "details", "at"}
    assert after["error"]["code"] == "PLACING_FAILED"
    assert ok(agent.api.get("/points", {"state": "error"}))["total"] == 1
    why = agent.explain(point)
    assert why["error"]["code"] == "PLACING_FAILED" and why["error"]["error"] in why["summary"]
    ok(agent.api.post(f"/points/{point['id']}/disable"))
    assert agent.point(point)["state"] == "disabled"
    ok(agent.api.post(f"/points/{point['id']}/enable"))
    assert agent.point(point)["state"] == "error"
    fresh.path.write_text(text)
    del sys.modules[fresh.name]
    importlib.invalidate_caches()
    importlib.import_module(fresh.name).work(1)
    after = agent.point(point)
    assert (after["state"], after["error"], after["hitCount"]) == ("active", None, 1)


def test_the_first_that_is_true_is_the_state(agent: Live, fresh: Target, program: Target) -> None:
    """Expired before disabled before pending before active."""
    point = set_on(agent, fresh, enabled=False)
    assert point["state"] == "disabled"
    ok(agent.api.put(f"/points/{point['id']}", {"expireSeconds": 0.01}))
    until(lambda: agent.point(point)["state"] == "expired")
    assert agent.point(point)["enabled"] is False
    ok(agent.api.put(f"/points/{point['id']}", {"enabled": True}))
    assert agent.point(point)["state"] == "expired"
    ok(agent.api.put(f"/points/{point['id']}", {"expireSeconds": None}))
    assert agent.point(point)["state"] == "pending"
    assert fresh.module
    assert agent.point(point)["state"] == "active"


def test_used_up_hits_expire_a_point_and_more_of_them_revive_it(agent: Live, program: Target) -> None:
    """Kept for its counts; enabling does not revive, nor does another expiry."""
    point = agent.logpoint(program, "body", "{i}", maxHits=2)
    program.work(5)
    for change in ({}, {"enabled": True}, {"tags": ["x"]}, {"expireSeconds": 60}, {"maxHits": 1}):
        ok(agent.api.put(f"/points/{point['id']}", change))
        after = agent.point(point)
        assert (after["state"], after["hitCount"]) == ("expired", 2)
    assert "used up" in agent.explain(point)["summary"]
    assert agent.explain(point)["reached"] is True
    for change in ({"maxHits": 4}, {"maxHits": None}):
        ok(agent.api.put(f"/points/{point['id']}", change))
        assert agent.point(point)["state"] == "active"
        program.work(9)
    assert agent.point(point)["hitCount"] == 2 + 2 + 9
    assert agent.counts(point) == {"emitted": 13}


def test_time_expires_a_point_and_more_of_it_revives_it(agent: Live, program: Target) -> None:
    """Counted from the update that sets it; the same value counts anew, null is never."""
    point = agent.logpoint(program, "end", "{n}", expireSeconds=0.05)
    until(lambda: agent.point(point)["state"] == "expired")
    program.work(1)
    assert agent.counts(point) == {}
    assert "time is over" in agent.explain(point)["summary"]
    ok(agent.api.put(f"/points/{point['id']}", {"maxHits": 5}))
    assert agent.point(point)["state"] == "expired"
    ok(agent.api.put(f"/points/{point['id']}", {"expireSeconds": 30}))
    program.work(1)
    ok(agent.api.put(f"/points/{point['id']}", {"expireSeconds": 0.05}))
    until(lambda: agent.point(point)["state"] == "expired")
    ok(agent.api.put(f"/points/{point['id']}", {"expireSeconds": None}))
    program.work(1)
    after = agent.point(point)
    assert (after["state"], after["expireSeconds"], after["hitCount"]) == ("active", None, 2)


def test_an_expiry_in_the_far_future_harms_nobody(agent: Live, program: Target) -> None:
    """What the clock cannot wait for is as good as never; other points expire on time beside it."""
    agent.logpoint(program, "end", "{n}", expireSeconds=1e300)
    soon = agent.logpoint(program, "end", "{n}", expireSeconds=0.05)
    until(lambda: agent.point(soon)["state"] == "expired")
    threads = [t.name for t in threading.enumerate()]
    assert "otel-tracepoints-timekeeper" in threads


def test_waking_waits_for_nobody(agent: Live, program: Target) -> None:
    """Whatever holds the lock, /wake answers at once, and the probes fire as soon as it is free."""
    point = agent.logpoint(program, "end", "{n}")
    ok(agent.api.post("/sleep"))
    hooks = agent.agent._debugger._hooks
    stuck, free = threading.Event(), threading.Event()

    def hold() -> None:
        with hooks.lock:
            stuck.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert stuck.wait(10)
        started = time.monotonic()
        assert ok(agent.api.post("/wake")) == {"state": "awake"}
        assert ok(agent.api.get("/health"))["state"] == "awake"
        assert time.monotonic() - started < 5
    finally:
        free.set()
        holder.join()
    until(lambda: program.work(1) is None or agent.counts(point))


def test_a_probe_that_cannot_be_prepared_is_alone_with_it(
    agent: Live, program: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a mistake of the agent is that probe's error; the others fire, and it does once the mistake is gone."""
    hooks = agent.agent._debugger._hooks
    plan = hooks._planner.plan

    def planned(entry: Any, bucket: Any) -> Any:
        if "broken" in entry.probe.tags:
            raise IndexError("a mistake")
        return plan(entry, bucket)

    monkeypatch.setattr(hooks._planner, "plan", planned)
    before = agent.logpoint(program, "end", "{n}")
    broken = agent.logpoint(program, "end", "{n}", tags=["broken"])
    assert (broken["state"], broken["error"]["code"]) == ("error", "PLACING_FAILED")
    after = agent.logpoint(program, "end", "{n}")
    ok(agent.api.post("/sleep"))
    ok(agent.api.post("/wake"))
    program.work(1)
    assert (agent.counts(before), agent.counts(after)) == ({"emitted": 1}, {"emitted": 1})
    assert agent.counts(broken) == {}
    monkeypatch.undo()
    ok(agent.api.post("/sleep"))
    ok(agent.api.post("/wake"))
    program.work(1)
    assert (agent.point(broken)["state"], agent.point(broken)["error"]) == ("active", None)
    assert agent.counts(broken) == {"emitted": 1}


def test_constants_are_no_parts_of_a_watch(agent: Live, program: Target) -> None:
    """A constant whose items spell what the agent's own form of an expression does is a constant."""
    texts = ["n in ('item', 'order')", "n in ('item',)", "n in ('argument', 1)", "n in ('arguments', 'b')"]
    point = agent.tracepoint(program, "end", watch=texts)
    assert point["state"] == "active"
    program.work(1)
    assert agent.counts(point) == {"emitted": 1}


def test_code_that_was_executed_by_hand_is_taken_at_the_next_placing(agent: Live, program: Target) -> None:
    """Of any probe, in whatever file."""
    point = agent.logpoint(program, "end", "{n}")
    namespace: Dict[str, Any] = {"__name__": "by_hand"}
    exec(compile(program.path.read_text("utf-8"), str(program.path), "exec"), namespace)
    namespace["work"](1)
    assert agent.counts(point) == {}
    source = compile("def other():\n    return 1\n", "other_by_hand.py", "exec")
    other: Dict[str, Any] = {}
    exec(source, other)
    ok(agent.api.post("/logpoints", {"file": "other_by_hand.py", "line": 2, "message": "x"}))
    namespace["work"](1)
    assert agent.counts(point) == {"emitted": 1}
