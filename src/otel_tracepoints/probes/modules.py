"""What is in ``sys.modules``, read without running any of its code.

Its entries are hostile: lazy modules import when touched, applications put any object there, and
other threads import meanwhile. So only real modules are read, through the module type's own
slots.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Set, Tuple

from otel_tracepoints.interrupts import is_for_application

_module_type: Any = types.ModuleType
_namespace: Callable[[Any], Any] = _module_type.__dict__["__dict__"].__get__


class LoadedModule(NamedTuple):
    """A module with a file.

    Attributes:
        name: Its key in ``sys.modules``.
        file: As the module says it: may be relative, a symbolic link, a ``.pyc``.
        namespace: The live globals; hold them no longer than a look takes.
    """

    name: str
    file: str
    namespace: Dict[str, Any]


def loaded_modules() -> List[LoadedModule]:
    """All modules with a file; a module that is there under two names comes with its own first."""
    return modules_of(bool)


def modules_of(is_wanted: Callable[[str], bool]) -> List[LoadedModule]:
    """The modules of some files; asked for each module, so it is written for speed."""
    found: List[LoadedModule] = []
    plain = types.ModuleType
    for name, module in _entries():
        namespace = _namespace(module) if type(module) is plain else module_namespace(module)
        if namespace is None or type(name) is not str:
            continue
        file = _text(namespace, "__file__")
        if file and is_wanted(file):
            found.append(LoadedModule(name, file, namespace))
    found.sort(key=_is_alias)
    return found


#: A module as the compiled module finds it: name, file and namespace; or name, None, and what is no plain
#: module.
Row = Tuple[str, Optional[str], Any]


def rows_by(native: Any, known: Mapping[str, str], wanted: Set[str]) -> List[Row]:
    """Modules as they are in ``sys.modules``, without those of known files that are not wanted."""
    modules: Any = sys.modules
    rows: List[Row] = native.modules_among(modules, known, wanted) if type(modules) is dict else []
    return rows


def modules_in(rows: Iterable[Row]) -> List[LoadedModule]:
    """Those that have been loaded from a file; one that is there twice comes with its own name first."""
    found: List[LoadedModule] = []
    for name, file, module in rows:
        if file is not None:
            found.append(LoadedModule(name, file, module))
            continue
        namespace = module_namespace(module)
        other = _text(namespace, "__file__") if namespace is not None else None
        if namespace is not None and other:
            found.append(LoadedModule(name, other, namespace))
    found.sort(key=_is_alias)
    return found


def layout() -> List[int]:
    """What is entered where: while this stays the same, nothing was imported or taken out."""
    modules: Any = sys.modules
    return list(map(id, list(dict.values(modules)))) if type(modules) is dict else []


def module_named(name: str) -> Optional[LoadedModule]:
    """The module of this name, if it has a file."""
    modules: Any = sys.modules
    namespace = module_namespace(dict.get(modules, name)) if type(modules) is dict else None
    file = _text(namespace, "__file__") if namespace is not None else None
    return LoadedModule(name, file, namespace) if namespace is not None and file is not None else None


def _is_alias(module: LoadedModule) -> bool:
    return _text(module.namespace, "__name__") != module.name


def _text(namespace: Dict[str, Any], name: str) -> Optional[str]:
    """What a module calls by this name, if it is plain text."""
    try:
        found = namespace.get(name)
    except Exception as error:
        # A key that is no text, of the same hash: it is compared by code of the application.
        if is_for_application(error):
            raise
        return None
    return found if type(found) is str else None


def specs_exist(is_wanted: Callable[[str], bool]) -> bool:
    """Whether the import system may have made a module of some files, entered anywhere or not.

    One pass of the collector. Before 3.9 objects do not refer to their class, so it may always.
    """
    if sys.version_info < (3, 9):
        return True
    for spec in gc.get_referrers(ModuleSpec):
        origin = spec.__dict__.get("origin") if type(spec) is ModuleSpec else None
        if type(origin) is str and is_wanted(origin):
            return True
    return False


def is_loading(module: LoadedModule) -> bool:
    """Whether its body has not come to its end yet, as far as the import system knows."""
    spec = module.namespace.get("__spec__")
    return type(spec) is ModuleSpec and spec.__dict__.get("_initializing") is True


def module_namespace(module: object) -> Optional[Dict[str, Any]]:
    """The globals of a real module that has been loaded; None of anything else."""
    # A lazy module has a file before it has any code: it is not loaded yet.
    if type(module) is importlib.util._LazyModule:  # type: ignore[attr-defined]
        return None
    try:
        namespace = _namespace(module)
    except TypeError:
        return None
    return namespace if type(namespace) is dict else None


def frozen_file(name: str) -> Optional[str]:
    """``<frozen os>`` → the file of that module: a name out of `frozen_file_names`."""
    module = module_named(name[len("<frozen ") : -1])
    return module.file if module is not None and module.file and _is_frozen(module) else None


def frozen_file_names() -> Dict[str, str]:
    """``<frozen os>`` → the file of that module: what code of frozen modules calls its file."""
    return {f"<frozen {module.name}>": module.file for module in loaded_modules() if _is_frozen(module)}


def _entries() -> List[Any]:
    modules: Any = sys.modules
    # Copied in one step of C: imports of other threads change it while we look.
    return list(dict.copy(modules).items()) if type(modules) is dict else []


def _is_frozen(module: LoadedModule) -> bool:
    spec = module.namespace.get("__spec__")
    return type(spec) is ModuleSpec and type(spec.origin) is str and spec.origin == "frozen"
