"""No expression ever runs code of the application, whatever stands in its variables."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import fractions
import pathlib
import sys
from types import FrameType
from typing import Any, Dict, List
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import hostile
from tests.support.hostile import hostile_class, trap, untouched

from otel_tracepoints.errors import EvaluationError, InvalidExpression
from otel_tracepoints.expression import parse_watch


def frame(x: Any, y: Any = None) -> FrameType:
    return sys._getframe()


class KeyLikeString(str):
    """A key that hashes like the string it is made of, with a trapped comparison."""

    armed = False

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __eq__(self, other: object) -> bool:
        if KeyLikeString.armed:
            trap("KeyLikeString", "__eq__")()
        return self is other


class NumberKey:
    """A key that hashes like 5."""

    armed = False

    def __hash__(self) -> int:
        return 5

    def __eq__(self, other: object) -> bool:
        if NumberKey.armed:
            trap("NumberKey", "__eq__")()
        return self is other


@pytest.fixture
def _armed():
    KeyLikeString.armed = NumberKey.armed = True
    yield
    KeyLikeString.armed = NumberKey.armed = False


class HostileZone(datetime.tzinfo):
    utcoffset = trap("HostileZone", "utcoffset")
    tzname = trap("HostileZone", "tzname")
    dst = trap("HostileZone", "dst")


@dataclasses.dataclass
class Box:
    content: Any


def subjects() -> List[Any]:
    """Values with traps in every place that an expression might touch."""
    made: List[Any] = []
    for name, base in (
        ("Hostile", object), ("HostileDict", dict), ("HostileList", list), ("HostileTuple", tuple), ("HostileSet", set),
        ("HostileStr", str), ("HostileBytes", bytes), ("HostileInt", int), ("HostileFloat", float),
        ("HostileException", Exception), ("HiddenDict", object),
    ):  # fmt: skip
        made.append(base.__new__(getattr(hostile, name)))
    for base, arguments in (
        (decimal.Decimal, ("1.5",)), (datetime.datetime, (2026, 1, 1)),
        (datetime.date, (2026, 1, 1)), (datetime.timedelta, (1,)), (collections.deque, ()), (complex, (1, 2)),
        (frozenset, ()),
    ):  # fmt: skip
        made.append(base.__new__(hostile_class("H" + base.__name__, base, metaclass=type), *arguments))
    fraction = object.__new__(hostile_class("HFraction", fractions.Fraction, metaclass=type))
    object.__setattr__(fraction, "_numerator", 1)
    object.__setattr__(fraction, "_denominator", 2)
    made += [
        fraction,
        object.__new__(hostile_class("HPath", pathlib.PurePosixPath, metaclass=type)),
        pathlib.PurePosixPath("/k"),
    ]
    full = list.__new__(hostile.HostileList)
    list.extend(full, [1, "a", full, made[0]])
    mapping = dict.__new__(hostile.HostileDict)
    dict.update(mapping, {"name": made[0], 5: 1, None: full})
    made += [full, mapping, [made[0]], (made[0], 1), {"name": made[0], KeyLikeString("k"): 1, NumberKey(): 2}]
    made += [
        {KeyLikeString("k"), NumberKey(), "z"},
        Box(made[0]),
        Box(1),
        mock.MagicMock(),
        hostile.LazyProxy(),
    ]
    made += [datetime.datetime(2026, 1, 1, tzinfo=HostileZone()), type(made[0]), frame, len, None, 5, "k"]
    made += [
        {(NumberKey(), 1): 1},
        collections.deque([made[0]]),
        range(3),
        b"k",
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    ]
    return made


SUBJECTS = subjects()
UNARY = [
    "x", "not x", "-x", "+x", "len(x)", "abs(x)", "min(x)", "max(x)", "any(x)", "all(x)", "x.name", "x.computed", "x.column",
    "x[0]", "x[-1]", "x['name']", "x['k']", "x[5]", "x[1:2]", "x[::-1]", "x == 1", "x == 'k'", "x == None", "x != x", "1 == x",
    "x < 1", "1 < x", "x < 'k'", "x in (1, 'k')", "5 in x", "'k' in x", "None in x", "x in 'k'", "x + 1", "1 + x", "x + 'a'",
    "'a' + x", "x * 2", "2 * x", "x / 2", "x // 2", "x % 2", "2 % x", "'%s' % x", "x - x", "x.startswith('k')", "'k'.startswith(x)",
    "x.lower()", "x.upper()", "x.strip()", "x.contains('k')", "'k'.contains(x)", "x.matches('k')", "'k'.matches(x)", "x is None",
    "isinstance(x, int)", "isinstance(x, a.B)", "1 if x else 2", "x and 1", "x or 1", "[1, 2][1] == x", "x.a.b", "x.content", "x == x",
    "x.content == x", "min(x, 1)", "max(1, x)", "x < x", "x >= x", "args[x]", "args == x", "x.armed", "x.real", "x.tzinfo", "x.name.y",
]  # fmt: skip
BINARY = [
    "x == y", "x != y", "x < y", "x >= y", "x in y", "x not in y", "x + y", "x - y", "x * y", "x / y", "x // y", "x % y", "x[y]",
    "x.startswith(y)", "x.endswith(y)", "x.contains(y)", "x.matches(y)", "min(x, y)", "max(x, y)", "x and y", "x if y else 1",
]  # fmt: skip


def evaluate(text: str, x: Any, y: Any = None) -> None:
    """Only EvaluationError may come out, and nothing of the application may run."""
    expression = parse_watch(text)
    where = frame(x, y)
    with untouched():
        for run in (expression.evaluate, expression.test):
            try:
                run(where)
            except EvaluationError as error:
                assert error.code in EvaluationError.CODES
            except hostile.Touched:  # pragma: no cover - reported by untouched()
                pass


@pytest.mark.usefixtures("_armed")
@pytest.mark.parametrize("text", UNARY)
def test_one_operand(text: str) -> None:
    """No operation on any value runs the application's code or raises anything but EvaluationError."""
    for value in SUBJECTS:
        evaluate(text, value)


@pytest.mark.usefixtures("_armed")
@pytest.mark.parametrize("text", BINARY)
def test_two_operands(text: str) -> None:
    """The same for any two values."""
    for x in SUBJECTS:
        for y in SUBJECTS:
            evaluate(text, x, y)


def value(text: str, x: Any, y: Any = None) -> Any:
    return parse_watch(text).evaluate(frame(x, y)).value


def code(text: str, x: Any, y: Any = None) -> str:
    with pytest.raises(EvaluationError) as caught:
        parse_watch(text).evaluate(frame(x, y))
    return caught.value.code


@pytest.mark.usefixtures("_armed")
def test_builtin_slots_answer_for_subclasses() -> None:
    """A list, dict or str subclass with every method overridden is read as the builtin it is."""
    items = list.__new__(hostile.HostileList)
    list.extend(items, [1, 2, 3])
    mapping = dict.__new__(hostile.HostileDict)
    dict.update(mapping, {"a": 1})
    text = str.__new__(hostile.HostileStr, "active")
    number = int.__new__(hostile.HostileInt, 7)
    with untouched():
        assert value("len(x)", items) == 3
        assert value("x[1]", items) == 2
        assert value("2 in x", items) is True
        assert value("x == [1, 2, 3]", items) is True
        assert value("x['a']", mapping) == 1
        assert value("'a' in x and not 'b' in x", mapping) is True
        assert value("x == 'active'", text) is True
        assert value("x.upper()", text) == "ACTIVE"
        assert value("x + 1", number) == 8
        assert value("x > 6", number) is True
        assert value("x in [5, 7]", number) is True
        assert value("y[x]", text, {"active": 5}) == 5
        assert value("not not x", items) is True


@pytest.mark.usefixtures("_armed")
def test_colliding_keys() -> None:
    """A key of the application that hashes like the one looked for is never asked; the answer is right or none."""
    mapping = {KeyLikeString("k"): 1, "j": 2, NumberKey(): 3}
    members = {KeyLikeString("k"), "j", NumberKey()}
    with untouched():
        assert value("x['j']", mapping) == 2
        assert value("x['k']", mapping) == 1  # a str by its own slots
        assert code("x[5]", mapping) == "UNSAFE_COMPARISON"
        assert value("'j' in x", members) is True
        assert code("5 in x", members) == "UNSAFE_COMPARISON"


def test_decimal_context_is_left_alone() -> None:
    """Arithmetic and comparisons raise no flag in the application's decimal context."""
    context = decimal.getcontext()
    context.clear_flags()
    values: Dict[str, Any] = {"x": decimal.Decimal(1), "y": 3}
    for text in ("x / y", "x == 0.1", "x < 0.1", "x * x", "abs(x)", "-x", "x % y", "x // y"):
        parse_watch(text).evaluate(frame(**values))
    assert not any(context.flags.values())


@given(
    text=st.recursive(
        st.sampled_from(
            ["x", "y", "1", "'k'", "None", "args", "this", "x.name", "2.5", "(1, 'a')", "locals.x", "[1]"]
        ),
        lambda inner: st.one_of(
            st.builds(
                "({} {} {})".format,
                inner,
                st.sampled_from("+ - * / // % == != < <= > >= in and or".split() + ["not in"]),
                inner,
            ),
            st.builds(
                "{}({})".format, st.sampled_from("len abs min max any all not".split() + ["-", "!"]), inner
            ),
            st.builds("({})[{}]".format, inner, inner),
            st.builds(
                "({}){}".format,
                inner,
                st.sampled_from([".name", "[1:]", "[0]", ".lower()", ".matches('k+')", "['k']"]),
            ),
            st.builds("({} if {} else {})".format, inner, inner, inner),
        ),
        max_leaves=6,
    ),
    x=st.sampled_from(range(len(SUBJECTS))),
    y=st.sampled_from(range(len(SUBJECTS))),
)
@settings(max_examples=300, deadline=None)
def test_any_expression_on_any_values(text: str, x: int, y: int) -> None:
    """Whatever is put together, nothing of the application runs and only EvaluationError comes out."""
    try:
        parse_watch(text)
    except InvalidExpression:
        return
    KeyLikeString.armed = NumberKey.armed = True
    try:
        evaluate(text, SUBJECTS[x], SUBJECTS[y])
    finally:
        KeyLikeString.armed = NumberKey.armed = False
