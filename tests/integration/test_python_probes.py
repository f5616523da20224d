"""The Python API: probes, status, sleep and wake."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Dict, List

import pytest
from tests.support.live import WIDE_OPEN, Live, TargetMaker, ok

import otel_tracepoints
from otel_tracepoints import CaptureLimits, Probe, ProbeType, RateLimit

WORK = """
def work(n):
    return n + 1  # TAG: work
"""


pytestmark = pytest.mark.usefixtures("_stopped")


def test_probes_by_every_way(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """A Probe, a mapping and snake_case keywords make the same point as the API does."""
    live = live_with()
    agent, program = live.agent, target(WORK)
    file, line = str(program.path), program.line("work")
    common = {"condition": "n > 1", "tags": ["a"], "max_hits": 3, "expire_seconds": None, "enabled": False}
    limits = {"maxDepth": 2, "maxProperties": 3, "maxStringLength": 4, "maxFrames": 5}
    ids = [
        agent.set_tracepoint(
            file, line, rate_limit={"limitPerSecond": 5}, snapshot=limits, watch=["n"], **common
        ),
        agent.add(
            Probe(
                file,
                line,
                condition="n > 1",
                tags=("a",),
                max_hits=3,
                expire_seconds=None,
                enabled=False,
                rate_limit=RateLimit(5, 1),
                snapshot=CaptureLimits(2, 3, 4, 5),
                watch=("n",),
            )
        ),
        agent.add(
            {
                "type": "tracepoint",
                "file": file,
                "line": line,
                "condition": "n > 1",
                "tags": ["a"],
                "maxHits": 3,
                "expireSeconds": None,
                "enabled": False,
                "rateLimit": {"limitPerSecond": 5},
                "snapshot": limits,
                "watch": ["n"],
            }
        ),
    ]
    points = [{**ok(live.api.get(f"/points/{id}")), "id": "", "created": ""} for id in ids]
    assert points[0] == points[1] == points[2]
    assert points[0]["rateLimit"] == {"limitPerSecond": 5, "burst": 1}
    assert agent.points() == ok(live.api.get("/points"))["points"]


def test_logpoints_by_every_way(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """A Probe with a message is a logpoint; a Path is a file; ids may be chosen."""
    live = live_with()
    agent, program = live.agent, target(WORK)
    line = program.line("work")
    first = agent.set_logpoint(str(program.path), line, "n={n}", level="WARN", id="chosen")
    second = agent.add(Probe(file=str(program.path), line=line, message="n={n}", level="WARN"))
    third = agent.set_logpoint(program.path, line, "n={n}", level="WARN")
    fourth = agent.add(
        Probe(
            id="p", type=ProbeType.LOGPOINT, file=str(program.path), line=line, message="n={n}", level="WARN"
        )
    )
    assert (first, fourth) == ("chosen", "p")
    shown = [
        {**ok(live.api.get(f"/points/{id}")), "id": "", "created": ""}
        for id in (first, second, third, fourth)
    ]
    assert shown[0] == shown[1] == shown[2] == shown[3]
    assert (shown[0]["type"], shown[0]["level"]) == ("logpoint", "WARN")
    assert program.work(1) == 2
    assert [hit["message"] for hit in live.hits()] == ["n=1"] * 4


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/tracepoints", {"maxHit": 3}, "UnknownField"),
        ("/tracepoints", {"message": "x"}, "UnknownField"),
        ("/tracepoints", {"rateLimit": {"limit_per_second": 5}}, "UnknownField"),
        ("/tracepoints", {"snapshot": {"maxDepth": 11}}, "InvalidField"),
        ("/tracepoints", {"line": 0}, "InvalidLine"),
        ("/tracepoints", {"line": 999}, "LineNotExecutable"),
        ("/tracepoints", {"line": "2"}, "InvalidField"),
        ("/tracepoints", {"file": "no/such/file.py"}, "FileNotFound"),
        ("/tracepoints", {"condition": "n = 1"}, "InvalidCondition"),
        ("/tracepoints", {"watch": ["("]}, "InvalidWatch"),
        ("/tracepoints", {"id": "taken"}, "DuplicateId"),
        ("/tracepoints", {"type": "logpoint"}, "InvalidField"),
        ("/logpoints", {"message": "{"}, "InvalidMessage"),
        ("/logpoints", {"message": "x", "snapshot": {}}, "UnknownField"),
        ("/logpoints", {"message": "x", "level": "warn"}, "InvalidField"),
        ("/tracepoints", {"file": threading.__file__, "line": 1}, "ForbiddenFile"),
    ],
)
def test_errors_are_the_apis(
    live_with: Callable[..., Live], target: TargetMaker, path: str, body: Dict[str, Any], error: str
) -> None:
    """Each refusal has the API's code, details and sentence, as an exception of its own class."""
    live, program = live_with(), target(WORK)
    agent = live.agent
    agent.set_tracepoint(str(program.path), program.line("work"), id="taken")
    sent = {"file": str(program.path), "line": program.line("work"), **body}
    answer = live.api.post(path, sent)
    snake = {"maxHit": "max_hit", "rateLimit": "rate_limit"}
    keywords = {snake.get(name, name): value for name, value in sent.items()}
    call: Callable[..., str] = agent.set_tracepoint if path == "/tracepoints" else agent.set_logpoint
    with pytest.raises(getattr(otel_tracepoints, error)) as caught:
        call(**keywords)
    assert isinstance(caught.value, otel_tracepoints.TracepointsError)
    assert isinstance(caught.value, otel_tracepoints.InvalidProbe) or error == "DuplicateId"
    refusal = {"error": caught.value.message, "code": caught.value.code, "details": caught.value.details}
    assert refusal == answer.json


def test_a_probe_object_is_validated_too(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """What a Probe holds wrongly is refused with the API's errors, never lost in silence."""
    agent, program = live_with().agent, target(WORK)
    file, line = str(program.path), program.line("work")
    wrong: List[Any] = [
        (Probe(file, line, type=ProbeType.TRACEPOINT, message="x"), "UNKNOWN_FIELD"),
        (Probe(file, line, type=ProbeType.LOGPOINT), "INVALID_FIELD"),
        (Probe(file, line, message="x", watch=("n",)), "UNKNOWN_FIELD"),
        (Probe(file, 0), "INVALID_LINE"),
        (Probe(file, line, max_hits=0), "INVALID_FIELD"),
        (Probe(file, line, rate_limit="fast"), "INVALID_FIELD"),  # type: ignore[arg-type]
        (Probe(file, line, condition="("), "INVALID_CONDITION"),
        (Probe(file, line, id="not a good id"), "INVALID_FIELD"),
        ({"file": file}, "INVALID_FIELD"),
        ("no mapping", "INVALID_FIELD"),
    ]
    for probe, code in wrong:
        with pytest.raises(otel_tracepoints.InvalidProbe) as caught:
            agent.add(probe)
        assert caught.value.code == code, probe
    assert agent.points() == []


def test_enable_disable_and_remove(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """Points are switched and removed by id; an unknown id is PointNotFound."""
    live, program = live_with(), target(WORK)
    agent = live.agent
    id = agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    agent.disable(id)
    agent.disable(id)
    program.work(1)
    assert agent.points()[0]["state"] == "disabled"
    agent.enable(id)
    program.work(2)
    assert [hit["message"] for hit in live.hits()] == ["2"]
    agent.remove(id)
    for call in (agent.remove, agent.enable, agent.disable):
        with pytest.raises(otel_tracepoints.PointNotFound) as caught:
            call(id)
        answer = live.api.get(f"/points/{id}").json
        assert (caught.value.code, caught.value.details) == (answer["code"], answer["details"])


# -- Status, sleep, wake -----------------------------------------------------------------------


def test_status_is_what_health_answers(live_with: Callable[..., Live]) -> None:
    """``status()`` and ``GET /health`` are one answer (but for the seconds between them)."""
    live = live_with()
    live.sink.wait_for(lambda: otel_tracepoints.status()["eventSink"]["connected"])
    shown = ok(live.api.get("/health"))
    assert {**otel_tracepoints.status(), "uptime": 0} == {**shown, "uptime": 0}
    assert {**live.agent.status(), "uptime": 0} == {**shown, "uptime": 0}


def test_sleep_and_wake(live: Live, target: TargetMaker) -> None:
    """Asleep nothing fires and counts stay; points set meanwhile are placed on waking; both are idempotent."""
    program = target(WORK)
    file, line = str(program.path), program.line("work")
    early = live.agent.set_logpoint(file, line, "early {n}", rate_limit=WIDE_OPEN)
    program.work(1)
    begin = time.monotonic()
    otel_tracepoints.sleep()
    assert time.monotonic() - begin < 1.0
    otel_tracepoints.sleep()
    assert ok(live.api.get("/health"))["state"] == otel_tracepoints.status()["state"] == "sleeping"
    program.work(2)
    late = live.agent.set_logpoint(file, line, "late {n}", rate_limit=WIDE_OPEN)
    program.work(3)
    assert [point["hitCount"] for point in live.agent.points()] == [1, 0]
    otel_tracepoints.wake()
    otel_tracepoints.wake()
    program.work(4)
    assert [hit["message"] for hit in live.hits()] == ["early 1", "early 4", "late 4"]
    assert {point["id"]: point["hitCount"] for point in live.agent.points()} == {early: 2, late: 1}
    assert ok(live.api.post("/sleep")) == {"state": "sleeping"}
    assert otel_tracepoints.status()["state"] == "sleeping"


def test_a_start_asleep(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """DEBUGIN_START_STATE=sleeping: probes are kept, and placed on waking."""
    live, program = live_with(start_state="sleeping"), target(WORK)
    live.agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    program.work(1)
    assert otel_tracepoints.status()["state"] == "sleeping"
    otel_tracepoints.wake()
    program.work(2)
    assert [hit["message"] for hit in live.hits()] == ["2"]
