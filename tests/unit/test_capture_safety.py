"""Capture runs no code of the application, is bounded by its limits, and keeps nothing alive."""

from __future__ import annotations

import collections
import decimal
import gc
import itertools
import json
import sys
import threading
import types
import unittest.mock
import weakref
from typing import Any, Callable, List

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import hostile
from tests.support.captures import Clock, collector, value_of, variables_of
from tests.support.lifetimes import kept_for_ever

from otel_tracepoints.model import CaptureLimits


class TestNoCodeRuns:
    """Booby-trapped objects."""

    def test_as_values(self) -> None:
        """Looking at hostile objects, directly and inside containers, runs nothing of theirs."""
        values = hostile.values()
        with hostile.untouched():
            shown = value_of([values, {"a": values[0]}, tuple(values)], max_depth=6)
        assert shown[0][0]["stored"] == 1
        assert shown[0][2:5] == [{"k": 1}, [1, 2], [1, 2]]
        assert shown[0][6] == "text"
        assert shown[0][8:10] == [5, 1.5]
        assert shown[0][10]["message"] == "boom"

    def test_as_keys(self) -> None:
        """Objects that are keys of dicts and members of sets are not hashed or compared again."""
        keys = [hostile.HashedKey() for _ in range(5)]
        table, members = dict.fromkeys(keys, 1), set(keys)
        ordered = collections.OrderedDict.fromkeys(keys, 1)
        hostile.HashedKey.armed = True
        try:
            with hostile.untouched():
                shown = value_of([table, members, ordered])
        finally:
            hostile.HashedKey.armed = False
        assert len(shown[0]) == len(shown[2]) == 5

    def test_in_a_frame(self) -> None:
        """A frame full of hostile locals is captured without a trap going off."""

        def target() -> Any:
            first, second, *others = hostile.values()
            with hostile.untouched():
                return variables_of(sys._getframe())

        assert list(target().variables) == ["first", "second", "others"]

    def test_class_body_with_a_mapping_of_its_own(self) -> None:
        """The namespace of a class body may be any mapping: only a dict is read."""
        seen = []

        class Namespace(collections.UserDict):  # type: ignore[type-arg]
            pass

        class Meta(type):
            @classmethod
            def __prepare__(cls, name: str, bases: Any, **kwargs: Any) -> Any:  # type: ignore[override]
                return Namespace()

            def __new__(cls, name: str, bases: Any, namespace: Any) -> Any:
                return type.__new__(cls, name, bases, dict(namespace))

        class Body(metaclass=Meta):
            value = 1
            seen.append(variables_of(sys._getframe()))

        assert seen[0].variables == {}

    def test_lazy_things_stay_lazy(self) -> None:
        """A cached property is not computed, a Mock gets no new children, a generator does not move."""

        class Lazy:
            @property
            def computed(self) -> int:
                raise AssertionError

        mock = unittest.mock.MagicMock()
        steps = iter(range(3))
        value_of([Lazy(), mock, steps, map(str, steps)])
        assert mock.mock_calls == []
        assert list(steps) == [0, 1, 2]

    def test_thread_local_subclass(self) -> None:
        """A threading.local is not initialised in a thread that only looks at it."""
        started: List[int] = []

        class Local(threading.local):
            def __init__(self) -> None:
                started.append(threading.get_ident())

        local = Local()
        thread = threading.Thread(target=value_of, args=([local],))
        thread.start()
        thread.join()
        assert started == [threading.get_ident()]


def test_one_bad_value_costs_that_value_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """When reading one value fails, it says so and its neighbours are still there."""
    from otel_tracepoints.capture import scalars

    # Of C: what code of a test, as of any application, raises is meant for it.
    monkeypatch.setitem(scalars.TEXTS, id(decimal.Decimal), len)
    assert value_of([1, decimal.Decimal(1), 2]) == [
        1,
        {"__tpd_type__": "decimal.Decimal", "__repr__": "<unreadable>"},
        2,
    ]


def test_class_changed_after_it_was_seen() -> None:
    """A property that takes the place of a slot after the class was first captured does not run."""

    class Changing:
        __slots__ = ("left", "right")

    changing = Changing()
    changing.left, changing.right = 1, 2
    assert value_of(changing)["left"] == 1
    Changing.left = property(hostile.trap("Changing", "left"))  # type: ignore[assignment]
    with hostile.untouched():
        assert value_of(changing)["right"] == 2


class TestMutation:
    """Containers that other threads change meanwhile."""

    @pytest.mark.parametrize("kind", ["dict", "set", "deque", "list", "object"])
    def test_survived(self, kind: str) -> None:
        """A container that grows and shrinks during the capture never breaks it."""
        keyed = {n: n for n in range(50)}
        box = types.SimpleNamespace(**{f"f{n}": n for n in range(20)})
        members, queue, items = set(range(50)), collections.deque(range(50)), list(range(50))
        done = threading.Event()

        def change() -> None:
            number = 100
            while not done.is_set():
                number += 1
                keyed[number] = number
                keyed.pop(number - 20, None)
                members.add(number)
                members.discard(number - 20)
                queue.append(number)
                queue.popleft()
                items.append(number)
                items.pop(0)
                setattr(box, f"g{number}", 1)
                box.__dict__.pop(f"g{number - 10}", None)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            value = {"dict": keyed, "set": members, "deque": queue, "list": items, "object": box}[kind]
            for _ in range(100):
                shown = value_of(value)
                assert "unreadable" not in json.dumps(shown)
        finally:
            done.set()
            thread.join()

    def test_marked(self) -> None:
        """What was lost to a change of size is marked as cut."""
        from otel_tracepoints.capture import containers

        def failing() -> Any:
            changed = {1: 1}
            items = iter(changed)
            changed[2] = 2
            return itertools.chain([1], items)

        assert containers._take(failing, 5) == [1]


def test_nothing_outlives_the_hit() -> None:
    """No object or class of the application is held by what was captured, or by the capture."""

    class Thing:
        __slots__ = ("__weakref__", "part")

    class Boxed:
        pass

    thing, box = Thing(), Boxed()
    thing.part = box
    references: List[Any] = [weakref.ref(thing), weakref.ref(box)]
    if not kept_for_ever(Thing):
        references += [weakref.ref(Thing), weakref.ref(Boxed)]
    shown = [value_of({"thing": thing}), value_of([thing, Thing, Boxed])]
    del thing, box, Thing, Boxed
    gc.collect()
    assert all(reference() is None for reference in references)
    assert shown


class Node:
    """For random graphs."""


MAKERS: List[Callable[[List[Any]], Any]] = [
    list,
    tuple,
    collections.deque,
    lambda items: dict(enumerate(items)),
    lambda items: {f"key{number}": item for number, item in enumerate(items)},
    lambda items: hostile.make(hostile.HostileList, items),
    lambda items: hostile.make(hostile.HostileDict, dict(enumerate(items))),
    lambda items: types.SimpleNamespace(items=items),
    lambda items: ValueError(*items),
    lambda items: hostile.plant(Node(), **{f"f{number}": item for number, item in enumerate(items)}),
    lambda items: hostile.plant(hostile.make(hostile.Hostile), items=items),
]


class Made:
    """How to make a value: Hypothesis itself must not look at hostile ones."""

    def __init__(self, maker: int, parts: List[Any]) -> None:
        self.maker, self.parts = maker, parts

    def __repr__(self) -> str:
        return f"Made({self.maker}, {self.parts})"


def build(recipe: Any) -> Any:
    return MAKERS[recipe.maker]([build(part) for part in recipe.parts]) if type(recipe) is Made else recipe


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.decimals(), st.fractions(), st.uuids(),
    st.datetimes(), st.timedeltas(), st.text(st.characters()), st.binary(), st.just(1 << 5000), st.just(object),
)  # fmt: skip
GRAPHS = st.recursive(
    SCALARS,
    lambda children: st.builds(Made, st.integers(0, len(MAKERS) - 1), st.lists(children, max_size=5)),
    max_leaves=20,
)
LIMITS = st.builds(
    CaptureLimits,
    max_depth=st.integers(1, 6),
    max_properties=st.integers(1, 20),
    max_string_length=st.integers(1, 50),
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(GRAPHS, LIMITS, st.booleans())
def test_any_graph_becomes_finite_json(recipe: Any, limits: CaptureLimits, cyclic: bool) -> None:
    """Whatever the objects, the result is finite, acyclic JSON that can be encoded; no trap goes off."""
    value = build(recipe)
    if cyclic:
        ring: List[Any] = [value]
        ring.append(ring)
        value = ring
    with hostile.untouched():
        shown = collector(limits=limits).value(value, limits, Clock()).json
    text = json.dumps(shown, allow_nan=False, ensure_ascii=False)
    assert len(text.encode("utf-8")) < 1_000_000
    assert "<unreadable>" not in text


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_any_key_survives(key: str) -> None:
    """Any text can be a key."""
    shown = value_of({key: 1, f"{key}2": [2]})
    assert len(shown) == 2
