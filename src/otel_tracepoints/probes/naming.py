"""What a code object is called: ``pkg.mod.Class.method``, the form of ``code.function.name``.

Asked for on the hit path, so the answer is a look-up in memory; what was not prepared there is
worked out from memory as well, never from a file.
"""

from __future__ import annotations

import inspect
import itertools
import sys
import types
import weakref
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from otel_tracepoints.probes.codes import nested
from otel_tracepoints.probes.modules import LoadedModule, loaded_modules, module_namespace

#: Names kept; programs that make ever new code must not fill the memory.
_MAX_NAMES = 20_000
#: Objects looked at to find the class of a method where code objects do not know it (before 3.11).
_MAX_LOOKS = 3_000
#: Modules that one name may take into the table: a fraction of a millisecond.
_MAX_MODULES = 300

_namespace_of: Callable[[type], Any] = type.__dict__["__dict__"].__get__
_flags_of: Callable[[type], int] = type.__dict__["__flags__"].__get__
#: Py_TPFLAGS_TYPE_SUBCLASS (Include/object.h): the object is a class, whatever its metaclass says.
_IS_TYPE = 1 << 31

#: Name and first line of a code object, and what it is called.
TreeNames = Dict[Tuple[str, int], str]


class _Known(NamedTuple):
    code: Callable[[], Optional[types.CodeType]]
    name: str


def qualname_within(code: types.CodeType, parent: Optional[types.CodeType], parent_name: str) -> str:
    """The qualified name, without the module, of code that was found in its parent's constants."""
    own = getattr(code, "co_qualname", None)
    if type(own) is str:
        return own
    if parent is None or parent.co_name == "<module>":
        return code.co_name
    # Class bodies are the only nested code without fast locals.
    between = ".<locals>." if parent.co_flags & inspect.CO_OPTIMIZED else "."
    return parent_name + between + code.co_name


def tree_names(root: types.CodeType) -> TreeNames:
    """The qualified names of a whole module, by name and first line."""
    names: TreeNames = {}
    for code, name in _qualnames(root):
        names.setdefault((code.co_name, code.co_firstlineno), name)
    return names


def _qualnames(root: types.CodeType) -> Iterator[Tuple[types.CodeType, str]]:
    waiting: List[Tuple[types.CodeType, Optional[types.CodeType], str]] = [(root, None, "")]
    while waiting:
        code, parent, parent_name = waiting.pop()
        name = qualname_within(code, parent, parent_name)
        yield code, name
        waiting.extend((inner, code, name) for inner in nested(code))


def full_name(module: Optional[str], qualname: str) -> str:
    """Both parts together; a module's own body is called like the module."""
    if not module:
        return qualname
    return module if qualname == "<module>" else module + "." + qualname


class FunctionNames:
    """Code object → name. `of` is for the hit path: no I/O, no locks, bounded.

    Entries are keyed by id and hold the code weakly: an id that was given to another code object
    since is noticed, and nothing of the application is kept alive.
    """

    def __init__(self) -> None:
        self._known: Dict[int, _Known] = {}
        self._qualnames: Dict[int, _Known] = {}
        self._modules: Dict[str, str] = {}
        #: How many entries of sys.modules, which grows at its end, the table knows.
        self._modules_seen = 0
        self._last_module: object = None

    def prepare(self, loaded: Callable[[], List[LoadedModule]] = loaded_modules) -> None:
        """Note which module each file is, so that no hit has to; control path.

        Args:
            loaded: Answers the modules, their own names first.
        """
        last = _last_module()
        if len(sys.modules) == self._modules_seen and last is self._last_module:
            return
        self._last_module = last
        table: Dict[str, str] = {}
        seen = len(sys.modules)
        for module in loaded():
            table.setdefault(module.file, module.name)
        self._modules, self._modules_seen = table, seen

    def of(self, code: types.CodeType) -> str:
        """The name of any code object."""
        key, names = id(code), self._known
        # Not get(): see introspect.builtin_base. Names are not taken away, all are dropped at once.
        if key in names:
            known = names[key]
            if known.code() is code:
                return known.name
        module = self._module_of(code.co_filename)
        learned = self._qualnames.get(id(code))
        if learned is not None and learned.code() is code:
            name = full_name(module, learned.name)
        else:
            name = full_name(module, _qualname(code, module))
        # Of code that is about to run (`python -m`) the module may not be known just yet.
        if module is not None:
            self.remember(code, name)
        return name

    def learn(self, root: types.CodeType) -> None:
        """Note the qualified names in a module's code that has not run yet."""
        if len(self._qualnames) >= _MAX_NAMES:
            self._qualnames = {}
        for code, name in _qualnames(root):
            self._qualnames[id(code)] = _Known(weakref.ref(code), name)

    def remember(self, code: types.CodeType, name: str) -> None:
        """Keep a name that was worked out with more knowledge than `of` has."""
        if len(self._known) >= _MAX_NAMES:
            self._known = {}
        self._known[id(code)] = _Known(weakref.ref(code), name)

    def _module_of(self, file: str) -> Optional[str]:
        found = self._modules.get(file)
        if found is None and len(sys.modules) != self._modules_seen:
            self._learn_modules()
            found = self._modules.get(file)
        return found

    def _learn_modules(self) -> None:
        """Take in some of the modules that came since the last look."""
        modules: Any = sys.modules
        if type(modules) is not dict:
            return
        seen = self._modules_seen
        if seen > len(modules):
            seen = 0  # some were taken out, so who stands where is not known any more
        try:
            fresh = list(itertools.islice(modules.items(), seen, seen + _MAX_MODULES))
        except RuntimeError:
            return  # another thread imports at this moment
        for name, module in fresh:
            namespace = module_namespace(module)
            file = namespace.get("__file__") if namespace is not None and type(name) is str else None
            if namespace is not None and type(file) is str:
                own = namespace.get("__name__")
                if file not in self._modules or (type(own) is str and own == name):
                    self._modules[file] = name
        self._modules_seen = seen + len(fresh)


def _last_module() -> object:
    modules: Any = sys.modules
    try:
        return next(reversed(modules), None) if type(modules) is dict else None
    except RuntimeError:
        return None  # another thread imports at this moment


def _qualname(code: types.CodeType, module: Optional[str]) -> str:
    own = getattr(code, "co_qualname", None)
    if type(own) is str:
        return own
    namespace = module_namespace(sys.modules.get(module)) if module else None
    return (_search(code, namespace) if namespace is not None else None) or code.co_name


def _search(code: types.CodeType, namespace: Dict[str, Any]) -> Optional[str]:
    """The class of the module in whose namespace a function with this code lies, and its name."""
    looks = 0
    for name, value in list(namespace.items()):
        if not _flags_of(type(value)) & _IS_TYPE:
            continue
        for member in list(_namespace_of(value).values()):
            looks += 1
            if looks > _MAX_LOOKS:
                return None
            if type(member) is types.FunctionType:
                if member.__code__ is code:
                    return f"{name}.{code.co_name}"
            elif any(each.__code__ is code for each in _functions(member)):
                return f"{name}.{code.co_name}"
    return None


def _functions(member: Any) -> List[types.FunctionType]:
    kind = type(member)
    if kind is staticmethod or kind is classmethod:
        candidates: Tuple[Any, ...] = (member.__func__,)
    elif kind is property:
        candidates = (member.fget, member.fset, member.fdel)
    else:
        candidates = (member,)
    return [each for each in candidates if type(each) is types.FunctionType]
