"""How each instruction of a line is reached (Python 3.8 to 3.11): what is an arrival, and what is not.

A line is reached along the edges of the control flow, and which of them ``sys.settrace`` reports
is decided by the interpreter, instruction by instruction, from where it came:

* 3.8, 3.9: the instruction begins its line's block, or was reached backwards;
* 3.10, 3.11: it was reached from another line (an instruction without a line is another line),
  or backwards (``SEND`` excepted on 3.11). Nothing is reported on or before the first RESUME,
  and what follows that is always reported.
* by an exception, 3.9 also reports an instruction within a block, unless the exception came from
  the function's first block or from the first instruction of its own block.

So the edges into each instruction of a watched line are sorted into those that count and those
that do not, and the call is put where only the former pass. Exception handlers on 3.10 and 3.11
are entered from many lines; there the call itself looks where the exception came from.
"""

from __future__ import annotations

import opcode
import sys
from types import CodeType
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from otel_tracepoints.engine.linetable import BLOCKS, Lines, exception_ranges

_VERSION = sys.version_info[:2]
_CACHE = 0
_UNIT = 1 if _VERSION < (3, 10) else 2
_JUMPS_RELATIVE = frozenset(opcode.hasjrel)
_JUMPS_ABSOLUTE = frozenset(opcode.hasjabs)


def _codes(*names: str) -> Set[int]:
    return {opcode.opmap[name] for name in names if name in opcode.opmap}


_EXTENDED_ARG = opcode.EXTENDED_ARG
_HANDLED = _codes("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH")
_CALL_FINALLY = _codes("CALL_FINALLY")
#: Empty before 3.11.
RESUME = _codes("RESUME")
_SEND = _codes("SEND")
KW_NAMES = _codes("KW_NAMES")
_YIELDS = _codes("YIELD_VALUE")
_RERAISE = _codes("RERAISE")
_RAISE = _codes("RAISE_VARARGS")
_NEVER_RAISE = _codes(
    "NOP",
    "POP_BLOCK",
    "POP_TOP",
    "DUP_TOP",
    "COPY",
    "SWAP",
    "ROT_TWO",
    "ROT_THREE",
    "ROT_FOUR",
    "LOAD_CONST",
    "STORE_FAST",
    "PUSH_NULL",
    "PRECALL",
    "KW_NAMES",
    "RESUME",
    "JUMP_FORWARD",
    "BEGIN_FINALLY",
    "POP_EXCEPT",
    "SETUP_FINALLY",
)
PUSH_EXC_INFO = _codes("PUSH_EXC_INFO")
_POPS_BLOCK = _codes("POP_BLOCK", "POP_EXCEPT")
#: Stands in a block stack for the handler that is being run.
_HANDLING = -1
_NO_WAY_ON = _codes(
    "JUMP_FORWARD",
    "JUMP_ABSOLUTE",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
    "RETURN_VALUE",
    "RAISE_VARARGS",
    "RERAISE",
    "CALL_FINALLY",
)


class Instruction(NamedTuple):
    """One instruction, its prefixes included; ``offset`` is where it is jumped to."""

    offset: int
    op: int
    line: Optional[int]
    begins_block: bool
    block: int
    target: Optional[int]
    reraises: bool
    """Raises again as if it were the instruction that raised first."""


class Arrival(NamedTuple):
    """How an instruction of a watched line is reached."""

    #: The way from the instruction before it counts / exists and does not count.
    falls: bool
    skips: bool
    #: Instructions (by index) whose jump here does not count, so has to go past the call.
    silent_jumps: List[int]
    #: Reached as an exception handler.
    handler: bool
    #: Instructions (by index) from which an exception does not count; the call has to look.
    silent_raises: FrozenSet[int]


class Anatomy:
    """What is to be known of a code object to put calls into it. Holds it strongly."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.instructions = decode(code)
        self._first = 0
        if RESUME:
            self._first = 1 + next(i for i, each in enumerate(self.instructions) if each.op in RESUME)
        index = {each.offset: i for i, each in enumerate(self.instructions)}
        self._jumps: Dict[int, List[int]] = {}
        for i, each in enumerate(self.instructions):
            if each.target is not None and each.op not in _HANDLED:
                self._jumps.setdefault(index[each.target], []).append(i)
        self._covered = _covered(code, self.instructions, index)
        #: Exception handlers that find under the exception where it came from.
        self.noting = {index[target] for _, _, target, notes in exception_ranges(code) if notes}

    def arrivals(self, line: int) -> Dict[int, Arrival]:
        """Index of an instruction of ``line`` → how it is reached, for those where it counts."""
        found: Dict[int, Arrival] = {}
        for here, instruction in enumerate(self.instructions):
            if instruction.line == line and here >= self._first and instruction.op not in RESUME:
                arrival = self._arrival(here)
                if arrival is not None:
                    found[here] = arrival
        return found

    def _arrival(self, here: int) -> Optional[Arrival]:
        counts = falls = skips = handler = False
        if here == self._first:
            counts = falls = True
        elif self.instructions[here - 1].op in _CALL_FINALLY:
            # 3.8: not run on into, but returned to from the end of the finally body, backwards.
            counts = falls = True
        elif self.instructions[here - 1].op not in _NO_WAY_ON:
            falls = self._counts(here - 1, here)
            skips = not falls
            counts = falls
        silent = []
        for source in self._jumps.get(here, ()):
            if self._counts(source, here):
                counts = True
            else:
                silent.append(source)
        silent_raises: FrozenSet[int] = frozenset()
        if here in self._covered:
            handler, silent_raises = self._entrance(here)
            counts = counts or handler
        return Arrival(falls, skips, silent, handler, silent_raises) if counts else None

    def _entrance(self, here: int) -> Tuple[bool, FrozenSet[int]]:
        """Whether entering this exception handler counts, and from where it does not."""
        raising = [i for i in self._covered[here] if self.instructions[i].op not in _NEVER_RAISE]
        silent = {i for i in raising if not self._exception_counts(i, here)}
        if not BLOCKS and any(self.instructions[i].reraises for i in raising):
            # That one stands for the instruction that raised first.
            line = self.instructions[here].line
            silent = {i for i, each in enumerate(self.instructions) if each.line == line}
            return True, frozenset(silent)
        counts = len(silent) < len(raising)
        again = {i for i in raising if self.instructions[i].reraises}
        if BLOCKS and again & silent:
            # They are not in the traceback: its newest entry is the instruction that raised first.
            # Where some count and some do not, none does: the line is not really reached by any.
            silent.update(i for i in range(len(self.instructions)) if i not in self._covered[here])
        return counts, frozenset(silent)

    def _exception_counts(self, source: int, here: int) -> bool:
        there, instruction = self.instructions[source], self.instructions[here]
        if not BLOCKS:
            return there.line != instruction.line
        if instruction.begins_block or _VERSION == (3, 8):
            return instruction.begins_block
        return there.op in _YIELDS or (not there.begins_block and there.block > 0)

    def _counts(self, source: int, here: int) -> bool:
        there, instruction = self.instructions[source], self.instructions[here]
        if BLOCKS:
            return instruction.begins_block or instruction.offset < there.offset
        if there.line != instruction.line:
            return True
        return instruction.offset < there.offset and instruction.op not in _SEND


def decode(code: CodeType) -> List[Instruction]:
    """The instructions of a code object, each with its prefixes; caches left out."""
    lines = Lines(code)
    decoded: List[Instruction] = []
    raw = code.co_code
    start: Optional[int] = None
    argument = 0
    for offset in range(0, len(raw), 2):
        op = raw[offset]
        if op == _CACHE:
            continue
        if start is None:
            start = offset
        argument |= raw[offset + 1]
        if op == _EXTENDED_ARG:
            argument <<= 8
            continue
        target: Optional[int] = None
        if op in _JUMPS_ABSOLUTE:
            target = argument * _UNIT
        elif op in _JUMPS_RELATIVE:
            sign = -1 if "BACKWARD" in opcode.opname[op] else 1
            target = offset + 2 + sign * argument * _UNIT
        decoded.append(
            Instruction(
                offset=start,
                op=op,
                line=lines.line(start),
                begins_block=lines.begins_block(start),
                block=lines.block(start),
                target=target,
                reraises=_raises_again(op, argument),
            )
        )
        start, argument = None, 0
    return decoded


def _raises_again(op: int, argument: int) -> bool:
    if not BLOCKS:
        return op in _RERAISE and argument > 0
    return op in _RERAISE or (op in _RAISE and argument == 0)


def lengths(code: CodeType) -> List[int]:
    """Bytes that each instruction takes."""
    starts = [each.offset for each in decode(code)]
    return [end - start for start, end in zip(starts, [*starts[1:], len(code.co_code)])]


def _covered(code: CodeType, instructions: List[Instruction], index: Dict[int, int]) -> Dict[int, List[int]]:
    """Exception handler → the instructions whose exceptions it gets directly (all by index)."""
    covered: Dict[int, List[int]] = {}
    if RESUME:
        for start, end, target, _ in exception_ranges(code):
            covered.setdefault(index[target], []).extend(
                i for i, each in enumerate(instructions) if start <= each.offset < end
            )
        return covered
    for here, blocks in _block_stacks(instructions, index).items():
        for block in reversed(blocks):
            if block != _HANDLING:
                covered.setdefault(block, []).append(here)
                break
    for each in instructions:  # Also those that cover nothing that can be reached.
        if each.op in _HANDLED and each.target is not None:
            covered.setdefault(index[each.target], [])
    return covered


def _block_stacks(instructions: List[Instruction], index: Dict[int, int]) -> Dict[int, Tuple[int, ...]]:
    """3.8 to 3.10: the block stack before each instruction, as far as it can be reached."""
    stacks: Dict[int, Tuple[int, ...]] = {}
    ways: List[Tuple[int, Tuple[int, ...]]] = [(0, ())]
    while ways:
        here, stack = ways.pop()
        if here in stacks or here >= len(instructions):
            continue
        stacks[here] = stack
        each = instructions[here]
        after = stack
        if each.op in _HANDLED and each.target is not None:
            ways.append((index[each.target], (*stack, _HANDLING)))
            after = (*stack, index[each.target])
        elif each.op in _POPS_BLOCK:
            after = stack[:-1]
        elif each.target is not None:
            ways.append((index[each.target], after))
        if each.op not in _NO_WAY_ON or each.op in _CALL_FINALLY:
            ways.append((here + 1, after))
    return stacks
