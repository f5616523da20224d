"""The one thread that looks at the clock."""

from __future__ import annotations

import queue
import threading
import time
from typing import Dict, List, Optional, Set

from otel_tracepoints.debugger.timekeeper import Agenda, Timekeeper

Delays = Dict[str, Optional[float]]


def test_poked_ids_arrive_in_one_round() -> None:
    """What is poked before a round starts is handed to it; a poke wakes a sleeping keeper."""
    rounds: queue.Queue[Set[str]] = queue.Queue()

    def work(ids: Set[str]) -> Delays:
        rounds.put(ids)
        return {}

    keeper = Timekeeper(work)
    keeper.poke("a")
    keeper.poke("b")
    keeper.start()
    try:
        assert rounds.get(timeout=5) == {"a", "b"}
        keeper.poke("a")
        assert rounds.get(timeout=5) == {"a"}
        assert rounds.empty()
    finally:
        keeper.stop()


def test_an_id_is_looked_at_again_when_it_asked_to() -> None:
    """An id that wants to be looked at in a while is, and no other with it."""
    started: List[float] = []
    enough = threading.Event()

    def work(ids: Set[str]) -> Delays:
        if ids == {"a", "b"}:
            return {"a": 0.02, "b": None}
        assert ids == {"a"}
        started.append(time.monotonic())
        if len(started) == 3:
            enough.set()
            return {"a": None}
        return {"a": 0.02}

    keeper = Timekeeper(work)
    keeper.poke("a")
    keeper.poke("b")
    keeper.start()
    try:
        assert enough.wait(5)
        assert started[2] - started[0] >= 0.04
    finally:
        keeper.stop()


def test_a_time_beyond_all_clocks_is_no_error() -> None:
    """An id that is due in 300 years keeps nobody from looking at another."""
    rounds: queue.Queue[Set[str]] = queue.Queue()

    def work(ids: Set[str]) -> Delays:
        rounds.put(ids)
        return dict.fromkeys(ids, 1e10)

    keeper = Timekeeper(work)
    keeper.start()
    try:
        for id in "ab":
            keeper.poke(id)
            assert rounds.get(timeout=5) == {id}
    finally:
        keeper.stop()


def test_a_failing_round_is_tried_again(caplog: object) -> None:
    """A round that raises is logged, does not end the thread, and is made up for."""
    rounds: queue.Queue[Set[str]] = queue.Queue()
    failures = [RuntimeError("once")]

    def work(ids: Set[str]) -> Delays:
        if failures:
            raise failures.pop()
        rounds.put(ids)
        return {}

    keeper = Timekeeper(work)
    keeper.start()
    try:
        keeper.poke("a")
        assert rounds.get(timeout=5) == {"a"}
    finally:
        keeper.stop()


def test_the_last_wish_of_an_id_is_the_one_that_counts() -> None:
    """A new time takes the place of the old one, None too; and what was replaced is not kept for ever."""
    now = [0.0]
    agenda = Agenda(lambda: now[0])
    agenda.note({"a": 5.0, "b": 1.0})
    agenda.note({"a": 9.0, "b": None})
    assert agenda.wait() == 9.0
    for second in range(10_000):
        agenda.note({"c": 20_000.0 - second})
    assert len(agenda._heap) < 1_000
    now[0] = 9.0
    assert agenda.take_due() == {"a"}
    assert agenda.take_due() == set()


def test_stops_and_starts_again() -> None:
    """After stop() the thread is gone; start() makes a new one; stopping twice is fine."""
    ran = threading.Semaphore(0)

    def work(_: Set[str]) -> Delays:
        ran.release()
        return {}

    keeper = Timekeeper(work)
    for _ in range(2):
        keeper.start()
        keeper.poke("a")
        assert ran.acquire(timeout=5)
        keeper.stop()
        assert not [t for t in threading.enumerate() if t.name == "otel-tracepoints-timekeeper"]
    keeper.stop()
