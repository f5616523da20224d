"""A second probe in code that is watched already, and that threads are running at that moment."""

from __future__ import annotations

import threading
from typing import Iterator, List

import pytest
from tests.support.codes import Program
from tests.support.engines import MECHANISMS, engine_of, name_of

from otel_tracepoints.engine.base import Engine

THREADS = 3


@pytest.fixture(params=MECHANISMS, ids=name_of)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each mechanism of this interpreter."""
    made = engine_of(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("tag", ["same", "other"])
def test_a_second_probe_is_hit_at_once_in_code_that_runs(engine: Engine, tag: str) -> None:
    """On a line that has a probe and has been hit, or on another line of its function: the next arrival in every thread that is in there already counts for both."""
    program = Program(
        """
        def f(wait):
            while wait():
                x = 1  # TAG: same
                x = 2  # TAG: other
        """
    )
    function = program.run()["f"]
    go, there = threading.Barrier(THREADS + 1), threading.Barrier(THREADS + 1)
    rounds: List[bool] = []

    def wait() -> bool:
        there.wait(10)
        go.wait(10)
        return rounds[-1]

    def a_round(more: bool = True) -> None:
        rounds.append(more)
        go.wait(10)
        if more:
            there.wait(10)

    first: List[int] = []
    second: List[int] = []
    threads = [threading.Thread(target=function, args=(wait,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    there.wait(10)
    try:
        engine.install("first", program.sites("same"), program.tags["same"], lambda frame: first.append(1))
        a_round()
        a_round()
        assert len(first) == 2 * THREADS
        engine.install("second", program.sites(tag), program.tags[tag], lambda frame: second.append(1))
        a_round()
        assert (len(first), len(second)) == (3 * THREADS, THREADS)
        engine.remove("second")
        a_round()
        engine.install("second", program.sites(tag), program.tags[tag], lambda frame: second.append(1))
        a_round()
        assert (len(first), len(second)) == (5 * THREADS, 2 * THREADS)
    finally:
        a_round(more=False)
        for thread in threads:
            thread.join()
