"""Code objects: which lines each holds, and what is nested in it."""

from __future__ import annotations

import dis
import sys
import types
from typing import Dict, FrozenSet, Iterable, List, Optional, Set, Tuple

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.probes.originals import Originals


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
    found: Set[int] = set()
    for start, end, line in code.co_lines():
        if line is None or line <= 0 or line in found:
            continue
        # Most lines begin with something that is reported.
        at = max(start, first)
        while operations and at < end and operations[at] in _SILENT:
            at += _UNIT
        if not operations or at < end:
            found.add(line)
    return frozenset(found)


#: Bytes of one instruction (3.6 and later); inline caches are as wide, and CACHE is one of `_SILENT`.
_UNIT = 2
_RESUME = dis.opmap.get("RESUME", 0)
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
    # An argument may be of the same value.
    at = operations.find(_RESUME) if operations else 0
    while at > 0 and at % _UNIT:
        at = operations.find(_RESUME, at + 1)
    return max(at, 0)


def nested(code: types.CodeType) -> List[types.CodeType]:
    """The code objects directly in this one's constants."""
    return [constant for constant in code.co_consts if type(constant) is types.CodeType]


def with_parents(roots: Iterable[types.CodeType], originals: Optional[Originals] = None) -> List[CodeSite]:
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
        for inner in nested(code) if originals is None else map(originals.of, nested(code)):
            parents.setdefault(id(inner), {})[id(code)] = code
            waiting.append(inner)
    return [CodeSite(code, tuple(parents.get(id(code), {}).values())) for code in codes.values()]


def sites_in(code: types.CodeType, line: int) -> Tuple[CodeSite, ...]:
    """The code objects that hold a line, of module code that is about to run."""
    return tuple(found for found in with_parents([code]) if line in executable_lines(found.code))
