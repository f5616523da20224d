"""Where code objects are kept (Python 3.8 to 3.11): functions, generators, and constants of others."""

from __future__ import annotations

import ctypes
import gc
import operator
import sys
from collections import Counter
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Union

Suspendable = Union[
    "GeneratorType[Any, Any, Any]", "CoroutineType[Any, Any, Any]", "AsyncGeneratorType[Any, Any]"
]

#: Types of objects that cannot lead to a function; spares most of a walk. By identity: hashing a
#: class may run code of its metaclass.
_LEAVES = frozenset(map(id, (str, bytes, int, float, bool, complex, type(None), bytearray, range)))
#: Of the items in a tuple object.
_ITEMS = tuple.__basicsize__
_POINTER = ctypes.sizeof(ctypes.c_void_p)


class Holders(NamedTuple):
    """Objects that hold one of the code objects asked for."""

    functions: List[FunctionType]
    suspended: List[Suspendable]


def find(codes: Sequence[CodeType]) -> Holders:
    """Every function, generator, coroutine and asynchronous generator of these code objects.

    One pass over the heap in C (10 ms for 100,000 functions, during which no other thread runs);
    objects that ``gc.freeze`` has hidden from it are looked for from the modules and threads on.
    No code of the application runs, whatever lies there.
    """
    wanted = {id(code) for code in codes}
    holders = Holders([], [])
    seen: Set[int] = set()
    for candidate in gc.get_referrers(*codes):
        _take(candidate, wanted, holders, seen)
    if gc.get_freeze_count():
        for candidate in _reachable():
            _take(candidate, wanted, holders, seen)
    return holders


def held_elsewhere(codes: List[CodeType], known: Sequence[object]) -> List[CodeType]:
    """Those of these code objects that are held by more than ``codes``, ``known`` and running frames.

    The others need not be looked for on the heap: whatever holds an object is in its count of
    references, so where the count is that of the holders we know there are no more, wherever they
    might hide. What is counted is held until the end, so that none of it can have let go.

    Args:
        codes: Each once. The caller has no other reference to one of them, but in ``known``.
        known: What else may refer to them, directly, and does not change meanwhile.
    """
    unique = {id(each): each for each in (codes, *known)}
    frames = _running(set(map(id, codes)))
    accounted = Counter(map(id, gc.get_referents(*unique.values())))
    accounted.update(map(id, map(_code_of_frame, frames)))
    return [code for code in codes if sys.getrefcount(code) - _IN_PASSING > accounted[id(code)]]


#: References while they are counted: a variable, and an argument.
_IN_PASSING = 2
_code_of_frame = operator.attrgetter("f_code")


def _running(codes: Set[int]) -> List[FrameType]:
    """The frames of these on the stacks of all threads, each once.

    Of others none is kept: what they hold would be let go here, and not where the application does.
    """
    found: Dict[int, FrameType] = {}
    waiting = list(sys._current_frames().values())
    while waiting:
        frame: Optional[FrameType] = waiting.pop()
        while frame is not None:
            if id(frame.f_code) in codes:
                found[id(frame)] = frame
            frame = frame.f_back
    return list(found.values())


def _take(candidate: object, wanted: Set[int], holders: Holders, seen: Set[int]) -> None:
    code = code_of(candidate)
    if code is None or id(code) not in wanted or id(candidate) in seen:
        return
    seen.add(id(candidate))
    if type(candidate) is FunctionType:
        holders.functions.append(candidate)
    else:
        suspendable: Any = candidate
        holders.suspended.append(suspendable)


def code_of(holder: object) -> Optional[CodeType]:
    """The code object of a function or of something that can be suspended; else None."""
    kind = type(holder)
    known: Any = holder
    code: Optional[CodeType] = None
    if kind is FunctionType:
        code = known.__code__
    elif kind is GeneratorType:
        code = known.gi_code
    elif kind is CoroutineType:
        code = known.cr_code
    elif kind is AsyncGeneratorType:
        code = known.ag_code
    return code


def frame_of(suspendable: object) -> Optional[FrameType]:
    """The frame of something that can be suspended; None once it has finished."""
    kind = type(suspendable)
    known: Any = suspendable
    frame: Optional[FrameType] = None
    if kind is GeneratorType:
        frame = known.gi_frame
    elif kind is CoroutineType:
        frame = known.cr_frame
    elif kind is AsyncGeneratorType:
        frame = known.ag_frame
    return frame


def _reachable() -> Iterable[object]:
    seen: Set[int] = set()
    waiting: List[object] = [sys.modules, *sys._current_frames().values()]
    while waiting:
        for found in gc.get_referents(waiting.pop()):
            if id(type(found)) not in _LEAVES and id(found) not in seen:
                seen.add(id(found))
                waiting.append(found)
                yield found


def replace_constant(owner: CodeType, olds: Dict[int, CodeType], new: CodeType) -> None:
    """Put ``new`` where ``owner`` has one of ``olds`` (by identity) among its constants, in place.

    In place, because functions and frames that run ``owner`` now have to make the new kind from
    here on; they reach their constants through this very tuple. Two machine words change under
    the GIL, references are counted as for any assignment.
    """
    constants = owner.co_consts
    for index, constant in enumerate(constants):
        if constant is not new and type(constant) is CodeType and id(constant) in olds:
            slot = ctypes.c_void_p.from_address(id(constants) + _ITEMS + index * _POINTER)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(new))
            slot.value = id(new)
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(constant))
