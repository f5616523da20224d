"""Probes that come and go under traffic, and what they could leave behind: looked at before and after."""

from __future__ import annotations

import collections
import contextlib
import gc
import sys
import threading
import time
from types import FunctionType
from typing import Any, Callable, Counter, Dict, Iterator, List, NamedTuple, Tuple

from tests.support.codes import Program

SOURCE = """
    def plain(n):
        total = 0
        for i in range(n):
            total += i  # TAG: loop
        return total  # TAG: end
    def maker(n):
        def inner(m):
            return m + n  # TAG: inner
        return inner(1)  # TAG: made
    class Cart:
        def add(self, n):
            return n * 2  # TAG: method
    def stream(n):
        for i in range(n):
            yield i  # TAG: yielding
"""
TAGS = ("loop", "inner", "end", "yielding", "made", "method")
THREADS = 8
#: Past what a metaclass makes of it: other tests leave classes that forbid it.
_name: Any = type.__dict__["__name__"].__get__


class Traces(NamedTuple):
    """What must be the same again.

    Attributes:
        codes: Of each function: its code object's identity, bytes, constants, references, and the
            function's own references.
        hooks: Of the interpreter: trace functions, threads, import hooks, collector callbacks.
        types: How many objects of each type the collector knows.
        blocks: Blocks of memory in use.
    """

    codes: Dict[str, Tuple[Any, ...]]
    hooks: Tuple[Any, ...]
    types: Counter[str]
    blocks: int

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(self.types.values())

    def grown(self, before: Traces) -> Dict[str, int]:
        """Types with more objects than before."""
        return dict((self.types - before.types).most_common(10))


class Subject:
    """A program that is probed and run, and its twin, which never is."""

    def __init__(self) -> None:
        self.program = Program(SOURCE)
        self.names = self.program.run()
        self.twin = Program(SOURCE).run()
        self.wrong: List[object] = []
        #: How often the traffic has run all of it.
        self.calls = 0

    def call(self) -> None:
        """All of it once; wrong answers are kept."""
        names = self.names
        answers = (names["plain"](9), names["maker"](4), names["Cart"]().add(3), sum(names["stream"](4)))
        if answers != (36, 5, 6, 6):
            self.wrong.append(answers)

    @contextlib.contextmanager
    def traffic(self) -> Iterator[None]:
        """Eight threads run the program; they take turns more often than usual."""
        stop = threading.Event()
        calls: List[None] = []

        def run() -> None:
            try:
                while not stop.is_set():
                    for _ in range(20):
                        self.call()
                    calls.append(None)
                    time.sleep(0.0005)
            except BaseException as error:  # noqa: BLE001 - a broken program may raise anything
                self.wrong.append(error)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        threads = [threading.Thread(target=run) for _ in range(THREADS)]
        try:
            for thread in threads:
                thread.start()
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            self.calls += 20 * len(calls)
            sys.setswitchinterval(interval)

    def traces(self) -> Traces:
        """The state of things now."""
        for _ in range(3):
            gc.collect()
        codes = {}
        for function in self._functions():
            code = function.__code__
            parts = tuple(map(id, code.co_consts))
            # Both are referred to by these names, too, each time the same.
            counts = sys.getrefcount(code), sys.getrefcount(function)
            codes[function.__qualname__] = (id(code), code.co_code, parts, *counts)
        hooks = (
            sys.gettrace(),
            threading._trace_hook,  # type: ignore[attr-defined]
            threading.active_count(),
            list(sys.meta_path),
            len(gc.callbacks),
        )
        blocks = sys.getallocatedblocks()
        types = collections.Counter(_name(type(each)) for each in gc.get_objects())
        return Traces(codes, hooks, types, blocks)

    def slowdown(self, rounds: int = 200) -> float:
        """How many times as long as its twin the program takes: the fastest of many turns of each."""
        best = [float("inf"), float("inf")]
        candidates: List[Callable[[int], int]] = [self.names["plain"], self.twin["plain"]]
        gc.collect()
        for number in range(2 * rounds):
            which = number % 2
            begin = time.thread_time_ns()
            candidates[which](20_000)
            best[which] = min(best[which], time.thread_time_ns() - begin)
        return best[0] / best[1]

    def _functions(self) -> Iterator[FunctionType]:
        for name in ("plain", "maker", "stream"):
            yield self.names[name]
        yield self.names["Cart"].add


def come_and_go(
    subject: Subject,
    times: int,
    install: Callable[[str], Callable[[], int]],
    remove: Callable[[], None],
) -> List[int]:
    """Set and remove a probe so many times; answers the rounds in which it was silent.

    Args:
        install: Sets a probe on the tagged line; answers how to ask for the hits so far.
        remove: Takes it away.
    """
    silent = []
    for number in range(times):
        hits = install(TAGS[number % len(TAGS)])
        before = hits()
        time.sleep(0)  # the others' turn, with the probe in place
        subject.call()
        if hits() <= before:
            silent.append(number)
        remove()
    return silent
