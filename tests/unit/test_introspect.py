"""introspect: looking at objects without running their code."""

from __future__ import annotations

import collections
import datetime  # noqa: ICN001 - named in full, like its types in the answers
import enum
import fractions
import json
import pathlib
import sys
import threading
import types
import unittest.mock
from typing import Any, Tuple

import pytest
from tests.support import hostile

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Point(collections.namedtuple("Point", "x y")):  # noqa: SLOT002 - has a dict on purpose
    """A namedtuple with a class of its own."""


class Slotted:
    __slots__ = ("left", "right")
    limit = 3


class Child(Slotted):
    def __init__(self) -> None:
        self.extra = 1

    @property
    def computed(self) -> int:
        raise AssertionError("a property ran")

    def method(self) -> None:
        raise AssertionError("a method ran")


def outcome(obj: Any, name: str) -> Tuple[str, Any]:
    """("value", it) or (error code, message)."""
    try:
        return "value", introspect.read_attribute(obj, name)
    except EvaluationError as error:
        return error.code, error.message


class TestReadAttribute:
    """read_attribute."""

    @pytest.mark.parametrize(
        ("obj", "name", "expected"),
        [
            (Colour.RED, "name", "RED"),
            (Colour.RED, "value", 1),
            (Level.LOW, "value", 1),
            (Colour, "RED", Colour.RED),
            (fractions.Fraction(1, 2), "numerator", 1),
            (fractions.Fraction(1, 2), "denominator", 2),
            (datetime.datetime(2026, 11, 20), "year", 2026),
            (datetime.datetime(2026, 11, 20), "tzinfo", None),
            (ValueError("x"), "args", ("x",)),
            (OSError(2, "gone"), "errno", 2),
            (Point(1, 2), "y", 2),
            (3, "real", 3),
            (slice(1, 2), "stop", 2),
            (sys, "maxsize", sys.maxsize),
            (types.SimpleNamespace(a=1), "a", 1),
            (Slotted, "limit", 3),
            (Slotted(), "limit", 3),
        ],
    )
    def test_stored_values(self, obj: Any, name: str, expected: Any) -> None:
        """Stored values, plain class data and C getters of builtin types are read."""
        assert outcome(obj, name) == ("value", expected)

    def test_slots_and_dict_of_one_object(self) -> None:
        """Slots of a base class and the instance's own dict are both found; an unset slot is unknown."""
        child = Child()
        child.left = 5
        assert outcome(child, "left") == ("value", 5)
        assert outcome(child, "extra") == ("value", 1)
        assert outcome(child, "right")[0] == "UNKNOWN_ATTRIBUTE"

    @pytest.mark.parametrize("name", ["computed", "method"])
    def test_properties_and_methods_are_unsafe(self, name: str) -> None:
        """What would have to be computed or bound is refused."""
        assert outcome(Child(), name)[0] == "UNSAFE_ATTRIBUTE"

    @pytest.mark.parametrize(
        "obj", [5, "x", {}, ValueError(), datetime.date.today(), Slotted(), Point(1, 2), json, Slotted]
    )
    def test_absent(self, obj: Any) -> None:
        """Where the application's own lookup would fail too, the attribute is unknown."""
        code, message = outcome(obj, "nothing_here")
        assert code == "UNKNOWN_ATTRIBUTE"
        assert "nothing_here" in message

    def test_module_with_getattr(self) -> None:
        """A module's own __getattr__ (PEP 562) is not run."""
        module = types.ModuleType("lazy")
        module.__getattr__ = hostile.trap("lazy", "__getattr__")  # type: ignore[method-assign]
        with hostile.untouched():
            assert outcome(module, "name")[0] == "UNSAFE_ATTRIBUTE"

    def test_mock(self) -> None:
        """A Mock, which would answer everything, answers nothing."""
        mock = unittest.mock.Mock()
        assert outcome(mock, "anything")[0] == "UNSAFE_ATTRIBUTE"
        assert "anything" not in mock._mock_children

    def test_orm_like_row(self) -> None:
        """A loaded column is read from the instance's dict, an unloaded one is not fetched."""
        row = hostile.LazyRow()
        row.__dict__["loaded"] = "here"
        with hostile.untouched():
            assert outcome(row, "loaded") == ("value", "here")
            assert outcome(row, "column")[0] == "UNSAFE_ATTRIBUTE"

    def test_proxy(self) -> None:
        """A LocalProxy-like object is not asked what it stands for."""
        with hostile.untouched():
            assert outcome(hostile.LazyProxy(), "user")[0] == "UNSAFE_ATTRIBUTE"

    def test_hostile_object(self) -> None:
        """Stored values of a hostile object are read, everything else refused, and nothing runs."""
        obj = hostile.plant(hostile.make(hostile.Hostile), stored=5)
        with hostile.untouched():
            assert outcome(obj, "stored") == ("value", 5)
            for name in ("computed", "column", "nothing"):
                assert outcome(obj, name)[0] == "UNSAFE_ATTRIBUTE"
            for name in ("computed", "mro", "nothing"):
                assert outcome(hostile.Hostile, name)[0] == "UNSAFE_ATTRIBUTE"

    def test_overridden_dict(self) -> None:
        """A value is found even where the class hides its __dict__ behind a property."""
        obj = hostile.plant(hostile.make(hostile.HiddenDict), stored=5)
        with hostile.untouched():
            assert outcome(obj, "stored") == ("value", 5)


class TestTypes:
    """mro, type_name, builtin_base."""

    @pytest.mark.parametrize(
        ("cls", "expected"),
        [
            (int, "int"),
            (type(None), "NoneType"),
            (datetime.datetime, "datetime.datetime"),
            (collections.deque, "collections.deque"),
            (Child, f"{__name__}.Child"),
            (TestReadAttribute.test_mock.__class__, "function"),
        ],
    )
    def test_names(self, cls: type, expected: str) -> None:
        """Builtins are bare, all others module.Qualname."""
        assert introspect.type_name(cls) == expected

    def test_name_is_bounded_and_text(self) -> None:
        """A class may call itself anything: what is told is a text of bounded length."""
        huge = type("x" * 100_000, (), {"__module__": 5})
        assert len(introspect.type_name(huge)) <= 2 * introspect.NAME_LIMIT + 3

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (True, bool),
            (Level.LOW, int),
            (Colour.RED, enum.Enum),
            (datetime.datetime(2026, 1, 1), datetime.datetime),
            (pathlib.Path("/"), pathlib.PurePath),
            (collections.OrderedDict(), dict),
            (collections.Counter(), dict),
            (Point(1, 2), tuple),
            (KeyError(), BaseException),
            (int, type),
            (object(), None),
        ],
    )
    def test_builtin_base(self, value: Any, expected: Any) -> None:
        """The first builtin type of the real MRO."""
        assert introspect.builtin_base(type(value)) is expected

    def test_hostile_metaclass(self) -> None:
        """Classes are compared by identity: the metaclass's hooks do not run."""
        bases = {
            "HostileDict": dict, "HostileList": list, "HostileTuple": tuple, "HostileSet": set, "HostileStr": str,
            "HostileBytes": bytes, "HostileInt": int, "HostileFloat": float, "HostileException": BaseException,
            "Hostile": None,
        }  # fmt: skip
        with hostile.untouched():
            for name, base in bases.items():
                cls = getattr(hostile, name)
                assert introspect.builtin_base(cls) is base
                assert introspect.type_name(cls) == f"tests.support.hostile.{name}"
                assert introspect.mro(cls)[0] is cls
                assert introspect.is_subtype(cls, object) is True


class TestInstanceDict:
    """instance_dict."""

    def test_raw_dict(self) -> None:
        """The object's own dict, not a copy."""
        child = Child()
        assert introspect.instance_dict(child) is child.__dict__

    def test_none(self) -> None:
        """None where there is none, or only one of the application's making."""
        assert introspect.instance_dict(5) is None
        assert introspect.instance_dict(Slotted()) is None
        with hostile.untouched():
            assert introspect.instance_dict(hostile.make(hostile.HiddenDict)) is None

    def test_thread_local(self) -> None:
        """Looking at a threading.local from another thread does not run its __init__ there."""
        started = []

        class Local(threading.local):
            def __init__(self) -> None:
                started.append(threading.get_ident())

        local = Local()
        thread = threading.Thread(target=introspect.instance_dict, args=(local,))
        thread.start()
        thread.join()
        assert started == [threading.get_ident()]


class TestClassNamed:
    """A class by the name that programs use for it."""

    def test_where_it_stands(self) -> None:
        """In a module or in a class, wherever it was defined; None where nothing stands."""
        assert introspect.class_named("json.JSONDecoder") is json.JSONDecoder
        assert introspect.class_named(f"{__name__}.TestClassNamed.Inner") is self.Inner
        for name in ("json.Nothing", "no.such.Name", "json.decoder.JSONDecoder.decode.x", "json"):
            assert introspect.class_named(name) is None

    def test_nothing_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No ``__getattr__`` of a module or a metaclass, and nothing is imported."""

        class Lazy(types.ModuleType):
            def __getattr__(self, name: str) -> Any:
                raise AssertionError("__getattr__ ran")

        class Meta(type):
            def __getattr__(cls, name: str) -> Any:
                raise AssertionError("__getattr__ ran")

        lazy = Lazy("lazy_one")
        lazy.Known = Meta("Known", (), {})
        monkeypatch.setitem(sys.modules, "lazy_one", lazy)
        before = set(sys.modules)
        assert introspect.class_named("lazy_one.Known") is lazy.Known
        for name in ("lazy_one.Other", "lazy_one.Known.Other", "xml.sax.expatreader.ExpatParser"):
            introspect.class_named(name)
        assert set(sys.modules) == before

    class Inner:
        """Named by the class that it stands in."""
