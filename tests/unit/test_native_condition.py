"""What the compiled hit path decides, it decides as the language does; and it decides the common conditions."""

from __future__ import annotations

import decimal
import enum
import sys
import sysconfig
import threading
from types import FrameType
from typing import Any, Dict, List, Tuple

import pytest
from tests.support.condition_values import (
    DECIMAL_NAN,
    NAN,
    PLAIN,
    Color,
    Column,
    Comparing,
    Computing,
    Elsewhere,
    Level,
    Money,
    Number,
    Plain,
    Record,
    Row,
    Sized,
    Slotted,
    Status,
    Text,
    Truthless,
)
from tests.support.hostile import TOUCHED, untouched
from tests.unit import test_expression_safety as safety
from tests.unit.test_expression_vectors import frame_with
from tests.unit.test_native_agreement import both, compiled, decide
from tests.unit.vectors.expressions import VECTORS

native = pytest.importorskip("otel_tracepoints.engine._native", reason="the compiled module is not built")

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
some_global = 5
true_global = {"mode": "live"}


@pytest.mark.parametrize(
    ("text", "names", "expected"), VECTORS, ids=[f"{n}: {v[0]}" for n, v in enumerate(VECTORS)]
)
def test_vectors(text: str, names: Dict[str, Any], expected: Any) -> None:
    """For every expression of the shared table the native verdict is the truth of the table's value, or there is none."""
    verdict = both(text, frame_with(names))
    assert verdict is None or verdict is bool(expected)


DECIDED = [
    # (text, locals, verdict)
    ("qty > 100", {"qty": 500}, True),
    ("qty > 100", {"qty": 1.5}, False),
    ("qty == 9007199254740992", {"qty": 2.0**53}, True),
    ("qty < 9223372036854775807", {"qty": 2**62}, True),
    ("-5 < qty <= 10", {"qty": 10}, True),
    ("1 < qty < 5 < x", {"qty": 6}, False),
    ("qty", {"qty": 2**70}, True),
    ("not qty", {"qty": 0.0}, True),
    ("a == b", {"a": "x" * 600, "b": "x" * 599 + "y"}, False),
    ("a == b", {"a": "naïve", "b": "naïv" + "é"}, False),
    ("a < b", {"a": "abc", "b": "abd"}, True),
    ("a != 'x' and b is None", {"a": "y", "b": None}, True),
    ("a is not None", {"a": PLAIN}, True),
    ("a == None", {"a": PLAIN}, False),
    ("a == b", {"a": PLAIN, "b": PLAIN}, True),
    ("flag is true", {"flag": True}, True),
    ("flag == 1", {"flag": True}, True),
    ("a == 'x'", {"a": 5}, False),
    ("a in (1, 'a', None)", {"a": None}, True),
    ("a not in ['x', 'y']", {"a": "z"}, True),
    ("a in b", {"a": 2, "b": [1, 2.0, "x"]}, True),
    ("a in b", {"a": "k", "b": {"k", "l"}}, True),
    ("a in b", {"a": 2, "b": frozenset([1, 3])}, False),
    ("'k' in b", {"b": {"k": 1}}, True),
    ("5 in b", {"b": {1: 1, 5: 1}}, True),
    ("'ell' in b", {"b": "hello"}, True),
    ("b.contains('ell')", {"b": "hello"}, True),
    ("b.startswith('/api')", {"b": "/api/x"}, True),
    ("b.endsWith('.py')", {"b": "x.pyc"}, False),
    ("user.status == 'active' and len(items) > 5", {"user": PLAIN, "items": list(range(10))}, True),
    ("user.user.name == 'bob'", {"user": PLAIN}, True),
    ("user.kind == 'class data'", {"user": PLAIN}, True),
    ("user.x == 7", {"user": Slotted(7)}, True),
    ("user.y == 7", {"user": Row(1, 7)}, True),
    ("user.x or user.none", {"user": Plain(x=0, none=None)}, False),
    ("sys.maxsize > 5", {"sys": sys}, True),
    ("d['k']['l'] == 1", {"d": {"k": {"l": 1}}}, True),
    ("d[1] == 1", {"d": {1: 1, 2: 2}}, True),
    ("d[k] == 1", {"d": {"a": 1}, "k": "a"}, True),
    ("l[0] == 1 and l[-1] == 3", {"l": [1, 2, 3]}, True),
    ("t[1] == 'a'", {"t": (1, "a")}, True),
    ("s[0] == 'a'", {"s": "abc"}, True),
    ("len(d) == 1", {"d": {"a": 1}}, True),
    ("len(s) == 2 and len(f) == 1", {"s": {1, 2}, "f": frozenset([1])}, True),
    ("len(s) and len(b)", {"s": "a", "b": b""}, False),
    ("items == []", {"items": []}, True),
    ("items == [1, (2, 'a')]", {"items": [1, (2, "a")]}, True),
    ("items != ()", {"items": (1,)}, True),
    ("n % 2 == 0 and n // 2 == -2 and n * 2 + 1 - 3 == -10", {"n": -4}, True),
    ("n if n > 5 else m", {"n": 1, "m": 0}, False),
    ("isinstance(n, (int, str)) and not isinstance(n, bool)", {"n": Number(1)}, True),
    ("a or b", {"a": [], "b": {}}, False),
    ("a", {"a": PLAIN}, True),
    ("a[1:3] == 'el' and a[::-1] == 'olleh' and a[-2:] == 'lo' and a[10:] == ''", {"a": "hello"}, True),
    ("a[1:] == [2, 3] and a[:-1] == [1, 2] and a[::2] == [1, 3]", {"a": [1, 2, 3]}, True),
    ("a[:1] == (1,) and len(a[1:]) == 2", {"a": (1, 2, 3)}, True),
    ("len(a[2:]) == 3", {"a": b"12345"}, True),
    ("abs(a) == 2 and abs(-1.5) == 1.5 and abs(b) == 1", {"a": -2, "b": True}, True),
    ("min(a) == 1 and max(a) == 3", {"a": [2, 1, 3]}, True),
    ("max(a) == 'c'", {"a": ("b", "c", "a")}, True),
    ("min(a, 5, 2.5) == 2.5 and max(a, 5) == 7", {"a": 7}, True),
    ("min(a, true)", {"a": 0}, False),
    ("any(a) and not all(a)", {"a": [0, "x", None]}, True),
    ("all(a)", {"a": [1, "x", PLAIN, {1}]}, True),
    ("any(a)", {"a": ()}, False),
    ("a.lower() == 'straße' and a.upper() == 'STRASSE'", {"a": "Straße"}, True),
    ("a.strip().lower() == 'x'", {"a": " X\n"}, True),
    ("a.startswith(('/api', '/v1')) and not a.endswith(('.py', '.js'))", {"a": "/v1/x"}, True),
    ("a + 1.5 == 3.5 and a - 0.5 == 1.5 and a * 0.25 == 0.5", {"a": 2}, True),
    ("a / 2 == 3.5 and a / 0.5 == 14 and -a == -7 and +a == 7 and -(a / 2) < 0", {"a": 7}, True),
    ("price * qty > 100", {"price": 12.5, "qty": 9}, True),
    ("a + '/' + b == 'x/y'", {"a": "x", "b": "y"}, True),
    ("args[0] == 1 and args[-1] == 2 and len(args) == 2", {"a": 1, "b": 2}, True),
    ("2 in args and args == (1, 2)", {"a": 1, "b": 2}, True),
    ("args[1] == 8", {"args": [7, 8]}, True),
    ("locals.a == 1", {"a": 1}, True),
    ("a.value == 1 and a.name == 'RED'", {"a": Color.RED}, True),
    ("a.value == 3", {"a": Level.HIGH}, True),
    ("a == 3 and 2 < a < 3.5 and a in (1, 3)", {"a": Level.HIGH}, True),
    ("a == 'paid' and 'open' != a and a in ('open', 'paid')", {"a": Status.PAID}, True),
    ("a > 3 and b < 'y' and 'x' in c", {"a": Number(5), "b": Text("x"), "c": [Text("x")]}, True),
    ("a == a or a in c or a < 1", {"a": NAN, "c": [NAN]}, False),
    ("a > 100 and 200 >= a and a == b and a != 100 and a in c",
     {"a": decimal.Decimal("123.45"), "b": decimal.Decimal("123.450"), "c": [1, decimal.Decimal("123.45")]}, True),
    ("len(b) < a and a == a", {"a": decimal.Decimal(2), "b": "x"}, True),
    ("a == a or a == 1", {"a": decimal.Decimal("NaN")}, False),
    ("a in b and a not in c and b == b and b == d", {"a": DECIMAL_NAN, "b": [1, DECIMAL_NAN], "c": [decimal.Decimal("NaN")], "d": [1, DECIMAL_NAN]}, True),
    ("+null is null", {"null": 1.5}, True),
    ("a.x == 'paid' and b.k == 1", {"a": Record(x="paid"), "b": Record(k=1, x=2)}, True),
    ("this.n == 3", {"self": PLAIN}, True),
    ("null == a", {"a": None}, True),
    ("some_global == 5", {}, True),
    ("true_global['mode'] == 'live' and x > 1", {"x": 2}, True),
    ("x > 1 or weird(x)".replace("weird(x)", "max(x)"), {"x": 2}, True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names", "expected"), DECIDED, ids=[each[0] for each in DECIDED])
def test_common_conditions_are_decided(text: str, names: Dict[str, Any], expected: bool) -> None:
    """The conditions that people write, on values that they have, are decided natively."""
    frame = frame_with(names)
    frame.f_globals.update(some_global=5, true_global=true_global)
    assert both(text, frame) is expected


DEFERRED = [
    ("a == 1", Comparing()),
    ("1 == a", Comparing()),
    ("a", Truthless()),
    ("not a", Sized()),
    ("a.x", Computing()),
    ("a.y", Computing()),
    ("a < 5", decimal.Decimal("NaN")),
    ("a == 5.5", decimal.Decimal(5)),
    ("a == 5", Money(5)),
    ("a > 5", decimal.Decimal("1" * 5_000)),
    ("a + 1 == 5", decimal.Decimal(5)),
    ("a > 3", Number(2**70)),
    ("a in (1, 'x')", Text("x" * 600)),
    ("a == 5", Text("x")),
    ("a[0] == 'x'", Text("x")),
    ("a > 3", 2**70),
    ("a > 3.5", 2**53 + 1),
    ("a", Level.HIGH),
    ("a < 'x'", 1),
    ("a[5] == 1", [1]),
    ("a['x'] == 1", {}),
    ("a.nope == 1", PLAIN),
    ("a % 0 == 1", 1),
    ("a * a > 1", 2**62),
    ("'x' in a", ["y", Comparing()]),
    ("'x' in a", {"y": 1, Comparing(): 1}),
    ("'x' in a", {"y", Comparing()}),
    ("'x' in a", "x" * 100_000),
    ("1 in a", list(range(50_000, 0, -1))),
    ("7 in a", set(range(50_000))),
    ("a == 'x'", b"x"),
    ("a.k == 1", Record(x=1)),
    ("a.x == 1", Elsewhere(x=1)),
    ("min(a) == 1", []),
    ("min(a) == 1", [1, Comparing()]),
    ("min(a) == 1", [1, "x"]),
    ("min(a) == 1", {1}),
    ("max(a) == 1", list(range(7_000))),
    ("max(a) == 1", [2**70, 1]),
    ("min(a, 'x') == 1", 1),
    ("any(a)", [0, Truthless()]),
    ("all(a)", [1] * 11_000),
    ("any(a)", {1}),
    ("abs(a) == 1", decimal.Decimal(1)),
    ("abs(a) > 1", -(2**63)),
    ("-a == 1", "x"),
    ("-a > 1", -(2**63)),
    ("a / 0 == 1", 1),
    ("a / 0.0 == 1", 1.5),
    ("a / 3 == 1", 2**53 + 1),
    ("a % 1.5 == 1", 1),
    ("a + 'x' == 1", 1),
    ("a + a == 'x'", "x" * 40_000),
    ("a.lower() == 'x'", b"X"),
    ("a.lower() == 'x'", Text("X")),
    ("a.upper() == 'x'", "x" * 5_000),
    ("a[1:] == []", Number(1)),
    ("a[1:] == []", {}),
    ("a[1:] == []", list(range(20_000))),
    ("a[::2] == ''", "x" * 140_000),
    ("a.startswith(('y', 1))", "x"),
    ("a.contains(('y', 'x'))", "x"),
    ("args[0] == 1", Comparing()),
    ("args[90] == 1", 1),
    ("args['a'] == 1", 1),
    ("locals.b == 1", 1),
    ("locals['a'] == 1", 1),
    ("isinstance(a, collections.OrderedDict)", 1),
]


@pytest.mark.parametrize(("text", "value"), DEFERRED, ids=[each[0] for each in DEFERRED])
def test_everything_else_is_for_python(text: str, value: Any) -> None:
    """Where the application's code could tell, where it fails and where it is too much, there is no native verdict."""
    assert both(text, frame_with({"a": value})) is None


def test_scopes() -> None:
    """Cell and free variables, globals and unbound names are those of the language."""
    cell = "outer"

    def inner(argument: int) -> List[FrameType]:
        own = [argument, cell]
        frames = [sys._getframe()]
        frames.extend((lambda: (sys._getframe(), argument)[:1])())
        return frames

    inside, closure = inner(3)
    assert both("cell == 'outer'", inside) is True
    assert both("argument == 3", inside) is True
    assert both("argument == 3", closure) is True
    assert both("len(own) == 2", inside) is True
    assert both("some_global == 5", inside) is True
    assert both("cell == 'outer'", closure) is None
    assert both("nobody == 1", inside) is None


def test_unbound_names_are_for_python() -> None:
    """A local that has no value yet, or none any more, is not decided, though a global of the name exists."""

    def function(parameter: int) -> FrameType:
        frame = sys._getframe()
        del parameter
        if not frame:
            some_global = 1
        return frame

    assert both("some_global == 5", function(1)) is None
    assert both("parameter == 1", function(1)) is None


def test_comprehensions() -> None:
    """A variable of a comprehension, under its own name or that of a variable around it, is the one f_locals shows."""
    shared = 100

    def function(items: List[int]) -> List[Any]:
        seen = [(both("each == 1 and items", sys._getframe()), each) for each in items]
        seen += [(both("shared == 100", sys._getframe()), shared) for shared in items]
        seen += [(both("some_global == 5", sys._getframe()), some_global) for some_global in items]
        seen.append(both("shared == 100", sys._getframe()))
        seen.append(both("some_global == 5", sys._getframe()))
        return seen

    def first() -> Any:
        return [asked(sys._getframe()) for shared in [7]], asked(sys._getframe()), shared

    def asked(frame: FrameType) -> None:
        both("shared == 7", frame)
        both("shared == 100", frame)

    assert len(function([1, 2])) == 8
    assert shared == 100
    first()


def test_planted_names() -> None:
    """What a program writes into locals() is what Python reads there, also over a global of the name."""

    def function() -> FrameType:
        frame = sys._getframe()
        namespace: Any = frame.f_locals if sys.version_info >= (3, 13) else locals()
        namespace["some_global"] = 7
        assert both("some_global == 5", frame) is None
        return frame

    assert both("some_global == 5", function()) is None
    assert both("true", function()) in (True, None)


def test_planted_keys_that_fail() -> None:
    """Where a key among the names of locals() fails to compare, Python is asked, and no error is left."""

    class Failing(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            raise KeyError("the application's")

    def function(planted: Any) -> Tuple[FrameType, Any]:
        frame = sys._getframe()
        namespace: Any = frame.f_locals if sys.version_info >= (3, 13) else locals()
        namespace[planted] = 7
        return frame, namespace

    for text, name in [
        ("some_global == 5", "some_global"),
        ("args[0] == 1", "args"),
        ("locals.x == 1", "locals"),
    ]:
        frame, kept = function(Failing(name))
        assert decide(text, frame) is None
        del frame, kept


def test_a_borrowed_dict_getter() -> None:
    """A class whose ``__dict__`` is another class's getter is for Python, whether its instances have a dict or not."""
    borrowed = Plain.__dict__["__dict__"]
    own = type("Own", (), {})
    with_dict = type("WithDict", (own,), {"__dict__": borrowed, "x": Column()})()
    own.__dict__["__dict__"].__get__(with_dict)["x"] = 5
    without = type("Without", (), {"__slots__": (), "__dict__": borrowed, "x": Column()})()
    for value in (with_dict, without):
        assert both("a.x == 5", frame_with({"a": value})) is None


def test_descriptors_of_enums_in_a_circle() -> None:
    """Where an enum's descriptor stands for the attribute that it reads, Python is asked."""
    name, value = (enum.Enum.__dict__[each] for each in ("name", "value"))
    circle = type("Circle", (), {"_name_": name, "name": name, "_value_": name, "value": value})()
    assert both("a.name == 1", frame_with({"a": circle})) is None
    assert both("a.value == 1", frame_with({"a": circle})) is None


SPECIAL = [
    DECIMAL_NAN, decimal.Decimal("NaN"), [DECIMAL_NAN], (1, DECIMAL_NAN), [NAN, float("nan")], Truthless(), Sized(), Plain(), Level.HIGH, 0, None,
]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a in b", "a not in b", "a == b", "(a and b) is None", "(a or b) is None", "(a and b) == 0", "a and b", "a or b"]
)  # fmt: skip
def test_pairs_of_special_values(text: str) -> None:
    """Values that are unequal to themselves, and values whose truth only their code could tell, are as in Python."""
    for one in SPECIAL:
        for other in SPECIAL:
            both(text, frame_with({"a": one, "b": other}))


def test_many_parameters() -> None:
    """A parameter is found at once; where all names have to be looked at for that (to 3.10), it is charged."""
    names = ", ".join(f"p{index}" for index in range(200))
    lines = "".join(f"    l{index} = 0\n" for index in range(4_000))
    namespace: Dict[str, Any] = {"sys": sys}
    exec(f"def function({names}):\n{lines}    return sys._getframe()", namespace)
    frame = namespace["function"](*range(200))
    verdict = both("len(args) == 200 and args[150] == 150", frame)
    assert verdict is (True if sys.version_info >= (3, 11) else None)


def test_names_of_class_bodies_and_modules_are_for_python() -> None:
    """Outside of functions every name is Python's to find."""

    class Body:
        x = 1
        frame = sys._getframe()

    assert both("x == 1", Body.frame) is None
    namespace: Dict[str, Any] = {"sys": sys}
    exec("x = 1\nframe = sys._getframe()", namespace)
    assert both("x == 1", namespace["frame"]) is None


def test_generators() -> None:
    """The locals of a suspended generator are read as those of a function."""

    def generator(x: int) -> Any:
        y = x + 1
        yield y

    running = generator(1)
    next(running)
    assert both("x == 1 and y == 2", running.gi_frame) is True


def test_one_condition_in_many_codes() -> None:
    """A condition remembers where a name was, and is right in a code that has another there."""
    for text in ("a == 1 and z == 26", "a == 1", "z == 26", "not z == 1"):
        for number in range(60):
            names: Dict[str, Any] = {chr(ord("a") + (each + number) % 26): each for each in range(26)}
            names.update(a=1, z=26)
            for _ in range(2):
                assert both(text, frame_with(names)) is True


def test_long_conditions_are_for_python() -> None:
    """A condition of so many parts that their sum could be too much is not taken."""
    assert both(" and ".join(["a == 1"] * 20), frame_with({"a": 1})) is True
    assert both(" and ".join(["a == 1"] * 300), frame_with({"a": 1})) is None


LARGE = [
    *(list(range(size)) for size in (10, 900, 1_700, 3_000, 5_990, 6_100, 10_001)),
    *([kind] * size for kind in (0, 1, 1.5, True, None, (), PLAIN, b"x", "x" * 511, "x" * 5_000, 2**40_000) for size in (1, 90, 1_700, 10_000)),
    *([1, 2.5] * size for size in (1, 90, 150, 400, 5_000)),
    *(["x"] * size + [last] for size in (90, 3_000) for last in (1, None, {1}, PLAIN)),
]  # fmt: skip
LONG = ["ab" * size for size in (1, 300, 2_000, 4_000, 16_000, 32_700, 33_000)]


@pytest.mark.parametrize(
    "text",
    [
        "max(a) == 1", "any(a)", "all(a)", "a[1:] == a", "len(a[::2]) > 1", "len(a[1:] + a) > 1", "any(a) or any(a)",
        "min(a) == max(a)", " or ".join(["any(a[1:]) or all(a)"] * 6), " and ".join(["len(a[:]) > 0"] * 24), "len(a[1:]) and all(a[1:])",
        "a.upper().lower() == a", "a.strip() == a", " and ".join(["len(a.lower())"] * 20), "a + a == a", "a[1:] < a", "a.startswith(a)",
    ],
)  # fmt: skip
def test_budgets(text: str) -> None:
    """What is too much for Python is never decided natively, however the work is made up."""
    for value in [*LARGE, *LONG, tuple(LARGE[2])]:
        both(text, frame_with({"a": value}))


@pytest.mark.parametrize("size", [1, 20, 64])
@pytest.mark.parametrize("text", ["a == b", "a != b", "a[:] == b", "a == b or b == a"])
def test_budget_of_equal_sequences(text: str, size: int) -> None:
    """Two lists of few long elements are too much natively where they are for Python, and whoever stands in them."""
    for long in ("x" * 500, "x" * 60_000, "x" * 400_000, b"x" * 400_000, 2**200, 1 << 5_000_000):
        for first in (long, 1):
            both(text, frame_with({"a": [long] * size, "b": [first] + [long] * (size - 1)}))


def test_what_is_not_lowered_is_refused() -> None:
    """Data that `lower` never makes are a ValueError, and a root that is None is no condition."""
    assert native.condition(None) is None
    for ask in (native.decide, native.glance):
        with pytest.raises(ValueError, match="Capsule"):
            ask(("name", "a", None), sys._getframe())
        with pytest.raises(TypeError, match="a condition and a frame"):
            ask(None)
    for wrong in (
        (), 1, ("nothing", None), ("name", 1, None), ("compare", None, 1), ("compare", None, (("=", None),)), ("and", 1), ("and", ()), ("or", ()),
        ("isinstance", None, (1,), True), ("compare",), ("min", ()), ("max", None), ("section", None, 1), ("local", 1), ("argument", 1), ("attribute", None, 5), ("isinstance", None, 1, True),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="lowered"):
            native.condition(wrong)


def test_flags_of_decimals() -> None:
    """Comparing Decimals raises no flag in the application's context, not even for NaN."""
    values = [decimal.Decimal(each) for each in ("1", "NaN", "sNaN", "1E+400", "0.1", "Infinity", "1E-400")]
    with decimal.localcontext() as context:
        context.clear_flags()
        for text in ("a < b", "a == b", "a == 1", "5 >= a", "a != b", "a in [1, 2]"):
            for a in values:
                for b in values:
                    both(text, frame_with({"a": a, "b": b}))
        assert not any(context.flags.values())


@pytest.mark.parametrize("text", safety.UNARY + safety.BINARY)
def test_nothing_hostile_runs(text: str) -> None:
    """No condition runs code of any hostile value natively, whichever stands in its variables."""
    safety.KeyLikeString.armed = safety.NumberKey.armed = True
    try:
        others = safety.SUBJECTS if text in safety.BINARY else [None]
        for x in safety.SUBJECTS:
            for y in others:
                frame = safety.frame(x, y)
                with untouched():
                    decide(text, frame)
    finally:
        safety.KeyLikeString.armed = safety.NumberKey.armed = False
        del TOUCHED[:]


@pytest.mark.skipif(FREE_THREADED, reason="without the GIL a count is of one thread's references only")
@pytest.mark.parametrize("text", [each[0] for each in DECIDED + DEFERRED] + safety.UNARY)
def test_no_reference_is_kept(text: str) -> None:
    """After a test of a condition every object has as many references as before it."""
    inside = ["text" * 3, Plain(x=1), [1], Comparing()]
    box = Plain(x=inside[0], y=inside[1], status=inside[0], name=inside[3], content=inside[1])
    values = [
        *inside, box, Slotted(box), Row(box, inside[0]), dict.fromkeys(["k", "name", 5], box), {1: box, 2.5: inside[2]}, [box, inside[0]], (box,),
        {inside[0], inside[3]}, "k" * 5, 10**30, 1234.5, *safety.SUBJECTS[:12],
    ]  # fmt: skip
    condition = compiled(text)
    if condition is None:
        return
    names = "qty a b c d k l t s f n m x y user items flag self".split()
    for value in values:
        frame = frame_with(dict.fromkeys(names, value))
        watched = [*values, frame, condition]
        native.decide(condition, frame)
        before = [sys.getrefcount(each) for each in watched]
        for _ in range(20):
            native.decide(condition, frame)
        assert [sys.getrefcount(each) for each in watched] == before


def test_containers_that_change() -> None:
    """While other threads change what a condition reads, it is decided or not, and nothing breaks."""
    shared: Dict[Any, Any] = {"k": 1}
    items: List[int] = [1, 2, 3]
    members = {1, 2, 3}
    box = Plain(x=1)
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            shared[number % 50] = number
            shared["k"] = [number]
            shared.pop((number + 25) % 50, None)
            items.append(number)
            if len(items) > 40:
                del items[3:]
            members.add(number % 100)
            members.discard((number + 50) % 100)
            box.x = [number]
            if number % 1_000 == 0:
                shared.clear()

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        frame = frame_with({"d": shared, "l": items, "s": members, "o": box})
        texts = [
            "d['k'] == 1",
            "5 in d",
            "d[5] == 5",
            "l[-1] == 3",
            "40 in l",
            "7 in s",
            "o.x == 1",
            "l == [1]",
            "o.x[0] == 1",
            "l[1:] == [2]",
            "max(l) > 5",
            "any(l[::-1])",
            "len(args[1][:20]) == 5",
        ]
        for _ in range(3_000):
            for each in texts:
                assert decide(each, frame) in (True, False, None)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
