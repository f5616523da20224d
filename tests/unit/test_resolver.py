"""Which code holds a line of a file, found wherever it is, and named."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import subprocess
import sys
import textwrap
import threading
import types
import zipfile

import pytest
from tests.support.shop import SHOP, load, tag

from otel_tracepoints.errors import FileNotFound, LineNotExecutable
from otel_tracepoints.probes import sources
from otel_tracepoints.probes.naming import FunctionNames
from otel_tracepoints.probes.resolver import Resolver


def functions_at(resolver, path, name, text=SHOP):
    return resolver.resolve(path, tag(text, name)).functions


def test_functions_of_every_kind_are_found_and_named(tree):
    """Each line names the function that holds it, by module and qualified name."""
    path = tree("rkinds.py")
    module = load("rkinds")
    closure = module.outer()
    resolver = Resolver()
    expected = {
        "wrapper": ("rkinds.keep.<locals>.wrapper",),
        "method": ("rkinds.Cart.add",),
        "static": ("rkinds.Cart.static",),
        "property": ("rkinds.Cart.total",),
        "hidden": ("rkinds.Cart.__hidden",),
        "item": ("rkinds.Cart.Item.price",),
        "decorated": ("rkinds.decorated",),
        "inner": ("rkinds.outer.<locals>.inner",),
        "coroutine": ("rkinds.coroutine",),
        "module": ("rkinds",),
        "class": ("rkinds.Cart",),
        "decorator": ("rkinds",),
        "def": ("rkinds",),
    }
    assert {name: functions_at(resolver, path, name) for name in expected} == expected
    comprehension = "rkinds.<lambda>" + ("" if sys.version_info >= (3, 12) else ".<locals>.<listcomp>")
    assert functions_at(resolver, path, "comprehension") == (comprehension,)
    found = resolver.resolve(path, tag(SHOP, "inner"))
    assert found.sites[0].code is closure.__code__
    assert found.sites[0].parents == (module.outer.__code__,)
    assert (found.file, found.module, found.imported) == (path, "rkinds", True)
    assert resolver.function_name(closure.__code__) == "rkinds.outer.<locals>.inner"
    # The module's body is over: it has no live code, and yet is a place for a probe.
    assert resolver.resolve(path, tag(SHOP, "module")).sites == ()


def test_lines_are_exactly_what_resolve_accepts(tree):
    """Every line listed is accepted, every other line of the file is refused, imported or not."""
    path = tree("rlines.py")
    resolver = Resolver()
    before = resolver.lines(path)
    assert not before.imported
    load("rlines")
    after = resolver.lines(path)
    assert after.imported
    assert before.lines == after.lines
    for line in range(1, SHOP.count("\n") + 3):
        if line in after.lines:
            assert resolver.resolve(path, line).functions == after.lines[line]
        else:
            with pytest.raises(LineNotExecutable):
                resolver.resolve(path, line)


@pytest.mark.parametrize(
    ("text", "line", "nearest"),
    [
        ("x = 1\n\n# no code\ny = 2\n", 3, [1, 4]),
        ("x = 1\n\n# no code\ny = 2\n", 2, [1, 4]),
        ("x = 1\n\n# no code\ny = 2\n", 500, [4]),
        ("# no code\n\nx = 1\n", 1, [3]),
        ("def f(:\n", 1, []),
    ],
)
def test_a_line_without_code_is_refused_with_the_nearest(tree, text, line, nearest):
    """The closest executable line before and after, those that exist, ascending, and in the sentence."""
    path = tree("rnearest.py", text)
    with pytest.raises(LineNotExecutable) as error:
        Resolver().resolve(path, line)
    assert error.value.details == {"nearest": nearest}
    for each in nearest:
        assert str(each) in error.value.message


def test_a_file_that_is_not_imported_is_compiled_not_run(tree):
    """Its lines are known without any effect of it, warnings included."""
    path = tree("rsleep.py", "undefined('\\d')\ndef f():\n    return 1 is 1\n")
    found = Resolver().resolve(path, 3)
    assert found == (path, None, False, (), ("rsleep.f",))


def test_warnings_of_the_application_are_left_alone(tree):
    """Compiling a file warns nobody and leaves the filters as they were."""
    import warnings

    path = tree("rwarns.py", "x = 1 is 1\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        assert list(Resolver().lines(path).lines) == [1]
        assert warnings.filters == before
    assert caught == []


def test_live_code_is_right_where_the_file_has_changed(tree):
    """After an edit on disk the lines are those of the functions that run."""
    path = tree("redit.py", "def f():\n    return 1\n")
    load("redit")
    resolver = Resolver()
    tree("redit.py", "# one\n# more\ndef f():\n    return 1\n\ndef g():\n    return 2\n")
    os.utime(path, (1, 1))
    assert resolver.resolve(path, 2).functions == ("redit.f",)
    for line in (4, 7):
        with pytest.raises(LineNotExecutable):
            resolver.resolve(path, line)


def test_two_modules_from_one_file_both_count(tree):
    """The same file under two names has two sets of code, and a probe gets both."""
    path = tree("rtwice.py", "def f():\n    return 1\n")
    first = load("rtwice")
    spec = importlib.util.spec_from_file_location("ralias", path)
    second = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(second)
    found = Resolver().resolve(path, 2)
    assert {id(site.code) for site in found.sites} == {id(first.f.__code__), id(second.f.__code__)}
    assert set(found.functions) == {"rtwice.f", "ralias.f"}


def test_exec_with_a_made_up_name(tree):
    """Code made by hand is a file of its own name, as long as it lives."""
    namespace = {"__name__": "rmade"}
    exec(compile("def f():\n    return 1\n\nx = 1\n", "made_up_l.py", "exec"), namespace)
    resolver = Resolver()
    assert resolver.match("made_up_l.py") == "made_up_l.py"
    found = resolver.resolve("made_up_l.py", 2)
    assert found.functions == ("rmade.f",)
    assert found.imported
    assert found.module is None
    with pytest.raises(LineNotExecutable):
        resolver.resolve("made_up_l.py", 4)
    namespace.clear()
    gc.collect()
    with pytest.raises(FileNotFound):
        resolver.match("made_up_l.py")


def test_code_outlives_its_module(tree):
    """A deleted entry of sys.modules does not make its functions unreachable; a second import adds to them."""
    path = tree("rgone.py", "def f():\n    return 1\n")
    first = load("rgone")
    del sys.modules["rgone"]
    resolver = Resolver()
    assert resolver.match("rgone.py") == path
    found = resolver.resolve(path, 2)
    assert (found.imported, found.module, len(found.sites)) == (True, None, 1)
    second = load("rgone")
    assert {id(site.code) for site in resolver.resolve(path, 2).sites} == {
        id(first.f.__code__),
        id(second.f.__code__),
    }


def test_a_module_that_is_still_running_is_imported(tree):
    """Its body's frame leads to all of its code, also to functions that are not made yet."""
    import builtins

    started, end = threading.Event(), threading.Event()
    builtins._resolver_events = (started, end)
    text = "import builtins\nstarted, end = builtins._resolver_events\nstarted.set()\nend.wait(10)\ndef f():\n    return 1\n"
    path = tree("rslow.py", text)
    thread = threading.Thread(target=load, args=("rslow",))
    thread.start()
    try:
        assert started.wait(10)
        resolver = Resolver()
        body = resolver.resolve(path, 4)
        assert [site.code.co_name for site in body.sites] == ["<module>"]
        assert body.functions == ("rslow",)
        function = resolver.resolve(path, 6)
        assert [site.code.co_name for site in function.sites] == ["f"]
        assert function.sites[0].parents == (body.sites[0].code,)
    finally:
        end.set()
        thread.join()
        del builtins._resolver_events
    assert sys.modules["rslow"].f.__code__ is function.sites[0].code


def test_members_of_zip_archives(tree, tmp_path, monkeypatch):
    """A zip member is archive.zip/mod.py before and after its import."""
    archive = os.path.join(os.path.realpath(str(tmp_path)), "rzip.zip")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("zpkg/__init__.py", "")
        opened.writestr("zpkg/zmod.py", "def f():\n    return 1\n")
    monkeypatch.syspath_prepend(archive)
    path = os.path.join(archive, "zpkg", "zmod.py")
    resolver = Resolver()
    for file in (path, "zpkg/zmod.py", "rzip.zip/zpkg/zmod.py"):
        assert resolver.match(file) == path
    assert resolver.resolve(path, 2) == (path, None, False, (), ("zpkg.zmod.f",))
    module = load("zpkg.zmod")
    found = resolver.resolve(resolver.match("zmod.py"), 2)
    assert found.module == "zpkg.zmod"
    assert [site.code for site in found.sites] == [module.f.__code__]
    assert list(resolver.lines(path).lines) == [1, 2]


def test_compiled_files_without_source(tree):
    """A module that was shipped as .pyc is matched by its source's name; its code says another one."""
    import py_compile

    path = tree("rcompiled.py", "def f():\n    return 1\n")
    py_compile.compile(path, cfile=path + "c", dfile="/build/elsewhere.py")
    os.remove(path)
    module = load("rcompiled")
    assert module.f.__code__.co_filename == "/build/elsewhere.py"
    resolver = Resolver()
    assert resolver.match("rcompiled.py") == path + "c"
    assert resolver.resolve(path + "c", 2).sites[0].code is module.f.__code__
    assert list(resolver.lines(path + "c").lines) == [1, 2]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the standard library is not frozen")
def test_frozen_modules_of_the_standard_library():
    """Code that calls its file <frozen os> is found by the path of that module."""
    resolver = Resolver()
    path = resolver.match(os.__file__)
    code = os.getenv.__code__
    found = resolver.resolve(path, code.co_firstlineno + 4)
    assert found.functions == ("os.getenv",)
    assert found.sites[0].code is code


def test_hostile_entries_of_sys_modules_are_passed_over(tree):
    """Objects that fail when touched, lazy modules and strange files do no harm and are not run."""
    import types

    class Hostile:
        def __getattribute__(self, name):
            raise AssertionError("application code ran")

    class LazyModule(types.ModuleType):
        def __getattr__(self, name):
            raise AssertionError("application code ran")

    path = tree("rhostile.py")
    load("rhostile")
    odd = types.ModuleType("rodd")
    odd.__file__ = Hostile()
    sys.modules.update(rhostile1=Hostile(), rhostile2=LazyModule("rlazy"), rodd=odd, rnone=None)
    try:
        resolver = Resolver()
        assert resolver.match("rhostile.py") == path
        assert resolver.loaded(path) == "rhostile"
    finally:
        for name in ("rhostile1", "rhostile2", "rodd", "rnone"):
            del sys.modules[name]


def test_a_lazy_module_is_not_loaded_yet(tree):
    """The lazy loader of importlib is neither triggered nor taken for loaded."""
    path = tree("rlazily.py", "def f():\n    return 1\n")
    spec = importlib.util.find_spec("rlazily")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["rlazily"] = module
    spec.loader.exec_module(module)
    resolver = Resolver()
    assert resolver.loaded(path) is None
    assert not resolver.resolve(path, 2).imported
    assert module.f() == 1
    assert resolver.loaded(path) == "rlazily"


def test_loaded_tells_the_module_of_a_file(tree):
    """The once-a-second look: None before the import, the name after it."""
    path = tree("rloaded.py")
    resolver = Resolver()
    assert resolver.loaded(path) is None
    load("rloaded")
    assert resolver.loaded(path) == "rloaded"


SCRIPT = """\
import sys, threading
from otel_tracepoints.probes.resolver import Resolver

class C:
    def method(self):
        return 1

resolver = Resolver()
path = resolver.match("rmain.py")
print(path)
print(resolver.resolve(path, 6).functions)
found = resolver.resolve(path, 10)
(site,) = found.sites
print(found.functions, found.module, site.code is sys._getframe().f_code)
print(resolver.function_name(C.method.__code__))
"""


@pytest.mark.parametrize("how", ["script", "module", "zipapp"])
def test_the_main_program(tree, tmp_path, how):
    """The script of `python x.py`, `python -m x` and `python app.pyz` is __main__, and is running."""
    path = tree("rmain.py", SCRIPT)
    command = {"script": ["rmain.py"], "module": ["-m", "rmain"], "zipapp": ["app.pyz"]}[how]
    if how == "zipapp":
        text = SCRIPT.replace("rmain.py", "__main__.py")
        with zipfile.ZipFile(str(tmp_path / "app.pyz"), "w") as archive:
            archive.writestr("__main__.py", text.replace('match("', 'match("app.pyz/'))
        path = os.path.join(os.path.dirname(path), "app.pyz", "__main__.py")
    source = os.path.dirname(
        os.path.dirname(os.path.dirname(importlib.util.find_spec("otel_tracepoints.probes").origin))
    )
    result = subprocess.run(
        [sys.executable, *command],
        cwd=os.path.realpath(str(tmp_path)),
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        text=True,
    )
    assert result.stdout == textwrap.dedent(
        f"""\
        {path}
        ('__main__.C.method',)
        ('__main__',) __main__ True
        __main__.C.method
        """
    )


def test_modules_that_came_later_are_taken_in_bit_by_bit(tree, monkeypatch):
    """A name asked for in a hit takes in a bounded number of new modules, and in the end knows all."""
    tree("rlate.py", "def late():\n    return 1\n")
    names = FunctionNames()
    names.prepare()
    crowd = {f"rcrowd{n}": types.ModuleType(f"rcrowd{n}") for n in range(1000)}
    for name, module in crowd.items():
        module.__file__ = f"/nowhere/{name}.py"
        monkeypatch.setitem(sys.modules, name, module)
    late = load("rlate").late.__code__
    answers = [names.of(late) for _ in range(5)]
    assert answers[0] == "late"
    assert answers[-1] == "rlate.late"
    for name in crowd:
        monkeypatch.delitem(sys.modules, name)
    assert names.of(compile("1", "/nowhere/rcrowd1.py", "exec")) == "rcrowd1"


LATE = pytest.mark.skipif(sys.version_info < (3, 11), reason="the file says what its code is called")


@LATE
@pytest.mark.parametrize(
    "name", ["argparse", "dataclasses", "typing", "enum", "tests.support.every_construct"]
)
def test_functions_are_named_the_same_before_the_file_is_read(name):
    """What else holds a line of a function's body is known without the file on disk."""
    path = os.path.realpath(importlib.import_module(name).__file__)
    full = Resolver().lines(path).lines
    census = Resolver()._census
    seen = census.look(path)
    settled = seen._settled
    assert len(settled) > 50
    named = {line: tuple(dict.fromkeys(name for name, _ in seen.at(line))) for line in settled}
    assert seen._settled is settled
    assert named == {line: full[line] for line in settled}


@pytest.mark.parametrize("loaded", [False, True])
def test_a_file_that_cannot_be_read_at_first_is_read_later(tree, monkeypatch, loaded):
    """A process without a file handle to spare may have one when it is asked again."""
    path = tree("rbusy.py", "x = 1\ndef work(n):\n    n += 1\n    return n\n")
    if loaded:
        load("rbusy")
    resolver = Resolver()

    def fails(*args):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as busy:
        busy.setattr(sources, "open", fails, raising=False)
        with pytest.raises(LineNotExecutable):
            resolver.resolve(path, 1)
        assert list(resolver.lines(path).lines) == ([3, 4] if loaded else [])
        shown = resolver.look(path)
    assert shown(1).functions == ("rbusy",)
    assert resolver.resolve(path, 3).functions == ("rbusy.work",)
    assert list(resolver.lines(path).lines) == [1, 2, 3, 4]


@LATE
def test_live_code_is_called_what_it_was_loaded_as(tree):
    """Whether the file was read since or not, and whatever stands in it by now."""
    text = "class First:\n    def work(self):\n        n = 1\n        return n\n"
    path = tree("rrenamed.py", text)
    work = load("rrenamed").First.work
    with open(path, "w") as file:
        file.write(text.replace("First", "Second"))
    resolver = Resolver()
    for _ in range(2):
        assert resolver.resolve(path, 4).functions == ("rrenamed.First.work",)
        assert resolver.function_name(work.__code__) == "rrenamed.First.work"
        resolver.lines(path)
        resolver.resolve(path, 1)


@LATE
def test_a_file_is_compiled_only_when_it_may_hold_the_line(tree, monkeypatch):
    """A line in the body of a live function needs no file; that of a def, and a list of lines, does."""
    path = tree("rlate.py", "def work(n):\n    n += 1\n    return n\n")
    module = load("rlate")
    reads, read = [], sources._code_of
    monkeypatch.setattr(sources, "_code_of", lambda *args: reads.append(args) or read(*args))
    resolver = Resolver()
    assert resolver.resolve(path, 3).functions == ("rlate.work",) and module.work(1) == 2
    assert not reads
    assert resolver.resolve(path, 1).functions == ("rlate",)
    assert len(reads) == 1
    assert list(resolver.lines(path).lines) == [1, 2, 3]
    assert len(reads) == 1
