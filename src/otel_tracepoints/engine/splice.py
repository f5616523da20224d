"""Rewriting of code objects (Python 3.8 to 3.11): a call in front of every arrival at a line.

`anatomy` says along which ways an instruction is arrived at; the call is put where only those
pass. Where an exception handler can be entered both ways, the call itself looks where the
exception came from. The ``bytecode`` library writes the code; what it makes anew although it need
not change (names, flags, the order of the variables) is kept from the original.
"""

from __future__ import annotations

import itertools
import sys
from types import CodeType
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.engine.anatomy import KW_NAMES, PUSH_EXC_INFO, RESUME, Anatomy, Arrival, decode, lengths
from otel_tracepoints.engine.hook import (
    ENTRANCES,
    arrived,
    arrived_by_exception,
    arrived_by_unwinding,
    numbers,
)
from otel_tracepoints.engine.linetable import Position, line_table, location_table


class Spliced(NamedTuple):
    """A rewritten code object, and the `hook.ENTRANCES` that are its own."""

    code: CodeType
    entrances: Tuple[int, ...]


def splice(
    anatomy: Anatomy, sites: Mapping[int, int], plain: Callable[[int], object] = arrived
) -> Optional[Spliced]:
    """The code object with calls put in; None if there is nowhere that counts.

    Args:
        anatomy: Of the original code object: never of a rewritten one.
        sites: Line → number to call with.
        plain: What is called where an arrival is an arrival: `hook.arrived`, or the compiled one.
    """
    # Imported when first needed: most processes never set a probe, and 3.12 never needs it.
    from bytecode import Bytecode, Instr, Label

    arrivals: Dict[int, Arrival] = {}
    for line in sites:
        arrivals.update(anatomy.arrivals(line))
    if not arrivals:
        return None
    code = anatomy.code
    source: Any = Bytecode.from_code(code, conserve_exception_block_stackdepth=True)
    # All of them, in their order: the library would keep those that are used, in order of use,
    # and locals() would show it.
    source.argnames = list(code.co_varnames)
    places = [at for at, each in enumerate(source) if isinstance(each, Instr)]
    if len(places) != len(anatomy.instructions):
        raise ValueError("the bytecode library reads this code object differently")
    before: Dict[int, List[Any]] = {}  # Position → what goes directly before it.
    silent_raises: Dict[int, Tuple[int, FrozenSet[int]]] = {}
    for here, arrival in arrivals.items():
        instruction = anatomy.instructions[here]
        number = sites[instruction.line or 0]
        at = places[here]
        location = source[at].location
        function: Any = plain
        if arrival.silent_raises and arrival.handler:
            function, entrance = arrived_by_exception, next(numbers)
            silent_raises[entrance] = number, arrival.silent_raises
            number = entrance
        call = _call(Instr, function, number, location)
        if RESUME and function is arrived_by_exception and instruction.op not in PUSH_EXC_INFO:
            source_depth = 2 if here in anatomy.noting else 1
            call = _call(Instr, arrived_by_unwinding, number, location, source_depth)
        if instruction.op in PUSH_EXC_INFO:
            # Behind it, where the exception can be asked for, and where an interrupt that strikes
            # in the call finds the handler's own clean-up in force.
            before.setdefault(at + 1, []).extend(call)
            continue
        if here and anatomy.instructions[here - 1].op in KW_NAMES:
            # The names between KW_NAMES and its call would be taken for ours.
            before.setdefault(places[here - 1], []).extend(call)
            continue
        if arrival.skips or arrival.silent_jumps:
            past = Label()
            call.append(past)
            for jump in arrival.silent_jumps:
                source[places[jump]].arg = past
            if arrival.skips:
                before.setdefault(places[here - 1] + 1, []).insert(
                    0, Instr("JUMP_FORWARD", past, location=location)
                )
        before.setdefault(at, []).extend(call)
    rewritten: List[Any] = []
    originals: List[int] = []  # The originals' places among the instructions of the new code.
    positions: List[Position] = []  # Of all of them in the source text.
    own = iter(_positions(anatomy))
    for at, each in enumerate(source):
        extra = before.get(at, ())
        positions.extend(_position(one.location) for one in extra if isinstance(one, Instr))
        rewritten.extend(extra)
        rewritten.append(each)
        if isinstance(each, Instr):
            originals.append(len(positions))
            positions.append(next(own))
    source[:] = rewritten
    made = _assemble(code, source, positions)
    if silent_raises:
        starts = [each.offset for each in decode(made)] + [len(made.co_code)]
        for entrance, (number, silent) in silent_raises.items():
            # Up to the next instruction: 3.11 names a call by the end of its inline cache.
            offsets = (range(starts[originals[i]], starts[originals[i] + 1]) for i in silent)
            ENTRANCES[entrance] = number, frozenset(itertools.chain.from_iterable(offsets))
    return Spliced(made, tuple(silent_raises))


def _call(make: Any, function: Any, number: int, location: Any, depth: int = 0) -> List[Any]:
    call = [make("LOAD_CONST", function, location=location), make("LOAD_CONST", number, location=location)]
    if not RESUME:
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


def _positions(anatomy: Anatomy) -> Sequence[Position]:
    """Where each instruction of the original stands in the source text."""
    if sys.version_info < (3, 11):
        return [(each.line, None, None, None) for each in anatomy.instructions]
    units: List[Position] = list(anatomy.code.co_positions())
    return [units[each.offset // 2] for each in anatomy.instructions]


def _position(location: Any) -> Position:
    if location is None:
        return (None, None, None, None)
    return (location.lineno, location.end_lineno, location.col_offset, location.end_col_offset)


def _assemble(code: CodeType, source: Any, positions: Sequence[Position]) -> CodeType:
    made: CodeType = source.to_code(
        # A pass settles at least one jump that had outgrown its argument.
        compute_jumps_passes=len(source) + 10,
        stacksize=code.co_stacksize + (4 if RESUME else 2),
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
    # The library gives instructions without a line that of the one before, and other tracers would
    # show it; and what it writes of columns from 128 on, in 3.11's table, makes every reader of the
    # table that looks for lines take them for entries, and go wrong or out of bounds.
    if sys.version_info >= (3, 11):
        changes["co_exceptiontable"] = made.co_exceptiontable
        changes["co_linetable"] = location_table(code.co_firstlineno, lengths(made), positions)
    elif sys.version_info >= (3, 10):
        lines = (position[0] for position in positions)
        changes["co_linetable"] = line_table(code.co_firstlineno, lengths(made), lines)
    else:
        changes["co_lnotab"] = made.co_lnotab
    return code.replace(**changes)
