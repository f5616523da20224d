"""Rewriting of code objects (Python 3.8 to 3.11): a call in front of every arrival at a line.

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

import itertools
import opcode
import sys
from types import CodeType
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Set, Tuple

from otel_tracepoints.engine.hook import (
    ENTRANCES,
    arrived,
    arrived_by_exception,
    arrived_by_unwinding,
    numbers,
)

_VERSION = sys.version_info[:2]
_BLOCKS = _VERSION < (3, 10)  # Line events by blocks of the line table, not by line numbers.
_CACHE = 0
_UNIT = 1 if _VERSION < (3, 10) else 2
_JUMPS_RELATIVE = frozenset(opcode.hasjrel)
_JUMPS_ABSOLUTE = frozenset(opcode.hasjabs)


def _codes(*names: str) -> Set[int]:
    return {opcode.opmap[name] for name in names if name in opcode.opmap}


_EXTENDED_ARG = opcode.EXTENDED_ARG
_HANDLED = _codes("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH")
_CALL_FINALLY = _codes("CALL_FINALLY")
_RESUME = _codes("RESUME")
_SEND = _codes("SEND")
_KW_NAMES = _codes("KW_NAMES")
_YIELDS = _codes("YIELD_VALUE")
_RERAISE = _codes("RERAISE")
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
_PUSH_EXC_INFO = _codes("PUSH_EXC_INFO")
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


class _Instruction(NamedTuple):
    """One instruction, its prefixes included; ``offset`` is where it is jumped to."""

    offset: int
    op: int
    line: Optional[int]
    begins_block: bool
    block: int
    target: Optional[int]
    reraises: bool
    """Raises again as if it were the instruction that raised first."""


class _Arrival(NamedTuple):
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
        self.instructions = _decode(code)
        self._first = 0
        if _RESUME:
            self._first = 1 + next(i for i, each in enumerate(self.instructions) if each.op in _RESUME)
        index = {each.offset: i for i, each in enumerate(self.instructions)}
        self._jumps: Dict[int, List[int]] = {}
        for i, each in enumerate(self.instructions):
            if each.target is not None and each.op not in _HANDLED:
                self._jumps.setdefault(index[each.target], []).append(i)
        self._covered = _covered(code, self.instructions, index)
        #: Exception handlers that find under the exception where it came from.
        self.noting = {index[target] for _, _, target, notes in _exception_ranges(code) if notes}

    def arrivals(self, line: int) -> Dict[int, _Arrival]:
        """Index of an instruction of ``line`` → how it is reached, for those where it counts."""
        found: Dict[int, _Arrival] = {}
        for here, instruction in enumerate(self.instructions):
            if instruction.line == line and here >= self._first and instruction.op not in _RESUME:
                arrival = self._arrival(here)
                if arrival is not None:
                    found[here] = arrival
        return found

    def _arrival(self, here: int) -> Optional[_Arrival]:
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
        return _Arrival(falls, skips, silent, handler, silent_raises) if counts else None

    def _entrance(self, here: int) -> Tuple[bool, FrozenSet[int]]:
        """Whether entering this exception handler counts, and from where it does not."""
        raising = [i for i in self._covered[here] if self.instructions[i].op not in _NEVER_RAISE]
        silent = {i for i in raising if not self._exception_counts(i, here)}
        if not _BLOCKS and any(self.instructions[i].reraises for i in raising):
            # That one stands for the instruction that raised first.
            line = self.instructions[here].line
            silent = {i for i, each in enumerate(self.instructions) if each.line == line}
            return True, frozenset(silent)
        return len(silent) < len(raising), frozenset(silent)

    def _exception_counts(self, source: int, here: int) -> bool:
        there, instruction = self.instructions[source], self.instructions[here]
        if not _BLOCKS:
            return there.line != instruction.line
        if instruction.begins_block or _VERSION == (3, 8):
            return instruction.begins_block
        return there.op in _YIELDS or (not there.begins_block and there.block > 0)

    def _counts(self, source: int, here: int) -> bool:
        there, instruction = self.instructions[source], self.instructions[here]
        if _BLOCKS:
            return instruction.begins_block or instruction.offset < there.offset
        if there.line != instruction.line:
            return True
        return instruction.offset < there.offset and instruction.op not in _SEND


class Spliced(NamedTuple):
    """A rewritten code object, and the `hook.ENTRANCES` that are its own."""

    code: CodeType
    entrances: Tuple[int, ...]


def splice(anatomy: Anatomy, sites: Mapping[int, int]) -> Optional[Spliced]:
    """The code object with calls put in; None if there is nowhere that counts.

    Args:
        anatomy: Of the original code object: never of a rewritten one.
        sites: Line → number to call with.
    """
    # Imported when first needed: most processes never set a probe, and 3.12 never needs it.
    from bytecode import Bytecode, Instr, Label

    arrivals: Dict[int, _Arrival] = {}
    for line in sites:
        arrivals.update(anatomy.arrivals(line))
    if not arrivals:
        return None
    code = anatomy.code
    source: Any = Bytecode.from_code(code, conserve_exception_block_stackdepth=True)
    # All of them, in their order: the library would keep those that are used, in order of use,
    # and locals() would show it.
    source.argnames = list(code.co_varnames)
    positions = [at for at, each in enumerate(source) if isinstance(each, Instr)]
    if len(positions) != len(anatomy.instructions):
        raise ValueError("the bytecode library reads this code object differently")
    before: Dict[int, List[Any]] = {}  # Position → what goes directly before it.
    silent_raises: Dict[int, Tuple[int, FrozenSet[int]]] = {}
    for here, arrival in arrivals.items():
        instruction = anatomy.instructions[here]
        number = sites[instruction.line or 0]
        at = positions[here]
        location = source[at].location
        function: Any = arrived
        if arrival.silent_raises and arrival.handler:
            function, entrance = arrived_by_exception, next(numbers)
            silent_raises[entrance] = number, arrival.silent_raises
            number = entrance
        call = _call(Instr, function, number, location)
        if _RESUME and function is arrived_by_exception and instruction.op not in _PUSH_EXC_INFO:
            source_depth = 2 if here in anatomy.noting else 1
            call = _call(Instr, arrived_by_unwinding, number, location, source_depth)
        if instruction.op in _PUSH_EXC_INFO:
            # Behind it, where the exception can be asked for, and where an interrupt that strikes
            # in the call finds the handler's own clean-up in force.
            before.setdefault(at + 1, []).extend(call)
            continue
        if here and anatomy.instructions[here - 1].op in _KW_NAMES:
            # The names between KW_NAMES and its call would be taken for ours.
            before.setdefault(positions[here - 1], []).extend(call)
            continue
        if arrival.skips or arrival.silent_jumps:
            past = Label()
            call.append(past)
            for jump in arrival.silent_jumps:
                source[positions[jump]].arg = past
            if arrival.skips:
                before.setdefault(positions[here - 1] + 1, []).insert(
                    0, Instr("JUMP_FORWARD", past, location=location)
                )
        before.setdefault(at, []).extend(call)
    rewritten: List[Any] = []
    originals: List[int] = []  # The originals' places among the instructions of the new code.
    count = 0
    for at, each in enumerate(source):
        extra = before.get(at, ())
        count += sum(isinstance(one, Instr) for one in extra)
        rewritten.extend(extra)
        rewritten.append(each)
        if isinstance(each, Instr):
            originals.append(count)
            count += 1
    source[:] = rewritten
    made = _assemble(code, source)
    if silent_raises:
        starts = [each.offset for each in _decode(made)] + [len(made.co_code)]
        for entrance, (number, silent) in silent_raises.items():
            # Up to the next instruction: 3.11 names a call by the end of its inline cache.
            offsets = (range(starts[originals[i]], starts[originals[i] + 1]) for i in silent)
            ENTRANCES[entrance] = number, frozenset(itertools.chain.from_iterable(offsets))
    return Spliced(made, tuple(silent_raises))


def _call(make: Any, function: Any, number: int, location: Any, depth: int = 0) -> List[Any]:
    call = [make("LOAD_CONST", function, location=location), make("LOAD_CONST", number, location=location)]
    if not _RESUME:
        return [*call, make("CALL_FUNCTION", 1, location=location), make("POP_TOP", location=location)]
    if depth:  # Also what lies so deep in the stack, now under three more.
        call.append(make("COPY", depth + 3, location=location))
    return [
        make("PUSH_NULL", location=location),
        *call,
        make("PRECALL", len(call) - 1, location=location),
        make("CALL", len(call) - 1, location=location),
        make("POP_TOP", location=location),
    ]


def _assemble(code: CodeType, source: Any) -> CodeType:
    made: CodeType = source.to_code(
        # A pass settles at least one jump that had outgrown its argument.
        compute_jumps_passes=len(source) + 10,
        stacksize=code.co_stacksize + (4 if _RESUME else 2),
        compute_exception_stack_depths=False,
    )
    if made.co_varnames != code.co_varnames or made.co_freevars != code.co_freevars:
        raise ValueError("the bytecode library changed the names of the variables")
    # Everything else is the original's, to the letter.
    changes: Dict[str, Any] = {
        "co_code": made.co_code,
        "co_consts": made.co_consts,
        "co_names": made.co_names,
        "co_stacksize": made.co_stacksize,
    }
    for name in ("co_linetable", "co_exceptiontable") if not _BLOCKS else ("co_lnotab",):
        if hasattr(code, name):
            changes[name] = getattr(made, name)
    return code.replace(**changes)


def _decode(code: CodeType) -> List[_Instruction]:
    lines = _Lines(code)
    decoded: List[_Instruction] = []
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
            _Instruction(
                offset=start,
                op=op,
                line=lines.line(start),
                begins_block=lines.begins_block(start),
                block=lines.block(start),
                target=target,
                reraises=op in _RERAISE and argument > 0,
            )
        )
        start, argument = None, 0
    return decoded


class _Lines:
    """The line of every offset, as the interpreter's tracing reads the line table."""

    def __init__(self, code: CodeType) -> None:
        self._lines: Dict[int, Optional[int]] = {}
        self._begins: Set[int] = set()
        self._begin_of: Dict[int, int] = {}
        if _BLOCKS:
            self._read_blocks(code)
            return
        table: Any = code.co_lines()  # type: ignore[attr-defined, unused-ignore]
        for start, end, line in table:
            for offset in range(start, end, 2):
                self._lines[offset] = line

    def line(self, offset: int) -> Optional[int]:
        return self._lines.get(offset)

    def begins_block(self, offset: int) -> bool:
        return offset in self._begins

    def block(self, offset: int) -> int:
        """Where the block of this offset begins."""
        return self._begin_of.get(offset, 0)

    def _read_blocks(self, code: CodeType) -> None:
        # A block begins where the table changes the line; entries that do not change it do not
        # begin one.
        table = code.co_lnotab
        line, offset, begin = code.co_firstlineno, 0, 0
        self._begins.add(0)
        steps = [(table[at], table[at + 1]) for at in range(0, len(table), 2)]
        for length, change in [*steps, (len(code.co_code), 0)]:
            for each in range(offset, offset + length, 2):
                self._lines[each] = line
                self._begin_of[each] = begin
            offset += length
            if change:
                line += change - 256 if change >= 128 else change
                begin = offset
                self._begins.add(begin)


def _covered(
    code: CodeType, instructions: List[_Instruction], index: Dict[int, int]
) -> Dict[int, List[int]]:
    """Exception handler → the instructions whose exceptions it gets directly (all by index)."""
    covered: Dict[int, List[int]] = {}
    if _RESUME:
        for start, end, target, _ in _exception_ranges(code):
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


def _block_stacks(
    instructions: List[_Instruction], index: Dict[int, int]
) -> Dict[int, Tuple[int, ...]]:
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


def _exception_ranges(code: CodeType) -> List[Tuple[int, int, int, bool]]:
    """(start, end, target, notes where from) of each entry of 3.11's exception table; offsets in bytes."""
    table = getattr(code, "co_exceptiontable", b"")
    ranges: List[Tuple[int, int, int, bool]] = []
    reader = iter(table)
    while True:
        numbers = []
        for _ in range(4):
            number = _varint(reader)
            if number is None:
                return ranges
            numbers.append(number)
        start, length, target, depth = numbers
        ranges.append((start * 2, (start + length) * 2, target * 2, bool(depth & 1)))


def _varint(reader: Any) -> Optional[int]:
    # Objects/exception_handling_notes.txt: six bits a byte, the highest first; 64 says "more".
    byte = next(reader, None)
    if byte is None:
        return None
    number: int = byte & 63
    while byte & 64:
        byte = next(reader)
        number = number << 6 | byte & 63
    return number
