"""Comprehensions that run in the function around them, and the interpreters that crash on their variables."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import textwrap
from typing import Any, List, Set

import pytest

from otel_tracepoints import comprehensions
from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.comprehensions import ARE_INLINED, crash_when_read, inlined_names
from otel_tracepoints.engine import create_engine
from otel_tracepoints.errors import PlacingFailed


def look(name: str) -> object:
    """What a debugger does."""
    return dict(sys._getframe(1).f_locals).get(name)


def plain(a: int) -> Any:
    return [look("b") for b in range(a)]


def over_argument(a: int) -> Any:
    (lambda: a)()
    return [look("a") for a in range(3)]


def over_cell(b: int) -> Any:
    a = b
    (lambda: a)()
    return [look("a") for a in range(3)]


def over_free(a: int) -> Any:
    def inner() -> Any:
        b = a
        return [look("a") or b for a in range(3)]

    return inner()


def over_shared(a: int) -> Any:
    def inner() -> Any:
        nonlocal a
        a += 1
        return [look("a") for a in range(3)]

    return inner()


def within(b: int) -> Any:
    return [(look("a"), lambda: a) for a in range(b)]


def risky(a: int) -> Any:
    return lambda: a


CASES = [
    (plain, {"b"}, False), (over_argument, {"a"}, True), (over_cell, {"a"}, True), (over_free, {"a"}, None), (over_shared, {"a"}, True),
    (within, {"a"}, False),
]  # fmt: skip


def code_of(function: Any) -> Any:
    """Of the function that has the comprehension."""
    return next(
        (each for each in function.__code__.co_consts if inspect.iscode(each) and each.co_name == "inner"),
        function.__code__,
    )


@pytest.mark.parametrize(("function", "names", "crashes"), CASES)
def test_variables_of_comprehensions(
    function: Any, names: Set[str], crashes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that run in the function itself are found, and whether one stands where the function has a cell."""
    code = code_of(function)
    assert inlined_names(code) == (names if ARE_INLINED else set())
    assert not crash_when_read(code) or comprehensions._CRASHES
    monkeypatch.setattr(comprehensions, "_CRASHES", True)
    if crashes is not None:
        assert crash_when_read(code) is (crashes and ARE_INLINED)


def test_of_many_names() -> None:
    """However far behind its place is."""
    text = "".join(f"    name_{number} = 1\n" for number in range(70_000))
    space: Any = {}
    exec(f"def made():\n{text}    return [late for late in [1]]", space)
    assert inlined_names(space["made"].__code__) == ({"late"} if ARE_INLINED else set())


@pytest.mark.parametrize("function", [each[0] for each in CASES])
def test_only_what_is_refused_crashes(function: Any) -> None:
    """On this interpreter, what a debugger may read can be read."""
    text = f"from __future__ import annotations\nimport sys\n{inspect.getsource(look)}\n{inspect.getsource(function)}\n{function.__name__}(3)\n"
    environment = {**os.environ, "PYTHONFAULTHANDLER": ""}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], check=False, stderr=subprocess.DEVNULL, env=environment
    )
    assert done.returncode == 0 or crash_when_read(code_of(function))


@pytest.mark.parametrize(
    "mechanism", ["monitoring", "settrace"] if sys.version_info >= (3, 12) else ["settrace"]
)
def test_no_watch_where_it_may_crash(mechanism: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with the reason and two ways out; and nothing of the same call is installed."""
    engine = create_engine("pytrace", mechanism=mechanism)
    monkeypatch.setattr(comprehensions, "_CRASHES", True)
    monkeypatch.setattr(comprehensions, "_inlined", lambda code: [("a", code is not risky.__code__)])
    seen: List[Any] = []
    try:
        engine.install("fine", [CodeSite(plain.__code__, ())], plain.__code__.co_firstlineno + 1, seen.append)
        line = risky.__code__.co_firstlineno + 1
        with pytest.raises(PlacingFailed, match="risky.*128396.*3.13.3.*rename"):
            engine.install("bad", [CodeSite(risky.__code__, ())], line, seen.append)
        plain(1)
        risky(1)
        assert {frame.f_code for frame in seen} == {plain.__code__}
    finally:
        engine.close()
