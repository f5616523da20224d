"""What of the heap can run code: passes over it, each with what it costs and what it finds.

The *whole* pass finds every function and everything suspended: 10 to 30 ms for 100,000 functions.
The *young* pass does the same with what was made since, as long as the collector has not moved it
among the old: a fraction of a millisecond. The *near* pass finds every function of some modules,
wherever it is kept, in a third of the time of a whole one, and so misses only code of the file under
other globals: exec-ed by hand, or of a module that is in ``sys.modules`` no more.

`gc.freeze` hides objects from all three, and code objects themselves are on no list: so `behind`
follows what the modules' globals refer to, and `running` what the threads' stacks hold.

No code of the application runs here: objects are told apart by ``type(x) is``, and read through
slots of builtin types. Nothing found is held longer than the caller holds the answer. And nothing
else is held for a moment in which another thread may run: a tuple that it is just filling must
have one owner, or it fails (``tuple(generator)`` raises SystemError). So the list of all objects
exists only inside one call into C, and where functions refer to the builtins (since 3.10) the
collector is asked for those that do.
"""

from __future__ import annotations

import builtins
import gc
import itertools
import operator
import sys
import sysconfig
import types
import weakref
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.codesite import WeakFunction
from otel_tracepoints.probes.generations import Mark, all_runnable, runnable_since
from otel_tracepoints.probes.modules import loaded_modules
from otel_tracepoints.stacks import innermost_frames

#: Objects looked at behind the globals of a module; functions are found on the heap without it.
_REACH = 5_000
#: The same where the heap is hidden.
_REACH_HIDDEN = 50_000
#: Containers above this size hold data.
_MAX_CONTAINER = 10_000
_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
#: 3.13 without the GIL takes everything off the collector's lists when the first thread starts.
_HIDES = _FREE_THREADED and sys.version_info[:2] == (3, 13)


class Root(NamedTuple):
    """A code object that was found on its own.

    Attributes:
        module: The ``__name__`` of its globals, where known.
        qualname: What its function says it is called; a decorator may have changed it.
        function: The function it was found by, where an engine has use for it: before 3.12.
    """

    code: types.CodeType
    module: Optional[str]
    qualname: Optional[str]
    function: Optional[WeakFunction] = None


class Pass(NamedTuple):
    """What a pass found, and how many functions there were.

    Attributes:
        is_complete: Whether nothing that was looked for may have been missed.
    """

    roots: List[Root]
    functions: int = 0
    is_complete: bool = True


#: Which ``co_filename`` are looked for; asked once or a few times for each.
IsWanted = Callable[[str], bool]


def whole(is_wanted: IsWanted, namespaces: Sequence[Dict[str, Any]] = ()) -> Pass:
    """Functions and suspended frames of the wanted files.

    Args:
        is_wanted: Which files.
        namespaces: Globals whose functions may have builtins of their own.
    """
    return _pass(all_runnable(namespaces), is_wanted)


def has_own_builtins(namespace: Dict[str, Any]) -> bool:
    """Whether the functions of these globals have others than the interpreter's."""
    given = namespace.get("__builtins__", builtins)
    return given is not builtins and given is not builtins.__dict__


def young(is_wanted: IsWanted, mark: Mark) -> Pass:
    """The same, of what was made since then."""
    found, is_complete = runnable_since(mark)
    return _pass(found, is_wanted)._replace(is_complete=is_complete)


def near(namespaces: Sequence[Dict[str, Any]], is_wanted: IsWanted) -> Pass:
    """Functions and frame objects with these globals.

    Since 3.11 what is suspended refers to its function instead.
    """
    roots: List[Root] = []
    for found in gc.get_referrers(*namespaces) if namespaces else ():
        if type(found) is types.FunctionType:
            roots.append(_of_function(found))
        elif type(found) is types.FrameType:
            roots.append(_of_frame(found.f_code, found.f_globals))
    return Pass(_only(roots, is_wanted))


def running(is_wanted: IsWanted) -> List[Root]:
    """The code of every frame on the stack of any thread; without the GIL, of this one."""
    return _only([_of_frame(*each) for each in _running()], is_wanted)


def behind(namespaces: Sequence[Dict[str, Any]], is_wanted: IsWanted) -> List[Root]:
    """Functions and code objects behind these globals, level by level, within bounds.

    `gc.get_referents` follows C slots only, so instances, classes, closures, partials, registries
    and wrappers of any kind are all the same to it. It stays out of other modules. Where the heap
    shows all functions, only what they close over is of interest.
    """
    if not namespaces:
        return []
    hidden = _HIDES or gc.get_freeze_count() > 0
    reach = _REACH_HIDDEN if hidden else _REACH
    seen: Dict[int, Any] = {id(module.namespace): None for module in loaded_modules()} if hidden else {}
    for namespace in namespaces:
        seen[id(namespace)] = None
        seen.update((id(namespace.get(name)), None) for name in _NOT_THEIRS)
    found: List[Root] = []
    frontier: List[Any] = list(namespaces)
    while frontier and len(seen) < reach:
        level: List[Any] = []
        for each in gc.get_referents(*frontier):
            kind = type(each)
            if id(kind) in _CLOSED or id(each) in seen:
                continue
            if len(seen) >= reach:
                break
            # Held while we look, so that an id stays the id of this object.
            seen[id(each)] = each
            if kind is types.FunctionType:
                if hidden:
                    found.append(_of_function(each))
                    level.append(each)
                elif each.__closure__ is not None:
                    level.append(each.__closure__)
            elif kind is types.CodeType:
                found.append(Root(each, None, None))
            elif id(kind) not in _SIZED or len(each) <= _MAX_CONTAINER:
                level.append(each)
        frontier = level
    return _only(found, is_wanted)


#: Of the globals of any module; they lead all over the import system.
_NOT_THEIRS = ("__builtins__", "__loader__", "__spec__")
_SIZED = frozenset(map(id, (list, dict, tuple, set, frozenset)))
_CLOSED = frozenset(map(id, (types.ModuleType, types.FrameType, str, bytes, int, float, bool, type(None))))


def file_names(since: Optional[Mark] = None) -> Tuple[Dict[str, None], bool]:
    """Every ``co_filename`` of a live function, generator, coroutine or frame, in the order found.

    Args:
        since: Goes through what is young only; the second answer is `Pass.is_complete`.
    """
    found, is_complete = (all_runnable(), True) if since is None else runnable_since(since)
    functions, others = _apart(found)
    names = dict.fromkeys(_names(functions))
    names.update((code.co_filename, None) for code, _ in others)
    names.update(running_names())
    return {name: None for name in names if type(name) is str}, is_complete


def running_names() -> Dict[str, None]:
    """The same of what the threads run; without the GIL, of what this one does."""
    names = [code.co_filename for code, _ in _running()]
    return {name: None for name in names if type(name) is str}


def roots_of(found: List[Any], is_wanted: IsWanted) -> List[Root]:
    """What runs of these files among functions and suspended frames. Empties the list."""
    return _pass(found, is_wanted).roots


_Running = Tuple[types.CodeType, Any]

_function_file: Callable[[Any], Any] = operator.attrgetter("__code__.co_filename")


def _names(functions: Sequence[types.FunctionType]) -> List[Any]:
    """Their files' names; of a name that is no plain text, an empty one: hashing it may run code."""
    names: List[Any] = list(map(_function_file, functions))
    if not all(map(operator.is_, map(type, names), itertools.repeat(str))):
        names = [name if type(name) is str else "" for name in names]
    return names


def _pass(found: List[Any], is_wanted: IsWanted) -> Pass:
    functions, others = _apart(found)
    names = _names(functions)
    wanted = {name for name in set(names) if name and is_wanted(name)}
    chosen = itertools.compress(functions, map(wanted.__contains__, names))
    roots = [_of_function(each) for each in chosen] if wanted else []
    roots += _only([_of_frame(*each) for each in others], is_wanted)
    return Pass(roots, len(functions))


def _only(roots: Iterable[Root], is_wanted: IsWanted) -> List[Root]:
    return [root for root in roots if type(root.code.co_filename) is str and is_wanted(root.code.co_filename)]


def _of_function(function: types.FunctionType) -> Root:
    name = function.__qualname__
    qualname = name if type(name) is str else None
    reference: Any = weakref.ref(function) if sys.version_info < (3, 12) else None
    return Root(function.__code__, _name_of(function.__globals__), qualname, reference)


def _of_frame(code: types.CodeType, namespace: Any) -> Root:
    return Root(code, _name_of(namespace), None)


def _name_of(namespace: Any) -> Optional[str]:
    name = namespace.get("__name__") if type(namespace) is dict else None
    return name if type(name) is str else None


def _apart(found: List[Any]) -> Tuple[List[types.FunctionType], List[_Running]]:
    """The functions, and the code and globals of what is suspended."""
    functions = [each for each in found if type(each) is types.FunctionType]
    others = [_code_and_globals(each) for each in found if type(each) is not types.FunctionType]
    # Our own frames are among them: a local that leads to its own frame would keep both, and all
    # else that our callers hold, until the next collection.
    found.clear()
    return functions, [each for each in others if each is not None]


def _code_and_globals(suspended: Any) -> Optional[_Running]:
    kind = type(suspended)
    if kind is types.FrameType:  # a greenlet's
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


def _running() -> List[_Running]:
    return [running for innermost in innermost_frames() for running in _stack(innermost)]


def _stack(innermost: types.FrameType) -> List[_Running]:
    found: List[_Running] = []
    frame: Optional[types.FrameType] = innermost
    while frame is not None:
        found.append((frame.f_code, frame.f_globals))
        frame = frame.f_back
    return found
