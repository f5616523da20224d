"""Conditions, rate limits, budgets, expiry: what makes a hit, and where each arrival is counted."""

from __future__ import annotations

import threading
import time
from typing import Any, Dict, List

import pytest
from tests.support.live import WIDE_OPEN, Live, TargetMaker, ok

LOOP = """
    def work(n):
        total = 0
        for i in range(n):
            total += i  # TAG: body
        return total  # TAG: end
"""


def test_condition_picks_the_one_hit(live: Live, target: TargetMaker) -> None:
    """99 false conditions and one true one make exactly one hit, and every arrival is counted."""
    program = target(LOOP)
    point = live.tracepoint(program, "body", condition="i == 57")
    assert program.work(100) == 4950
    assert live.counts(point) == {"conditionFalse": 99, "emitted": 1}
    (hit,) = live.hits(point)
    assert hit["variables"]["i"] == 57


def test_rate_limit_counts_only_true_conditions(live: Live, target: TargetMaker) -> None:
    """A false condition takes no token; what the bucket refuses is counted as rateLimited."""
    program = target(LOOP)
    point = live.tracepoint(
        program, "body", condition="i % 2 == 1", rateLimit={"limitPerSecond": 0.001, "burst": 3}
    )
    program.work(20)
    assert live.counts(point) == {"conditionFalse": 10, "emitted": 3, "rateLimited": 7}


def test_rate_limited_hits_do_not_use_the_hit_budget(live: Live, target: TargetMaker) -> None:
    """A hit that the rate limit dropped leaves maxHits as it was."""
    program = target(LOOP)
    point = live.tracepoint(program, "body", maxHits=5, rateLimit={"limitPerSecond": 0.001, "burst": 2})
    program.work(10)
    assert live.point(point)["state"] == "active"
    live.api.put(f"/points/{point['id']}", {"rateLimit": WIDE_OPEN})
    program.work(10)
    after = live.point(point)
    assert (after["hitCount"], after["state"]) == (5, "expired")


def test_dropped_hits_are_reported_with_their_number(live: Live, target: TargetMaker) -> None:
    """The records probe.error.rateLimit add up to the hits that were dropped."""
    program = target(LOOP)
    point = live.logpoint(program, "body", "{i}", rateLimit={"limitPerSecond": 0.001, "burst": 1})
    program.work(50)
    live.sink.wait_for(
        lambda: (
            sum(log["attributes"]["probe.dropped.count"] for log in live.logs("probe.error.rateLimit")) == 49
        )
    )
    (first, *_rest) = live.logs("probe.error.rateLimit")
    assert first["attributes"]["probe.id"] == point["id"]
    assert first["severity_text"] == "WARN"


def test_failing_condition_is_no_hit_and_is_told_once(live: Live, target: TargetMaker) -> None:
    """A condition that fails counts as conditionError, shows in `error`, and is reported once."""
    program = target(LOOP)
    point = live.tracepoint(program, "body", condition="missing > 1")
    program.work(30)
    assert live.counts(point) == {"conditionError": 30}
    assert live.hits(point) == []
    error = live.point(point)["error"]
    assert error["code"] == "UNKNOWN_NAME"
    assert {"error", "code", "details", "at"} == set(error)
    live.sink.wait_for(lambda: live.logs("probe.error.condition"))
    assert len(live.logs("probe.error.condition")) == 1


def test_new_condition_is_told_anew(live: Live, target: TargetMaker) -> None:
    """After an update of the condition its failure is reported again."""
    program = target(LOOP)
    point = live.tracepoint(program, "body", condition="missing > 1")
    program.work(1)
    live.api.put(f"/points/{point['id']}", {"condition": "absent > 1"})
    assert live.point(point)["error"] is None
    program.work(1)
    live.sink.wait_for(lambda: len(live.logs("probe.error.condition")) == 2)


def test_template_shows_failed_field_and_the_others(live: Live, target: TargetMaker) -> None:
    """A field that fails renders as `<CODE: text>`; the others still render."""
    program = target(LOOP)
    point = live.logpoint(program, "end", "n={n} {nobody} total={total:05d}")
    program.work(4)
    (hit,) = live.hits(point)
    assert hit["message"] == "n=4 <UNKNOWN_NAME: nobody> total=00006"
    assert live.point(point)["error"]["code"] == "UNKNOWN_NAME"


def test_hit_limit_is_exact_across_threads(live: Live, target: TargetMaker) -> None:
    """MaxHits 3 gives exactly 3 hits, whichever of 8 threads arrive."""
    program = target(LOOP)
    point = live.logpoint(program, "body", "{i}", maxHits=3)
    threads = [threading.Thread(target=program.work, args=(200,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = live.point(point)
    assert (after["hitCount"], after["state"]) == (3, "expired")
    assert len(live.hits(point)) == 3


def test_counts_are_exact_across_threads(live: Live, target: TargetMaker) -> None:
    """Arrivals from 8 threads are all counted, each in one outcome."""
    program = target(LOOP)
    point = live.logpoint(
        program, "body", "{i}", condition="i > 9", rateLimit={"limitPerSecond": 1, "burst": 1}
    )
    threads = [threading.Thread(target=program.work, args=(250,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = live.counts(point)
    assert sum(counts.values()) == 2000
    assert counts["conditionFalse"] == 80, counts


def wait_until_expired(live: Live, point: Dict[str, Any]) -> None:
    deadline = time.monotonic() + 5
    while live.point(point)["state"] != "expired":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_probe_expires_without_traffic(live: Live, target: TargetMaker) -> None:
    """When its time is over a probe is expired although nobody reached it, and its hook is gone."""
    program = target(LOOP)
    assert program.module
    point = live.tracepoint(program, "body", expireSeconds=0.2)
    assert live.point(point)["state"] == "active"
    wait_until_expired(live, point)
    program.work(5)
    assert live.counts(point) == {}


def test_an_expired_probe_does_not_fire(live: Live, target: TargetMaker) -> None:
    """From when it is said to have expired on; also if whoever takes its hook away is kept waiting."""
    program = target(LOOP)
    assert program.module
    point = live.tracepoint(program, "body", expireSeconds=0.2)
    hooks = live.agent._debugger._hooks
    with hooks.lock:
        wait_until_expired(live, point)
        program.work(5)
    assert live.counts(point) == {}
    ok(live.api.put(f"/points/{point['id']}", {"expireSeconds": 60}))
    program.work(5)
    assert live.counts(point) == {"emitted": 5}


def test_expired_probe_is_revived_by_a_new_limit_only(live: Live, target: TargetMaker) -> None:
    """Raising maxHits revives an expired probe, enabling it does not."""
    program = target(LOOP)
    point = live.tracepoint(program, "body", maxHits=1)
    program.work(3)
    assert live.point(point)["state"] == "expired"
    live.api.post(f"/points/{point['id']}/enable")
    assert live.point(point)["state"] == "expired"
    live.api.put(f"/points/{point['id']}", {"maxHits": 2})
    assert live.point(point)["state"] == "active"
    program.work(3)
    assert live.point(point)["hitCount"] == 2


def test_setting_the_expiry_counts_from_now(live: Live, target: TargetMaker) -> None:
    """An update that sends expireSeconds revives a probe whose time was over."""
    program = target(LOOP)
    assert program.module
    point = live.tracepoint(program, "body", expireSeconds=0.05)
    deadline = time.monotonic() + 5
    while live.point(point)["state"] != "expired":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    revived = ok(live.api.put(f"/points/{point['id']}", {"expireSeconds": 0.05 * 1000}))
    assert revived["state"] == "active"
    program.work(1)
    assert live.point(point)["hitCount"] == 1


def test_disabled_probe_sees_nothing(live: Live, target: TargetMaker) -> None:
    """Arrivals at a disabled probe are not counted; enabled again it goes on where it was."""
    program = target(LOOP)
    point = live.logpoint(program, "end", "{n}")
    program.work(1)
    live.api.post(f"/points/{point['id']}/disable")
    program.work(1)
    live.api.post(f"/points/{point['id']}/enable")
    program.work(1)
    assert live.counts(point) == {"emitted": 2}


def test_asleep_nothing_fires_and_definitions_stay(live: Live, target: TargetMaker) -> None:
    """POST /sleep takes every probe off; points set meanwhile are kept and fire after /wake."""
    program = target(LOOP)
    before = live.logpoint(program, "end", "{n}")
    assert ok(live.api.post("/sleep")) == {"state": "sleeping"}
    during = live.logpoint(program, "body", "{i}")
    program.work(2)
    assert live.counts(before) == {} and live.counts(during) == {}
    assert ok(live.api.get("/health"))["state"] == "sleeping"
    assert ok(live.api.post("/wake")) == {"state": "awake"}
    program.work(2)
    assert live.counts(before) == {"emitted": 1}
    assert live.counts(during) == {"emitted": 2}


def test_several_probes_on_one_line_each_have_their_hit(live: Live, target: TargetMaker) -> None:
    """Probes that share a line are independent, in whatever order they go."""
    program = target(LOOP)
    points = [live.logpoint(program, "end", f"{n} {{total}}") for n in range(3)]
    program.work(2)
    live.remove(points[1])
    program.work(2)
    assert [live.counts(point) for point in (points[0], points[2])] == [{"emitted": 2}, {"emitted": 2}]


def test_hit_inside_a_hit_is_counted_where_it_can_be_seen(live: Live, target: TargetMaker) -> None:
    """A finaliser that reaches the probe's line during a capture does not capture again, nor hang."""
    program = target(
        """
        import gc

        class Noisy:
            def __del__(self):
                touch()

        def touch():
            return 1  # TAG: touch

        def make(n):
            things = []
            for i in range(n):
                a, b = Noisy(), {}
                b["me"] = b
                b["noisy"] = a
                del a, b
                touch()
            return n
        """
    )
    point = live.tracepoint(program, "touch")
    program.make(300)
    import gc

    gc.collect()
    counts = live.counts(point)
    assert 300 <= sum(counts.values()) <= 600
    assert set(counts) <= {"emitted", "reentrant", "dropped"}


def test_hits_carry_their_ordinal_and_sequence(live: Live, target: TargetMaker) -> None:
    """Sequences ascend by one in the process; probe.hit.count ascends by one per probe."""
    program = target(LOOP)
    live.logpoint(program, "body", "{i}")
    live.logpoint(program, "end", "{total}")
    program.work(5)
    hits = live.hits()
    assert [hit["sequence"] for hit in hits] == list(range(1, 7))
    live.sink.wait_for(lambda: len(live.logs("probe.hit.logpoint")) == 6)
    by_probe: Dict[str, List[int]] = {}
    for log in live.logs("probe.hit.logpoint"):
        by_probe.setdefault(log["attributes"]["probe.id"], []).append(log["attributes"]["probe.hit.count"])
    assert sorted(map(sorted, by_probe.values())) == [[1], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize("path", ["/tracepoints", "/logpoints"])
def test_application_results_and_exceptions_are_unchanged(live: Live, target: TargetMaker, path: str) -> None:
    """With a probe on every line, results and raised exceptions are those of the plain program."""
    program = target(
        """
        def divide(a, b):
            try:
                result = a / b
            except ZeroDivisionError:
                result = None
                raise
            finally:
                done = True
            return result
        """
    )
    for entry in ok(live.api.get("/lines", {"file": str(program.path)}))["lines"]:
        body: Dict[str, Any] = {"file": str(program.path), "line": entry["line"], "rateLimit": WIDE_OPEN}
        if path == "/logpoints":
            body["message"] = "{a} {b}"
        assert live.api.post(path, body).status == 201
    assert program.divide(6, 3) == 2
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        program.divide(1, 0)
