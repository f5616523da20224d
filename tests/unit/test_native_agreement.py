"""On random conditions over random and hostile values the compiled hit path says what the language says, or nothing."""

from __future__ import annotations

import collections
import decimal
import functools
import os
import sys
import sysconfig
import types
from types import FrameType
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support.condition_values import (
    NAN,
    PLAIN,
    Color,
    Comparing,
    Computing,
    Elsewhere,
    Level,
    Money,
    Number,
    Plain,
    Real,
    Record,
    Row,
    Sized,
    Slotted,
    Status,
    Text,
    Truthless,
)
from tests.support.hostile import untouched
from tests.unit import test_expression_properties as properties
from tests.unit import test_expression_safety as safety

from otel_tracepoints.errors import EvaluationError, InvalidExpression
from otel_tracepoints.expression import parse_condition

native = pytest.importorskip("otel_tracepoints.engine._native", reason="the compiled module is not built")

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
EXAMPLES = int(os.environ.get("TRACEPOINTS_EXAMPLES", "300"))
some_global = 5


@functools.lru_cache(maxsize=512)
def compiled(text: str) -> Any:
    """Kept as a probe's is, since it remembers where it found its variables; None where none of it is native."""
    return native.condition(parse_condition(text).lowered)


def decide(text: str, frame: FrameType) -> Optional[bool]:
    """What the compiled hit path says of a condition, None where it leaves it to Python."""
    condition = compiled(text)
    return None if condition is None else native.decide(condition, frame)


def both(text: str, frame: FrameType) -> Any:
    """The native verdict, after a look that it is Python's if there is one, before Python has asked and after."""
    condition = parse_condition(text)
    first = decide(text, frame)
    try:
        expected: Any = condition.test(frame)
    except EvaluationError as error:
        expected = error.code
    second = decide(text, frame)
    assert first is None or first is expected, (text, first, expected)
    assert second is None or second is expected, (text, second, expected)
    return second


# Differential ------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-3, 3), st.integers(), st.floats(), st.booleans(),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, -(2**63), 2**64, 1e308, 2.0**53, 2.0**63, -0.0]),
)  # fmt: skip
texts = st.one_of(
    st.text("ab", max_size=3), st.text(max_size=4),
    st.sampled_from(["k", "ä"]),
)  # fmt: skip
simple = st.one_of(st.none(), numbers, texts, st.binary(max_size=2))
keys = st.one_of(st.integers(-2, 2), st.sampled_from(["a", "b", "k", 1.0, True, None, b"a", 2**64]))
ODD: List[Any] = [
        PLAIN, Record(x=1), Elsewhere(x=1), Truthless(), Sized(), Comparing(), Computing(), Number(1), Text("k"), Level.HIGH, Status.PAID, NAN, Real(1), [NAN], Color.RED, Plain, sys, len,
        *map(decimal.Decimal, ("1", "2.5", "NaN", "sNaN", "-Infinity", "1E+400", "0.1", "9007199254740993")), decimal.Decimal("7" * 5_000),
        Money(1), Money("NaN"), decimal.Decimal(1), object(), Slotted(1), range(3), collections.deque([1]), list(range(600)), set(range(600)),
        dict.fromkeys(range(600)), collections.OrderedDict(a=1), types.SimpleNamespace(x=1), collections.Counter("aab"),
        ["x"] * 200 + [Comparing()], {"k": 1, Comparing(): 2}, {Comparing(), 1}, 1j, Ellipsis, NotImplemented,
    "a" * 600, "b" + "a" * 599, "a" * 599 + "b", "ab" * 3_000, "x" * 70_000, "x" * 69_999 + "y",
]  # fmt: skip
Recipe = Tuple[str, Any]


def made(recipe: Recipe) -> Any:
    """The value of a recipe. (Hypothesis compares and shows what it draws, which these values do not take.)"""
    kind, content = recipe
    if kind == "plain":
        return content
    if kind == "odd":
        return (ODD + safety.SUBJECTS)[content]
    if kind == "dict":
        return {key: made(value) for key, value in content}
    parts = [made(each) for each in content]
    if kind == "object":
        return Plain(x=parts[0], k=parts[-1])
    if kind == "record":
        return Record(x=parts[0], k=parts[-1])
    if kind == "slots":
        return Slotted(parts[0])
    return Row(parts[0], parts[-1]) if kind == "row" else tuple(parts) if kind == "tuple" else parts


anything = st.recursive(
    st.one_of(
        st.tuples(st.just("plain"), st.one_of(simple, st.sets(keys, max_size=4), st.frozensets(keys, max_size=4))),
        st.tuples(st.just("odd"), st.integers(0, len(ODD + safety.SUBJECTS) - 1)),
    ),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["list", "tuple"]), st.lists(inner, max_size=4)),
        st.tuples(st.sampled_from(["object", "record", "slots", "row"]), st.lists(inner, min_size=1, max_size=2)),
        st.tuples(st.just("dict"), st.lists(st.tuples(keys, inner), max_size=3)),
    ),
    max_leaves=4,
)  # fmt: skip
atoms = st.one_of(
    st.sampled_from("a b c a b c a.x b.x c.k a.y b[0] c[-1] a['k'] b['a'] c[a] a.x.k len(a) len(b) some_global true null".split()),
    st.sampled_from(["args[0]", "args[-1]", "args[b]", "args", "len(args)", "locals.a", "locals.z", "a.value", "b.name"]),
    st.sampled_from(["1", "0", "2.5", "'k'", "'a'", "None", "True", "(1, 'k')", "[1, 2]", "()", "9007199254740993", "-1", "''"]),
)  # fmt: skip
sections = st.sampled_from(
    [
        "[1:]",
        "[:2]",
        "[-1:]",
        "[::-1]",
        "[1:3:2]",
        "[:-5:-2]",
        "[:]",
        "[5:1]",
        "[99999999999999999999:]",
        "[None:1]",
    ]
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(
            "({} {} {})".format, inner, st.sampled_from("== != < <= > >= in is".split() + ["not in", "== b ==", "< a <="]), inner
        ),
        st.builds("({} {} {})".format, inner, st.sampled_from("and or + - * / // %".split()), inner),
        st.builds("({} {})".format, st.sampled_from(["not", "-", "+"]), inner),
        st.builds("{}({})".format, st.sampled_from("abs min max any all len".split()), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("({}){}".format, inner, sections),
        st.builds("({}).{}()".format, inner, st.sampled_from(["lower", "upper", "strip"])),
        st.builds("({}).{}(('a', 'k', {}))".format, inner, st.sampled_from(["startswith", "endswith"]), st.sampled_from(["'x'", "1"])),
        st.builds("({} is {})".format, inner, st.sampled_from(["None", "True", "not None", "not False", "null"])),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({}).{}({})".format, inner, st.sampled_from(["startswith", "endswith", "contains"]), inner),
        st.builds("isinstance({}, {})".format, inner, st.sampled_from(["int", "str", "(list, tuple)", "(int, a.B)"])),
        st.builds("({} if {} else {})".format, inner, inner, inner),
    ),
    max_leaves=5,
)  # fmt: skip


integers = st.recursive(
    st.sampled_from("n 1 2.5 len(t) len(l) l[0] l[-1] min(l) max(l) args[1] locals.n len(args) e.value".split()),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+ - * / // % and or".split()), inner),
        st.builds("({} {})".format, st.sampled_from(["-", "+"]), inner),
        st.builds("abs({})".format, inner),
        st.builds("{}({}, {}, {})".format, st.sampled_from(["min", "max"]), inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
    ),
    max_leaves=4,
)  # fmt: skip
words = st.recursive(
    st.sampled_from(["t", "'aB'", "args[0]", "locals.t", "e.name"]),
    lambda inner: st.one_of(
        st.builds("{}.{}()".format, inner, st.sampled_from(["lower", "upper", "strip"])),
        st.builds("{}{}".format, inner, sections),
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "or", "and"]), inner),
    ),
    max_leaves=3,
)  # fmt: skip
series = st.one_of(
    st.sampled_from(["l", "args", "(1, 2.5)"]),
    st.builds("{}{}".format, st.sampled_from(["l", "args"]), sections),
)
sensible = st.one_of(
    st.builds("{} {} {}".format, integers, st.sampled_from("== != < <= > >=".split()), integers),
    st.builds("{} {} {}".format, words, st.sampled_from("== != < >= in".split()), words),
    st.builds("{}.{}(('a', {}))".format, words, st.sampled_from(["startswith", "endswith"]), st.just("'B'")),
    st.builds("{}({})".format, st.sampled_from(["any", "all", "not any", "len"]), series),
    st.builds("{} {} {}".format, st.one_of(integers, words), st.sampled_from(["in", "not in"]), series),
    st.builds("{} == {}".format, series, series),
)


def usual(t: str, n: Any, l: List[Any], e: Color) -> FrameType:  # noqa: E741 - as short as the others
    return sys._getframe()


def enclosed(a: Any, b: Any, c: Any) -> FrameType:
    """A frame whose ``a`` is a free variable, ``b`` a cell and ``c`` a local."""

    def inner(b: Any, c: Any) -> FrameType:
        (lambda: b)()
        return sys._getframe() if a is a else None  # noqa: PLR0124

    return inner(b, c)


def gathered(a: Any, *rest: Any) -> FrameType:
    """A frame whose ``args`` are ``a`` and the rest, and which has a variable ``locals``."""
    b, locals = rest
    return sys._getframe()


def shadowed(a: Any, *args: Any) -> FrameType:
    """A frame that has a variable ``args``."""
    b, c = args
    return sys._getframe()


class Share:
    """Of how many conditions, of each form, Python had an answer, and how many of those were decided natively."""

    forms = [
        "",
        "1:",
        "::",
        "args",
        "locals.",
        "abs(",
        "min(",
        "max(",
        "any(",
        "all(",
        "lower()",
        "strip()",
        " / ",
        ".value",
        "(- ",
        "('a', ",
    ]

    def __init__(self) -> None:
        self.answered: Dict[str, int] = collections.Counter()
        self.decided: Dict[str, int] = collections.Counter()

    def note(self, text: str, answered: bool, decided: bool) -> None:
        for form in self.forms:
            if form in text:
                self.answered[form] += answered
                self.decided[form] += decided

    def check(self, least: float, of_each: bool = False) -> None:
        """Enough were: of all, or of every form that there were some of, and of most forms there were."""
        forms = [each for each in self.forms if self.answered[each] >= 10] if of_each else [""]
        assert len(forms) > len(self.forms) / 3 or not of_each
        for form in forms:
            answered, decided = self.answered[form], self.decided[form]
            # Few examples are much alike: of those it must be a good part only.
            assert decided > least * answered * (1 if answered >= 100 else 0.4), (form, answered, decided)


FRAMES = (properties.frame, enclosed, gathered, shadowed)


def agree(text: str, values: List[Any], share: Share, frames: Tuple[Any, ...] = FRAMES) -> None:
    try:
        condition = parse_condition(text)
    except InvalidExpression:
        assume(False)
    safety.KeyLikeString.armed = safety.NumberKey.armed = True
    try:
        with untouched():
            for make in frames:
                frame = make(*values)
                decided = both(text, frame) is not None
                try:
                    condition.test(frame)
                except EvaluationError:
                    share.note(text, False, False)
                else:
                    share.note(text, True, decided)
    finally:
        safety.KeyLikeString.armed = safety.NumberKey.armed = False


many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


#: What the shortest way through a condition has to tell apart: around the lengths that it takes, and its types.
EDGES: List[Any] = [
    None, True, False, 0, 1, 100, 2**15, 2**30 - 1, 2**30, 2**53, 2**53 + 1, 2**63, 2**64, 0.0, 1.0, 100.0, 99.5, 2.0**53, 1e308,
    -1, -(2**30) + 1, -(2**30), -(2**53) - 1, -5.0, -0.0, float("inf"), "", "a", "b", "ab", "a\0", "\xe4", "\u20ac", "\U0001f600", "a\u20ac", "a\u0100", "a" * 512, "a" * 513, "a" * 511 + "b", "\u20ac" * 512,
]  # fmt: skip
MORE = [
    float("nan"), float("-inf"), Number(100), Text("a"), Real(1.0), Level.HIGH, Status.PAID, Comparing(),
    decimal.Decimal(1), b"a", [1], properties, len,
]  # fmt: skip


def held(a: Any) -> FrameType:
    """A frame of one variable, which is an argument and a cell."""
    (lambda: a)()
    return sys._getframe()


def alone(a: Any) -> FrameType:
    return sys._getframe()


def second(b: Any, a: Any = None) -> FrameType:
    """A frame whose ``a`` is not the first variable, which looks much the same."""
    a, b = b, a
    return sys._getframe()


def spelled(constant: Any) -> str:
    return "1e999" if constant == float("inf") else repr(constant)


def is_told(relation: str, constant: Any, value: Any) -> bool:
    """Whether a look at the variable alone is to tell (`cpp/expression/glance.hpp`)."""
    if relation.startswith("is"):
        return constant is None or type(constant) is bool
    if type(constant) is str:
        return relation in ("==", "!=") and type(value) is str and len(constant) <= 512
    if type(constant) is float:
        return type(value) is float
    if type(constant) is not int or abs(constant) >= 2**30:
        return False
    return type(value) is float or (type(value) is int and abs(value) < 2**30)


@pytest.mark.parametrize("relation", "== != < <= > >= is".split() + ["is not"])
def test_a_variable_against_a_constant(relation: str) -> None:
    """The commonest conditions say what Python says, on either side of each length and type that is told at a glance."""
    frames = [(make, value, make(value)) for value in EDGES + MORE for make in (alone, second, held)]
    with untouched():
        for constant in EDGES:
            single = f"a {relation} {spelled(constant)}"
            for text in (single, f"not {single}", f"{single} < 7", f"{single} and a is not None"):
                try:
                    condition = parse_condition(text)
                except InvalidExpression:
                    continue
                for make, value, frame in frames:
                    try:
                        expected: Any = condition.test(frame)
                    except EvaluationError as error:
                        expected = error.code
                    for _ in range(2):  # by what it remembers of another frame, and of this
                        verdict = decide(text, frame)
                        assert verdict is None or verdict is expected, (text, value, verdict, expected)
                    if text == single and make is not held and not FREE_THREADED:
                        seen = native.glance(compiled(text), frame)
                        told = is_told(relation, constant, value)
                        assert seen is (expected if told else None), (text, value, seen)


@pytest.mark.timeout(36_000)
def test_native_agrees_with_python() -> None:
    """On random conditions over random and hostile values the native verdict is Python's or none, and nothing runs."""
    share = Share()

    @given(text=conditions, a=anything, b=anything, c=anything)
    @many
    def agrees(text: str, a: Any, b: Any, c: Any) -> None:
        agree(text, [made(each) for each in (a, b, c)], share)

    agrees()
    share.check(0.5)


@pytest.mark.timeout(36_000)
def test_native_agrees_on_the_whole_language() -> None:
    """The same over the expressions that use all of the language."""
    share = Share()

    @given(text=properties.expressions, a=properties.values, b=properties.values, c=properties.values)
    @many
    def agrees(text: str, a: Any, b: Any, c: Any) -> None:
        agree(text, [a, b, c], share)

    agrees()
    share.check(0.5)


@pytest.mark.timeout(36_000)
def test_native_agrees_where_types_fit() -> None:
    """Conditions whose parts are of the kinds that they take are decided natively, nearly all, as Python does."""
    share = Share()
    counted = st.one_of(st.integers(-9, 9), numbers)
    several = st.lists(st.one_of(counted, st.just(1)), min_size=1, max_size=5)

    @given(text=sensible, t=st.one_of(texts, st.text(" aBß", max_size=6)), n=counted, l=several)
    @many
    def agrees(text: str, t: str, n: Any, l: List[Any]) -> None:  # noqa: E741
        agree(text, [t, n, l, Color.RED], share, (usual,))

    agrees()
    share.check(0.5, of_each=True)
