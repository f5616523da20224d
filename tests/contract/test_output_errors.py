"""What failed and what was dropped: told once in a while, with numbers that add up."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

import pytest
from tests.support.live import Live, TargetMaker
from tests.support.telemetry import tracer_and_spans

import otel_tracepoints
from otel_tracepoints.capture.collector import Collector

LiveWith = Callable[..., Live]

LOOP = """
    def work(n):
        for i in range(n):
            last = i  # TAG: body
        return n
"""


def expected(point: Dict[str, Any], program: Any, **more: Any) -> Dict[str, Any]:
    """What every error says about its probe."""
    return {
        "probe.id": point["id"],
        "probe.type": point["type"],
        "probe.tags": ["a"],
        "code.file.path": str(program.path),
        "code.line.number": program.line("body"),
        "code.function.name": f"{program.name}.work",
        **more,
    }


def without_name(log: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in log["attributes"].items() if name != "event.name"}


def test_condition_that_fails(live_with: LiveWith, target: TargetMaker) -> None:
    """One WARN record in the trace of the hit, with the probe, the place and the reason."""
    live = live_with()
    program = target(LOOP)
    assert program.module
    point = live.tracepoint(program, "body", condition="i == 0 or missing > 1", tags=["a"])
    tracer, _ = tracer_and_spans()
    with tracer.start_as_current_span("request") as span:
        program.work(20)
    live.sink.wait_for(lambda: live.logs("probe.error.condition"))
    (log,) = live.logs("probe.error.condition")
    assert (log["severity"], log["severity_text"]) == (13, "WARN")
    assert log["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    seen = without_name(log)
    assert "missing" in seen.pop("exception.message")
    assert seen == expected(
        point,
        program,
        **{
            "probe.condition": "i == 0 or missing > 1",
            "probe.hit.count": 1,
            "exception.type": "UNKNOWN_NAME",
        },
    )


def test_capture_that_fails(
    live_with: LiveWith, target: TargetMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours in a capture is one WARN record and an outcome, and nothing to the application."""

    def fail(*_: Any) -> None:
        raise ValueError("a value of the application: hunter2")

    live = live_with()
    program = target(LOOP)
    assert program.module
    point = live.tracepoint(program, "body", tags=["a"])
    monkeypatch.setattr(Collector, "variables", fail)
    assert program.work(20) == 20
    live.sink.wait_for(lambda: live.logs("probe.error.snapshot"))
    (log,) = live.logs("probe.error.snapshot")
    assert (log["severity_text"], log["attributes"]["exception.type"]) == ("WARN", "INTERNAL")
    assert log["attributes"]["probe.id"] == point["id"]
    assert live.counts(point) == {"captureError": 20}
    assert "hunter2" not in str(log)


def test_dropped_hits_add_up(live_with: LiveWith, target: TargetMaker) -> None:
    """Records of the rate limit are a second apart, and their numbers are those of the hits dropped."""
    live = live_with()
    program = target(LOOP)
    assert program.module
    limit = {"limitPerSecond": 0.001, "burst": 2}
    point = live.logpoint(program, "body", "{i}", rateLimit=limit, tags=["a"], condition="i >= 0")

    def told() -> List[Any]:
        return live.logs("probe.error.rateLimit")

    program.work(12)
    live.sink.wait_for(told)
    program.work(30)
    live.sink.wait_for(lambda: sum(log["attributes"]["probe.dropped.count"] for log in told()) == 40)
    assert live.counts(point) == {"emitted": 2, "rateLimited": 40}
    times = [log["time"] for log in told()]
    assert all(later - earlier >= 0.99e9 for earlier, later in zip(times, times[1:]))
    seen = without_name(told()[-1])
    assert seen.pop("exception.message")
    assert seen.pop("probe.dropped.count") <= 40
    assert seen == expected(
        point,
        program,
        **{
            "probe.condition": "i >= 0",
            "probe.hit.count": 2,
            "probe.rate_limit": 0.001,
            "exception.type": "RATE_LIMIT",
        },
    )


def test_dropped_hits_of_a_probe_that_is_removed_are_told(live_with: LiveWith, target: TargetMaker) -> None:
    """With a probe its last dropped hits would be forgotten: they are told when it goes."""
    live = live_with()
    program = target(LOOP)
    assert program.module
    point = live.logpoint(program, "body", "{i}", rateLimit={"limitPerSecond": 0.001, "burst": 1})
    program.work(10)
    live.sink.wait_for(lambda: live.logs("probe.error.rateLimit"))
    program.work(50)
    live.remove(point)
    live.sink.wait_for(
        lambda: (
            sum(log["attributes"]["probe.dropped.count"] for log in live.logs("probe.error.rateLimit")) == 59
        )
    )


def test_dropped_hits_are_told_when_the_agent_stops(live_with: LiveWith, target: TargetMaker) -> None:
    """Those since the last report too: the records of a process's life add up to what it dropped."""
    live = live_with()
    program = target(LOOP)
    assert program.module
    live.logpoint(program, "body", "{i}", rateLimit={"limitPerSecond": 0.001, "burst": 1})
    program.work(60)
    otel_tracepoints.stop()
    told = live.logs("probe.error.rateLimit")
    assert sum(log["attributes"]["probe.dropped.count"] for log in told) == 59
