"""Exchanging code without a search of the heap: when that is done, and that nobody is missed when it is not."""

from __future__ import annotations

import gc
import sys
import threading
import types
import weakref
from types import CodeType, FunctionType
from typing import Any, Callable, Dict, Iterator, List, Sequence

import pytest
from tests.support.codes import Program

if sys.version_info >= (3, 12):
    pytest.skip("nothing is exchanged from 3.12 on", allow_module_level=True)

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.engine import holders
from otel_tracepoints.engine.base import Watch
from otel_tracepoints.engine.injection import InjectionEngine

SOURCE = """
def f(n):
    n += 1  # TAG: first
    return n  # TAG: second
def other():
    return 1  # TAG: other
def outer():
    def inner():
        return 5  # TAG: inner
    return inner  # TAG: made
def generator():
    yield 1  # TAG: one
    yield 2  # TAG: two
def waits(started, end):
    started.set()
    end.wait(10)
    return 1  # TAG: waited
"""


@pytest.fixture
def engine() -> Iterator[InjectionEngine]:
    """An engine of its own."""
    made = InjectionEngine()
    yield made
    made.close()


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> List[int]:
    """How many code objects each search of the heap was for."""
    sizes: List[int] = []
    find = holders.find

    def counted(codes: Sequence[CodeType]) -> holders.Holders:
        sizes.append(len(codes))
        return find(codes)

    monkeypatch.setattr(holders, "find", counted)
    return sizes


class Loaded(Program):
    """A program that was run; its sites name the functions given as seen."""

    def __init__(self) -> None:
        super().__init__(SOURCE)
        self.names = self.run()
        self.hits: List[str] = []

    def watch(self, tag: str, *seen: Callable[..., Any]) -> Watch:
        functions: Any = tuple(map(weakref.ref, seen))
        return self.watch_by(tag, functions)

    def watch_by(self, tag: str, references: Any) -> Watch:
        sites = [CodeSite(code, parents, references) for code, parents, _ in self.sites(tag)]
        return Watch(tag, sites, self.tags[tag], lambda frame: self.hits.append(tag))


def test_functions_that_were_seen_are_given_the_code_without_a_search(
    engine: InjectionEngine, searched: List[int]
) -> None:
    """The first probe, a second on the same function, both taken off, and set again: the heap is never searched."""
    program = Loaded()
    f = program.names["f"]
    identity = id(f.__code__)
    for _ in range(2):
        for tag in ("first", "second"):
            engine.install_all([program.watch(tag, f)])
        assert f(1) == 2
        engine.remove("first")
        assert f(1) == 2
        engine.remove("second")
        assert id(f.__code__) == identity
    assert program.hits == ["first", "second", "second"] * 2
    assert searched == []


def _by_hand(names: Dict[str, Any]) -> Any:
    return FunctionType(names["f"].__code__, {}, "by_hand")


def _exchanged(names: Dict[str, Any]) -> Any:
    def another(n: int) -> int:
        return n

    another.__code__ = names["f"].__code__
    return another


def _in_a_tuple_without_the_collector(names: Dict[str, Any]) -> Any:
    kept = ("text", _by_hand(names))
    assert gc.collect() >= 0
    return kept[1]


@pytest.mark.parametrize("made", [_by_hand, _exchanged, _in_a_tuple_without_the_collector])
def test_functions_that_were_not_seen_are_found(
    engine: InjectionEngine, searched: List[int], made: Callable[[Dict[str, Any]], Any]
) -> None:
    """A function made by hand of the code, and one that was given it: one search, and they are hit, and set back."""
    program = Loaded()
    f, unseen = program.names["f"], made(program.names)
    engine.install_all([program.watch("first", f)])
    assert (f(1), unseen(1)) == (2, 2)
    assert program.hits == ["first", "first"]
    assert searched == [1]
    # Both are known by now.
    engine.install_all([program.watch("second")])
    engine.remove("first")
    assert (f(1), unseen(1)) == (2, 2)
    assert program.hits[2:] == ["second", "second"]
    engine.remove("second")
    assert searched == [1]
    assert f.__code__ is unseen.__code__
    f(1)
    assert len(program.hits) == 4


def test_without_a_word_of_functions_they_are_searched_for(
    engine: InjectionEngine, searched: List[int]
) -> None:
    """Sites that name no function, and references that have died although the function lives (it was resurrected)."""
    program = Loaded()
    engine.install_all([program.watch("first")])
    engine.install_all([program.watch_by("other", (lambda: None,))])
    assert (program.names["f"](1), program.names["other"]()) == (2, 1)
    assert program.hits == ["first", "other"]
    assert searched == [1, 1]


def test_what_was_said_of_functions_is_not_believed(engine: InjectionEngine, searched: List[int]) -> None:
    """A function that is named for code which it has no more keeps what it has."""
    program = Loaded()
    f, other = program.names["f"], program.names["other"]
    engine.install_all([program.watch("first", f, other)])
    assert (f(1), other()) == (2, 1)
    assert program.hits == ["first"]
    assert searched == []


def test_parents_that_were_not_named_are_noticed(engine: InjectionEngine, searched: List[int]) -> None:
    """While a maker may still make functions of the old code, those that exist are searched for, each time."""
    program = Loaded()
    f = program.names["f"]
    (site,) = program.sites("first")
    nobody = CodeSite(site.code, (), (weakref.ref(f),))
    engine.install("p", [nobody], program.tags["first"], lambda frame: program.hits.append("p"))
    assert f(1) == 2
    assert program.hits == ["p"]
    assert searched == [1]


def test_generators_that_are_suspended_are_searched_for(engine: InjectionEngine, searched: List[int]) -> None:
    """One that is suspended is found and watched to its end; where none is, there is no search."""
    program = Loaded()
    function = program.names["generator"]
    engine.install_all([program.watch("one", function)])
    assert searched == []
    engine.remove("one")
    suspended = function()
    assert next(suspended) == 1
    engine.install_all([program.watch("two", function)])
    assert searched == [1]
    assert list(suspended) == [2]
    assert program.hits == ["two"]


def test_running_frames_need_no_search(engine: InjectionEngine, searched: List[int]) -> None:
    """Frames on the stacks of threads are known without one; they are watched until they leave."""
    program = Loaded()
    function = program.names["waits"]
    started, end = threading.Event(), threading.Event()
    threads = [threading.Thread(target=function, args=(started, end)) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert started.wait(10)
        while len(holders._running({id(function.__code__)})) < len(threads):
            pass
        engine.install_all([program.watch("waited", function)])
        assert searched == []
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert program.hits == ["waited"] * 3


def test_of_many_only_the_doubtful_are_searched_for(engine: InjectionEngine, searched: List[int]) -> None:
    """Many probes at once take one search at most, for the code that is held by someone unknown."""
    program = Loaded()
    names = program.names
    inner = names["outer"]()
    unseen = _by_hand(names)
    engine.install_all(
        [
            program.watch("first", names["f"]),
            program.watch("second", names["f"]),
            program.watch("other", names["other"]),
            program.watch("inner", inner),
        ]
    )
    assert searched == [1]
    assert (names["f"](1), unseen(1), names["other"](), inner(), names["outer"]()()) == (2, 2, 1, 5, 5)
    assert sorted(program.hits) == ["first"] * 2 + ["inner"] * 2 + ["other"] + ["second"] * 2
    engine.remove("first", "second", "other", "inner")
    assert (unseen(1), inner(), names["outer"]()()) == (2, 5, 5)
    assert len(program.hits) == 7
    assert searched == [1]


def test_makers_are_told_first(engine: InjectionEngine, searched: List[int]) -> None:
    """What a maker makes while the functions that exist are gone through is made of the new code."""
    program = Loaded()
    made: List[Any] = []

    def meanwhile() -> None:
        made.append(program.names["outer"]())

    engine.install_all([program.watch_by("inner", (meanwhile,))])
    assert [function() for function in made] == [5]
    assert program.hits == ["inner"]
    assert searched == []


@pytest.mark.parametrize("together", [True, False])
def test_a_probed_maker_of_a_probed_function(
    engine: InjectionEngine, searched: List[int], together: bool
) -> None:
    """A function and what it makes, probed at once or one after the other, and taken off: no search."""
    program = Loaded()
    outer = program.names["outer"]
    kept = outer()
    if together:
        engine.install_all([program.watch("inner", kept), program.watch("made", outer)])
    else:
        engine.install_all([program.watch("inner", kept)])
        engine.install_all([program.watch("made", outer)])
    assert (kept(), outer()()) == (5, 5)
    assert program.hits == ["inner", "made", "inner"]
    engine.remove("made")
    engine.remove("inner")
    assert (kept(), outer()()) == (5, 5)
    assert len(program.hits) == 3
    assert searched == []


def test_frozen_functions_that_were_seen_need_no_search(engine: InjectionEngine, searched: List[int]) -> None:
    """gc.freeze hides nothing from those who know where to look, and nothing from the count."""
    program = Loaded()
    module = types.ModuleType("frozen_for_exchange")
    module.__dict__.update(f=program.names["f"], unseen=_by_hand(program.names))
    sys.modules[module.__name__] = module
    gc.freeze()
    try:
        engine.install_all([program.watch("other", program.names["other"])])
        assert searched == []
        engine.install_all([program.watch("first", module.f)])
        assert searched == [1]
    finally:
        gc.unfreeze()
        del sys.modules[module.__name__]
    assert (module.f(1), module.unseen(1)) == (2, 2)
    assert program.hits == ["first", "first"]
