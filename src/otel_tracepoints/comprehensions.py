"""Comprehensions that run in the function around them (PEP 709): which of its variables are theirs."""

from __future__ import annotations

import opcode
import sys
from types import CodeType
from typing import Any, Iterator, Set, Tuple

_LOAD_AND_CLEAR: Any = opcode.opmap.get("LOAD_FAST_AND_CLEAR")
_MAKE_CELL: Any = opcode.opmap.get("MAKE_CELL")
_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]
#: Where ``f_locals`` takes the value of such a variable for the cell that the function has in its place
#: (github.com/python/cpython/issues/128396).
_CRASHES = (3, 13) <= sys.version_info < (3, 13, 3)

#: Whether there are any here: from 3.12 on.
ARE_INLINED = _LOAD_AND_CLEAR is not None


def inlined_names(code: CodeType) -> Set[str]:
    """Variables of comprehensions that run in the function itself.

    Outside of them they are no locals, but ``co_varnames`` has them, or ``co_cellvars``.
    """
    return {name for name, _ in _inlined(code)}


def crash_when_read(code: CodeType) -> bool:
    """Whether reading the variables of a frame of this code may crash this interpreter."""
    if not _CRASHES:
        return False
    cells = {*code.co_cellvars, *code.co_freevars}
    return any(name in cells and not is_cell for name, is_cell in _inlined(code))


def _inlined(code: CodeType) -> Iterator[Tuple[str, bool]]:
    """Names, and whether each is a cell in its comprehension too.

    Nothing but the one instruction tells: it puts away what the name meant before (the caches between the
    instructions of ``co_code`` read as zeros).
    """
    if not ARE_INLINED:
        return
    instructions, operands = code.co_code[::2], code.co_code[1::2]
    local = code.co_varnames
    slots = local + tuple(name for name in code.co_cellvars if name not in local) + code.co_freevars
    index = instructions.find(_LOAD_AND_CLEAR)
    while index >= 0:
        operand, shift, before = operands[index], 8, index - 1
        while before >= 0 and instructions[before] == _EXTENDED_ARG:
            operand |= operands[before] << shift
            shift, before = shift + 8, before - 1
        if operand < len(slots):
            yield slots[operand], instructions[index + 1] == _MAKE_CELL
        index = instructions.find(_LOAD_AND_CLEAR, index + 1)
