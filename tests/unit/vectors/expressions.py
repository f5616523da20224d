"""What every evaluator of the expression language answers: (expression, locals, value | Code).

Reused by each implementation of the language, so nothing here knows how it is implemented. A value
must be equal and of the same type; an error is given by its code.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import uuid
from typing import Any, Dict, List, NamedTuple, Tuple


class Code(NamedTuple):
    """The evaluation fails with this code."""

    code: str


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Status(str, enum.Enum):
    ACTIVE = "active"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass(eq=False)
class ByIdentity:
    x: Any


class Plain:
    kind = "class data"

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    @property
    def computed(self) -> int:
        raise AssertionError("a property ran")

    def method(self) -> None:
        """Never called."""


class Slotted:
    __slots__ = ("empty", "full")

    def __init__(self) -> None:
        self.full = 5


class OwnEquality:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("__eq__ ran")

    __hash__ = None  # type: ignore[assignment]


class OwnTruth:
    def __bool__(self) -> bool:
        raise AssertionError("__bool__ ran")


class OwnLength:
    def __len__(self) -> int:
        raise AssertionError("__len__ ran")


class Missing(dict):
    def __missing__(self, key: object) -> object:
        raise AssertionError("__missing__ ran")


class Zone(datetime.tzinfo):
    def utcoffset(self, when: Any) -> Any:
        raise AssertionError("utcoffset ran")


Row = collections.namedtuple("Row", "id name")
UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 11, 20, 12)
ID = uuid.UUID(int=7)
PLAIN = Plain(name="n", inner=Plain(items=[1, 2, {"k": "v"}]))
OTHER = OwnEquality()
D = decimal.Decimal
F = fractions.Fraction

MISMATCH, BUDGET = Code("TYPE_MISMATCH"), Code("BUDGET")
NAME, ATTRIBUTE, KEY = Code("UNKNOWN_NAME"), Code("UNKNOWN_ATTRIBUTE"), Code("UNKNOWN_KEY")
INDEX, ZERO = Code("INDEX_OUT_OF_RANGE"), Code("DIVISION_BY_ZERO")
UNSAFE, UNSAFE_READ, REGEX = Code("UNSAFE_COMPARISON"), Code("UNSAFE_ATTRIBUTE"), Code("INVALID_REGEX")

VECTORS: List[Tuple[str, Dict[str, Any], Any]] = [
    # Logic, in both spellings; the value is the operand's, as in Python.
    ("a and b", {"a": 1, "b": "x"}, "x"),
    ("a && b", {"a": 0, "b": "x"}, 0),
    ("a || b", {"a": [], "b": {}}, {}),
    ("!a", {"a": ""}, True),
    ("!a && !b || c", {"a": 0, "b": 1, "c": "c"}, "c"),
    ("not a == b", {"a": 1, "b": 2}, True),
    ("!a == b", {"a": 1, "b": 2}, True),
    ("a!=b", {"a": 1, "b": 2}, True),
    ("'a && b || !c'", {}, "a && b || !c"),
    ("\"it's\" + '\"'", {}, "it's\""),
    ("true && !false", {}, True),
    ("null", {}, None),
    ("true", {"true": 5}, 5),
    ("x is null", {"x": None}, True),
    ("x is not None", {"x": 0}, True),
    ("x is True", {"x": 1}, False),
    ("1 if x else 2", {"x": []}, 2),
    ("a or nowhere", {"a": 1}, 1),
    # The truth of the last is not asked.
    ("(a and b) is None", {"a": 1, "b": OwnLength()}, False),
    ("(a or b) is None", {"a": 0, "b": OwnTruth()}, False),
    ("a and b", {"a": 0, "b": OwnTruth()}, 0),
    ("a and b and 1", {"a": 1, "b": OwnTruth()}, UNSAFE),
    ("nowhere", {}, NAME),
    ("len", {}, NAME),
    ("len(x)", {"x": "abc", "len": 5}, 3),
    ("len + 1", {"len": 5}, 6),
    # Truth.
    ("not x", {"x": Plain()}, False),
    ("not x", {"x": OwnTruth()}, UNSAFE),
    ("not x", {"x": OwnLength()}, UNSAFE),
    ("not x", {"x": D(0)}, True),
    ("not x", {"x": F(0)}, True),
    ("not x", {"x": datetime.timedelta()}, True),
    ("not x", {"x": collections.deque()}, True),
    ("not x", {"x": range(0)}, True),
    ("not x", {"x": Color.RED}, False),
    # Equality and order.
    ("a == b", {"a": 1, "b": 1.0}, True),
    ("a == b", {"a": True, "b": 1}, True),
    ("a == b", {"a": D("1.0"), "b": 1}, True),
    ("a == b", {"a": D("0.1"), "b": 0.1}, False),
    ("a == b", {"a": F(1, 2), "b": 0.5}, True),
    ("a == b", {"a": F(1, 2), "b": D("0.5")}, True),
    ("a < b", {"a": F(1, 3), "b": D("0.5")}, True),
    ("a < b", {"a": D("NaN"), "b": 1}, MISMATCH),
    ("a == a", {"a": float("nan")}, False),
    ("a == b", {"a": "x", "b": 1}, False),
    ("a == b", {"a": None, "b": 0}, False),
    ("a == b", {"a": [1, [2, (3,)]], "b": [1, [2, (3,)]]}, True),
    ("a == b", {"a": [1], "b": (1,)}, False),
    ("a == b", {"a": {"k": [1]}, "b": {"k": [1]}}, True),
    ("a == b", {"a": {"k": 1}, "b": {"j": 1}}, False),
    ("a == b", {"a": {1, 2}, "b": frozenset((2, 1))}, True),
    ("a < b", {"a": {1}, "b": {1, 2}}, True),
    ("a >= b", {"a": {1}, "b": {1, 2}}, False),
    ("a == b", {"a": {(1, "x")}, "b": {(1, "x")}}, True),
    ("a == b", {"a": collections.deque([1, 2]), "b": collections.deque([1, 2])}, True),
    ("a == b", {"a": range(0, 4, 2), "b": range(0, 3, 2)}, True),
    ("a == b", {"a": Status.ACTIVE, "b": "active"}, True),
    ("a > 2", {"a": Level.HIGH}, True),
    ("a == b", {"a": Color.RED, "b": Color.RED}, True),
    ("a == b", {"a": Color.RED, "b": 1}, False),
    ("a == b", {"a": Point(1, [2]), "b": Point(1, [2])}, True),
    ("a == b", {"a": Point(1, 2), "b": Point(1, 3)}, False),
    ("a == b", {"a": Point(OTHER), "b": Point(OTHER)}, True),
    ("a == b", {"a": Point(OTHER), "b": Point(OwnEquality())}, UNSAFE),
    ("a == b", {"a": Point(1), "b": ByIdentity(1)}, False),
    ("a == b", {"a": ByIdentity(1), "b": ByIdentity(1)}, False),
    ("a == b", {"a": OTHER, "b": OTHER}, True),
    ("a == b", {"a": OTHER, "b": 1}, UNSAFE),
    ("a == None", {"a": OTHER}, UNSAFE),
    ("a is None", {"a": OTHER}, False),
    ("a != b", {"a": Plain(), "b": Plain()}, True),
    ("a == b", {"a": ID, "b": uuid.UUID(int=7)}, True),
    ("a < b", {"a": ID, "b": uuid.UUID(int=8)}, True),
    ("a == b", {"a": pathlib.PurePosixPath("/a"), "b": pathlib.PurePosixPath("/a")}, True),
    ("a < b", {"a": pathlib.PurePosixPath("/a"), "b": pathlib.PurePosixPath("/b")}, True),
    ("a == b", {"a": NOON, "b": NOON.replace(tzinfo=UTC)}, False),
    ("a < b", {"a": NOON, "b": NOON.replace(tzinfo=UTC)}, MISMATCH),
    ("a < b", {"a": NOON, "b": NOON.replace(hour=13)}, True),
    ("a < b", {"a": NOON.replace(tzinfo=UTC), "b": NOON.replace(tzinfo=Zone())}, UNSAFE),
    ("a == b", {"a": NOON, "b": NOON.date()}, False),
    ("a < b < c", {"a": 1, "b": 2, "c": 3}, True),
    ("a < b < c", {"a": 1, "b": 0, "c": None}, False),
    ("a < b", {"a": (1, "a"), "b": (1, "b")}, True),
    ("a < b", {"a": [1], "b": [1, 0]}, True),
    ("a < b", {"a": "a", "b": "b"}, True),
    ("a < b", {"a": 1, "b": "b"}, MISMATCH),
    ("a < b", {"a": None, "b": 1}, MISMATCH),
    ("a < b", {"a": 1j, "b": 1}, MISMATCH),
    ("a < b", {"a": {}, "b": {}}, MISMATCH),
    ("a < b", {"a": Plain(), "b": Plain()}, MISMATCH),
    # Membership.
    ("x in s", {"x": "b", "s": "abc"}, True),
    ("s.contains(x)", {"x": "z", "s": "abc"}, False),
    ("x in s", {"x": 1, "s": "abc"}, MISMATCH),
    ("x not in s", {"x": 1.0, "s": [3, 2, 1]}, False),
    ("x in s", {"x": 1, "s": {"1": 1}}, False),
    ("x in s", {"x": "k", "s": {"k": 1, 2: 3}}, True),
    ("x in s", {"x": "k", "s": {"j", "k"}}, True),
    ("x in s", {"x": (1, 2), "s": {(1, 2)}}, True),
    ("x in s", {"x": [1], "s": {1}}, MISMATCH),
    ("x in s", {"x": 98, "s": b"abc"}, True),
    ("x in s", {"x": 4.0, "s": range(0, 10, 2)}, True),
    ("x in s", {"x": "4", "s": range(10)}, False),
    ("x in s", {"x": 1, "s": 5}, MISMATCH),
    ("x in s", {"x": 1, "s": [OTHER, 1]}, UNSAFE),
    ("x in s", {"x": 1, "s": [1, OTHER]}, True),
    ("x in (1, -2, 'a', None, true)", {"x": -2}, True),
    ("[1, [2], (3,)]", {}, [1, [2], (3,)]),
    # Arithmetic.
    ("a + b * c - d", {"a": 1, "b": 2, "c": 3, "d": 4}, 3),
    ("a / b", {"a": 7, "b": 2}, 3.5),
    ("a // b", {"a": -7, "b": 2}, -4),
    ("a % b", {"a": -7, "b": 3}, 2),
    ("-a + +b", {"a": 2, "b": 5}, 3),
    ("a / b", {"a": 1, "b": 0}, ZERO),
    ("a % b", {"a": 1.5, "b": 0.0}, ZERO),
    ("a // b", {"a": D(1), "b": D(0)}, ZERO),
    ("a + b", {"a": D("0.1"), "b": 2}, D("2.1")),
    ("a + b", {"a": D("0.1"), "b": 0.5}, MISMATCH),
    ("a * b", {"a": F(1, 3), "b": 3}, F(1)),
    ("a + b", {"a": "x", "b": "y"}, "xy"),
    ("a * 3", {"a": "ab"}, "ababab"),
    ("2 * a", {"a": [1]}, [1, 1]),
    ("a + b", {"a": (1,), "b": (2,)}, (1, 2)),
    ("a + b", {"a": [1], "b": (2,)}, MISMATCH),
    ("a + b", {"a": "x", "b": 1}, MISMATCH),
    ("a % b", {"a": "%s", "b": 1}, MISMATCH),
    ("a - b", {"a": {1, 2}, "b": {2}}, {1}),
    ("a - b", {"a": NOON, "b": NOON.replace(hour=11)}, datetime.timedelta(hours=1)),
    ("a + b", {"a": NOON, "b": datetime.timedelta(hours=1)}, NOON.replace(hour=13)),
    ("-a", {"a": "x"}, MISMATCH),
    ("-a", {"a": True}, -1),
    ("a + 1", {"a": Level.HIGH}, 4),
    ("a + 1", {"a": Plain()}, MISMATCH),
    ("'a' * 1000000000", {}, BUDGET),
    ("a * a", {"a": 1 << 4000}, BUDGET),
    # Access.
    ("p.name", {"p": PLAIN}, "n"),
    ("p.inner.items[2]['k']", {"p": PLAIN}, "v"),
    ("p.kind", {"p": PLAIN}, "class data"),
    ("p.nothing", {"p": PLAIN}, ATTRIBUTE),
    ("p.computed", {"p": PLAIN}, UNSAFE_READ),
    ("p.full", {"p": Slotted()}, 5),
    ("p.empty", {"p": Slotted()}, ATTRIBUTE),
    ("d.year", {"d": NOON}, 2026),
    ("e.args", {"e": ValueError("x", 1)}, ("x", 1)),
    ("r.name", {"r": Row(1, "r")}, "r"),
    ("r[1]", {"r": Row(1, "r")}, "r"),
    ("c.name", {"c": Color.BLUE}, "BLUE"),
    ("x[0]", {"x": [5]}, 5),
    ("x[-1]", {"x": (1, 2)}, 2),
    ("x[k]", {"x": {"a": 1}, "k": "a"}, 1),
    ("x[1.0]", {"x": {1: "one"}}, "one"),
    ("x[('a', 1)]", {"x": {("a", 1): 2}}, 2),
    ("x[null]", {"x": {None: 2}}, 2),
    ("x['b']", {"x": {"a": 1}}, KEY),
    ("x['b']", {"x": Missing()}, KEY),
    ("x[9]", {"x": [1]}, INDEX),
    ("x[-2]", {"x": "a"}, INDEX),
    ("x['a']", {"x": [1]}, MISMATCH),
    ("x[0]", {"x": Plain()}, MISMATCH),
    ("x[0]", {"x": {1}}, MISMATCH),
    ("x[y]", {"x": {}, "y": []}, MISMATCH),
    ("x[1:]", {"x": "abc"}, "bc"),
    ("x[::-1]", {"x": [1, 2]}, [2, 1]),
    ("x[-2:9]", {"x": (1, 2, 3)}, (2, 3)),
    ("x[1:2]", {"x": {}}, MISMATCH),
    ("x[2]", {"x": range(0, 10, 3)}, 6),
    ("x[1]", {"x": collections.deque("ab")}, "b"),
    ("x[0]", {"x": b"a"}, 97),
    # Methods and functions.
    ("s.startswith('a') and s.startsWith('ab')", {"s": "abc"}, True),
    ("s.endswith('c') && !s.endsWith('x')", {"s": "abc"}, True),
    ("s.startswith(('x', 'a'))", {"s": "abc"}, True),
    ("s.startswith(('x', 'a'))", {"s": "abc"}, True),
    ("s.startswith(1)", {"s": "abc"}, MISMATCH),
    ("s.startswith('a')", {"s": 5}, MISMATCH),
    ("s.lower() + s.upper() + s.strip()", {"s": " aB "}, " ab  AB aB"),
    ("s.lower()", {"s": None}, MISMATCH),
    ("s.matches('^a.c$')", {"s": "abc"}, True),
    ("s.matches('b')", {"s": "abc"}, True),
    ("s.matches(p)", {"s": "abc", "p": "[bc]+$"}, True),
    ("s.matches(p)", {"s": "abc", "p": "("}, REGEX),
    ("s.matches(p)", {"s": "abc", "p": "(a+)+$"}, REGEX),
    ("s.matches('a')", {"s": 5}, MISMATCH),
    (r"s.matches('\d+\.\d')", {"s": "v3.8"}, True),
    ("len(x)", {"x": {"a": 1}}, 1),
    ("len(x)", {"x": range(10**15)}, 10**15),
    ("len(x)", {"x": 5}, MISMATCH),
    ("len(x)", {"x": OwnLength()}, MISMATCH),
    ("abs(x)", {"x": -3}, 3),
    ("abs(x)", {"x": 3 + 4j}, 5.0),
    ("abs(x)", {"x": D("-1")}, D("1")),
    ("abs(x)", {"x": "a"}, MISMATCH),
    ("min(x)", {"x": [3, 1, 2]}, 1),
    ("max(x)", {"x": (1, 2.5)}, 2.5),
    ("max(a, b, 2)", {"a": 1, "b": 3}, 3),
    ("max(x)", {"x": []}, MISMATCH),
    ("max(x)", {"x": [1, "a"]}, MISMATCH),
    ("max(x)", {"x": {1, 2}}, MISMATCH),
    ("any(x)", {"x": [0, "", 3]}, True),
    ("all(x)", {"x": (1, [])}, False),
    ("all(x)", {"x": []}, True),
    ("any(x)", {"x": "abc"}, MISMATCH),
    ("isinstance(x, int)", {"x": True}, True),
    ("isinstance(x, (str, float))", {"x": 1}, False),
    ("isinstance(x, datetime.date)", {"x": NOON}, True),
    # By its own name and by the one that programs use; the names of a module are looked up, nothing more.
    ("isinstance(x, json.decoder.JSONDecoder)", {"x": json.JSONDecoder()}, True),
    ("isinstance(x, json.JSONDecoder)", {"x": json.JSONDecoder()}, True),
    ("isinstance(x, (json.JSONEncoder, json.loads))", {"x": json.JSONDecoder()}, False),
    ("isinstance(x, pathlib.PurePath)", {"x": pathlib.PurePosixPath("/a")}, True),
    ("isinstance(x, no.such.Name)", {"x": 1}, False),
    ("isinstance(x, collections.OrderedDict)", {"x": {}}, False),
    ("isinstance(x, no.such.Type)", {"x": {}}, False),
    ("isinstance(x, Exception)", {"x": KeyError()}, True),
    ("isinstance(x, builtins.dict)", {"x": Missing()}, True),
]
