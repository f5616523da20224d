"""Finding who holds a code object, and exchanging it in constants."""

from __future__ import annotations

import gc
import sys
from typing import Any, Dict, List

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
