"""Token bucket, hit budget, pause clock and governor, on clocks that tests turn by hand."""

from __future__ import annotations

import threading
from typing import Callable, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracepoints.limits import Count, Governor, HitBudget, PauseClock, TokenBucket
from otel_tracepoints.model import RateLimit


class FakeClock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeClockNs:
    """The same in nanoseconds."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_count_loses_nothing_across_threads() -> None:
    """Eight threads raise a counter 5 000 times each and it says 40 000."""
    count = Count()
    in_threads(8, lambda: [count.take() for _ in range(5000)] and None)
    assert count.value == 40_000


def test_bucket_gives_its_burst_then_refuses() -> None:
    """A fresh bucket gives exactly its burst at one moment."""
    bucket = TokenBucket(RateLimit(10, 3), FakeClock())
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]


def test_bucket_refills_at_its_rate() -> None:
    """After the burst, one token comes back each 1/rate second."""
    clock = FakeClock()
    bucket = TokenBucket(RateLimit(2, 1), clock)
    assert bucket.take()
    clock.now = 0.4
    assert not bucket.take()
    clock.now = 0.5
    assert bucket.take()
    assert not bucket.take()


def test_bucket_saves_no_more_than_its_burst() -> None:
    """A long quiet time earns the burst, not more."""
    clock = FakeClock()
    bucket = TokenBucket(RateLimit(100, 2), clock)
    assert bucket.take()
    clock.now = 3600
    assert [bucket.take() for _ in range(4)] == [True, True, False, False]


@given(
    rate=st.floats(0.01, 1e9),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 10), max_size=200),
)
def test_bucket_never_exceeds_rate_and_burst(rate: float, burst: int, steps: List[float]) -> None:
    """In any stretch of time at most burst + rate × time tokens are given, and no more than asked."""
    clock = FakeClock()
    bucket = TokenBucket(RateLimit(rate, burst), clock)
    given_at: List[float] = []
    for step in steps:
        clock.now += step
        if bucket.take():
            given_at.append(clock.now)
        else:
            assert given_at
    for first, start in enumerate(given_at):
        for last in range(first, len(given_at)):
            allowed = burst + rate * (given_at[last] - start)
            # The bucket's own sum began at some time before: it is as exact as all since then.
            rounding = rate * given_at[last] * 2**-50
            assert last - first + 1 <= allowed * (1 + 1e-9) + rounding + 1e-6


@given(rate=st.floats(0.01, 1e6), burst=st.integers(1, 50), steps=st.lists(st.floats(0, 10), max_size=50))
def test_a_dry_bucket_says_until_when(rate: float, burst: int, steps: List[float]) -> None:
    """Until then it refuses, and then it has a token."""
    clock = FakeClock()
    bucket = TokenBucket(RateLimit(rate, burst), clock)
    for step in steps:
        clock.now += step
        while bucket.take():
            pass
        now = clock.now
        assert bucket.dry_until > now
        clock.now = now + (bucket.dry_until - now) * 0.99
        assert not bucket.take()
        clock.now = bucket.dry_until + rate**-1 * 1e-3
        assert bucket.take()


def test_bucket_is_exact_under_threads() -> None:
    """Eight threads at a standing clock get the burst and not one token more."""
    bucket = TokenBucket(RateLimit(1, 1000), FakeClock())
    taken: List[int] = []
    in_threads(8, lambda: taken.extend(1 for _ in range(1000) if bucket.take()))
    assert 990 <= len(taken) <= 1000


def test_wide_open_bucket_refuses_nobody() -> None:
    """With the largest limits eight threads are never refused."""
    bucket = TokenBucket(RateLimit(1e9, 10**9))
    refused: List[int] = []
    in_threads(8, lambda: refused.extend(1 for _ in range(2000) if not bucket.take()))
    assert refused == []


def test_budget_is_exact_across_threads() -> None:
    """A budget of 3 lets exactly 3 hits through whichever threads ask."""
    budget = HitBudget(3)
    taken: List[int] = []
    in_threads(8, lambda: taken.extend(1 for _ in range(500) if budget.take([])))
    assert len(taken) == 3
    assert budget.exhausted


def test_budget_ticket_given_back_is_used_again() -> None:
    """A hit that was not emitted leaves its ticket to the next."""
    budget = HitBudget(1)
    ticket: List[int] = []
    assert budget.take(ticket)
    assert budget.exhausted
    budget.give_back(ticket)
    assert (ticket, budget.exhausted) == ([], False)
    budget.give_back(ticket)
    assert budget.take([])
    assert budget.exhausted
    refused: List[int] = []
    assert not budget.take(refused)
    budget.give_back(refused)
    assert budget.exhausted


def test_budget_is_neither_overdrawn_nor_stuck_when_tickets_come_back() -> None:
    """Eight threads that give most tickets back use up exactly as many as there are, and all of them."""
    budget = HitBudget(40)
    used: List[int] = []

    def hits() -> None:
        for attempt in range(4000):
            ticket: List[int] = []
            if not budget.exhausted and budget.take(ticket):
                if attempt % 50:
                    budget.give_back(ticket)
                else:
                    used.append(ticket[0])

    in_threads(8, hits)
    while not budget.exhausted:
        ticket: List[int] = []
        assert budget.take(ticket)
        used.extend(ticket)
    assert sorted(used) == list(range(40))


@pytest.mark.parametrize(("used", "left"), [(0, 2), (1, 1), (2, 0), (5, 0)])
def test_budget_remembers_hits_of_before(used: int, left: int) -> None:
    """A budget set on a probe that has hits already counts those."""
    budget = HitBudget(2, used)
    assert sum(budget.take([]) for _ in range(4)) == left
    assert budget.exhausted


def test_no_budget_is_never_exhausted() -> None:
    """Without a limit every hit passes."""
    budget = HitBudget(None)
    assert all(budget.take([]) for _ in range(100))
    assert not budget.exhausted


class Times:
    """A thread that works and waits."""

    def __init__(self) -> None:
        self.spent = FakeClockNs()
        self.shown = FakeClockNs()

    def work(self, nanoseconds: int) -> None:
        self.spent.now += nanoseconds
        self.shown.now += nanoseconds

    def wait(self, nanoseconds: int) -> None:
        self.shown.now += nanoseconds


GRACE = PauseClock.GRACE_NS


def test_pause_clock_expires_after_its_limit() -> None:
    """The clock says expired once the thread has spent more than the limit, not before."""
    times = Times()
    pause = PauseClock(5_000_000, times.spent, times.shown)
    for step in (GRACE, 1, 5_000_000 - GRACE - 1):
        times.work(step)
        assert not pause.expired()
    assert pause.left_ns() == 0
    times.work(1)
    assert pause.expired()
    assert pause.elapsed_ns() == 5_000_001


def test_waiting_does_not_count() -> None:
    """For a processor or another thread; but for the first moments of a hit, in which nobody asks for whom."""
    times = Times()
    pause = PauseClock(5_000_000, times.spent, times.shown)
    times.wait(10**12)
    assert not pause.expired()
    assert pause.elapsed_ns() == PauseClock.CHARGED_NS
    times.wait(10**12)
    times.work(5_000_000 - PauseClock.CHARGED_NS)
    assert not pause.expired()
    times.work(1)
    assert pause.expired()


@pytest.mark.parametrize("limit", [1, GRACE // 2, GRACE, 2 * GRACE])
def test_a_short_limit_holds_too(limit: int) -> None:
    """From the second question on, if the first comes late."""
    times = Times()
    pause = PauseClock(limit, times.spent, times.shown)
    times.work(limit)
    assert not pause.expired()
    times.work(1)
    assert pause.expired()
    late = PauseClock(limit, times.spent, times.shown)
    times.work(10 * GRACE)
    late.expired()
    times.work(limit)
    assert late.expired()


def test_pause_clock_of_zero_never_expires() -> None:
    """A limit of 0 is no cap."""
    times = Times()
    pause = PauseClock(0, times.spent, times.shown)
    times.work(10**15)
    assert not pause.expired()
    assert pause.left_ns() is None


def test_governor_stops_captures_beyond_the_share() -> None:
    """When hits have used up the burst, captures wait until the process has earned more."""
    clock = FakeClockNs()
    governor = Governor(2, clock)
    assert governor.allows()
    governor.spend(Governor.BURST_NS)
    assert not governor.allows()
    clock.now += 1_000_000
    assert governor.allows()


def test_governor_loses_no_time_that_it_did_not_look_at() -> None:
    """What the process spent while there was credit enough is earned all the same."""
    clock = FakeClockNs()
    governor = Governor(2, clock)
    governor.spend(Governor.BURST_NS * 4 // 10)
    clock.now += 10_000_000_000  # earns 40 % of the burst
    assert governor.allows()
    governor.spend(Governor.BURST_NS * 7 // 10)
    assert governor.allows()
    governor.spend(Governor.BURST_NS * 4 // 10)
    assert not governor.allows()


def test_governor_at_100_percent_has_no_limit() -> None:
    """100 means no limit."""
    governor = Governor(100, FakeClockNs())
    governor.spend(10**15)
    assert governor.allows()
