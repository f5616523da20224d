"""Code that runs, waits or is kept somewhere when its probe is set through the API of a real agent."""

from __future__ import annotations

import asyncio
import builtins
import threading
from typing import Any, Callable, Dict, List

import pytest
from tests.support.live import Live, TargetMaker


class Gate:
    """Lets code of the target wait until it is told to go on, and tells that it waits."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        """In the target."""
        self.waiting.set()
        assert self._open.wait(20)

    def open(self) -> None:
        """Go on."""
        self._open.set()


def in_a_thread(function: Callable[[], Any]) -> threading.Thread:
    """Run it beside the test."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def hits(live: Live, point: Dict[str, Any]) -> int:
    """How often the point was hit."""
    return live.counts(point).get("emitted", 0)


FRAMES = """
    import functools

    def loop(gate, rounds):
        for i in range(rounds):
            if i == 1:
                gate.wait()
            i = i  # TAG: loop
    def deep(gate, n):
        if n:
            deep(gate, n - 1)
        else:
            gate.wait()
        return n  # TAG: deep
    def generator(n):
        for i in range(n):
            yield i
            i = i  # TAG: generator
    async def coroutine(event, n):
        for i in range(n):
            await event()
            i = i  # TAG: coroutine
    async def async_generator(n):
        for i in range(n):
            yield i
            i = i  # TAG: asyncgen
"""


def test_a_thread_asleep_in_a_loop_is_hit_at_its_next_round(live: Live, target: TargetMaker) -> None:
    """A thread that sleeps inside a loop hits a probe that is set meanwhile, in each round from then on."""
    code, gate = target(FRAMES), Gate()
    thread = in_a_thread(lambda: code.loop(gate, 6))
    assert gate.waiting.wait(10)
    point = live.tracepoint(code, "loop")
    gate.open()
    thread.join(20)
    assert hits(live, point) == 5


def test_a_recursion_500_deep_is_hit_in_every_frame(live: Live, target: TargetMaker) -> None:
    """Five hundred frames of one function, all of them older than the probe, each hit it on their way out."""
    code, gate = target(FRAMES), Gate()
    thread = in_a_thread(lambda: code.deep(gate, 499))
    assert gate.waiting.wait(10)
    point = live.tracepoint(code, "deep")
    gate.open()
    thread.join(20)
    assert hits(live, point) == 500


def test_what_is_suspended_is_hit_when_it_goes_on(live: Live, target: TargetMaker) -> None:
    """A generator, a coroutine and an asynchronous generator that wait while their probes are set hit them afterwards."""
    code = target(FRAMES)
    suspended = code.generator(3)
    next(suspended)

    async def main() -> List[Dict[str, Any]]:
        queue: "asyncio.Queue[int]" = asyncio.Queue()
        task = asyncio.ensure_future(code.coroutine(queue.get, 3))
        items = code.async_generator(3)
        await items.__anext__()
        await asyncio.sleep(0)
        points = [live.tracepoint(code, tag) for tag in ("generator", "coroutine", "asyncgen")]
        for _ in range(3):
            queue.put_nowait(1)
        await task
        async for _ in items:
            pass
        return points

    points = asyncio.run(main())
    assert list(suspended) == [1, 2]
    assert [hits(live, point) for point in points] == [3, 3, 3]


def test_bodies_in_progress_are_hit(live: Live, target: TargetMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module body and a class body that wait in the middle of an import hit probes on the lines to come."""
    code = target(
        """
        import builtins
        class C:
            builtins.gate_of_the_test.wait()
            a = 1  # TAG: klass
        b = C.a  # TAG: module
        """
    )
    gate = Gate()
    monkeypatch.setattr(builtins, "gate_of_the_test", gate, raising=False)
    thread = in_a_thread(lambda: code.module)
    assert gate.waiting.wait(10)
    points = [live.tracepoint(code, tag) for tag in ("klass", "module")]
    gate.open()
    thread.join(20)
    assert [hits(live, point) for point in points] == [1, 1]


KEPT = """
    import functools
    def passing(function):
        return function
    def wrapping(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)
        return wrapper
    def bare(function):
        return lambda *args: function(*args)
    def keywords(a, b):
        return a + b  # TAG: partial
    partial = functools.partial(functools.partial(keywords, 1), b=2)
    @functools.lru_cache(maxsize=None)
    def cached(a):
        return a  # TAG: cached
    @passing
    def passed():
        return 1  # TAG: passed
    @wrapping
    @wrapping
    def wrapped():
        return 1  # TAG: wrapped
    @bare
    def hidden():
        return 1  # TAG: hidden
    @functools.singledispatch
    def single(a):
        return 1
    @single.register(int)
    def _(a):
        return 2  # TAG: dispatched
    class View:
        def get(self):
            return 1  # TAG: method
        @functools.partialmethod
        def other(self):
            return 2
        async def post(self):
            return 3
    class Framework:
        def __init__(self):
            self.routes = {"/": (View().get,)}
        def serve(self):
            return self.routes["/"][0]()
    framework = Framework()
"""

USES: Dict[str, Callable[[Any], Any]] = {
    "partial": lambda m: m.partial(),
    "cached": lambda m: (m.cached.cache_clear(), m.cached(1), m.cached(1)),
    "passed": lambda m: m.passed(),
    "wrapped": lambda m: m.wrapped(),
    "hidden": lambda m: m.hidden(),
    "dispatched": lambda m: m.single(7),
    "method": lambda m: m.framework.serve(),
}


def test_functions_kept_anywhere_are_hit(live: Live, target: TargetMaker) -> None:
    """Behind partial, caches, decorators with and without wraps, dispatchers and tables of bound methods, a function is hit once a call, and not after removal."""
    code = target(KEPT)
    assert code.framework.serve() == 1
    points = {tag: live.tracepoint(code, tag) for tag in USES}
    for use in USES.values():
        use(code.module)
    assert {tag: hits(live, point) for tag, point in points.items()} == dict.fromkeys(USES, 1)
    for tag, point in points.items():
        live.remove(point)
        USES[tag](code.module)
    assert len(live.hits()) == len(USES)
