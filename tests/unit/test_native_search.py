"""The compiled search for code beside that of Python: the same code, functions, modules and names."""

from __future__ import annotations

import gc
import random
import sys
import sysconfig
import threading
import types
import weakref
from typing import Any, Dict, Iterator, List, Set

import pytest

from otel_tracepoints.probes import generations, heap, modules
from otel_tracepoints.probes.filenames import FileNames
from otel_tracepoints.probes.modulefiles import ModuleFiles
from otel_tracepoints.probes.passes import CompiledPasses, CountedPasses, Passes, passes_by
from otel_tracepoints.probes.paths import RealPaths
from otel_tracepoints.probes.resolver import Resolver
from otel_tracepoints.probes.sources import Sources

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")
with_gil = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="Python searches where there is no GIL"
)
young = pytest.mark.skipif(generations.age() is None, reason="this interpreter has no generations")

#: Pieces of programs: each keeps something alive in the list `kept`, and nowhere else where it can.
PIECES = (
    "def plain{n}(x):\n    return x\nkept.append(plain{n}); del plain{n}\n",
    "def outer{n}():\n    y = {n}\n    def inner():\n        return y\n    return inner\nkept.append(outer{n}())\n",
    "kept.append([lambda x, k=k: x + k for k in range(3)])\n",
    (
        "class Class{n}:\n    def method(self): return 1\n    @staticmethod\n    def fixed(): return 2\n"
        "    value = property(lambda self: 3)\nkept.append(Class{n})\n"
    ),
    "def steps{n}():\n    yield 1\n    yield 2\ng = steps{n}(); next(g); kept.append(g); del g, steps{n}\n",
    "kept.append(x for x in range(3))\n",
    "def spent{n}():\n    yield 1\ng = spent{n}(); list(g); kept.append(g); del g, spent{n}\n",
    "async def later{n}(): return 1\nkept.append(later{n}())\n",
    "async def many{n}():\n    yield 1\nkept.append(many{n}())\n",
    (
        "def traced{n}(function):\n    @functools.wraps(function)\n    def wrapper(*args): return function(*args)\n"
        "    return wrapper\n@traced{n}\ndef wrapped{n}(): return 1\nkept.append(wrapped{n}); del traced{n}\n"
    ),
    "def framed{n}(): return sys._getframe()\nkept.append(framed{n}()); del framed{n}\n",
    "exec(compile('def by_hand{n}(): return 1', __file__, 'exec')); kept.append(by_hand{n})\n",
    (
        "space = {{'__builtins__': {{}}, '__name__': 'own{n}'}}\n"
        "exec(compile('def alone(): return 1', __file__, 'exec'), space)\nkept.append(space['alone'])\n"
    ),
    "kept.append(types.FunctionType(compile('1', 'elsewhere.py', 'eval'), {{}}))\n",
)


class Program:
    """Random code of one file that is in no module."""

    def __init__(self, seed: int, folder: str) -> None:
        maker = random.Random(seed)
        chosen = [maker.choice(PIECES).format(n=number) for number in range(12)]
        self.file = f"{folder}/program{seed}.py"
        self.paths = RealPaths()
        self.kept: List[Any] = []
        names = {"__file__": self.file, "__name__": f"program{seed}", "kept": self.kept}
        exec("import functools, sys, types\n", names)
        exec(compile("".join(chosen), self.file, "exec"), names)
        self.namespace = names

    def close(self) -> None:
        for each in self.kept:
            if type(each) is types.CoroutineType:
                each.close()

    def names(self, known: bool) -> FileNames:
        if known:
            self.paths.of(self.file)
        return FileNames({self.paths.of(self.file)}, self.paths, Sources())


@pytest.fixture(params=range(25))
def program(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Program]:
    made = Program(request.param, str(tmp_path))
    yield made
    made.close()


def codes(found: heap.Pass) -> Set[int]:
    return {id(root.code) for root in found.roots}


def seen(found: heap.Pass) -> Set[Any]:
    """What is said of each code object that one function has."""
    functions = {id(root.function()) for root in found.roots if root.function is not None}
    return {(id(root.code), root.module) for root in found.roots} | functions


@with_gil
@pytest.mark.parametrize("known", [False, True])
def test_both_searches_find_the_same_code(program: Program, known: bool) -> None:
    """Whatever keeps a function or a suspended frame alive, both find it, whether the name was seen before."""
    names = program.names(known)
    spaces = [each.__globals__ for each in program.kept if type(each) is types.FunctionType]
    python = Passes().whole(names, [program.namespace, *spaces], ())
    compiled = CompiledPasses(native).whole(names, (), ())
    assert codes(python) and seen(compiled) == seen(python)


@with_gil
@young
def test_both_find_the_same_of_what_is_young(program: Program) -> None:
    """What no collection has moved among the old is found by both, and nothing that has been moved."""
    names = program.names(True)
    gc.collect()
    gc.disable()
    try:
        mark = generations.Mark()
        again = Program(100, program.file.rpartition("/")[0])
        others = {*names.wanted, again.paths.of(again.file)}
        both = FileNames(others, program.paths, Sources())
        python, compiled = Passes().young(both, (), mark), CompiledPasses(native).young(both, (), mark)
    finally:
        gc.enable()
        again.close()
    assert seen(compiled) == seen(python)
    assert {root.code.co_filename for root in compiled.roots} >= {again.file}
    assert program.file not in {root.code.co_filename for root in compiled.roots}
    assert python.is_complete and compiled.is_complete


@with_gil
@young
def test_both_tell_when_what_was_made_since_is_young_no_more() -> None:
    """What was made since a moment is all found, or said not to be; also of the names of files."""
    gc.collect()
    names = FileNames({"/nowhere/young.py"}, RealPaths(), Sources())
    gc.disable()
    try:
        mark = generations.Mark()
        for collected, expected in ((None, True), (0, True), (1, False)):
            if collected is not None:
                gc.collect(collected)
            for passes in (Passes(), CompiledPasses(native)):
                assert passes.young(names, (), mark).is_complete == expected
                assert passes.file_names(mark)[1] == expected
                assert passes.whole(names, (), ()).is_complete and passes.file_names()[1]
    finally:
        gc.enable()


@with_gil
def test_both_know_the_same_file_names(program: Program) -> None:
    """The files of everything that can run are the same by both."""
    python = set(Passes().file_names()[0])
    assert set(CompiledPasses(native).file_names()[0]) >= python
    gc.collect()
    extra = set(CompiledPasses(native).file_names()[0]) - set(Passes().file_names()[0])
    # Python's search asks for what refers to the builtins, and so misses functions that have their own.
    assert extra <= {program.file, "elsewhere.py"}


@with_gil
@pytest.mark.skipif(sys.version_info < (3, 12), reason="engines need every function there")
def test_known_code_is_left_out(program: Program) -> None:
    """Code that the caller knows is not told again; that of an identity which is another's by now is."""
    names = program.names(True)
    passes = CompiledPasses(native)
    every = passes.whole(names, (), ()).roots
    known: Dict[int, object] = {id(root.code): weakref.ref(root.code) for root in every}
    stale = every[0].code
    known[id(stale)] = weakref.ref(compile("1", "other.py", "eval"))
    assert {id(root.code) for root in passes.whole(names, (), (known,)).roots} == {id(stale)}


class Name(str):
    """The name of a file that must not be compared."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("code of the application ran")

    __hash__ = None  # type: ignore[assignment]


@with_gil
def test_no_code_of_the_application_runs() -> None:
    """Names of classes of the application are neither compared nor hashed, nor asked about."""

    def strange() -> None:
        pass

    strange.__code__ = strange.__code__.replace(co_filename=Name("/nowhere/strange.py"))
    paths = RealPaths()
    names = FileNames({"/nowhere/strange.py"}, paths, Sources())
    passes = CompiledPasses(native)
    assert passes.whole(names, (), ()).roots == []
    assert all(type(name) is str for name in passes.file_names()[0])


@with_gil
def test_nothing_that_was_found_is_kept() -> None:
    """A function that was found dies when its owner lets it go."""
    space: Dict[str, Any] = {}
    exec(compile("def found(): pass", "/nowhere/kept.py", "exec"), space)
    paths = RealPaths()
    names = FileNames({"/nowhere/kept.py"}, paths, Sources())
    assert len(CompiledPasses(native).whole(names, (), ()).roots) == 1
    reference = weakref.ref(space.pop("found"))
    assert reference() is None


@with_gil
def test_an_error_of_the_caller_is_passed_on() -> None:
    """What the question for a name raises comes out, and leaves nothing behind."""

    def fails(name: str) -> bool:
        raise KeyError(name)

    with pytest.raises(KeyError):
        native.runnable(None, {}, set(), fails, ())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (1, {}, set(), bool, ()),
        ([], [], set(), bool, ()),
        ([], {}, {}, bool, ()),
        ([], {}, set(), bool, []),
        ([], {}, set(), bool, ([],)),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any) -> None:
    """The search is not begun with anything but what it reads in C."""
    with pytest.raises(TypeError):
        native.runnable(*arguments)


def test_names_are_told_since_a_moment_or_of_everything() -> None:
    """Nothing else than what marks a moment is taken for one."""
    with pytest.raises(TypeError):
        native.file_names(True)


def test_both_find_the_same_modules(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of a file are found under all their names and links, of whatever class they are."""

    class Module(types.ModuleType):
        pass

    (tmp_path / "mod.py").write_text("")
    (tmp_path / "link.py").symlink_to(tmp_path / "mod.py")
    made = {"alias": types.ModuleType("own"), "own": types.ModuleType("own"), "linked": Module("linked")}
    made["alias"] = made["own"]
    for name, module in made.items():
        module.__file__ = str(tmp_path / ("link.py" if name == "linked" else "mod.py"))
        monkeypatch.setitem(sys.modules, name, module)
    for name, odd in {"odd": object(), "none": None, "nameless": types.ModuleType("x")}.items():
        monkeypatch.setitem(sys.modules, name, odd)
    path = str(tmp_path / "mod.py")
    python, compiled = ModuleFiles(RealPaths()), ModuleFiles(RealPaths(), native)
    for _ in range(2):
        expected = [(module.name, id(module.namespace)) for module in python.among([path])[path]]
        assert [(module.name, id(module.namespace)) for module in compiled.among([path])[path]] == expected
        assert sorted(name for name, _ in expected) == ["alias", "linked", "own"]
    assert compiled.all() == python.all()


class Key:
    """In the place of ``__file__``, and not to be compared."""

    def __hash__(self) -> int:
        return hash("__file__")

    def __eq__(self, other: object) -> bool:
        raise ValueError("of the application")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_module_whose_names_cannot_be_compared_has_no_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    """What comparing them raises stays in here, and the modules beside it are found."""
    path = str(tmp_path / "beside.py")
    for name, names in {"odd": {Key(): 1}, "beside": {"__file__": path}}.items():
        module = types.ModuleType(name)
        module.__dict__.update(names)
        monkeypatch.setitem(sys.modules, name, module)
    files = ModuleFiles(RealPaths(), native if compiled else None)
    assert [module.name for module in files.among({path})[path]] == ["beside"]
    assert "odd" not in {module.name for module in files.all()}
    assert modules.module_named("odd") is None


def test_a_resolver_finds_its_lines_with_either(tmp_path: Any) -> None:
    """What a file and a line mean is the same with the compiled module and without."""
    made = Program(3, str(tmp_path))
    python, compiled = Resolver(), Resolver(native=native)
    try:
        lines = python.lines(made.file)
        assert compiled.lines(made.file) == lines and lines.lines
        for line in lines.lines:
            sites = {id(site.code) for site in compiled.resolve(made.file, line).sites}
            assert sites == {id(site.code) for site in python.resolve(made.file, line).sites}
    finally:
        made.close()


def test_without_the_gil_python_searches() -> None:
    """Where other threads go on while the heap is read, it is not read by the compiled module."""
    compiled = not sysconfig.get_config_var("Py_GIL_DISABLED")
    assert type(passes_by(native)) is (CompiledPasses if compiled else CountedPasses)
    assert type(passes_by(None)) is Passes


@with_gil
def test_a_search_disturbs_no_other_thread() -> None:
    """What a thread is just filling keeps its one owner: ``tuple(generator)`` would fail otherwise."""
    failed, over = [], threading.Event()

    def build() -> None:
        while not over.is_set():
            try:
                tuple(n for n in range(50))
            except SystemError as error:
                failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    builder = threading.Thread(target=build)
    builder.start()
    try:
        for _ in range(30):
            native.runnable(None, {}, set(), "nowhere".__eq__, ())
            native.file_names(None)
            native.runnable([], {}, set(), "nowhere".__eq__, ())
    finally:
        over.set()
        builder.join()
        sys.setswitchinterval(interval)
    assert not failed


def test_code_that_is_made_is_counted() -> None:
    """Whoever makes a code object, by whatever way and in whichever thread, is counted; who calls one is not."""
    before = native.codes_made()
    if sys.version_info < (3, 12):
        assert before is None
        return
    code = compile("def f(): pass", "counted.py", "exec")
    made = native.codes_made()
    assert made >= before + 2
    names: Dict[str, Any] = {}
    exec(code, names)
    names["f"]()
    assert native.codes_made() == made
    code.replace(co_name="other")
    thread = threading.Thread(target=compile, args=("1", "counted.py", "eval"))
    thread.start()
    thread.join()
    assert native.codes_made() == made + 2
