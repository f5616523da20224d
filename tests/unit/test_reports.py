"""How often a failure is told: the clock is the test's."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, List

import pytest

from otel_tracepoints.debugger.reports import Reporter
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.model import Probe, ProbeType, Report
from otel_tracepoints.probes.registry import Entry


class Rig:
    """A reporter whose reports are kept, and a probe."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: List[Report] = []
        emitter: Any = SimpleNamespace(report=self.told.append, current_trace=lambda: None)
        self.reporter = Reporter(emitter, lambda text: text, lambda code: "f", lambda: self.now)
        self.entry = Entry(Probe(id="p", type=ProbeType.TRACEPOINT, file="f.py", line=1), "/f.py", 0.0)
        self.reporter.watch("p")

    def fail(self, kind: str = "condition") -> int:
        plan: Any = SimpleNamespace(entry=self.entry, file="/f.py", line=1, shown_condition=None)
        error = EvaluationError("UNKNOWN_NAME", "There is no x.")
        self.reporter.fail(plan, sys._getframe(), kind, error)
        return len(self.told)


@pytest.mark.parametrize("kind", ["condition", "snapshot"])
def test_a_failure_is_told_once_in_five_minutes(kind: str) -> None:
    """The first at once, the next after 300 s and not before."""
    rig = Rig()
    assert [rig.fail(kind), rig.fail(kind)] == [1, 1]
    rig.now = 299.9
    assert rig.fail(kind) == 1
    rig.now = 300.0
    assert [rig.fail(kind), rig.fail(kind)] == [2, 2]


def test_a_new_condition_is_told_anew() -> None:
    """An update of the condition begins the five minutes again."""
    rig = Rig()
    rig.fail()
    rig.reporter.condition_changed("p")
    assert [rig.fail(), rig.fail()] == [2, 2]


def test_dropped_hits_are_told_once_a_second() -> None:
    """Each report says how many since the last; with none dropped there is none."""
    rig = Rig()
    assert rig.reporter.rate_limited(rig.entry) is None
    for _ in range(3):
        rig.entry.counts.rate_limited.take()
    assert rig.reporter.rate_limited(rig.entry) == 1.0
    for _ in range(4):
        rig.entry.counts.rate_limited.take()
    rig.now = 0.25
    assert rig.reporter.rate_limited(rig.entry) == 0.75
    rig.now = 1.0
    assert rig.reporter.rate_limited(rig.entry) == 1.0
    assert [report.attributes["probe.dropped.count"] for report in rig.told] == [3, 4]


def test_what_was_dropped_last_is_told_when_a_probe_goes() -> None:
    """Though nobody had come to tell of any of it yet, and only what was not told."""
    rig = Rig()
    for _ in range(3):
        rig.entry.counts.rate_limited.take()
    rig.reporter.forget(rig.entry)
    rig.reporter.forget(rig.entry)
    assert [report.attributes["probe.dropped.count"] for report in rig.told] == [3]


def test_a_failure_that_could_not_be_told_is_told_later() -> None:
    """At the edge of the stack telling fails too: another thread is asked to, and does it once."""
    rig = Rig()
    asked: List[str] = []
    room = [False]

    def report(each: Report) -> None:
        if not room[0]:
            raise RecursionError
        rig.told.append(each)

    emitter: Any = SimpleNamespace(report=report, current_trace=lambda: None)
    rig.reporter = Reporter(emitter, str, lambda code: "f", lambda: rig.now, asked.append)
    rig.reporter.watch("p")
    assert rig.fail("snapshot") == 0
    assert asked == ["p"]
    room[0] = True
    rig.reporter.tell_owed()
    rig.reporter.tell_owed()
    assert [each.event_name for each in rig.told] == ["probe.error.snapshot"]
    assert rig.fail("snapshot") == 1
