"""The one thread that looks at the clock."""

from __future__ import annotations

import queue
import threading
import time
from typing import List, Optional, Set

from otel_tracepoints.timekeeper import Timekeeper


def test_poked_ids_arrive_in_one_round() -> None:
    """What is poked before a round starts is handed to it; a poke wakes a sleeping keeper."""
    rounds: queue.Queue[Set[str]] = queue.Queue()

    def work(poked: Set[str]) -> Optional[float]:
        rounds.put(poked)
        return None

    keeper = Timekeeper(work)
    keeper.start()
    try:
        assert rounds.get(timeout=5) == set()
        keeper.poke("a")
        assert rounds.get(timeout=5) == {"a"}
    finally:
        keeper.stop()


def test_runs_again_when_it_asked_to() -> None:
    """A round that answers a delay is followed by another after that time."""
    started: List[float] = []
    enough = threading.Event()

    def work(_: Set[str]) -> Optional[float]:
        started.append(time.monotonic())
        if len(started) == 3:
            enough.set()
            return None
        return 0.02

    keeper = Timekeeper(work)
    keeper.start()
    try:
        assert enough.wait(5)
        assert started[2] - started[0] >= 0.04
    finally:
        keeper.stop()


def test_a_failing_round_is_tried_again(caplog: object) -> None:
    """A round that raises is logged, and does not end the thread."""
    rounds: queue.Queue[Set[str]] = queue.Queue()
    failures = [RuntimeError("once")]

    def work(poked: Set[str]) -> Optional[float]:
        if failures:
            raise failures.pop()
        rounds.put(poked)
        return None

    keeper = Timekeeper(work)
    keeper.start()
    try:
        keeper.poke("a")
        assert rounds.get(timeout=5) is not None
    finally:
        keeper.stop()


def test_stops_and_starts_again() -> None:
    """After stop() the thread is gone; start() makes a new one; stopping twice is fine."""
    ran = threading.Semaphore(0)

    def work(_: Set[str]) -> Optional[float]:
        ran.release()
        return None

    keeper = Timekeeper(work)
    for _ in range(2):
        keeper.start()
        assert ran.acquire(timeout=5)
        keeper.stop()
        assert not [t for t in threading.enumerate() if t.name == "otel-tracepoints-timekeeper"]
    keeper.stop()
