"""A logpoint's hit in C++ beside that in Python: the same snapshot, and the same outcomes."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any, Dict, List

import pytest
from tests.support import hit_rig
from tests.support.hit_rig import Rig, facts

from otel_tracepoints import pipeline
from otel_tracepoints.debugger import gating
from otel_tracepoints.limits import Governor
from otel_tracepoints.model import Snapshot

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")


def rig(compiled: bool, governor: Any = None, **probe: Any) -> Rig:
    return hit_rig.rig(native if compiled else None, governor, **probe)


@pytest.mark.parametrize(
    "probe",
    [
        {},
        {"message": "here"},
        {"tags": ("one", "two"), "level": "WARN", "condition": "a == 1"},
        {"message": "{items} {a!r} {nothing}"},
        {"max_hits": 5},
    ],
)
def test_both_make_the_same_snapshot(probe: Dict[str, Any]) -> None:
    """Slot for slot, whether the message is plain or Python's; its time is now, and the entry's last hit."""
    python, compiled = rig(False, **probe), rig(True, **probe)
    for _ in range(3):
        expected, made = python.hit(), compiled.hit()
        assert type(made) is Snapshot and facts(made) == facts(expected)
        assert abs(made.timestamp_ns - expected.timestamp_ns) < 10**9  # type: ignore[union-attr]
        assert compiled.entry.last_hit_ns == made.timestamp_ns
    assert compiled.counts() == python.counts() == {"emitted": 3}
    assert len(compiled.observed) == len(python.observed) == 3
    assert compiled.failed == python.failed


def test_the_thread_is_named_as_it_is_now() -> None:
    """Renamed ones, ones of a class of the application, and such as `threading` does not know."""
    compiled = rig(True)

    class Own(threading.Thread):
        pass

    for kind in (threading.Thread, Own):
        names: List[str] = []

        def run() -> None:
            names.append(facts(compiled.hit())["thread_name"])
            threading.current_thread().name = "renamed"
            names.append(facts(compiled.hit())["thread_name"])

        thread = kind(target=run, name="first")
        thread.start()
        thread.join()
        assert names == ["first", "renamed"]
    hits: List[Dict[str, Any]] = []
    done = threading.Event()

    def foreign() -> None:
        hits.append(facts(compiled.hit()))
        done.set()

    import _thread

    _thread.start_new_thread(foreign, ())
    assert done.wait(10) and hits[0]["thread_name"] == ""


def test_the_task_is_named() -> None:
    """Where one runs, and redacted."""
    compiled = rig(True)

    async def work() -> Dict[str, Any]:
        return facts(compiled.hit())

    async def main() -> Dict[str, Any]:
        task = asyncio.ensure_future(work())
        task.set_name("password=hunter2")
        return await task

    assert asyncio.run(main())["task_name"] == "password=[REDACTED]"
    assert facts(compiled.hit())["task_name"] is None


def test_a_full_queue_is_counted() -> None:
    """As dropped, and the entry has no hit."""
    compiled = rig(True)
    compiled.emitter.answer = False
    assert compiled.hit() is None
    assert compiled.counts() == {"dropped": 1} and compiled.entry.last_hit_ns is None


def test_a_failure_of_ours_ends_in_the_hit() -> None:
    """It is counted and told, and the next hit is as any other."""
    compiled = rig(True)
    compiled.emitter.answer = ValueError("ours")
    assert compiled.hit() is None
    assert compiled.counts() == {"captureError": 1} and compiled.failed == ["snapshot: ours"]
    compiled.emitter.answer = True
    assert compiled.hit() is not None


def test_what_is_for_the_application_passes_through_a_hit() -> None:
    """It is raised, and counted as no hit."""
    compiled = rig(True)
    compiled.emitter.answer = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        compiled.hit()
    assert compiled.counts() == {"captureError": 1} and compiled.failed == []
    compiled.emitter.answer = True
    assert compiled.hit() is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("which", ["function_name", "thread_name", "task_name"])
@pytest.mark.parametrize("compiled", [True, False])
def test_what_a_signal_raises_while_a_hit_is_named_passes(
    compiled: bool, which: str, error: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of Python it strikes in; the arrival is counted, and the next hit is as any other."""
    strikes = [error]

    def strike(*_: Any) -> str:
        if strikes:
            raise strikes.pop()
        return "a name"

    given: Dict[str, Any] = {}
    if which == "function_name":
        given["function_name"] = strike
    else:
        for module in (gating, pipeline):
            monkeypatch.setattr(module, which, strike, raising=False)
        monkeypatch.setattr(gating, "PLAIN_THREADS", ())
        monkeypatch.setattr(gating, "redacted_task_name", lambda _: strike)
        monkeypatch.setitem(sys.modules, "asyncio", object())  # no loop is asked for in C
    struck = hit_rig.rig(native if compiled else None, **given)
    with pytest.raises(error):
        struck.hit()
    assert struck.counts() == {"captureError": 1} and struck.failed == []
    assert struck.hit() is not None


def test_a_hit_that_cannot_even_be_told_of_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the edge of the stack there may be no room for the one who counts failures."""

    def no_room(*_: Any) -> bool:
        raise RecursionError

    monkeypatch.setattr(pipeline.Gate, "fail", no_room)
    compiled = rig(True)
    compiled.emitter.answer = RecursionError()
    assert compiled.hit() is None
    assert compiled.counts() == {"captureError": 1}


def test_the_governor_is_asked_first_and_told_last() -> None:
    """A hit that is over the budget is counted as that; others pay for their time."""
    clock: List[int] = [0]
    governor = native.Governor(1, lambda: clock[0])
    compiled = rig(True, governor)
    before = governor.credit
    assert compiled.hit() is not None and governor.credit < before
    governor.spend(Governor.BURST_NS)
    assert compiled.hit() is None
    assert compiled.counts() == {"emitted": 1, "overBudget": 1}


def test_hits_leave_no_reference_behind() -> None:
    """Of values and frames."""
    compiled = rig(True)
    value = "a value " * 3
    compiled.hit(value)
    compiled.emitter.taken.clear()
    before = sys.getrefcount(value)
    for _ in range(50):
        compiled.hit(value)
    compiled.emitter.taken.clear()
    assert sys.getrefcount(value) == before
