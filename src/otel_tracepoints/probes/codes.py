"""Which code objects of a file are alive, and which lines each of them holds.

Three looks together find what can still run: the heap (functions, generators, coroutines,
frames), the frames of all threads, and what the modules' globals refer to, since `gc.freeze`
hides the heap and code objects themselves are not on it. From each find the constants lead to
the code nested in it.

No code of the application runs here: objects are told apart by ``type(x) is``, and read through
slots of builtin types. Code objects compare by value, so they are kept by ``id`` alone: two
modules made from one text have equal code, and a probe must get both. Nothing found is held
longer than the caller holds the answer.
"""

from __future__ import annotations

import dis
import gc
import itertools
import operator
import sys
import types
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints.probes.modules import loaded_modules

#: Objects looked at behind the globals of a module; functions are found on the heap without it.
_REACH = 5_000
#: The same where `gc.freeze` (pre-forking servers call it) has hidden the heap.
_REACH_FROZEN = 50_000
#: Containers above this size hold data.
_MAX_CONTAINER = 10_000


class FoundCode(NamedTuple):
    """A live code object, and the live ones whose ``co_consts`` hold it (what an engine installs on)."""

    code: types.CodeType
    parents: Tuple[types.CodeType, ...]


class Root(NamedTuple):
    """A code object that was found on its own.

    Attributes:
        module: The ``__name__`` of its globals, where known.
        qualname: What its function says it is called; a decorator may have changed it.
    """

    code: types.CodeType
    module: Optional[str]
    qualname: Optional[str]


def executable_lines(code: types.CodeType) -> FrozenSet[int]:
    """The lines of this code object at which the interpreter reports a line; not of those nested in it.

    Taken from its line table. Since 3.11 the entries before and at ``RESUME`` carry the line of
    the ``def`` without ever being reported, and so do a few instructions that only end a loop;
    compared with what `sys.settrace` and `sys.monitoring` report on every version.
    """
    if sys.version_info < (3, 10):
        return frozenset(line for _, line in dis.findlinestarts(code))
    operations = code.co_code if _SILENT else b""
    first = _first_traced(operations)
    return frozenset(
        line
        for start, end, line in code.co_lines()
        if line is not None
        and line > 0
        and (
            not operations
            or any(operations[at] not in _SILENT for at in range(max(start, first), end, _UNIT))
        )
    )


#: Bytes of one instruction (3.6 and later); inline caches are as wide, and CACHE is one of `_SILENT`.
_UNIT = 2
_SILENT = (
    frozenset(
        dis.opmap[name]
        for name in ("CACHE", "RESUME", "END_FOR", "END_SEND", "POP_ITER", "END_ASYNC_FOR")
        if name in dis.opmap
    )
    if sys.version_info >= (3, 11)
    else frozenset()
)


def _first_traced(operations: bytes) -> int:
    resume = dis.opmap.get("RESUME")
    for at in range(0, len(operations), _UNIT):
        if operations[at] == resume:
            return at
    return 0


def nested(code: types.CodeType) -> List[types.CodeType]:
    """The code objects directly in this one's constants."""
    return [constant for constant in code.co_consts if type(constant) is types.CodeType]


def with_parents(roots: Iterable[types.CodeType]) -> List[FoundCode]:
    """The roots and all code nested in them, each object once, outer before inner."""
    codes: Dict[int, types.CodeType] = {}
    parents: Dict[int, Dict[int, types.CodeType]] = {}
    waiting = list(roots)
    waiting.reverse()
    while waiting:
        code = waiting.pop()
        if id(code) in codes:
            continue
        codes[id(code)] = code
        for inner in nested(code):
            parents.setdefault(id(inner), {})[id(code)] = code
            waiting.append(inner)
    return [FoundCode(code, tuple(parents.get(id(code), {}).values())) for code in codes.values()]


def sites_in(code: types.CodeType, line: int) -> Tuple[FoundCode, ...]:
    """The code objects that hold a line, of module code that is about to run."""
    return tuple(found for found in with_parents([code]) if line in executable_lines(found.code))


def live_roots(is_wanted: Callable[[str], bool], namespaces: Sequence[Dict[str, Any]]) -> List[Root]:
    """Every live code object of the wanted file names that a function, a frame or a module leads to.

    Args:
        is_wanted: Told each distinct ``co_filename`` once or a few times.
        namespaces: Globals of the loaded modules of that file.
    """
    roots: Dict[int, Root] = {}
    functions, others = _runnable()
    names = list(map(_function_file, functions))
    distinct = dict(zip(map(id, names), names))
    wanted = {key for key, name in distinct.items() if type(name) is str and is_wanted(name)}
    for function in itertools.compress(functions, map(wanted.__contains__, map(id, names))):
        _add_function(roots, function)
    del functions, names, distinct
    for code, namespace in others + _running():
        if type(code.co_filename) is str and is_wanted(code.co_filename):
            _add(roots, Root(code, _name_of(namespace), None))
    for found in _referred(namespaces):
        code = found.__code__ if type(found) is types.FunctionType else found
        if type(code.co_filename) is str and is_wanted(code.co_filename):
            if type(found) is types.FunctionType:
                _add_function(roots, found)
            else:
                _add(roots, Root(code, None, None))
    return list(roots.values())


def live_file_names() -> Set[str]:
    """Every ``co_filename`` of a live function, generator, coroutine or frame."""
    functions, others = _runnable()
    files = list(map(_function_file, functions))
    names = {name for name in dict(zip(map(id, files), files)).values() if type(name) is str}
    for code, _ in others + _running():
        if type(code.co_filename) is str:
            names.add(code.co_filename)
    return names


_Running = Tuple[types.CodeType, Any]

_function_file: Callable[[Any], Any] = operator.attrgetter("__code__.co_filename")


def _runnable() -> Tuple[List[types.FunctionType], List[_Running]]:
    """Functions, and the code and globals of suspended frames, on the garbage collector's lists."""
    found = _of_runnable_types(gc.get_objects())
    functions = [each for each in found if type(each) is types.FunctionType]
    others = [_code_and_globals(each) for each in found if type(each) is not types.FunctionType]
    # Our own frames are among them: a local that leads to its own frame would keep both, and all
    # else that our callers hold, until the next collection.
    del found
    return functions, [each for each in others if each is not None]


def _code_and_globals(suspended: Any) -> Optional[_Running]:
    kind = type(suspended)
    if kind is types.FrameType:
        return suspended.f_code, suspended.f_globals
    for holder, code, frame in _SUSPENDED:
        if kind is holder:
            live = frame(suspended)
            return None if live is None else (code(suspended), live.f_globals)
    return None


_SUSPENDED: Tuple[Tuple[type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    (types.GeneratorType, operator.attrgetter("gi_code"), operator.attrgetter("gi_frame")),
    (types.CoroutineType, operator.attrgetter("cr_code"), operator.attrgetter("cr_frame")),
    (types.AsyncGeneratorType, operator.attrgetter("ag_code"), operator.attrgetter("ag_frame")),
)


def _of_runnable_types(objects: List[Any]) -> List[Any]:
    """One pass over the heap: 5 to 15 ms for 300 000 objects, so it is written for speed.

    Comparisons by identity with local names, most of the heap first; a set of types would be
    faster to read, but hashing a class may run code of its metaclass.
    """
    data1, data2, data3 = dict, tuple, list
    function, frame = types.FunctionType, types.FrameType
    generator, coroutine, agen = types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType
    return [
        each
        for each in objects
        if not ((kind := type(each)) is data1 or kind is data2 or kind is data3)
        and (kind is function or kind is frame or kind is generator or kind is coroutine or kind is agen)
    ]


def _running() -> List[_Running]:
    """Code and globals of every frame on the stack of any thread."""
    # No other public interface shows the stacks of other threads.
    return [running for innermost in sys._current_frames().values() for running in _stack(innermost)]


def _stack(innermost: types.FrameType) -> List[_Running]:
    found: List[_Running] = []
    frame: Optional[types.FrameType] = innermost
    while frame is not None:
        found.append((frame.f_code, frame.f_globals))
        frame = frame.f_back
    return found


def _referred(namespaces: Sequence[Dict[str, Any]]) -> List[Any]:
    """Functions and code objects behind these globals, level by level, within bounds.

    `gc.get_referents` follows C slots only, so instances, classes, closures, partials, registries
    and wrappers of any kind are all the same to it. It stays out of other modules.
    """
    if not namespaces:
        return []
    reach = _REACH_FROZEN if gc.get_freeze_count() else _REACH
    seen: Dict[int, Any] = {id(module.namespace): None for module in loaded_modules()}
    found: List[Any] = []
    frontier: List[Any] = list(namespaces)
    while frontier and len(seen) < reach:
        level: List[Any] = []
        for each in gc.get_referents(*frontier):
            if id(each) in seen:
                continue
            # Held while we look, so that an id stays the id of this object.
            seen[id(each)] = each
            kind = type(each)
            if kind is types.CodeType or kind is types.FunctionType:
                found.append(each)
            if id(kind) in _SIZED and len(each) > _MAX_CONTAINER:
                continue
            if id(kind) not in _CLOSED:
                level.append(each)
        frontier = level
    return found


_SIZED = frozenset(map(id, (list, dict, tuple, set, frozenset)))
_CLOSED = frozenset(
    map(id, (types.ModuleType, types.CodeType, types.FrameType, str, bytes, int, float, bool, type(None)))
)


def _add_function(roots: Dict[int, Root], function: types.FunctionType) -> None:
    name = function.__qualname__
    _add(
        roots,
        Root(function.__code__, _name_of(function.__globals__), name if type(name) is str else None),
    )


def _add(roots: Dict[int, Root], root: Root) -> None:
    known = roots.get(id(root.code))
    if known is None or (known.module is None and root.module is not None):
        roots[id(root.code)] = root


def _name_of(namespace: Any) -> Optional[str]:
    name = namespace.get("__name__") if type(namespace) is dict else None
    return name if type(name) is str else None
