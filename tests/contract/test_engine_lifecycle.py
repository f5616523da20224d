"""Setting and removing probes leaves nothing: not a byte, not a reference, not a hook."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
import weakref
from types import CodeType
from typing import Any, Dict, Iterator, List

import pytest
from tests.support.codes import Program
from tests.support.engines import MECHANISMS, engine_of, name_of
from tests.support.lifetimes import skip_if_functions_are_kept

from otel_tracepoints.engine.base import Engine
from otel_tracepoints.errors import PlacingFailed


@pytest.fixture(params=MECHANISMS, ids=name_of)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each mechanism of this interpreter."""
    made = engine_of(request.param)
    yield made
    made.close()


PROGRAM = Program(
    """
    def f(n):
        total = 0
        for i in range(n):
            total += i  # TAG: loop
        return total  # TAG: end
    def outer():
        def inner():
            return 5  # TAG: inner
        return inner
    """
)


def test_many_changes_leave_nothing(engine: Engine) -> None:
    """After 100 (2,000 where no heap is scanned) additions and removals the function has the very code object that it had, byte for byte, with as many references, and memory is flat."""
    function = PROGRAM.run()["f"]
    code = function.__code__
    sites = {tag: PROGRAM.sites(tag) for tag in ("loop", "end")}
    hits: List[object] = []

    def round_trip(times: int) -> None:
        for i in range(times):
            tag = ("loop", "end")[i % 2]
            engine.install("p", sites[tag], PROGRAM.tags[tag], lambda frame: None)
            if i % 100 == 0:
                function(2)
            engine.remove("p")

    round_trip(20)
    gc.collect()
    before = code.co_code, sys.getrefcount(code), sys.getrefcount(function), len(gc.get_objects())
    gc.disable()  # Collections between heap scans are what would take the time.
    try:
        round_trip(80 if engine.mechanism == "injection" else 1900)
    finally:
        gc.enable()
    gc.collect()
    after = code.co_code, sys.getrefcount(code), sys.getrefcount(function), len(gc.get_objects())
    assert function.__code__ is code
    assert after[:3] == before[:3]
    assert abs(after[3] - before[3]) < 40
    assert hits == []


def test_closures_get_and_lose_the_probe_with_their_makers(engine: Engine) -> None:
    """Closures made before, under and after a probe are hit while it is there; then all have the original code object again."""
    outer = PROGRAM.run()["outer"]
    original = outer().__code__
    before = outer()
    hits: List[object] = []
    engine.install("p", PROGRAM.sites("inner"), PROGRAM.tags["inner"], hits.append)
    under = outer()
    assert (before(), under()) == (5, 5)
    assert len(hits) == 2
    engine.remove("p")
    for function in (before, under, outer()):
        assert function() == 5
        assert function.__code__ is original
    assert len(hits) == 2
    assert any(constant is original for constant in outer.__code__.co_consts)


def test_parent_and_child_probed_in_any_order(engine: Engine) -> None:
    """A function and the closure it makes are probed and freed in every order, and both are right at each step."""
    program = Program(
        """
        def outer():
            x = 1  # TAG: outer
            def inner():
                return 5  # TAG: inner
            return inner
        """
    )
    outer = program.run()["outer"]
    originals = outer.__code__, outer().__code__
    rng = random.Random(7)
    present: Dict[str, bool] = {"outer": False, "inner": False}
    for _ in range(40):
        tag = rng.choice(["outer", "inner"])
        hits: List[str] = []
        if present[tag]:
            engine.remove(tag)
        present[tag] = not present[tag]
        for other, there in present.items():
            engine.remove(other)
            if there:
                engine.install(
                    other,
                    program.sites(other),
                    program.tags[other],
                    lambda frame, other=other: hits.append(other),
                )
        assert outer()() == 5
        assert sorted(hits) == sorted(other for other, there in present.items() if there)
    engine.remove("outer")
    engine.remove("inner")
    assert (outer.__code__, outer().__code__) == originals
    assert outer.__code__ is originals[0]
    assert outer().__code__ is originals[1]


def test_short_lived_functions_are_let_go(engine: Engine) -> None:
    """A function that is thrown away while probed is freed at once; its code object when the probe goes."""
    skip_if_functions_are_kept()
    program = Program("def f():\n    return 1  # TAG: f\n")
    function = program.run()["f"]
    engine.install("p", program.sites("f"), program.tags["f"], lambda frame: None)
    function()
    alive = weakref.ref(function)
    code = weakref.ref(program.sites("f")[0].code)
    del function
    gc.collect()
    assert alive() is None
    program.code = compile("", "x", "exec")
    engine.remove("p")
    gc.collect()
    assert code() is None


def test_equal_code_objects_are_told_apart(engine: Engine) -> None:
    """Two code objects that are equal are two: a probe on one does not hit in the other."""
    source = "def f():\n    return 1\n"
    codes: List[Any] = []
    functions: List[Any] = []
    for _ in range(2):
        names: Dict[str, Any] = {}
        exec(compile(source, "same.py", "exec"), names)
        functions.append(names["f"])
        codes.append(names["f"].__code__)
    assert codes[0] == codes[1]
    from otel_tracepoints.engine.base import CodeSite

    hits: List[object] = []
    engine.install("p", [CodeSite(codes[0], ())], 2, hits.append)
    functions[1]()
    assert hits == []
    functions[0]()
    assert len(hits) == 1


def test_functions_that_share_a_code_object(engine: Engine) -> None:
    """All functions of one code object are hit, whoever holds them; more sites may be added under the same key."""
    outer = PROGRAM.run()["outer"]
    functions = [outer() for _ in range(20)]
    hits: List[object] = []
    engine.install("p", [], PROGRAM.tags["inner"], hits.append)
    engine.install("p", PROGRAM.sites("inner"), PROGRAM.tags["inner"], hits.append)
    for function in functions:
        function()
    assert len(hits) == 20


def test_a_line_without_an_arrival_is_accepted(engine: Engine) -> None:
    """A line that holds code but is never arrived at there (a `def` line in its own body) is accepted and silent there."""
    program = Program("def f():  # TAG: f\n    return 1\n")
    function = program.run()["f"]
    hits: List[object] = []
    engine.install("p", program.sites("f"), 1, hits.append)
    function()
    assert hits == []
    engine.remove("p")


def test_close_removes_everything(engine: Engine) -> None:
    """After close nothing is hit, nothing can be set, and closing again is fine."""
    function = PROGRAM.run()["f"]
    code = function.__code__
    hits: List[object] = []
    engine.install("p", PROGRAM.sites("end"), PROGRAM.tags["end"], hits.append)
    engine.close()
    engine.close()
    function(1)
    assert hits == []
    assert function.__code__ is code
    assert sys.gettrace() is None
    assert threading._trace_hook is None  # type: ignore[attr-defined]
    with pytest.raises(PlacingFailed):
        engine.install("p", PROGRAM.sites("end"), PROGRAM.tags["end"], hits.append)
    engine.remove("p")


def test_threads_hit_exactly(engine: Engine) -> None:
    """Eight threads over one line: every arrival is one call, none is lost."""
    function = PROGRAM.run()["f"]
    hits: List[int] = []
    engine.install("p", PROGRAM.sites("loop"), PROGRAM.tags["loop"], lambda frame: hits.append(1))
    threads = [threading.Thread(target=lambda: [function(50) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hits) == 8 * 10 * 50


def test_a_storm_of_changes_harms_nothing(engine: Engine) -> None:
    """Probes come and go from two threads while six run the code: no wrong result, no lost hit of the probe that stays, nothing left."""
    function = PROGRAM.run()["f"]
    code = function.__code__
    until = time.monotonic() + 1.0
    wrong: List[object] = []
    calls: List[int] = []
    steady: List[int] = []
    engine.install("steady", PROGRAM.sites("end"), PROGRAM.tags["end"], lambda frame: steady.append(1))
    # Without the GIL the second probe of a function is not set in one step; all others are.
    engine.install("second", PROGRAM.sites("loop"), PROGRAM.tags["loop"], lambda frame: None)
    engine.remove("second")

    def run() -> None:
        while time.monotonic() < until:
            if function(20) != 190:
                wrong.append(None)
            calls.append(1)

    def change(name: str) -> None:
        try:
            while time.monotonic() < until:
                tag = "loop"
                engine.install(name, PROGRAM.sites(tag), PROGRAM.tags[tag], lambda frame: None)
                time.sleep(0)
                engine.remove(name)
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    threads += [threading.Thread(target=change, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(steady) == len(calls)
    engine.remove("steady")
    assert function(20) == 190
    assert function.__code__ is code


def test_a_probe_set_in_a_storm_of_calls_is_never_silent(engine: Engine) -> None:
    """However busy a function is while a probe is set, the probe is hit by the calls that follow."""
    function = PROGRAM.run()["f"]
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            function(3)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for i in range(40):
            hits: List[int] = []
            tag = ("loop", "end")[i % 2]
            engine.install(
                "p", PROGRAM.sites(tag), PROGRAM.tags[tag], lambda frame, hits=hits: hits.append(1)
            )
            function(1)
            assert hits
            engine.remove("p")
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_keeps_its_probes(engine: Engine) -> None:
    """In a forked child probes go on, and can be set and removed."""
    function = PROGRAM.run()["f"]
    hits: List[object] = []
    engine.install("p", PROGRAM.sites("end"), PROGRAM.tags["end"], hits.append)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            engine.after_fork_in_child()
            function(1)
            engine.remove("p")
            function(1)
            engine.install("q", PROGRAM.sites("loop"), PROGRAM.tags["loop"], hits.append)
            function(2)
            status = 0 if len(hits) == 3 else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    function(1)
    assert len(hits) == 1


def test_replacement_of_unknown_code_is_itself(engine: Engine) -> None:
    """Code without a probe is run as it is."""
    code: CodeType = compile("x = 1", "x.py", "exec")
    assert engine.replacement(code) is code
