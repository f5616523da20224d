"""Rewritten code objects: the original's instructions with calls in between, and nothing else changed."""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import difflib
import inspect
import sys
import typing
import warnings
from types import CodeType, FrameType, ModuleType
from typing import Any, Counter, Iterator, List, Tuple

import pytest
from tests.support.codes import Program, where
from tests.support.random_programs import ProgramMaker

if sys.version_info >= (3, 12):
    pytest.skip("code is rewritten on 3.8 to 3.11 only", allow_module_level=True)

from otel_tracepoints.engine import hook
from otel_tracepoints.engine.anatomy import Anatomy, decode, lengths
from otel_tracepoints.engine.linetable import location_table
from otel_tracepoints.engine.splice import splice

MODULES = (argparse, asyncio.base_events, collections, contextlib, dataclasses, difflib, inspect, typing)


def every_code(module: ModuleType) -> Iterator[CodeType]:
    """All code objects of a module's source."""
    source = inspect.getsource(module)
    for site in Program(source).tree():
        yield site.code


def lines_of(anatomy: Anatomy) -> List[int]:
    """Lines that have instructions."""
    return sorted({each.line for each in anatomy.instructions if each.line is not None})


def operations(code: CodeType) -> List[Tuple[int, Any]]:
    """Opcode and meaning of every instruction; jumps without their distance."""
    import dis

    found = []
    for each in dis.get_instructions(code):
        if each.opname in ("EXTENDED_ARG", "CACHE"):
            continue
        jumps = each.opcode in dis.hasjrel or each.opcode in dis.hasjabs
        found.append((each.opcode, "jump" if jumps else (type(each.argval).__name__, repr(each.argval))))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_original_is_all_still_there(module: ModuleType) -> None:
    """Of every code object of a real module, with calls on every line: all instructions in their order, all names, flags, variables and lines."""
    checked = 0
    for code in every_code(module):
        anatomy = Anatomy(code)
        lines = lines_of(anatomy)[:40]
        made = splice(anatomy, {line: number for number, line in enumerate(lines, 10**6)})
        if made is None:
            continue
        checked += 1
        new = made.code
        for name in ("co_name", "co_flags", "co_varnames", "co_freevars", "co_cellvars", "co_filename"):
            assert getattr(new, name) == getattr(code, name)
        assert (new.co_argcount, new.co_kwonlyargcount, new.co_firstlineno, new.co_nlocals) == (
            code.co_argcount,
            code.co_kwonlyargcount,
            code.co_firstlineno,
            code.co_nlocals,
        )
        remaining = iter(operations(new))
        assert all(operation in remaining for operation in operations(code))
        assert {each.line for each in decode(new)} == {each.line for each in decode(code)}
    assert checked > 10


def counts(code: CodeType, spliced: bool) -> Counter[Tuple[str, int, int]]:
    """Line → arrivals, by the interpreter's line events or by calls put into everything."""
    seen: Counter[Tuple[str, int, int]] = collections.Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != code.co_filename:
            return None
        if event == "line":
            seen[(*where(frame.f_code), frame.f_lineno)] += 1
        return trace

    if spliced:
        exec(_with_calls(code, seen), {})
        return seen
    sys.settrace(trace)
    try:
        exec(code, {})
    finally:
        sys.settrace(None)
    return seen


def _with_calls(code: CodeType, seen: Counter[Tuple[str, int, int]]) -> CodeType:
    constants = (_with_calls(each, seen) if isinstance(each, CodeType) else each for each in code.co_consts)
    anatomy = Anatomy(code.replace(co_consts=tuple(constants)))
    sites = {}
    for line in lines_of(anatomy):
        sites[line] = next(hook.numbers)
        at = (*where(code), line)

        def hit(frame: FrameType, at: Tuple[str, int, int] = at) -> None:
            seen[at] += 1

        hook.SITES[sites[line]] = (hit,)
    made = splice(anatomy, sites)
    return anatomy.code if made is None else made.code


@pytest.mark.parametrize("seed", range(200, 212))
def test_random_programs_count_as_the_interpreter_does(seed: int) -> None:
    """Programs of every statement nested in every way: calls put on all lines are made exactly as often as line events are reported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = Program(ProgramMaker(seed).program()).code
        except SyntaxError:
            pytest.skip("this seed makes no program")
        expected, seen = counts(code, spliced=False), counts(code, spliced=True)
    hook.SITES.clear()
    hook.ENTRANCES.clear()
    assert {at: (n, seen[at]) for at, n in expected.items() if n != seen[at]} == {}
    assert set(seen) == set(expected)


def test_names_of_keyword_arguments_stay_with_their_call() -> None:
    """No call comes between the names of keyword arguments and the call they belong to."""
    program = Program(
        "def f(a):\n    return (str(a)\n        .format(\n            x=1)\n        .format(y=2,\n  z=3))\n"
    )
    function = program.run()["f"]
    anatomy = Anatomy(function.__code__)
    made = splice(anatomy, dict.fromkeys(lines_of(anatomy), 10**9))
    assert made is not None
    function.__code__ = made.code
    assert function("a") == "a"


WIDE = Program(
    """
    def f(a):
        if a:                                                                                                                              return str(a).upper() + str(a)
        a = {0}; b = a + {0}
        raise ValueError(
            a,                                                                                                                                                  b
        )
    """.replace("{0}", " " * 300 + "1")
)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no columns in the tables before")
def test_columns_far_to_the_right_stay() -> None:
    """Whatever stands in the columns from 80 and from 128 on keeps its line and its columns, for every reader of the table."""
    code = WIDE.run()["f"].__code__
    anatomy = Anatomy(code)
    made = splice(anatomy, dict.fromkeys(lines_of(anatomy), 10**9))
    assert made is not None
    assert positions_of_lines(made.code) <= positions_of_lines(code)
    wide = [each for each in made.code.co_positions() if each[2] is not None and each[2] >= 128]  # type: ignore[attr-defined]
    assert wide
    end = max(end for _, end, _ in made.code.co_lines())  # type: ignore[attr-defined]
    assert end == len(made.code.co_code)
    for (_, line), position in zip(by_unit(made.code), made.code.co_positions()):  # type: ignore[attr-defined]
        assert line == position[0]


def by_unit(code: CodeType) -> Iterator[Tuple[int, Any]]:
    """Each code unit's offset and line, as line tables are read for tracebacks and tracing."""
    for start, end, line in code.co_lines():  # type: ignore[attr-defined]
        for offset in range(start, end, 2):
            yield offset, line


def positions_of_lines(code: CodeType) -> Any:
    """The distinct positions of a code object."""
    return set(code.co_positions())  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no columns in the tables before")
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_location_table_is_the_compilers(module: ModuleType) -> None:
    """Written anew from what it says, the table of every code object of a real module says the same."""
    for code in every_code(module):
        units = list(code.co_positions())  # type: ignore[attr-defined]
        positions = [units[each.offset // 2] for each in decode(code)]
        table = location_table(code.co_firstlineno, lengths(code), positions)
        again = code.replace(co_linetable=table)  # type: ignore[call-arg]
        assert list(again.co_positions()) == units  # type: ignore[attr-defined]
        assert list(by_unit(again)) == list(by_unit(code))


def test_a_number_that_is_not_known_is_nothing() -> None:
    """What is left in a frame after its probe has gone calls nobody."""
    hook.arrived(10**9)
    hook.arrived_by_exception(10**9)
    hook.arrived_by_unwinding(10**9, 5)
