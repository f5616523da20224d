"""What keeps a hit cheap and rare: token bucket, hit budget, pause clock, governor.

All of it runs on the hit path, so nothing here takes a lock: a hit inside a signal handler or
a finaliser may interrupt another hit of the same thread at any instruction. Exactness comes
from two operations that no thread can tear apart, with and without the GIL:
``next(itertools.count())`` and ``list.pop()`` (``x += 1`` loses counts).

Every clock is injected, so tests never sleep.
"""

from __future__ import annotations

import itertools
import time
from itertools import islice, starmap
from typing import TYPE_CHECKING, Callable, Final, List, Optional, Tuple

from otel_tracepoints.model import RateLimit

#: Makes ``starmap`` call once, without arguments.
_ONCE = ((),)

Clock = Callable[[], float]
ClockNs = Callable[[], int]


if TYPE_CHECKING:
    _Numbers = itertools.count[int]
else:
    _Numbers = itertools.count


class Count(_Numbers):
    """A counter that many threads may raise at once, without losing one: ``next`` does.

    ``itertools.count`` gives out each number once. Its value can be read without raising it
    only through its ``repr``: pickling of iterators is gone in 3.14.
    """

    __slots__ = ()

    #: Raises the counter by one; answers what it was before. ``next`` is faster.
    take: Callable[[], int] = itertools.count.__next__  # type: ignore[assignment] # a method of it

    @property
    def value(self) -> int:
        """How often it was raised."""
        return _upcoming(self)


def _upcoming(numbers: itertools.count[int]) -> int:
    return int(repr(numbers).partition("(")[2][:-1])


class TokenBucket:
    """At most ``burst`` hits at once and ``limit_per_second`` in the long run.

    The state is one immutable pair ``(when, taken)``: at that moment the bucket was full and so
    many tokens had been taken. A token is a number from a counter; it is good if fewer than
    ``burst + rate × elapsed`` were taken since. Racing writers each store a pair that was true,
    so the bucket never gives out too many; a lost race costs at most that one token.
    """

    __slots__ = ("_burst", "_clock", "_full", "_rate", "_seen", "_tokens", "dry_until")

    def __init__(self, limit: RateLimit, clock: Clock = time.monotonic) -> None:
        self._rate = float(limit.limit_per_second)
        self._burst = int(limit.burst)
        self._clock = clock
        self._tokens = Count()
        #: Tokens taken, as far as is known: may lag behind, never ahead.
        self._seen = 0
        self._full: Tuple[float, int] = (clock(), 0)
        #: Before this moment of its clock there is no token: a caller in a hurry need not ask.
        self.dry_until = float("-inf")

    def take(self) -> bool:
        """One token, if there is one."""
        now = self._clock()
        since, taken = self._full
        refill = (now - since) * self._rate
        used = self._seen - taken
        if refill >= used:  # full again: tokens saved up beyond the burst are lost
            taken += used
            self._full = (now, taken)
            refill = 0.0
            used = 0
        missing = used + 1 - self._burst - refill
        if missing > 0:
            self.dry_until = now + missing / self._rate
            return False
        token = next(self._tokens)
        self._seen = token + 1
        return token - taken < self._burst + refill


class HitBudget:
    """``max_hits`` exact across threads: a hit takes a ticket, and gives it back if nothing came of it.

    A ticket is always in a list: of the hit that holds it, or of those that were given back. One
    call in C puts it there, so what a signal's handler raises in between finds it in one of them.
    """

    __slots__ = ("_limit", "_next", "_returned", "exhausted", "limited")

    def __init__(self, limit: Optional[int], used: int = 0) -> None:
        self._limit: Final = limit
        self.limited: Final = limit is not None
        self._next = itertools.count(used)
        self._returned: List[int] = []
        #: True once the last ticket is taken; arrivals after that are not counted.
        self.exhausted = limit is not None and used >= limit

    def take(self, held: List[int]) -> bool:
        """One ticket into ``held``, an empty list; False if there is none."""
        limit = self._limit
        if limit is None:
            return True
        if self._returned:
            try:
                held.extend(starmap(self._returned.pop, _ONCE))
            except IndexError:
                pass  # another thread had it
            else:
                self._note_whether_over(limit)
                return True
        held.extend(islice(self._next, 1))
        if held[0] + 1 >= limit:
            self._note_whether_over(limit)
        if held[0] < limit:
            return True
        held.clear()
        return False

    def give_back(self, held: List[int]) -> None:
        """The hit was not emitted after all: another may have its ticket. Twice is as good as once."""
        limit = self._limit
        if limit is not None:
            if held and held[0] < limit:
                self._returned.extend(starmap(held.pop, _ONCE))
            self._note_whether_over(limit)

    def _note_whether_over(self, limit: int) -> None:
        over = not self._returned and _upcoming(self._next) >= limit
        self.exhausted = over
        if over and self._returned:  # given back at this moment, by a thread that had seen it False
            self.exhausted = False


class PauseClock:
    """How long one hit may hold up its thread; the capture asks as it goes.

    The thread's own CPU time is what is measured: waiting for the GIL or for a processor is
    not the agent's doing. Reading that clock takes ten times as long as reading the time of day, so
    a hit's first moments are taken for CPU time, whatever they were, and most hits end in them.
    """

    #: From then on the CPU clock is read. A snapshot of ten variables takes about half of it.
    GRACE_NS = 200_000
    #: What of the time before is taken for CPU time at most: whoever asks may be late.
    CHARGED_NS = 2 * GRACE_NS

    __slots__ = ("_cpu", "_limit", "_spent_before", "_started", "_wall")

    def __init__(
        self, limit_ns: int, cpu: ClockNs = time.thread_time_ns, wall: ClockNs = time.monotonic_ns
    ) -> None:
        self._limit = limit_ns
        self._cpu = cpu
        self._wall = wall
        #: What the CPU clock showed when the hit began, as far as is known.
        self._spent_before: Optional[int] = None
        self._started = wall()

    def expired(self) -> bool:
        """Whether the hit has used up its time; never with a limit of 0."""
        return self._limit > 0 and self.elapsed_ns() > self._limit

    def left_ns(self) -> Optional[int]:
        """Nanoseconds that the hit still has, at least 0; None with a limit of 0."""
        return max(0, self._limit - self.elapsed_ns()) if self._limit > 0 else None

    def elapsed_ns(self) -> int:
        """Nanoseconds that the hit has taken of the thread's time."""
        before = self._spent_before
        if before is None:
            passed = self._wall() - self._started
            if passed <= self.GRACE_NS:
                return passed
            self._spent_before = before = self._cpu() - min(passed, self.CHARGED_NS)
        return self._cpu() - before


class Governor:
    """All hits together may take at most a share of the process's CPU time.

    A bucket of nanoseconds: it fills with ``percent`` of what the process spends, and holds
    ``BURST_NS`` to begin with and at most, so that a short burst of hits, or a process that
    has just started, is not cut off. When it is empty, captures are left out (``overBudget``). While
    it is more than half full nobody looks at the clock, which would cost each hit half a microsecond.
    """

    #: Half a second of hits may be saved up: some thousand snapshots.
    BURST_NS = 500_000_000

    __slots__ = ("_credit", "_process_clock", "_seen", "_share")

    def __init__(self, percent: float, process_clock: ClockNs = time.process_time_ns) -> None:
        self._share = None if percent >= 100 else percent / 100.0
        self._process_clock = process_clock
        self._seen = process_clock()
        self._credit = float(self.BURST_NS)

    def allows(self) -> bool:
        """Whether a hit may be captured now."""
        share = self._share
        if share is None or self._credit > self.BURST_NS // 2:
            return True
        # Two threads here at once may both add the same stretch of time, or lose one: the
        # credit is a measure, not an account, and is capped either way.
        now = self._process_clock()
        elapsed, self._seen = now - self._seen, now
        if elapsed > 0:
            self._credit = min(float(self.BURST_NS), self._credit + elapsed * share)
        return self._credit > 0

    def spend(self, nanoseconds: int) -> None:
        """A hit took so long."""
        self._credit -= nanoseconds
