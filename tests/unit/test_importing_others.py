"""Other finders and loaders beside the import watcher, whatever they do, and those who ask a loader."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import pkgutil
import sys
import traceback
import types

import pytest
import wrapt
from tests.support.imports import SOURCE, Recorder

from otel_tracepoints.probes.importing import ImportWatcher


def test_a_callback_that_fails_changes_nothing(place, watching):
    """The original code runs where the callback raises or answers something else."""
    path = place("ifails.py")

    def raises(code, path):
        raise RuntimeError("no")

    watching(raises, path)
    assert importlib.import_module("ifails").VALUE == "original"
    other = place("ianswers.py")
    watching(lambda code, path: None, other)
    assert importlib.import_module("ianswers").VALUE == "original"


def test_what_is_not_there_is_not_there(place, watching):
    """A watched file that vanished is an ordinary ModuleNotFoundError without a frame of ours."""
    path = place("ivanish.py")
    watching(Recorder(), path)
    os.remove(path)
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module("ivanish")
    assert error.value.name == "ivanish"
    assert os.path.join("probes", "importing.py") not in "".join(
        traceback.format_tb(error.value.__traceback__)
    )


def test_an_exception_of_the_module_passes_without_a_frame_of_ours(place, watching):
    """The traceback of a module that fails while it runs is the same as without a watch."""
    path = place("iraises.py", "1 / 0\n")
    watching(Recorder(), path)
    with pytest.raises(ZeroDivisionError) as error:
        importlib.import_module("iraises")
    assert os.path.join("probes", "importing.py") not in "".join(
        traceback.format_tb(error.value.__traceback__)
    )


class _Legacy:
    """A finder from before find_spec; the import system asks it, or not, as without us."""

    def __init__(self):
        self.asked = []

    def find_module(self, name, path=None):
        self.asked.append(name)


@pytest.mark.filterwarnings("ignore::ImportWarning")
def test_finders_without_find_spec(place, watching):
    """They neither break an import nor are left out."""
    path = place("ilegacy.py")
    legacy = _Legacy()
    sys.meta_path.insert(0, legacy)
    try:
        watcher = ImportWatcher(Recorder())
        watcher.watch(path)
        assert importlib.import_module("ilegacy").VALUE == "original"
        assert ("ilegacy" in legacy.asked) is (sys.version_info < (3, 12))
        watcher.close()
    finally:
        sys.meta_path.remove(legacy)


class _Asking(importlib.abc.MetaPathFinder):
    """A finder that asks the whole import system in its turn, as other tools' finders do."""

    def __init__(self):
        self.busy = False

    def find_spec(self, name, path=None, target=None):
        if self.busy:
            return None
        self.busy = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.busy = False


def test_finders_that_ask_in_their_turn_do_not_recurse(place, watching):
    """Two tools that both delegate to the others come to an end."""
    path = place("iturn.py")
    asking = _Asking()
    sys.meta_path.insert(0, asking)
    recorder = Recorder(replace=True)
    first, second = ImportWatcher(recorder), ImportWatcher(recorder)
    try:
        first.watch(path), second.watch(path)
        assert importlib.import_module("iturn").VALUE == "replaced"
        assert recorder.seen
    finally:
        second.close(), first.close()
        sys.meta_path.remove(asking)


class _Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "iblocked":
            raise ImportError("blocked on purpose")


def test_finders_that_raise_raise(place, watching):
    """An import that another tool forbids stays forbidden, with its own error."""
    path = place("iblocked.py")
    blocker = _Blocker()
    sys.meta_path.insert(0, blocker)
    try:
        watcher = ImportWatcher(Recorder())
        watcher.watch(path)
        with pytest.raises(ImportError, match="blocked on purpose"):
            importlib.import_module("iblocked")
        watcher.close()
    finally:
        sys.meta_path.remove(blocker)


class _OwnLoader:
    """A loader that only knows exec_module, with slots: nothing can be put onto it."""

    __slots__ = ("path",)

    def __init__(self, path):
        self.path = path

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.VALUE = "own"


def test_loaders_of_other_kinds_are_left_alone(place, watching):
    """A custom loader loads as ever; namespace packages, builtin and extension modules too."""
    path = place("iown.py")
    place("inamespace/inside.py")

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path_=None, target=None):
            if name == "iown":
                return importlib.util.spec_from_file_location(name, path, loader=_OwnLoader(path))

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        watcher = ImportWatcher(Recorder())
        watcher.watch(path)
        watcher.watch("/nowhere/inamespace.py")
        watcher.watch("/nowhere/_json.py")
        watcher.watch("/nowhere/__init__.py")
        assert importlib.import_module("iown").VALUE == "own"
        assert importlib.import_module("inamespace.inside").VALUE == "original"
        assert importlib.util.find_spec("_json") is not None
        watcher.close()
    finally:
        sys.meta_path.remove(finder)


class _Chained:
    """A loader around another, as ddtrace has it: shows its attributes, and takes over its ``get_code``."""

    def __init__(self, loader):
        self.loader = loader
        self.exec_module = self._exec_module
        self.create_module = self._create_module

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def _create_module(self, spec):
        return self.loader.create_module(spec)

    def _exec_module(self, module):
        given = self.loader.get_code
        self.loader.get_code = types.MethodType(lambda _, name: given(name), self.loader)
        self.loader.exec_module(module)


@pytest.mark.parametrize("wrap", [_Chained, wrapt.ObjectProxy, lambda loader: _Chained(_Chained(loader))])
def test_loaders_around_loaders_are_looked_behind(place, watching, wrap):
    """The code of a module is seen before it runs, whoever has put a loader of their own around its loader."""
    path = place("iwrapped.py")

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path_=None, target=None):
            if name == "iwrapped":
                spec = importlib.util.spec_from_file_location(name, path)
                spec.loader = wrap(spec.loader)
                return spec

    finder = Finder()
    sys.meta_path.insert(0, finder)
    recorder = Recorder(replace=True)
    try:
        watching(recorder, path)
        assert importlib.import_module("iwrapped").VALUE == "replaced"
    finally:
        sys.meta_path.remove(finder)
    assert recorder.seen == [("<module>", path)]


def test_data_and_inspection_of_a_loader_work_as_before(place, watching):
    """pkgutil, inspect and linecache meet a loader that answers as ever."""
    import inspect

    path = place("iinspect.py")
    watching(Recorder(), path)
    module = importlib.import_module("iinspect")
    assert inspect.getsource(module) == SOURCE
    assert pkgutil.get_data("iinspect", "iinspect.py") == SOURCE.encode()
    assert type(module.__loader__.get_code("iinspect")) is types.CodeType
