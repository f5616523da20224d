"""What each kind of value looks like when captured (docs/telemetry.md)."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import datetime  # noqa: ICN001 - named in full, like its types in the answers
import decimal
import enum
import fractions
import json
import logging
import pathlib
import socket
import threading
import types
import uuid
import weakref
from typing import Any, Dict, List, NamedTuple

import pytest
from tests.support.captures import value_of


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Item:
    sku: str
    quantity: int = 1


class Order:
    def __init__(self) -> None:
        self.number = 7
        self.items = [Item("a"), Item("b", 2)]


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self) -> None:
        self.left = 1


class Text(str):  # noqa: SLOT000 - has a dict on purpose
    pass


class Rows(list):  # type: ignore[type-arg]
    pass


class Zone(datetime.tzinfo):
    def utcoffset(self, when: Any) -> Any:
        raise AssertionError("the application's tzinfo ran")


class Moment(datetime.datetime):
    def isoformat(self, *args: Any) -> str:
        raise AssertionError("the application's isoformat ran")


class Amount(decimal.Decimal):
    def __str__(self) -> str:
        raise AssertionError("the application's __str__ ran")


def typed(name: str, text: str) -> Dict[str, Any]:
    return {"__tpd_type__": name, "__repr__": text}


def generate() -> Any:
    yield 1


HERE = __name__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1, 1),
        (1.5, 1.5),
        ("text", "text"),
        ("é\x00\n", "é\x00\n"),
        ("bad \udc80", "bad \\udc80"),
        ([1, "a", None], [1, "a", None]),
        ((1, 2), [1, 2]),
        ([], []),
        ({}, {}),
        ({"a": 1, 2: "b", None: 3, (1, 2): 4}, {"a": 1, "2": "b", "None": 3, "[1, 2]": 4}),
        ({1: "int", "1": "str"}, {"1": "int", "1 (str)": "str"}),
        ({b"k": 1}, {"b'k'": 1}),
        ({Colour.RED: 1, datetime.date(2026, 1, 2): 2}, {"Colour.RED": 1, "2026-01-02": 2}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (Rows([1, 2]), [1, 2]),
        (Text("t"), "t"),
        (Order(), {"__tpd_type__": f"{HERE}.Order", "number": 7, "items": [
            {"__tpd_type__": f"{HERE}.Item", "sku": "a", "quantity": 1},
            {"__tpd_type__": f"{HERE}.Item", "sku": "b", "quantity": 2}]}),
        (Slotted(), {"__tpd_type__": f"{HERE}.Slotted", "left": 1}),
        (Point(1, 2), {"__tpd_type__": f"{HERE}.Point", "x": 1, "y": 2}),
        (types.SimpleNamespace(a=1), {"__tpd_type__": "types.SimpleNamespace", "a": 1}),
        ({1}, {"__tpd_type__": "set", "__tpd_items__": [1]}),
        (frozenset([1]), {"__tpd_type__": "frozenset", "__tpd_items__": [1]}),
        (collections.deque([1, 2]), {"__tpd_type__": "collections.deque", "__tpd_items__": [1, 2]}),
        ({"a": 1}.keys(), {"__tpd_type__": "dict_keys", "__tpd_items__": ["a"]}),
        (array.array("i", [1, 2]), {"__tpd_type__": "array.array", "__tpd_items__": [1, 2]}),
        (b"abc", {"__tpd_type__": "bytes", "__tpd_size__": 3, "__repr__": "b'abc'"}),
        (bytearray(b"abc"), {"__tpd_type__": "bytearray", "__tpd_size__": 3, "__repr__": "b'abc'"}),
        (datetime.datetime(2026, 11, 20, 10), typed("datetime.datetime", "2026-11-20T10:00:00")),
        (datetime.datetime(2026, 11, 20, tzinfo=datetime.timezone.utc),
         typed("datetime.datetime", "2026-11-20T00:00:00+00:00")),
        (datetime.datetime(2026, 11, 20, tzinfo=Zone()), typed("datetime.datetime", f"2026-11-20T00:00:00[{HERE}.Zone]")),
        (datetime.time(10, 5, tzinfo=Zone()), typed("datetime.time", f"10:05:00[{HERE}.Zone]")),
        (Moment(2026, 11, 20), typed(f"{HERE}.Moment", "2026-11-20T00:00:00")),
        (datetime.date(2026, 11, 20), typed("datetime.date", "2026-11-20")),
        (datetime.time(10, 5), typed("datetime.time", "10:05:00")),
        (datetime.timedelta(days=1), typed("datetime.timedelta", "1 day, 0:00:00")),
        (decimal.Decimal("1.50"), typed("decimal.Decimal", "1.50")),
        (Amount("1.50"), typed(f"{HERE}.Amount", "1.50")),
        (fractions.Fraction(1, 3), typed("fractions.Fraction", "1/3")),
        (uuid.UUID(int=5), typed("uuid.UUID", "00000000-0000-0000-0000-000000000005")),
        (pathlib.PurePosixPath("/a/b"), typed(None, "/a/b")),  # type: ignore[arg-type]
        (Colour.RED, typed(f"{HERE}.Colour", "Colour.RED")),
        (Level.LOW, typed(f"{HERE}.Level", "Level.LOW")),
        (1j, typed("complex", "1j")),
        (float("nan"), typed("float", "nan")),
        (float("-inf"), typed("float", "-inf")),
        (range(5), typed("range", "range(0, 5)")),
        (1 << 255, 1 << 255),
        (1 << 256, {"__tpd_type__": "int", "__tpd_bits__": 257}),
        (ValueError("boom"), {"__tpd_type__": "ValueError", "message": "boom"}),
        (ValueError(), {"__tpd_type__": "ValueError", "message": ""}),
        (ValueError("a", {"b": 1}), {"__tpd_type__": "ValueError", "message": '["a", {"b": 1}]'}),
        (FileNotFoundError(2, "gone"), {"__tpd_type__": "FileNotFoundError", "message": "[Errno 2] gone"}),
        (json, typed("module", "<module json>")),
        (Order, typed("type", f"<class {HERE}.Order>")),
        (typed, typed("function", f"<function {HERE}.typed>")),
        (len, typed("builtin_function_or_method", "<builtin_function_or_method len>")),
        (generate(), typed("generator", "<generator generate>")),
        (threading.Lock(), typed("_thread.lock", "<lock>")),
        (logging.getLogger("a.b"), typed("logging.Logger", "<Logger a.b>")),
        (memoryview(b"abc"), typed("memoryview", "<memoryview>")),
        (object(), typed("object", "<object>")),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_forms(value: Any, expected: Any) -> None:
    """Every kind of value has the form that telemetry.md gives it."""
    shown = value_of(value, max_depth=5)
    if isinstance(expected, dict) and expected.get("__tpd_type__", "") is None:
        expected["__tpd_type__"] = shown["__tpd_type__"]
        assert shown["__tpd_type__"].startswith("pathlib")
    assert shown == expected


def test_one_liners_of_the_system() -> None:
    """Sockets, tasks and weak references are one line of the agent's own words."""

    async def main() -> None:
        task = asyncio.current_task()
        assert value_of(task)["__repr__"] == "<Task>"

    asyncio.run(main())
    order = Order()
    assert value_of(weakref.ref(order))["__repr__"].startswith("<")
    with socket.socket() as sock:
        assert value_of(sock) == {"__tpd_type__": "socket.socket", "__repr__": "<socket>"}


def test_combined_flags() -> None:
    """A combination of flags, which has no name of its own everywhere, reads as something."""
    assert value_of(Permission.READ | Permission.WRITE)["__repr__"] in (
        "Permission.READ|WRITE",
        "Permission(3)",
    )


def test_exceptions_with_a_cyclic_cause() -> None:
    """An exception whose chain, or whose arguments, lead back to it, ends."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    first.args = (second,)
    second.args = (first,)
    assert "circular" in value_of(first)["message"]


class TestCycles:
    """Values that contain themselves."""

    def test_list(self) -> None:
        """A list in itself is marked where it comes again."""
        loop: List[Any] = [1]
        loop.append(loop)
        assert value_of(loop) == [1, {"__tpd_type__": "list", "__tpd_circular__": True}]

    def test_object(self) -> None:
        """An object that refers to itself is marked."""
        order = Order()
        order.items = order  # type: ignore[assignment]
        assert value_of(order)["items"] == {"__tpd_type__": f"{HERE}.Order", "__tpd_circular__": True}

    def test_shared_is_no_cycle(self) -> None:
        """A value that comes twice, but not inside itself, is shown twice."""
        shared = [1]
        assert value_of([shared, shared]) == [[1], [1]]


class TestLimits:
    """Cut, and said to be."""

    def test_string(self) -> None:
        """A cut string is an object with its size and beginning."""
        assert value_of("x" * 50, max_string_length=10) == {
            "__tpd_type__": "str", "__tpd_truncated__": True, "__tpd_size__": 50, "__repr__": "x" * 10,
        }  # fmt: skip
        assert value_of("x" * 10, max_string_length=10) == "x" * 10

    def test_list(self) -> None:
        """A cut list ends with a mark that has the full size."""
        assert value_of([0] * 5, max_properties=2) == [0, 0, {"__tpd_truncated__": True, "__tpd_size__": 5}]
        assert value_of([0] * 2, max_properties=2) == [0, 0]

    def test_dict_and_object(self) -> None:
        """A cut dict or object has the mark among its keys."""
        mark = {"__tpd_truncated__": True, "__tpd_size__": 3}
        assert value_of({"a": 1, "b": 2, "c": 3}, max_properties=1) == {"a": 1, **mark}
        three = types.SimpleNamespace(a=1, b=2, c=3)
        assert value_of(three, max_properties=1) == {"__tpd_type__": "types.SimpleNamespace", "a": 1, **mark}

    def test_set_and_bytes(self) -> None:
        """A cut set and cut bytes have the mark beside their items and beginning."""
        assert value_of({1, 2, 3}, max_properties=1)["__tpd_size__"] == 3
        shown = value_of(b"x" * 99, max_string_length=10)
        assert shown["__tpd_truncated__"] is True
        assert shown["__tpd_size__"] == 99

    def test_depth(self) -> None:
        """So many levels of containers are opened; what is below says its type and size."""
        closed = {"__tpd_type__": "list", "__tpd_truncated__": True, "__tpd_size__": 1}
        assert value_of([[[1]]], max_depth=2) == [[closed]]
        assert value_of([[[1]]], max_depth=3) == [[[1]]]
        assert value_of([[[]]], max_depth=2) == [[[]]]

    def test_long_key(self) -> None:
        """A long key is cut."""
        (key,) = value_of({"k" * 1000: 1})
        assert len(key) == 257


def test_str_subclass_in_names() -> None:
    """Names that are no plain str do not break the capture of an object."""
    order = Order()
    order.__dict__[Text("own")] = 1
    order.__dict__[5] = 2  # type: ignore[index]
    shown = value_of(order)
    assert shown["own"] == 1
    assert shown["5"] == 2


def test_module_is_not_opened() -> None:
    """A module among the values costs one line, not its namespace."""
    assert len(json.dumps(value_of({"m": json, "a": asyncio}))) < 200
