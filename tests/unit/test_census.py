"""What a look at a file's code finds in a large process, and what it finds only later."""

from __future__ import annotations

import functools
import gc
import itertools
import sys
import sysconfig
import threading
import types
import weakref
from typing import Any, Callable, Dict, Iterable, Iterator, List, Set

import pytest
from tests.support.lifetimes import skip_if_functions_are_kept

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.engine.compiled import COMPILED
from otel_tracepoints.errors import LineNotExecutable
from otel_tracepoints.probes import census, generations, heap, modules, originals
from otel_tracepoints.probes.resolver import Resolver

#: Functions that an earlier test has left behind must not be of the file of the next.
_NUMBERS = itertools.count()
SOURCE = "def work(n):\n    return n\n"


class Loaded:
    """A module of a file that is only a name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "of_" + path.strip("/").replace("/", "_")[:-3]
        self.module = types.ModuleType(self.name)
        self.module.__file__ = path
        sys.modules[self.name] = self.module
        self.run(self.module.__dict__)

    def run(self, namespace: Dict[str, Any]) -> Any:
        exec(compile(SOURCE, self.path, "exec"), namespace)
        return namespace["work"]


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    """A module that is loaded, in a process of many functions."""
    made = Loaded(f"/nowhere/census{next(_NUMBERS)}.py")
    yield made
    del sys.modules[made.name]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> List[int]:
    """A process of many functions, as Python searches it; how often everything was gone through."""
    looks: List[int] = []
    whole = heap.whole

    def counted(*arguments: Any) -> Any:
        looks.append(1)
        return whole(*arguments)

    monkeypatch.setattr(census, "_FEW_FUNCTIONS", 0)
    monkeypatch.setattr(heap, "whole", counted)
    return looks


@pytest.fixture(params=["python", "compiled"])
def resolver(request: pytest.FixtureRequest) -> Resolver:
    """One that searches in Python, or by the compiled module."""
    if request.param == "python":
        return Resolver()
    native = COMPILED.module()
    if native is None or sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("Python searches here")
    return Resolver(native=native)


def found(resolver: Resolver, path: str) -> List[types.CodeType]:
    return [site.code for site in resolver.resolve(path, 2).sites]


def test_functions_of_a_module_are_found_wherever_they_are_kept(loaded: Loaded, large: List[int]) -> None:
    """Without a look at everything, but for the first one, which learns how much there is."""
    resolver = Resolver()
    kept = functools.partial(loaded.module.__dict__.pop("work"))
    assert found(resolver, loaded.path) == [kept.func.__code__]
    gc.collect()
    another = {"kept": loaded.run(loaded.module.__dict__)}
    del loaded.module.work
    codes = found(resolver, loaded.path)
    assert {id(code) for code in codes} == {id(kept.func.__code__), id(another["kept"].__code__)}
    assert len(large) == 1


def test_code_executed_by_hand_is_owed_and_found_later(loaded: Loaded, large: List[int]) -> None:
    """A near look says that it may have missed something; a whole one settles it, and tells the file."""
    skip_if_functions_are_kept()  # and hidden
    resolver = Resolver()
    found(resolver, loaded.path)
    by_hand = loaded.run({})
    gc.collect()
    first = found(resolver, loaded.path)
    assert [id(code) for code in first] == [id(loaded.module.work.__code__)]
    assert resolver.owes
    resolver.take_fresh()
    resolver.look_everywhere([loaded.path])
    assert not resolver.owes
    assert resolver.take_fresh() == {loaded.path}
    sites = [site.code for site in resolver.seen(loaded.path)(2).sites]
    assert {id(code) for code in sites} == {id(loaded.module.work.__code__), id(by_hand.__code__)}


@pytest.mark.skipif(generations.age() is None, reason="this interpreter has no generations")
def test_what_is_new_is_found_without_a_look_at_everything(loaded: Loaded, large: List[int]) -> None:
    """Also code that was executed by hand, as long as the collector has not made it old."""
    resolver = Resolver()
    gc.collect()
    gc.disable()
    try:
        found(resolver, loaded.path)
        by_hand = loaded.run({})
        codes = found(resolver, loaded.path)
    finally:
        gc.enable()
    assert {id(code) for code in codes} == {id(loaded.module.work.__code__), id(by_hand.__code__)}
    assert len(large) == 1


with_generations = pytest.mark.skipif(
    generations.age() is None, reason="without generations nothing is known to be young"
)


def ids(found: Iterable[CodeSite]) -> Set[int]:
    return {id(site.code) for site in found}


@with_generations
def test_what_grows_old_during_a_look_is_found(
    loaded: Loaded, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector may move what is new among the old just before the young are gone through."""
    before = resolver.resolve(loaded.path, 2)
    passes = resolver._passes
    young = passes.young

    def late(*args: Any) -> Any:
        gc.collect()
        return young(*args)

    monkeypatch.setattr(passes, "young", late)
    made = loaded.run({})
    assert ids(resolver.resolve(loaded.path, 2).sites) == {*ids(before.sites), id(made.__code__)}


class Finalized:
    """Garbage whose finalizer lets other threads run, in the middle of a collection."""

    def __init__(self, inside: threading.Event, over: threading.Event) -> None:
        self.inside, self.over, self.itself = inside, over, self

    def __del__(self) -> None:
        self.inside.set()
        self.over.wait(10)


@pytest.fixture(params=[0, 1, 2, "freeze"])
def moved(request: pytest.FixtureRequest) -> Iterator[Callable[[], None]]:
    """Has the collector move things without counting that: it is not at its end yet, or did not collect."""
    inside, over = threading.Event(), threading.Event()
    collector = threading.Thread(target=lambda: gc.collect(request.param))

    def move() -> None:
        if request.param == "freeze":
            gc.freeze()
            gc.unfreeze()
            return
        Finalized(inside, over)
        collector.start()
        assert inside.wait(10)

    gc.collect()
    gc.disable()
    try:
        yield move
    finally:
        over.set()
        if collector.ident is not None:
            collector.join()
        gc.enable()


@with_generations
def test_a_look_beside_the_collector_misses_nothing(
    loaded: Loaded, resolver: Resolver, moved: Callable[[], None]
) -> None:
    """What is new may be old by then, though no collection has come to its end."""
    before = resolver.resolve(loaded.path, 2)
    names = set(resolver._census.file_names())
    by_hand = loaded.run({})
    other: Dict[str, Any] = {}
    exec(compile(SOURCE, f"{loaded.path}.other", "exec"), other)
    moved()
    assert ids(resolver.resolve(loaded.path, 2).sites) == {*ids(before.sites), id(by_hand.__code__)}
    assert set(resolver._census.file_names()) - names == {f"{loaded.path}.other"}


def test_nothing_is_kept_alive_between_looks(loaded: Loaded, resolver: Resolver) -> None:
    """Functions and their code go when the application lets them go, and are found no more."""
    skip_if_functions_are_kept()
    by_hand = loaded.run({})
    assert len(found(resolver, loaded.path)) == 2
    del by_hand
    gc.collect()
    assert [id(code) for code in found(resolver, loaded.path)] == [id(loaded.module.work.__code__)]


def test_code_that_an_engine_made_is_nothing_new(loaded: Loaded, resolver: Resolver) -> None:
    """A function whose code was exchanged does not make its file one with new code."""
    (code,) = found(resolver, loaded.path)
    resolver.take_fresh()
    made = code.replace(co_name="made")
    loaded.module.work.__code__ = made
    resolver.same_function(code, made)
    resolver.resolve(loaded.path, 2)
    assert resolver.take_fresh() == set()
    assert resolver.function_name(made) == resolver.function_name(code)


exchanged = pytest.mark.skipif(sys.version_info >= (3, 12), reason="no code is exchanged from 3.12 on")

MAKER = "def outer():\n    def inner():\n        return 1\n    return inner\n"


def functions(resolver: Resolver, path: str, line: int = 2) -> List[Any]:
    (site,) = resolver.resolve(path, line).sites
    return [function() for function in site.functions]


@exchanged
def test_sites_name_the_functions_that_were_seen(loaded: Loaded, resolver: Resolver) -> None:
    """Wherever those are kept, and those that were made since the last look; weakly."""
    assert functions(resolver, loaded.path) == [loaded.module.work]
    code = loaded.module.work.__code__
    kept = [{"kept": (types.FunctionType(code, {"__name__": "another"}),)}]
    assert {id(each) for each in functions(resolver, loaded.path)} == {
        id(loaded.module.work),
        id(kept[0]["kept"][0]),
    }
    kept.clear()
    assert [each for each in functions(resolver, loaded.path) if each is not None] == [loaded.module.work]


@exchanged
def test_functions_of_code_that_an_engine_made_are_those_of_the_original(
    loaded: Loaded, resolver: Resolver
) -> None:
    """A closure that was made under a probe is known at the next probe on it."""
    exec(compile(MAKER, loaded.path, "exec"), loaded.module.__dict__)
    del loaded.module.work
    outer: Any = loaded.module.outer
    kept = [outer()]
    assert functions(resolver, loaded.path, 3) == kept
    original = kept[0].__code__
    made = original.replace(co_name="made")
    resolver.same_function(original, made)
    again = made.replace(co_name="again")
    resolver.same_function(made, again)
    kept += [types.FunctionType(code, {"__name__": loaded.name}) for code in (made, again)]
    assert {id(each) for each in functions(resolver, loaded.path, 3)} == set(map(id, kept))


@exchanged
def test_functions_stay_known_when_code_of_their_file_is_new(loaded: Loaded, large: List[int]) -> None:
    """Also where the look that finds the new code is not one at everything, and sees the old functions no more."""
    resolver = Resolver()
    gc.collect()
    gc.disable()
    try:
        functions(resolver, loaded.path)
        code = loaded.module.work.__code__
        made = code.replace(co_name="made")
        resolver.same_function(code, made)
        gc.collect(1)
        functions(resolver, loaded.path)  # by the module; those are old from here on
        by_hand = loaded.run({})
        under = types.FunctionType(made, {})
        sites = resolver.resolve(loaded.path, 2).sites
    finally:
        gc.enable()
    named = {id(site.code): [function() for function in site.functions] for site in sites}
    assert named[id(code)] == [loaded.module.work, under]
    assert named[id(by_hand.__code__)] == [by_hand]
    assert len(large) == 1


@exchanged
def test_functions_beyond_number_are_not_kept_in_mind(loaded: Loaded, resolver: Resolver) -> None:
    """Of code that thousands of functions have none is named: an engine has to find them all by itself."""
    code = loaded.module.work.__code__
    many = [types.FunctionType(code, {}) for _ in range(1001)]
    assert functions(resolver, loaded.path) == []
    del many[:]
    gc.collect()
    assert functions(resolver, loaded.path) == [loaded.module.work]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="code is exchanged before 3.12")
def test_where_no_code_is_exchanged_no_function_is_named(loaded: Loaded, resolver: Resolver) -> None:
    """From 3.12 on nothing is spent on what no engine asks for."""
    assert functions(resolver, loaded.path) == []


def test_what_python_m_has_on_its_stack_costs_no_look_through_all_modules(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a frozen module is looked up by itself, and means what it means among all of them."""
    frozen = modules.frozen_file_names()
    assert {name: modules.frozen_file(name) for name in frozen} == frozen
    assert modules.frozen_file("<frozen no_such_module>") is None
    assert modules.frozen_file(f"<frozen {loaded.name}>") is None
    resolver = Resolver()
    found(resolver, loaded.path)

    asked: List[object] = []
    is_frozen = modules._is_frozen
    monkeypatch.setattr(modules, "_is_frozen", lambda module: asked.append(module) or is_frozen(module))
    names: Dict[str, Any] = {}
    exec(compile("def look(): return found()", "<frozen runpy>", "exec"), names)
    names["found"] = lambda: found(resolver, loaded.path)
    assert names["look"]() == [loaded.module.work.__code__]
    assert 0 < len(asked) < len(sys.modules) / 4


@exchanged
def test_what_was_made_of_code_is_kept_in_mind_weakly_and_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of a chain is answered, as long as it lives; entries of code that is gone go in time."""
    monkeypatch.setattr(originals, "_ROOM", 20)
    book = originals.Originals()
    code = compile("0", "original.py", "eval")
    made = code.replace(co_name="made")
    again = made.replace(co_name="again")
    book.note(code, made)
    book.note(made, again)
    book.note(again, code)
    assert [book.of(each) is code for each in (code, made, again)] == [True] * 3
    for _ in range(100):
        book.note(code, code.replace(co_name="passing"))
    assert len(book._made) <= 23
    assert book.of(again) is code
    kept = weakref.ref(code)
    del code
    assert kept() is None
    assert book.of(again) is again


def test_lines_asked_for_again_and_again_are_one_search(loaded: Loaded, large: List[int]) -> None:
    """However much the collector has moved since; but what is made in between is seen."""
    if generations.age() is None:
        pytest.skip("nobody can tell what is young there")
    resolver = Resolver()
    path = loaded.path
    assert 2 in resolver.lines(path).lines
    searches = len(large)
    gc.collect()
    more = {"__name__": "by_hand"}
    gc.disable()  # what it moves among the old just then is told a second later
    try:
        exec(compile("\n\ndef another(n):\n    return n\n", path, "exec"), more)
        assert 4 in resolver.lines(path).lines
    finally:
        gc.enable()
    assert len(large) == searches


def test_lines_of_code_that_is_gone_are_told_no_more(loaded: Loaded, resolver: Resolver) -> None:
    """Though the file was asked for a moment ago."""
    skip_if_functions_are_kept()
    more: Dict[str, Any] = {"__name__": "by_hand"}
    exec(compile("\n\ndef another(n):\n    return n\n", loaded.path, "exec"), more)
    assert 4 in resolver.lines(loaded.path).lines
    more.clear()
    gc.collect()
    assert 4 not in resolver.lines(loaded.path).lines


def test_what_is_on_disk_counts_once_the_code_of_before_is_gone(tmp_path: Any, resolver: Resolver) -> None:
    """Functions of a file that has changed are not those that run, as long as others of it do."""
    skip_if_functions_are_kept()
    file = tmp_path / "changed.py"
    by_hand: Dict[str, Any] = {}
    exec(compile(SOURCE, str(file), "exec"), by_hand)
    file.write_text("def another():\n    x = 1\n    return x\n")
    with pytest.raises(LineNotExecutable):
        resolver.resolve(str(file), 3)
    by_hand.clear()
    gc.collect()
    assert resolver.resolve(str(file), 3).functions == ("changed.another",)


def test_a_forked_child_does_not_wait_for_who_asked_in_its_parent(loaded: Loaded, resolver: Resolver) -> None:
    """The thread that was looking is not in the child, and its lock stays with the parent."""
    with resolver._showing:
        resolver.after_fork_in_child()
        assert 2 in resolver.lines(loaded.path).lines
