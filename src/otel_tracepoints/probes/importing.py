"""Seeing code before it runs: the import hook for files with probes.

While some file is watched, a finder stands first in ``sys.meta_path``. It asks the other finders
and gives the loader that they answer a ``get_code`` of its own (on that one loader object), which
hands the code of a watched file to the agent before the module runs. Reloads and ``python -m``
come the same way; ``runpy.run_path`` compiles scripts by itself and is caught there. Loaders
that do not go through ``get_code`` are left alone: what they load is found by looking for it
once a second.

No lock of ours is held while anything is imported: two threads that import while a probe is
created would wait for each other.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import runpy
import sys
import threading
import types
import weakref
import zipimport
from importlib.machinery import BuiltinImporter, ExtensionFileLoader, FrozenImporter, ModuleSpec
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Sequence, Set

from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.probes.modulefiles import ModuleFiles
from otel_tracepoints.probes.paths import RealPaths, segments

#: Called with a module's code and its real path in the thread that imports it, which holds that
#: module's import lock: it must not import, nor wait for a thread that may. Answers the code to run.
OnCode = Callable[[types.CodeType, str], types.CodeType]

#: Loaders around loaders that are looked behind.
_MAX_WRAPPED = 8
_NO_PYTHON = (BuiltinImporter, FrozenImporter, ExtensionFileLoader)


class ImportWatcher:
    """Calls back with the code of watched files when it is about to run.

    Watch a file as long as it has a probe, also when it is loaded already: `importlib.reload`, a
    deleted and repeated import and ``runpy`` make new code. With nothing watched no hook is
    there; otherwise an import of another name costs a look into a set (0.2 µs), and one of the
    same last name (``shop.cart`` while ``cart.py`` is watched) the time to ask the finders.
    Thread safe.

    Args:
        modules: Who may know the modules of a file already.
    """

    def __init__(self, on_code: OnCode, modules: Optional[ModuleFiles] = None) -> None:
        self._on_code = on_code
        self._paths = RealPaths() if modules is None else modules.paths
        self._modules = ModuleFiles(self._paths) if modules is None else modules
        self._finder = _Finder(self._adopt)
        #: Replaced as a whole, so that importing threads read them without the lock.
        self._watched: FrozenSet[str] = frozenset()
        self._undo: List[Callable[[], None]] = []
        self._closed = False

    def watch(self, path: str) -> None:
        """Have the code of this file, a real path, reported from now on. Twice is once."""
        if self._closed or path in self._watched:
            return
        first = not self._watched
        self._set(self._watched | {path})
        if first:
            sys.meta_path.insert(0, self._finder)
            self._watch_scripts()
        # The loaders of loaded modules hand out code again (runpy.run_module, pkgutil).
        for module in self._modules.of(path):
            spec = module.namespace.get("__spec__")
            if type(spec) is ModuleSpec:
                self._adopt(spec)

    def unwatch(self, path: str) -> None:
        """Stop reporting this file; with the last one every hook is gone."""
        if path in self._watched:
            self._set(self._watched - {path})
            if not self._watched:
                self._remove_hooks()

    def close(self) -> None:
        """Remove every hook, for good."""
        self._closed = True
        self._set(frozenset())
        self._remove_hooks()

    def _set(self, watched: FrozenSet[str]) -> None:
        self._watched = watched
        self._finder.names = _last_names(watched)

    def _remove_hooks(self) -> None:
        # By identity: comparing would run the __eq__ of other people's finders.
        for index, finder in enumerate(list(sys.meta_path)):
            if finder is self._finder:
                del sys.meta_path[index]
                break
        undo, self._undo = self._undo, []
        for each in undo:
            each()

    def _adopt(self, spec: Any) -> None:
        """See to it that the loader of this spec shows us the code, if its file is watched."""
        origin = getattr(spec, "origin", None)
        name = getattr(spec, "name", None)
        if type(origin) is not str or type(name) is not str:
            return
        path = self._paths.of(origin)
        if path not in self._watched:
            return
        loader = _innermost(spec.loader)
        if loader is None or type(loader) in _NO_PYTHON or isinstance(loader, type):
            return
        undo = _show_code(loader, name, path, self._seen)
        if undo is not None:
            # The last file may just have been unwatched by another thread: then it is undone here.
            self._undo.append(undo)
            if not self._watched:
                undo()

    def _seen(self, code: Any, path: str) -> Any:
        """The code to run instead; whatever goes wrong, it is the original."""
        if type(code) is not types.CodeType or path not in self._watched:
            return code
        try:
            answer = self._on_code(code, path)
        except Exception as error:
            # An import must not fail because of a probe; who called `watch` reports its own errors.
            if is_for_application(error):
                raise
            return code
        return answer if type(answer) is types.CodeType else code

    def _watch_scripts(self) -> None:
        original = getattr(runpy, "_get_code_from_file", None)
        if original is None:
            return

        @functools.wraps(original)
        def get_code_from_file(*args: Any) -> Any:
            answer = original(*args)
            # Until 3.11 the answer is a pair with the file's name.
            code = answer[0] if type(answer) is tuple else answer
            # A name of another class is the application's: the search for live code passes over it, too.
            if type(code) is not types.CodeType or type(code.co_filename) is not str:
                return answer
            code = self._seen(code, self._paths.of(code.co_filename))
            return (code, *answer[1:]) if type(answer) is tuple else code

        def undo() -> None:
            if getattr(runpy, "_get_code_from_file", None) is get_code_from_file:
                runpy._get_code_from_file = original  # type: ignore[attr-defined]

        runpy._get_code_from_file = get_code_from_file  # type: ignore[attr-defined]
        self._undo.append(undo)


def _innermost(loader: Any) -> Any:
    """Who gives the code: behind LazyLoader, and the loaders that ddtrace and wrapt put around others."""
    for _ in range(_MAX_WRAPPED):
        kind = type(loader)
        if kind is not importlib.util.LazyLoader and getattr(kind, "get_code", None) is not None:
            break
        within = getattr(loader, "__wrapped__", None) or getattr(loader, "loader", None)
        if within is None or within is loader:
            break
        loader = within
    return loader


def _last_names(paths: FrozenSet[str]) -> Optional[FrozenSet[str]]:
    """What names of modules in these files end in; None where it may be anything."""
    names: Set[str] = set()
    for path in paths:
        parts = segments(path)
        stem = os.path.splitext(parts[-1])[0] if parts else ""
        if stem == "__init__":
            # Named like its directory, and that may be a symbolic link of another name.
            return None
        names.add(stem)
    return frozenset(names)


class _Finder:
    """Asks the finders behind it, for names that may be watched files."""

    def __init__(self, adopt: Callable[[Any], None]) -> None:
        self._adopt = adopt
        self._asking = threading.local()
        self.names: Optional[FrozenSet[str]] = frozenset()

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]] = None, target: Optional[types.ModuleType] = None
    ) -> Any:
        """The spec that would be found without us, or None, which makes the import system ask on."""
        names = self.names
        if names is not None and fullname.rpartition(".")[2] not in names:
            return None
        # Finders of other tools ask the whole of sys.meta_path in their turn, and so us.
        asking: Set[str] = self._asking.__dict__.setdefault("names", set())
        if fullname in asking:
            return None
        asking.add(fullname)
        try:
            for finder in list(sys.meta_path):
                if finder is self:
                    continue
                find = getattr(finder, "find_spec", None)
                if find is None:
                    # Before 3.12 the import system knows how to ask such a finder.
                    return None
                spec = find(fullname, path, target)
                if spec is not None:
                    self._show(spec)
                    return spec
            return None
        finally:
            asking.discard(fullname)

    def _show(self, spec: Any) -> None:
        try:
            self._adopt(spec)
        except Exception as error:
            # A spec or loader of a kind we cannot handle loads as it always did.
            if is_for_application(error):
                raise


_Seen = Callable[[Any, str], Any]


class _Shown:
    """The ``get_code`` that a loader has instead of its own, and for which modules it reports."""

    def __init__(self, loader: Any, original: Callable[..., Any], seen: _Seen) -> None:
        # The loader owns this object: holding it in turn would keep both for ever.
        self._loader = weakref.ref(loader)
        self._original = original
        self._seen = seen
        self.paths: Dict[str, str] = {}

    def get_code(self, fullname: str) -> Any:
        code = self._original(self._loader(), fullname)
        path = self.paths.get(fullname)
        return code if path is None else self._seen(code, path)

    def create_module(self, spec: Any) -> None:  # noqa: ARG002
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        code = self.get_code(module.__name__)
        exec(code, module.__dict__)  # noqa: S102 (what the loader's own load_module does)


def _show_code(loader: Any, name: str, path: str, seen: _Seen) -> Optional[Callable[[], None]]:
    """Override ``get_code`` on one loader; answers how to undo it, None if there is nothing to undo."""
    attributes = getattr(loader, "__dict__", None)
    if type(attributes) is not dict:
        return None
    present = attributes.get("get_code")
    shown = getattr(present, "__self__", None)
    if type(shown) is _Shown:
        shown.paths[name] = path
        return None
    original = getattr(type(loader), "get_code", None)
    if original is None or present is not None:
        return None
    shown = _Shown(loader, original, seen)
    shown.paths[name] = path
    overrides: Dict[str, Any] = {"get_code": shown.get_code}
    if type(loader) is zipimport.zipimporter and not hasattr(loader, "exec_module"):
        # Before 3.10 zip members are loaded without asking get_code.
        overrides.update(create_module=shown.create_module, exec_module=shown.exec_module)
    attributes.update(overrides)
    reference = weakref.ref(loader)

    def undo() -> None:
        owner = reference()
        if owner is not None:
            for attribute, value in overrides.items():
                if owner.__dict__.get(attribute) is value:
                    del owner.__dict__[attribute]

    return undo
