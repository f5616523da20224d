"""Threads that make functions while their code is exchanged: each is hit from the moment that `install` returns."""

from __future__ import annotations

import random
import sys
import threading
import weakref
from types import FunctionType
from typing import Any, Dict, List, Tuple

import pytest
from tests.support.codes import Program

if sys.version_info >= (3, 12):
    pytest.skip("nothing is exchanged from 3.12 on", allow_module_level=True)

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.engine.injection import InjectionEngine

PROGRAM = """
def outer():
    def inner():
        x = 5  # TAG: first
        return x  # TAG: second
    return inner
"""
THREADS, ROUNDS, KEPT = 8, 10, 40


class Makers:
    """Threads that make closures and call them, new ones and old ones, as fast as they can.

    Of each four epochs the probe is away in the first and there in the third, and comes and goes in
    the others. A call that began and ended within one epoch must have hit, or must not have.
    """

    def __init__(self, outer: Any) -> None:
        self.outer = outer
        self.epoch = 0
        self.wrong: List[Tuple[int, str, int]] = []
        self.alive: List[Any] = []
        self.hits: Dict[int, int] = {}
        self.turns = [0] * THREADS
        self.over = False
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(THREADS)]

    def handler(self, frame: object) -> None:
        ident = threading.get_ident()
        self.hits[ident] = self.hits.get(ident, 0) + 1

    def run(self, number: int) -> None:
        rng = random.Random(number)
        mine: List[Any] = []
        while not self.over:
            epoch = self.epoch
            made = self.outer()
            self.check(made, epoch, "new")
            if mine:
                self.check(rng.choice(mine), self.epoch, "old")
            if len(mine) < KEPT:
                mine.append(made)
                self.alive.append(made)
            elif rng.random() < 0.1:
                mine[rng.randrange(KEPT)] = made
            self.turns[number] += 1

    def check(self, function: Any, epoch: int, kind: str) -> None:
        ident = threading.get_ident()
        before = self.hits.get(ident, 0)
        function()
        hits = self.hits.get(ident, 0) - before
        if epoch == self.epoch and hits != {0: 0, 2: 1}.get(epoch % 4, hits):
            self.wrong.append((epoch, kind, hits))

    def wait(self) -> None:
        """Until each has begun a turn in this epoch, and ended it."""
        goals = [turns + 2 for turns in self.turns]
        while any(turns < goal for turns, goal in zip(self.turns, goals)):
            assert all(thread.is_alive() for thread in self.threads)


@pytest.mark.parametrize("known", ["none", "half", "all"])
def test_no_closure_is_missed(known: str) -> None:
    """Eight threads make closures; whatever part of them was seen, all are hit while the probe is there, none after."""
    program = Program(PROGRAM)
    makers = Makers(program.run()["outer"])
    engine = InjectionEngine()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for thread in makers.threads:
        thread.start()
    try:
        for turn in range(ROUNDS):
            makers.wait()
            # Those of other threads that are thrown away meanwhile are let go by them.
            seen = {"none": [], "half": makers.alive[::2], "all": list(makers.alive)}[known]
            tag = ("first", "second")[turn % 2]
            references: Any = tuple(map(weakref.ref, seen))
            sites = [CodeSite(code, parents, references) for code, parents, _ in program.sites(tag)]
            makers.epoch += 1
            engine.install("p", sites, program.tags[tag], makers.handler)
            makers.epoch += 1
            makers.wait()
            makers.epoch += 1
            engine.remove("p")
            makers.epoch += 1
    finally:
        makers.over = True
        sys.setswitchinterval(interval)
        for thread in makers.threads:
            thread.join()
        engine.close()
    assert makers.wrong == []
    assert sum(makers.hits.values()) > ROUNDS * THREADS
    assert len(makers.alive) == THREADS * KEPT


def test_a_function_made_by_hand_while_the_others_are_exchanged() -> None:
    """It has the old code, of which nobody could have known: the count of references tells, and it is hit."""
    program = Program(PROGRAM)
    outer = program.run()["outer"]
    kept = outer()
    made: List[Any] = []

    def meanwhile() -> None:
        made.append(FunctionType(kept.__code__, {}))

    hits: List[object] = []
    references: Any = (meanwhile, weakref.ref(kept))
    engine = InjectionEngine()
    try:
        sites = [CodeSite(code, parents, references) for code, parents, _ in program.sites("first")]
        engine.install("p", sites, program.tags["first"], hits.append)
        assert [function() for function in (*made, kept, outer())] == [5, 5, 5]
    finally:
        engine.close()
    assert len(hits) == 3
