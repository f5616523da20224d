"""Frames that run, or are suspended, when the probe is set; every mechanism reaches them."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import FrameType
from typing import Any, Dict, Iterator, List

import pytest
from tests.support.codes import Program
from tests.support.engines import MECHANISMS, engine_of, name_of

from otel_tracepoints.engine.base import Engine


@pytest.fixture(params=MECHANISMS, ids=name_of)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each mechanism of this interpreter."""
    made = engine_of(request.param)
    yield made
    made.close()


class Stepped:
    """A thread that takes a step when told, and waits in between."""

    def __init__(self, target: Any) -> None:
        self._go, self._gone = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=target, args=(self,))
        self._thread.start()
        self._gone.acquire()

    def wait(self) -> None:
        """In the thread: one step is over."""
        self._gone.release()
        self._go.acquire()

    def step(self) -> None:
        self._go.release()
        self._gone.acquire()

    def end(self) -> None:
        self._go.release()
        self._thread.join(10)
        assert not self._thread.is_alive()


LOOPS = Program(
    """
    def loop(stepped, n):
        while n:
            stepped.wait()
            n -= 1  # TAG: loop
    def deep(stepped, n):
        if n:
            deep(stepped, n - 1)
        else:
            stepped.wait()
        n = -1  # TAG: deep
    def generator(n):
        for i in range(n):
            yield i
            i = i  # TAG: generator
    async def coroutine(event, n):
        for i in range(n):
            await event(i)
            i = i  # TAG: coroutine
    async def async_generator(n):
        for i in range(n):
            yield i
            i = i  # TAG: asyncgen
    """
)


def test_a_loop_in_another_thread_is_reached_at_its_next_round(engine: Engine) -> None:
    """A thread asleep in a loop hits a probe set meanwhile at its very next round, and not after removal."""
    loop = LOOPS.run()["loop"]
    stepped = Stepped(lambda stepped: loop(stepped, 60))
    hits: List[int] = []
    for _ in range(2):
        del hits[:]
        engine.install(
            "p", LOOPS.sites("loop"), LOOPS.tags["loop"], lambda frame: hits.append(frame.f_locals["n"])
        )
        for _ in range(10):
            stepped.step()
        engine.remove("p")
        for _ in range(10):
            stepped.step()
        assert len(hits) == 10
    for _ in range(19):
        stepped.step()
    stepped.end()
    loop(stepped, 0)
    assert len(hits) == 10


def test_the_frame_that_sets_the_probe_is_reached(engine: Engine) -> None:
    """A function that sets a probe on a line of itself hits it when it comes there."""
    program = Program(
        """
        def f(install):
            install()
            for i in range(3):
                x = i  # TAG: f
            return x
        """
    )
    function = program.run()["f"]
    hits: List[int] = []
    assert (
        function(
            lambda: engine.install(
                "p", program.sites("f"), program.tags["f"], lambda frame: hits.append(frame.f_locals["i"])
            )
        )
        == 2
    )
    assert hits == [0, 1, 2]
    function(lambda: None)
    assert hits == [0, 1, 2] * 2
    engine.remove("p")
    assert sys.gettrace() is None


def test_bodies_in_progress_are_reached(engine: Engine) -> None:
    """A class body and a module body that are being run hit probes on the lines to come."""
    program = Program(
        """
        class C:
            install()
            a = 1  # TAG: klass
        b = 2  # TAG: module
        """
    )
    hits: List[str] = []

    def install() -> None:
        for tag, line in program.tags.items():
            engine.install(tag, program.sites(tag), line, lambda frame, tag=tag: hits.append(tag))

    exec(program.code, {"install": install, "__name__": "program"})
    assert hits == ["klass", "module"]


def test_a_recursion_of_500_frames_is_reached_in_each(engine: Engine) -> None:
    """Five hundred frames of one function that wait for the innermost: each hits the line after it."""
    deep = LOOPS.run()["deep"]
    hits: List[object] = []
    stepped = Stepped(lambda stepped: deep(stepped, 499))
    engine.install("p", LOOPS.sites("deep"), LOOPS.tags["deep"], lambda frame: hits.append(None))
    stepped.end()
    assert len(hits) == 500


def test_suspended_generators_are_reached(engine: Engine) -> None:
    """A generator suspended before the probe was set hits it in whatever thread goes on with it, a new one too."""
    names = LOOPS.run()
    suspended = names["generator"](5)
    next(suspended)
    hits: List[int] = []
    engine.install(
        "p", LOOPS.sites("generator"), LOOPS.tags["generator"], lambda frame: hits.append(frame.f_locals["i"])
    )
    next(suspended)
    assert hits == [0]
    thread = threading.Thread(target=lambda: hits.append(10 + next(suspended)))
    thread.start()
    thread.join()
    assert hits == [0, 1, 12]
    assert list(suspended) == [3, 4]
    assert hits == [0, 1, 12, 2, 3, 4]
    assert list(names["generator"](1)) == [0]
    engine.remove("p")
    _python_function()
    assert sys.gettrace() is None
    assert threading._trace_hook is None  # type: ignore[attr-defined]


def test_suspended_coroutines_are_reached(engine: Engine) -> None:
    """A coroutine that awaits, and an asynchronous generator between two items, hit a probe set meanwhile."""
    names = LOOPS.run()
    hits: List[str] = []

    async def main() -> None:
        queue: "asyncio.Queue[int]" = asyncio.Queue()

        async def event(_: int) -> None:
            await queue.get()

        task = asyncio.ensure_future(names["coroutine"](event, 3))
        items = names["async_generator"](3)
        await items.__anext__()
        await asyncio.sleep(0)
        for tag in ("coroutine", "asyncgen"):
            engine.install(tag, LOOPS.sites(tag), LOOPS.tags[tag], lambda frame, tag=tag: hits.append(tag))
        for _ in range(3):
            queue.put_nowait(1)
        await task
        async for _ in items:
            pass

    asyncio.run(main())
    assert sorted(hits) == ["asyncgen"] * 3 + ["coroutine"] * 3


def test_old_frames_and_new_calls_are_each_hit_once(engine: Engine) -> None:
    """While an old frame runs, it and new calls of the same function hit once an arrival each, on all lines probed."""
    program = Program(
        """
        def f(stepped, n):
            while n:
                stepped.wait()
                n -= 1  # TAG: a
                n = n  # TAG: b
        class Nobody:
            def wait(self): pass
        """
    )
    names = program.run()
    hits: List[str] = []
    stepped = Stepped(lambda stepped: names["f"](stepped, 9))
    for tag in ("a", "b"):
        engine.install(tag, program.sites(tag), program.tags[tag], lambda frame, tag=tag: hits.append(tag))
        stepped.step()
        names["f"](names["Nobody"](), 1)
    assert hits == ["a"] * 2 + ["a", "b"] * 2
    engine.remove("a")
    stepped.step()
    engine.install("a", program.sites("a"), program.tags["a"], lambda frame: hits.append("a"))
    stepped.step()
    assert hits[6:] == ["b", "a", "b"]
    for _ in range(4):
        stepped.step()
    stepped.end()


def test_a_frame_suspended_in_probed_code_outlives_the_probe(engine: Engine) -> None:
    """A generator that was started under a probe goes on without it once the probe has gone."""
    generator = LOOPS.run()["generator"]
    hits: List[object] = []
    engine.install("p", LOOPS.sites("generator"), LOOPS.tags["generator"], hits.append)
    suspended = generator(4)
    next(suspended)
    next(suspended)
    assert len(hits) == 1
    engine.remove("p")
    assert list(suspended) == [2, 3]
    assert len(hits) == 1
    engine.install("p", LOOPS.sites("generator"), LOOPS.tags["generator"], hits.append)
    assert len(list(generator(2))) == 2
    assert len(hits) == 3


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="events need no trace function there")
def test_a_thread_with_another_tracer_is_left_to_it() -> None:
    """Where a debugger or coverage has a thread, its running frames are not watched, its tracer stays, and the notes say so."""
    loop = LOOPS.run()["loop"]
    events: List[str] = []
    tracers: List[Any] = []

    def tracer(frame: FrameType, event: str, argument: Any) -> Any:
        events.append(event)
        return tracer

    def traced(stepped: Stepped) -> None:
        sys.settrace(tracer)
        loop(stepped, 3)
        tracers.append(sys.gettrace())
        sys.settrace(None)

    engine = engine_of("injection")
    stepped = Stepped(traced)
    hits: List[object] = []
    engine.install("p", LOOPS.sites("loop"), LOOPS.tags["loop"], hits.append)
    assert any("another trace function" in note for note in engine.notes("p"))
    stepped.step()
    stepped.step()
    stepped.end()
    assert tracers == [tracer]
    assert hits == []
    engine.close()


def test_running_frames_are_named_in_the_notes(engine: Engine) -> None:
    """What it costs to watch a running frame is said under the probe's key, where it costs anything."""
    loop = LOOPS.run()["loop"]
    stepped = Stepped(lambda stepped: loop(stepped, 1))
    engine.install("p", LOOPS.sites("loop"), LOOPS.tags["loop"], lambda frame: None)
    notes = list(engine.notes("p"))
    assert bool(notes) == (engine.mechanism == "injection")
    stepped.end()
    engine.remove("p")
    assert list(engine.notes("p")) == []


def test_no_variable_is_written_back() -> None:
    """Watching a running frame does not touch its variables: what another thread wrote to a closure meanwhile stays."""
    program = Program(
        """
        def outer(stepped):
            shared = 0
            def write(value):
                nonlocal shared
                shared = value
            def run():
                seen = []
                for _ in range(3):
                    stepped.wait()
                    seen.append(shared)  # TAG: run
                return seen
            return write, run
        """
    )
    engine = engine_of(MECHANISMS[0])
    results: Dict[str, Any] = {}

    def body(stepped: Stepped) -> None:
        write, run = program.run()["outer"](stepped)
        results["write"] = write
        results["seen"] = run()

    stepped = Stepped(body)
    engine.install("p", program.sites("run"), program.tags["run"], lambda frame: results["write"](7))
    stepped.step()
    results["write"](8)
    stepped.step()
    stepped.end()
    assert results["seen"] == [7, 7, 7]
    engine.close()


def _python_function() -> None:
    """Something to call, so that a trace function that has nothing to do any more can go."""
