"""Finding who holds a code object, and exchanging it in constants."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from types import CodeType, FunctionType
from typing import Any, Callable, Dict, List

import pytest
from tests.support.codes import Program

if sys.version_info >= (3, 12):
    pytest.skip("nothing is exchanged from 3.12 on", allow_module_level=True)

from otel_tracepoints.engine import holders

SOURCE = """
def outer(n):
    def inner(): return n
    return inner
def generator(n):
    yield n
class Box:
    def method(self): return 1
"""


def test_functions_and_generators_are_found() -> None:
    """Functions, wherever they are kept, and generators that exist are found; copies that are merely equal are not."""
    names = Program(SOURCE).run()
    others = Program(SOURCE).run()
    hidden = [{"a": (names["outer"](1),)}]
    suspended = names["generator"](1)
    codes = [hidden[0]["a"][0].__code__, names["generator"].__code__, names["Box"].method.__code__]
    found = holders.find(codes)
    assert {id(f) for f in found.functions} == {
        id(hidden[0]["a"][0]),
        id(names["generator"]),
        id(names["Box"].__dict__["method"]),
    }
    assert found.suspended == [suspended]
    assert others["outer"](1).__code__ is not codes[0]


def test_frozen_functions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gc.freeze hides from the collector is found from the modules on: methods, closures, tables."""
    import types

    module = types.ModuleType("frozen_for_test")
    names = Program(SOURCE).run()
    module.__dict__.update(Box=names["Box"], table={"x": [names["outer"](1)]})
    monkeypatch.setitem(sys.modules, "frozen_for_test", module)
    wanted: List[Any] = [names["Box"].__dict__["method"], module.__dict__["table"]["x"][0]]
    gc.freeze()
    try:
        found = holders.find([function.__code__ for function in wanted]).functions
    finally:
        gc.unfreeze()
    assert {id(each) for each in found} == {id(each) for each in wanted}


def test_constants_are_exchanged_with_their_references() -> None:
    """A code object among constants is exchanged in place, and references are counted as for an assignment."""
    outer = Program(SOURCE).run()["outer"]
    constants = outer.__code__.co_consts
    index, old = next((i, each) for i, each in enumerate(constants) if hasattr(each, "co_code"))
    new = old.replace(co_name="other")
    # No assert in between: pytest's keep what they have looked at.
    counts = [(sys.getrefcount(old), sys.getrefcount(new))]
    holders.replace_constant(outer.__code__, {id(old): old}, new)
    counts.append((sys.getrefcount(old), sys.getrefcount(new)))
    in_place = outer.__code__.co_consts is constants and constants[index] is new
    used = outer(1).__code__ is new
    holders.replace_constant(outer.__code__, {id(new): new}, old)
    counts.append((sys.getrefcount(old), sys.getrefcount(new)))
    assert (in_place, used) == (True, True)
    assert counts[1] == (counts[0][0] - 1, counts[0][1] + 1)
    assert counts[2] == counts[0]


def test_no_code_of_the_application_runs() -> None:
    """Objects that forbid everything lie about; looking for functions touches none of them."""

    class Trap:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

        def __eq__(self, other: object) -> bool:
            raise AssertionError

        def __hash__(self) -> int:
            raise AssertionError

    names: Dict[str, Any] = Program(SOURCE).run()
    traps = [Trap(), {"x": Trap()}, names["outer"](Trap())]
    assert len(holders.find([traps[2].__code__]).functions) == 1


def codes_of_nobody() -> List[CodeType]:
    """A code object that nobody refers to but this list."""
    module = compile("def f(wait):\n    wait()\n    yield 1\n", "/nowhere/nobody.py", "exec")
    return [each for each in module.co_consts if type(each) is CodeType]


def maker_of(code: CodeType) -> CodeType:
    return maker_of.__code__.replace(co_consts=(None, code))


def traceback_of(code: CodeType) -> object:
    try:
        list(FunctionType(code, {})(None))
    except TypeError as error:
        return error.__traceback__
    raise AssertionError


HOLDERS: Dict[str, Callable[[CodeType], object]] = {
    "function": lambda code: FunctionType(code, {}),
    "suspended": lambda code: FunctionType(code, {})(None),
    "constant": maker_of,
    "tuple": lambda code: (code, 1),
    "dictionary": lambda code: {"code": code},
    "traceback": traceback_of,
}


@pytest.mark.parametrize("kind", HOLDERS)
def test_whoever_holds_a_code_object_is_noticed(kind: str) -> None:
    """One single holder of any kind is one too many, unless it is named; without any there is nothing to look for."""
    codes = codes_of_nobody()
    assert holders.held_elsewhere(codes, []) == []
    holder = HOLDERS[kind](codes[0])
    assert len(holders.held_elsewhere(codes, [])) == 1
    assert len(holders.held_elsewhere(codes, [(), {}, [1]])) == 1
    del holder
    assert holders.held_elsewhere(codes, []) == []


def test_who_is_named_is_counted_once() -> None:
    """A holder that is named accounts for its own reference, however often it is named, and for no other."""
    codes = codes_of_nobody()
    named = (codes[0],)
    assert holders.held_elsewhere(codes, [named]) == []
    function = FunctionType(codes[0], {})
    assert len(holders.held_elsewhere(codes, [named, named])) == 1
    assert holders.held_elsewhere(codes, [named, function, named]) == []


def test_of_two_the_one_that_is_held_is_named() -> None:
    """Code objects that are equal are told apart."""
    codes = codes_of_nobody() + codes_of_nobody()
    assert codes[0] == codes[1]
    function = FunctionType(codes[1], {})
    (held,) = holders.held_elsewhere(codes, [])
    assert held is function.__code__


def test_frames_that_run_account_for_themselves() -> None:
    """Code that threads are running is held by their frames; by a function besides, if that is there as well."""
    functions = [FunctionType(codes_of_waiting().pop(), {})]
    codes = [functions[0].__code__]
    started, end = threading.Event(), threading.Event()
    threads = [threading.Thread(target=functions[0], args=(started.set, end.wait)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert started.wait(10)
        while len(holders._running({id(codes[0])})) < len(threads):
            pass
        assert holders.held_elsewhere(codes, functions) == []
        assert len(holders.held_elsewhere(codes, [])) == 1
    finally:
        end.set()
        for thread in threads:
            thread.join()


def codes_of_waiting() -> List[CodeType]:
    module = compile("def f(start, wait):\n    start()\n    wait(10)\n", "/nowhere/wait.py", "exec")
    return [each for each in module.co_consts if type(each) is CodeType]


def test_no_frame_is_kept() -> None:
    """What a caller's variables hold goes when the caller returns, and not with the next collection."""

    class Kept:
        pass

    def caller() -> Any:
        kept = Kept()
        assert holders.held_elsewhere(codes_of_nobody(), []) == []
        return weakref.ref(kept)

    gc.collect()
    gc.disable()
    try:
        assert caller()() is None
    finally:
        gc.enable()
