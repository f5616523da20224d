"""Looks for code where nobody can tell what is young, and all code that is made is counted: without the GIL."""

from __future__ import annotations

import gc
import importlib.util
import sys
import sysconfig
import types
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import pytest

from otel_tracepoints.errors import LineNotExecutable
from otel_tracepoints.probes import census, generations
from otel_tracepoints.probes import resolver as resolver_module
from otel_tracepoints.probes.passes import CompiledPasses, CountedPasses
from otel_tracepoints.probes.resolver import Resolver

native = pytest.importorskip("otel_tracepoints.engine._native", reason="the compiled module is not built")
pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="nobody counts code here")

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class Counted(CountedPasses):
    """Notes the passes over everything."""

    def __init__(self) -> None:
        super().__init__(native)
        self.passes: List[str] = []

    def whole(self, *given: Any) -> Any:
        self.passes.append("code")
        return super().whole(*given)

    def file_names(self, *given: Any) -> Any:
        self.passes.append("names")
        return super().file_names(*given)


class Looking(NamedTuple):
    resolver: Resolver
    passes: List[str]
    file: str

    def compiled(self, line: int, name: str = "work") -> types.CodeType:
        """The body of a program whose function begins at that line."""
        text = "\n" * (line - 1) + f"def {name}():\n    return 1\n"
        return compile(text, self.file, "exec")

    def found(self, line: int) -> List[int]:
        """Identities: code objects of one text are equal."""
        return sorted(id(site.code) for site in self.resolver.resolve(self.file, line).sites)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Looking]:
    """On every interpreter as without the GIL."""
    passes = Counted()
    monkeypatch.setattr(generations, "age", lambda: None)
    monkeypatch.setattr(resolver_module, "passes_by", lambda _: passes)
    yield Looking(Resolver(native=native), passes.passes, str(tmp_path / "counted.py"))


def ids(*functions: Any) -> List[int]:
    """Of their code objects."""
    return sorted(id(each.__code__) for each in functions)


def run(code: types.CodeType, **names: Any) -> Callable[[], int]:
    exec(code, names)
    made: Callable[[], int] = next(each for each in names.values() if isinstance(each, types.FunctionType))
    return made


def test_nothing_is_searched_until_code_is_made(looking: Looking) -> None:
    """A file that was searched is searched again when there is new code."""
    first = run(looking.compiled(1))
    for _ in range(4):
        assert looking.found(2) == ids(first)
    assert looking.passes == ["code"]
    second = run(looking.compiled(11))
    assert looking.found(12) == ids(second) and looking.passes == ["code"] * 2


def test_another_file_is_searched(looking: Looking, tmp_path: Any) -> None:
    """What is known of one file says nothing of another."""
    other = looking._replace(file=str(tmp_path / "other.py"))
    first, second = run(looking.compiled(1)), run(other.compiled(1))
    assert looking.found(2) == ids(first)
    assert other.found(2) == ids(second)


def test_no_line_is_refused_unsearched(looking: Looking) -> None:
    """A function that is made late, of code that was there, is found; and refusals are not searched for each."""
    first, late = run(looking.compiled(1)), looking.compiled(21)
    assert looking.found(2) == ids(first)
    made = run(late)
    assert looking.found(22) == ids(made)
    del looking.passes[:]
    for _ in range(20):
        with pytest.raises(LineNotExecutable, match="the nearest lines that do: 2 and 22"):
            looking.found(15)
    assert len(looking.passes) < 10


def test_a_copy_that_comes_late_is_owed(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another function of a line that has one is found by a look at everything, which is owed once in a while."""
    codes = [looking.compiled(1) for _ in range(2)]
    functions = [run(codes[0])]
    resolver = looking.resolver
    assert looking.found(2) == ids(functions[0]) and not resolver.owes
    functions.append(run(codes[1]))
    assert looking.found(2) == ids(functions[0]) and resolver.owes
    resolver.take_fresh()
    resolver.look_everywhere([looking.file])
    assert resolver.take_fresh() == {looking.file} and not resolver.owes
    assert looking.found(2) == ids(*functions) and not resolver.owes
    looking.compiled(1)  # so everything that was there may have been on its way
    assert looking.found(2) and not resolver.owes
    assert looking.found(2) and resolver.owes
    resolver.look_everywhere([looking.file])
    assert looking.found(2) and not resolver.owes
    monkeypatch.setattr(census, "_LATE", 0.0)
    assert looking.found(2) and resolver.owes
    resolver.look_everywhere([looking.file])
    monkeypatch.undo()
    assert not resolver.owes


@pytest.mark.skipif(FREE_THREADED, reason="there are no generations")
def test_where_it_can_be_told_what_is_young_each_look_is_whole(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generations go before the count."""
    monkeypatch.setattr(generations, "age", lambda: (1,))
    codes = [looking.compiled(1) for _ in range(2)]
    functions = [run(codes[0])]
    assert len(looking.found(2)) == 1
    functions.append(run(codes[1]))
    assert len(looking.found(2)) == 2 and not looking.resolver.owes
    assert CompiledPasses(native).made() is None


@pytest.mark.skipif(FREE_THREADED, reason="functions may live on there")
def test_lost_code_is_noticed(looking: Looking) -> None:
    """Code that goes away is there no more, though none was made."""
    functions = [run(looking.compiled(1)), run(looking.compiled(11))]
    assert looking.found(12) == ids(functions[1])
    functions.pop()
    gc.collect()
    with pytest.raises(LineNotExecutable, match="the nearest lines that do: 2"):
        looking.found(12)


def test_lines_are_those_that_can_be_resolved(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of lines is so short behind what can be found, though nobody pays what its looks owe."""
    monkeypatch.setattr(looking.resolver._shown, "_patience", 1e-9)
    first, late = run(looking.compiled(1)), looking.compiled(21)
    assert list(looking.resolver.lines(looking.file).lines) == [2]
    made = run(late)
    assert list(looking.resolver.lines(looking.file).lines) == [2, 22]
    assert first() == made() == 1


@pytest.fixture
def with_own_builtins(looking: Looking) -> Iterator[types.ModuleType]:
    """An empty module of that file, whose functions have builtins of their own."""
    spec = importlib.util.spec_from_loader("counted_own", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = looking.file
    module.__dict__["__builtins__"] = {"len": len}
    sys.modules["counted_own"] = module
    yield module
    del sys.modules["counted_own"]


def test_functions_with_builtins_of_their_own(looking: Looking, with_own_builtins: types.ModuleType) -> None:
    """Where only the globals of a module lead to a function, a look at everything finds it too."""
    first, late = looking.compiled(1, "first"), looking.compiled(21, "late")
    names: Dict[str, Any] = with_own_builtins.__dict__
    exec(first, names)
    assert len(looking.found(2)) == 1
    exec(late, names)
    kept = names.pop("late")
    assert looking.resolver.sites_seen(looking.file, 22) == ()
    looking.resolver.look_everywhere([looking.file])
    assert [site.code for site in looking.resolver.sites_seen(looking.file, 22)] == [kept.__code__]


def test_a_look_at_another_file_is_none_at_this(
    looking: Looking, with_own_builtins: types.ModuleType, tmp_path: Any
) -> None:
    """A file with probes that was not what a look was for is gone through when it is."""
    other = looking._replace(file=str(tmp_path / "other.py"))
    elsewhere = run(other.compiled(1))
    exec(looking.compiled(1), with_own_builtins.__dict__)
    kept = [with_own_builtins.__dict__.pop("work"), run(looking.compiled(1))]
    assert other.resolver.look(other.file, [looking.file])(2).sites
    assert looking.found(2) == ids(*kept) and elsewhere() == 1


def test_names_of_files_are_searched_when_code_is_made(looking: Looking) -> None:
    """A path suffix is looked up among the names that are known, until there is new code; what is not there, anew."""
    first = run(looking.compiled(1))
    for _ in range(3):
        assert looking.resolver.match("json/decoder.py").endswith("json/decoder.py")
    assert looking.passes == ["names"]
    made_up = run(compile("def work():\n    return 1\n", "<made up>", "exec"))
    assert looking.resolver.match("<made up>") == "<made up>"
    assert first() == made_up() == 1
