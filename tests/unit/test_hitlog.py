"""The memory of the last hits: sequence, paging, long polls (``GET /hits``)."""

from __future__ import annotations

import threading
import time

import pytest
from tests.support.snapshots import logpoint, tracepoint

from otel_tracepoints.emission.hitlog import HitLog, describe, rfc3339
from otel_tracepoints.model import StackFrame, TraceContext, WatchValue


def log_of(count, capacity=1000, points=("tp",)):
    log = HitLog(capacity)
    log.record(tracepoint(points[index % len(points)]) for index in range(count))
    return log


def sequences(page):
    return [hit["sequence"] for hit in page.hits]


def test_without_after_the_last_ones_are_given_ascending():
    """Without ``after`` a page holds the last ``limit`` hits, oldest first."""
    page = log_of(10).read(None, 3, 0, None)
    assert (sequences(page), page.next, page.missed) == ([8, 9, 10], 10, 0)


def test_after_gives_the_first_ones_that_follow():
    """With ``after`` a page holds the first ``limit`` hits that follow, so that none is skipped."""
    page = log_of(10).read(4, 3, 0, None)
    assert (sequences(page), page.next, page.missed) == ([5, 6, 7], 7, 0)


@pytest.mark.parametrize(("after", "next_"), [(None, 0), (0, 0), (7, 7)])
def test_next_stays_where_it_was_when_there_is_nothing(after, next_):
    """``next`` is ``after`` again, or 0 at the start, when no hit was given."""
    page = HitLog().read(after, 100, 0, None)
    assert (page.hits, page.next, page.missed) == ([], next_, 0)


def test_a_page_of_one_point_is_as_long_as_asked_for():
    """The last, or the first, ``limit`` hits of the probe, whatever hits of others lie between."""
    log = log_of(10, points=("a", "b"))
    assert sequences(log.read(None, 2, 0, "b")) == [8, 10]
    assert sequences(log.read(2, 2, 0, "b")) == [4, 6]
    assert sequences(log.read(None, 1, 0, None)) == [10]


def test_forgotten_hits_are_counted_as_missed():
    """``missed`` counts the hits after ``after`` that the bounded memory has dropped."""
    log = log_of(1003)
    assert sequences(log.read(1, 2, 0, None)) == [4, 5]
    assert [log.read(after, 1, 0, None).missed for after in (0, 1, 3, 4)] == [3, 2, 0, 0]


def test_a_thousand_hits_are_remembered():
    """Exactly the last 1 000 hits can be read back."""
    assert sequences(log_of(1500).read(None, 1000, 0, None)) == list(range(501, 1501))


def test_a_point_filters_but_does_not_renumber():
    """Asked for one probe, the sequence is still that of the process."""
    page = log_of(6, points=("a", "b")).read(1, 100, 0, "b")
    assert (sequences(page), page.next) == ([2, 4, 6], 6)


def test_a_long_poll_ends_with_the_first_hit():
    """A reader that waits gets the hit when it comes, not when its time is over."""
    log = log_of(2)
    pages = []
    reader = threading.Thread(target=lambda: pages.append(log.read(2, 100, 20, None)))
    reader.start()
    log.record([tracepoint("other")])
    reader.join(5)
    assert not reader.is_alive()
    assert sequences(pages[0]) == [3]


def test_a_long_poll_for_one_point_is_not_ended_by_another():
    """A filtered long poll waits for its own probe."""
    log = HitLog()
    pages = []
    reader = threading.Thread(target=lambda: pages.append(log.read(0, 100, 20, "mine")))
    reader.start()
    log.record([tracepoint("other")])
    log.record([tracepoint("mine")])
    reader.join(5)
    assert [hit["point"] for hit in pages[0].hits] == ["mine"]


def test_a_long_poll_without_a_hit_ends_in_time():
    """A long poll in vain answers an empty page after ``wait`` seconds."""
    begin = time.monotonic()
    assert HitLog().read(0, 100, 0.05, None).hits == []
    assert 0.05 <= time.monotonic() - begin < 5


def test_closing_sends_readers_home():
    """A reader does not hold up the end of the agent."""
    log = HitLog()
    reader = threading.Thread(target=lambda: log.read(0, 100, 60, None))
    reader.start()
    log.close()
    reader.join(5)
    assert not reader.is_alive()


def test_a_tracepoint_in_the_api():
    """A tracepoint's hit has exactly the members that control-api.md lists."""
    hit = tracepoint(
        timestamp_ns=1_795_168_800_123_456_789,
        variables={"n": 1},
        watches=[WatchValue("n", 1)],
        stack=[StackFrame("/a.py", 1, "f")],
        trace=TraceContext(0xAB, 0xCD, 1),
        truncated=True,
        sequence=5,
    )
    assert describe(hit) == {
        "sequence": 5,
        "timestamp": "2026-11-20T10:00:00.123Z",
        "point": "tp",
        "type": "tracepoint",
        "file": "/srv/shop/cart.py",
        "line": 42,
        "function": "shop.cart.total",
        "variables": {"n": 1},
        "watches": [{"expression": "n", "value": 1}],
        "stack": [{"file": "/a.py", "line": 1, "function": "f"}],
        "truncated": True,
        "trace": {"traceId": "000000000000000000000000000000ab", "spanId": "00000000000000cd"},
        "thread": {"id": 7, "name": "worker-7"},
    }


def test_a_logpoint_in_the_api():
    """A logpoint's hit has message and fields instead of variables, watches and stack."""
    shown = describe(logpoint(message="n is 1", fields=[1]))
    assert (shown["message"], shown["fields"], shown["trace"]) == ("n is 1", [1], None)
    assert not {"variables", "watches", "stack"} & set(shown)


def test_timestamps_are_utc_with_milliseconds():
    """Nanoseconds are cut, not rounded, to milliseconds, and the zone is Z."""
    assert rfc3339(999_999) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_999_999_999) == "1970-01-01T00:00:01.999Z"
