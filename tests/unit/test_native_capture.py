"""The compiled capture says what the Python one says, to the character."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import gc
import json
import math
import os
import sys
import threading
import time
import types
import uuid
from typing import Any, List, Optional, Tuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support import hostile
from tests.support.captures import POLICY, Clock, function_name, new_snapshot
from tests.support.captures import collector as make_collector

from otel_tracepoints.capture import collector, patterns
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.capture.values import Reader
from otel_tracepoints.emission import fit
from otel_tracepoints.emission.encode import hit_attributes
from otel_tracepoints.emission.hitlog import describe
from otel_tracepoints.errors import InvalidExpression
from otel_tracepoints.expression import parse_watch
from otel_tracepoints.model import CaptureLimits, JsonText, Snapshot, WatchValue, json_value

native = pytest.importorskip("otel_tracepoints.engine._native", reason="needs the compiled module")

EXAMPLES = int(os.environ.get("TRACEPOINTS_EXAMPLES", "300"))
#: Many examples take longer; of the usual number the limit is everybody's, which Valgrind's session raises.
pytestmark = [pytest.mark.timeout(EXAMPLES // 5)] if EXAMPLES > 600 else []
#: Redacts with patterns of the user, and names of theirs.
STRICT = RedactionPolicy.build(["customer", "12"], [], [r"\d{4}-x", "needle"])


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Usual:
    def __init__(self, first: Any, second: Any) -> None:
        self.first = first
        self.second = second
        self.password = first


class Slotted:
    __slots__ = ("left", "right", "token")


class SlottedMore(Slotted):
    __slots__ = ("left", "more")


class Mixed(Slotted):
    """Slots and a dict."""


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - of the old kind


class Words(str):
    pass


class Bag(dict):  # type: ignore[type-arg]
    pass


class Pile(list):  # type: ignore[type-arg]
    pass


TEXTS = [
    "", "a", "order 66", "key: value", "a=b", "password=hunter2", "4111 1111 1111 1111", "4111111111111111",
    "user:12:30", "https://u:p@host/x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "sk-" + "a" * 24, "ghp_" + "A" * 30,
    "Bearer abcdefgh", "ba\u017fic dXNlcjpwYXNz", "\ud800", "x\udc80y", "\u0661" * 14, "na\u00efve \u20ac \U0001f600",
    'q"uo\\te\n\t\x00\x1f\x7f', "x" * 300, "x" * 9000, "needle in hay", "2024-x", "AKIAABCDEFGHIJKLMNOP", "%3D token%3Dabc",
    "2024-01-01 12 30 45 123", "hvs.abcdefghijklmnopqrstuvwx", "ya29.abcdefghijklmnopqr", "\u212aey", "__tpd_type__",
]  # fmt: skip
KEYS = [
    "name", "id", "password", "api_key", "content-type", "Authorization", "a b", "k" * 70, "k" * 256, "k" * 300, "12",
    "customer", "__tpd_size__", "__tpd_truncated__", "x=y", "\u00fcber", "\ud800", "needle", "", "1", "user_token",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(max_size=30),
    st.text(alphabet="0123456789 -", min_size=10, max_size=40),
    st.text(alphabet="abdehgklops_.-:=% 345JSKGAxy\u017f", max_size=60),
)
#: Of which what is suspicious is made.
PIECES = (
    "eyJ J y -----B -----BEGIN AKIA ASIA ABIA ACCA AIza AGE-S gh p_ o_ u_ s_ r_ sk _ rk pk github whsec npm pul tfp api hf r8"
    " do p o r shp at ca pa ss - gl ab abcde abcdef pypi xox xapp GOCSPX SG . SK 0123abcd ya29 hv s hooks dapi b B earer asic"
    " EARER aSiC 12345678 1 4111 1111 11 x aaaaaaaaaaaaaaaa AAAAAAAAAAAAAAAA \u0661 \u20ac \u017f \u212a \u0130 \U0001f600"
).split(" ")
pieces = st.lists(st.sampled_from([*PIECES, " ", "\t", "\n"]), max_size=9).map("".join)
numbers = st.one_of(
    st.integers(-3, 100),
    st.integers(),
    st.integers(10**11, 10**20),
    st.sampled_from([4111111111111111, 2**63, -(2**63), 2**64, 2**256, 2**300, 10**12, 10**19 - 1]),
)
floats = st.floats(allow_nan=True, allow_infinity=True)
ZONE = datetime.timezone(datetime.timedelta(hours=2))
others = st.sampled_from(
    [
        b"bytes", bytearray(b"more"), b"authorization", 1j, decimal.Decimal("1.5"), uuid.UUID(int=5), range(3),
        datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=ZONE), datetime.date(2024, 1, 2), Color.RED, Level.LOW, len, Plain,
        Words("words"), Words("__tpd_size__"), ValueError("boom"), ValueError("password=x", 2), ..., NotImplemented, math,
        types.SimpleNamespace(a=1), memoryview(b"abc"), {"k": 1}.keys(), types.MappingProxyType({"p": 2}), object(),
    ]
)  # fmt: skip
leaves = st.one_of(st.none(), st.booleans(), numbers, floats, texts, others)
keys = st.one_of(
    st.sampled_from(KEYS),
    texts,
    numbers,
    st.booleans(),
    st.none(),
    st.binary(max_size=4),
    st.just(Words("w")),
    st.just(Color.RED),
    floats,
)
names = st.one_of(st.sampled_from([key for key in KEYS if key != "\ud800"]), st.text(max_size=8))
scalar_keys = st.one_of(
    st.lists(st.sampled_from(KEYS), max_size=6), st.lists(st.integers(-5, 200), max_size=6)
)


def _slotted(cls: type) -> Any:
    def build(pair: Tuple[Any, Any, bool]) -> Any:
        made = cls()
        made.left = pair[0]
        if pair[2]:
            made.right = made.token = pair[1]
        if cls is SlottedMore:
            made.more = pair[1]
        if cls is Mixed and pair[2]:
            made.own = pair[0]
        return made

    return build


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(inner, inner, st.booleans())
    several = st.lists(inner, max_size=6)
    return st.one_of(
        several,
        several.map(tuple),
        several.map(Pile),
        several.map(collections.deque),
        st.tuples(st.sampled_from([*KEYS, b"authorization", b"x" * 65]), inner).map(list),
        st.tuples(st.sampled_from(KEYS), inner),
        st.dictionaries(keys, inner, max_size=6),
        scalar_keys.flatmap(lambda found: st.fixed_dictionaries({key: inner for key in found})),
        st.dictionaries(names, inner, max_size=5).map(Bag),
        st.lists(st.one_of(numbers, texts, st.booleans()), max_size=5).map(set),
        st.lists(st.one_of(numbers, texts), max_size=5).map(frozenset),
        st.dictionaries(names, inner, max_size=6).map(lambda fields: Plain(**fields)),
        st.tuples(inner, inner).map(lambda pair: Usual(*pair)),
        st.tuples(inner, inner).map(lambda pair: Point(*pair)),
        pairs.map(_slotted(Slotted)),
        pairs.map(_slotted(SlottedMore)),
        pairs.map(_slotted(Mixed)),
        several.map(lambda items: ValueError(*items)),
    )


graphs = st.recursive(leaves, _containers, max_leaves=25)
limits_of = st.builds(
    CaptureLimits, st.integers(1, 5), st.integers(1, 8), st.sampled_from([1, 5, 20, 300, 1024, 20_000])
)


def both(
    value: Any, policy: RedactionPolicy, limits: CaptureLimits, room: int, looks: Optional[int]
) -> Tuple[Any, Any]:
    """(text, truncated, room) of the Python walk and of the compiled one; the first is asked twice."""
    walker = native.Walker(policy, limits, collector._WALKER_PARTS)
    clock = Clock(looks)
    mine = (*walker.read(value, clock, room), clock.looks)
    clock = Clock(looks)
    reader = Reader(policy, limits, clock, room)
    shown = fit._dump(reader.read(value))
    return (shown, reader.truncated, reader.room, clock.looks), mine


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    graphs,
    st.sampled_from([POLICY, POLICY, STRICT]),
    limits_of,
    st.sampled_from([0, 20, 100, 400, 200_000, 200_000]),
    st.sampled_from([None, None, None, 0, 1, 2]),
)
def test_the_compiled_walk_says_what_the_python_one_says(
    value: Any, policy: RedactionPolicy, limits: CaptureLimits, room: int, looks: Optional[int]
) -> None:
    """The text, whether it was cut, what room is left and how often the clock was asked are the same for any value."""
    expected, mine = both(value, policy, limits, room, looks)
    assert mine == expected


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), limits_of)
def test_cycles_and_shared_values_are_the_same(data: st.DataObject, limits: CaptureLimits) -> None:
    """A value within itself, by whatever way, and one that stands in several places read alike."""
    holders: List[Any] = [[], {}, Plain(), Bag(), Pile(), Usual(1, 2), collections.deque(), ValueError("x")]
    holders.append(Slotted())
    for turn in range(data.draw(st.integers(1, 12))):
        owner, item = data.draw(st.sampled_from(holders)), data.draw(st.sampled_from(holders))
        if isinstance(owner, (list, collections.deque)):
            owner.append(item)
        elif isinstance(owner, dict):
            owner[f"k{turn}"] = item
        elif isinstance(owner, Slotted):
            owner.left = item
        elif isinstance(owner, ValueError):
            owner.args = (item,)
        else:
            setattr(owner, f"f{turn}", item)
    for holder in holders:
        expected, mine = both(holder, POLICY, limits, 200_000, None)
        assert mine == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.one_of(texts, pieces, pieces, st.text(alphabet="abdehgklops_.-:=%345JSKGAxy17fr8 B", min_size=10)))
def test_what_is_called_harmless_holds_no_secret(text: str) -> None:
    """A text that the compiled look lets pass is one that the rules leave as it is and find nothing in."""
    asked = []
    assume(len(text) <= 1024)

    class Policy(RedactionPolicy):
        def text(self, text: str) -> str:
            asked.append(text)
            return super().text(text)

    policy = Policy.build()
    walker = native.Walker(policy, CaptureLimits(), collector._WALKER_PARTS)
    shown = walker.read(text, Clock(), 10_000)[0]
    assert shown == fit._dump(POLICY.text(text))
    if not asked:
        assert len(text) < 12 or not patterns.suspicious(text)


@pytest.mark.parametrize("text", ["sk-" + "a" * 20, "gho_" + "a" * 20, "SG." + "a" * 16 + "." + "b" * 16])
def test_tokens_are_found_wherever_they_stand(text: str) -> None:
    """A token is redacted at the beginning, in the middle and at the end of a text, as by the Python code."""
    for value in (text, "see " + text, text + " here", "\u20ac " + text + " \U0001f600"):
        expected, mine = both(value, POLICY, CaptureLimits(), 10_000, None)
        assert mine == expected
        assert text not in mine[0]


def test_common_values_are_read_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scalars, text, containers and plain objects never need the Python reader."""
    asked: List[Any] = []

    class Counting(Reader):
        def read(self, value: object, level: int = 0) -> Any:
            asked.append(value)
            return super().read(value, level)

    slotted = Slotted()
    slotted.left, slotted.right = 1, "x"
    values = [
        None, True, 7, -1, 1.5, "text", "with space and 12:30", 2**62, 1_700_000_000_000_000_000, [1, [2.5, ("a", "b")]],
        {"name": "ann", "content-type": "x", "password": "y"}, {1: "a", 2: "b"}, {1, "a"}, frozenset([2]), set(), [], {}, (),
        Usual(1, {"k": [1]}), Plain(a=1, b=Plain()), slotted, [[[[[1]]]]], Words,
    ]  # fmt: skip
    walker = native.Walker(POLICY, CaptureLimits(), (Counting, *collector._WALKER_PARTS[1:]))
    for value in values:
        walker.read(value, Clock(), 10_000)
    assert asked == [Words]


def test_no_code_of_the_application_runs() -> None:
    """Objects whose every method is a trap are read without springing one, as values, keys and fields."""
    values = hostile.values()
    walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
    hashed = {hostile.HashedKey(): 1, "plain": 2}
    hostile.HashedKey.armed = True
    try:
        with hostile.untouched():
            for value in (*values, hashed, *([each] for each in values), Plain(inner=values)):
                text, truncated, _ = walker.read(value, Clock(), 200_000)
                reader = Reader(POLICY, CaptureLimits(), Clock(), 200_000)
                assert text == fit._dump(reader.read(value))
                assert truncated == reader.truncated
    finally:
        hostile.HashedKey.armed = False


def test_an_object_keeps_its_values_where_they_are() -> None:
    """Reading the attributes of an object does not make its dict, which would slow it down on 3.11 and 3.12."""
    if not (3, 11) <= sys.version_info < (3, 13):
        pytest.skip("there is no such cost here")
    value = Usual(1, 2)
    before = len(gc.get_referents(value))
    walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
    walker.read(value, Clock(), 10_000)
    assert len(gc.get_referents(value)) == before


def test_attributes_come_in_the_order_in_which_they_were_set() -> None:
    """Also where one was deleted and set again, and where instances set them in another order."""
    first, second, third = Usual(1, 2), Usual(3, 4), object.__new__(Usual)
    del first.first
    first.first = 5
    third.second, third.first = 1, 2
    third.__dict__["late"] = 3
    second.extra = second.other = 1  # type: ignore[attr-defined]
    for value in (first, second, third, Plain(), object.__new__(Plain)):
        expected, mine = both(value, POLICY, CaptureLimits(), 10_000, None)
        assert mine == expected


def test_references_are_as_before() -> None:
    """A walk holds nothing afterwards, neither values nor keys nor classes."""
    if hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled():
        pytest.skip("counts are spread over threads")

    class Local:
        __slots__ = ("a",)

    item, key = object(), f"key {id(EXAMPLES)}"
    local = Local()
    local.a = item
    value = [item, {key: item}, Usual(item, [item]), (item,), local, [item] * 300]
    walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
    walker.read(value, Clock(), 200_000)
    before = [sys.getrefcount(each) for each in (item, value, Local, Usual, local, None)][:5]
    for _ in range(5):
        walker.read(value, Clock(), 200_000)
        walker.read(value, Clock(1), 200)
    after = [sys.getrefcount(each) for each in (item, value, Local, Usual, local, None)][:5]
    assert after == before


def test_a_class_that_changes_is_read_as_it_is_now() -> None:
    """Slots that were taken away, bases that changed and classes at the address of others are looked at anew."""
    for turn in range(50):
        cls = type(f"Made{turn}", (), {"__slots__": ("a", "b") if turn % 2 else ("c",)})
        made = cls()
        for name in cls.__slots__:  # type: ignore[attr-defined]
            setattr(made, name, turn)
        expected, mine = both(made, POLICY, CaptureLimits(), 10_000, None)
        assert mine == expected
        if turn % 3 == 0:
            delattr(cls, cls.__slots__[0])  # type: ignore[attr-defined]
        expected, mine = both(made, POLICY, CaptureLimits(), 10_000, None)
        assert mine == expected


# -- Frames ------------------------------------------------------------------------------


def _both_snapshots(frame: types.FrameType, **parts: Any) -> Tuple[Snapshot, Snapshot]:
    found = []
    for walker in (None, native.Walker):
        snapshot = new_snapshot()
        made = make_collector(**parts)
        made._walker = None if walker is None else walker(made._policy, made._limits, collector._WALKER_PARTS)
        made.variables(frame, snapshot, Clock())
        made._walker_type = walker
        expressions = [parse_watch(each) for each in ("short", "lines", "gone")]
        made.watches(frame, expressions, snapshot, Clock())
        made.stack(frame, snapshot, Clock())
        found.append(snapshot)
    return found[0], found[1]


def _same(frame: types.FrameType, **parts: Any) -> Snapshot:
    expected, mine = _both_snapshots(frame, **parts)
    assert [(name, json_value(value)) for name, value in mine.variables.items()] == list(
        expected.variables.items()
    )
    assert (mine.arguments, mine.omitted, mine.truncated) == (
        expected.arguments,
        expected.omitted,
        expected.truncated,
    )
    assert mine.stack == expected.stack
    assert [type(each) for each in mine.stack] == [type(each) for each in expected.stack]
    return mine


def test_variables_of_functions_are_the_same() -> None:
    """Arguments of all kinds, cells, free variables, unbound and secret names, in the same order."""

    def outer(a: int, b: Any = None, *rest: Any, c: int = 3, password: str = "x", **more: Any) -> Any:
        free = [1]

        def inner(d: int) -> Any:
            e = d + a
            if e < 0:
                never = 1
                print(never, lambda: never)
            frames.append(_same(sys._getframe()))
            return free, c, rest  # noqa: F821 - deleted by then, in one look

        inner(1)
        frames.append(_same(sys._getframe()))
        del free
        frames.append(_same(sys._getframe()))
        return more

    frames: List[Snapshot] = []
    outer(1, {"k": 2}, 3, z=4)
    assert type(frames[0].variables["d"]) is JsonText
    assert frames[0].variables["never"] == {"__tpd_unbound__": True}
    assert list(frames[1].variables)[:6] == ["a", "b", "c", "password", "rest", "more"]


def test_variables_of_comprehensions_and_generators_are_the_same() -> None:
    """Within a comprehension its variables are there, beside it they are not."""

    def look(_: Any) -> Snapshot:
        return _same(sys._getframe(1))

    def target(items: List[int]) -> Any:
        before = look(0)
        shown = [look(each) for each in items]
        return before, shown, list(look(each) for each in items)

    before, _, _ = target([1, 2])
    assert "each" not in before.variables


def test_many_variables_and_limits_are_the_same() -> None:
    """Beyond ninety variables, in little room and on a deep stack the same are left out."""
    source = "def many(look):\n" + "".join(f"    v{n} = [{n}] * 50\n" for n in range(120)) + "    look()\n"
    namespace: Any = {}
    exec(source, namespace)
    namespace["many"](lambda: _same(sys._getframe(1)))

    def deep(left: int, text: str) -> None:
        if left:
            deep(left - 1, text)
        else:
            _same(sys._getframe(), limits=CaptureLimits(max_frames=7))
            _same(sys._getframe(), limits=CaptureLimits(1, 1, 1))

    deep(30, "x" * 5000)


def test_a_class_body_and_a_callback_get_plain_values() -> None:
    """What is no function, and what a callback of the user sees, is read by the Python code."""

    class Body:
        field = 1
        seen = _both_snapshots(sys._getframe())[1]

    assert Body.seen.variables["field"] == 1
    given: List[Any] = []

    def callback(value: Any, name: str) -> Any:
        given.append((name, value))
        return value

    def target(only: Any) -> None:
        _both_snapshots(sys._getframe(), callback=callback)

    target([1])
    assert given.count(("only", [1])) == 2


# -- Watches -----------------------------------------------------------------------------

paths = st.sampled_from(
    "a b a.first b.second a.password a.left b.token a[0] b[1] a['name'] b['password'] a[1:] b[:2] len(a) len(b) a.nope nope password token"
    " args args[0] args[1] locals.a locals.password this.first self.password a[key] b[key] key secret max(a) min(a, b) abs(a) -a a.lower()"
    " a.name b.value a.first.second a[0].first a['k']['id'] any(a) 1 'x' (1,'password=x') [1,2] 4111111111111111 true null 'token:abc' a.x".split()
    + "a b box box.first rows rows[0] rows[1] rows[1:] table table['name'] table['k'] n t t[2:] len(rows) len(t) n+1 t.upper() box.second".split()
    + "n/2 -n max(n,9) rows[::-1] this.second self.first locals.box locals.rows[1] t[0] abs(n) min(rows[2],t) any(rows[2:])".split()
)  # fmt: skip
watched = st.recursive(
    paths,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+ - * / and or == < in".split()), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, st.sampled_from(["0", "-1", "1:", "'password'", "'name'", "key", "::-1"])),
        st.builds("len({})".format, inner),
    ),
    max_leaves=3,
)  # fmt: skip


class Counting(collector.Collector):
    """Counts how often Python was asked for a watch, and how often it had a value that may be shown."""

    asked = 0
    valued = 0

    def _evaluate(self, *given: Any) -> Tuple[bool, Any]:
        self.asked += 1
        answer = super()._evaluate(*given)
        self.valued += not answer[0]
        return answer


def _frame_to_watch(self: Any, a: Any, b: Any, key: Any, password: Any) -> types.FrameType:
    token, secret = a, "api_key"
    box, rows, table, n, t = Usual(a, b), [a, b, "x"], {"name": a, "k": b}, 7, "Straße 1"
    return sys._getframe()


def _watch_both(
    texts: List[str],
    frame: types.FrameType,
    policy: RedactionPolicy,
    limits: CaptureLimits,
    looks: Optional[int],
) -> Tuple[Snapshot, List[Counting]]:
    """What the compiled collector made, which is the same as what the Python one makes; and both of them."""
    expressions = [parse_watch(text, policy.is_sensitive) for text in texts]
    found = []
    collectors = []
    for walker in (None, native.Walker):
        made = Counting(policy, limits, function_name, None, walker)
        for _ in range(2):  # prepared, and once more
            clock, snapshot = Clock(looks), new_snapshot()
            made.asked = made.valued = 0
            made.watches(frame, expressions, snapshot, clock)
            watches = [(each.expression, fit._dump(json_value(each.value))) for each in snapshot.watches]
            assert all(type(each) is WatchValue for each in snapshot.watches)
            found.append((watches, snapshot.truncated, snapshot.failure, clock.looks))
        collectors.append(made)
    assert found[1:] == found[:-1]
    return snapshot, collectors


def test_watches_are_the_same() -> None:
    """Values, marks of failures, limits and redaction of watches do not depend on who evaluated and captured them."""
    total = [0, 0]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(watched, min_size=1, max_size=5), graphs, graphs, st.sampled_from([*KEYS, 0, 1, None]),
        st.sampled_from([POLICY, POLICY, STRICT]), limits_of, st.sampled_from([None, None, None, 0, 1, 2, 5]),
    )  # fmt: skip
    def same(
        texts: List[str], a: Any, b: Any, key: Any, policy: RedactionPolicy, limits: CaptureLimits, looks: Optional[int]
    ) -> None:  # fmt: skip
        for text in texts:
            try:
                parse_watch(text)
            except InvalidExpression:
                assume(False)
        snapshot, collectors = _watch_both(
            texts, _frame_to_watch(Usual(a, b), a, b, key, "hunter2"), policy, limits, looks
        )
        assert "hunter2" not in str(snapshot.watches)
        for index, each in enumerate(collectors):
            total[index] += each.valued

    same()
    assert total[1] < total[0] / 2


def test_common_watches_are_evaluated_natively() -> None:
    """Paths, lengths, items and sums of usual values need nothing of Python, and show what Python shows."""
    texts = [
        "self.first",
        "a['name']",
        "a.k",
        "len(b)",
        "b[0].second",
        "b[-1] + 1",
        "key",
        "b[1:]",
        "max(b[2], 5)",
        "key.upper()",
        "b[9]",
    ]
    frame = _frame_to_watch(Usual({"k": [1]}, 2), {"name": "ann"}, [Usual(1, "x"), 2, 3], "word", "hunter2")
    snapshot, (_, compiled) = _watch_both(texts, frame, POLICY, CaptureLimits(), None)
    assert (compiled.asked, compiled.valued) == (2, 0)  # what fails
    assert snapshot.failure is not None and snapshot.failure[0] == "INDEX_OUT_OF_RANGE"
    assert json_value(snapshot.watches[4].value) == "x"
    _, (_, compiled) = _watch_both(
        ["password", "self.password", "a['password']", "args[4]"], frame, POLICY, CaptureLimits(), None
    )
    assert compiled.asked == 4


def test_watches_share_their_room() -> None:
    """A large watch is cut at the same place by both, and leaves those after it what they may have."""
    large = [{"text": "y" * 900, "items": list(range(90))} for _ in range(90)]
    frame = _frame_to_watch(None, large, {"k": large, "late": ValueError(large)}, "k", "hunter2")
    snapshot, _ = _watch_both(
        ["a", "b", "b[key]", "b.nope", "a[1:]", "b['late']"] * 3, frame, POLICY, CaptureLimits(), None
    )
    assert snapshot.truncated


def test_watches_of_another_plan_are_prepared_anew() -> None:
    """A collector that is given other watches shows those."""
    made = make_collector()
    made._walker_type = native.Walker
    frame = _frame_to_watch(None, 1, 2, "k", "hunter2")
    for text in ("a", "b", "a + b"):
        snapshot = new_snapshot()
        made.watches(frame, (parse_watch(text),), snapshot, Clock())
        assert [each.expression for each in snapshot.watches] == [text]


def test_references_are_as_before_watches() -> None:
    """Neither values nor watches are held after a hit."""
    if hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled():
        pytest.skip("counts are spread over threads")
    held = Usual([object()], ("x" * 5, 10**30))
    frame = _frame_to_watch(held, held, [held] * 5, "k", "hunter2")
    expressions = tuple(
        parse_watch(text)
        for text in ("a", "b[1:]", "a.second[1]", "args", "a.nope", "len(b)", "self.first[0]")
    )
    made = collector.Collector(POLICY, CaptureLimits(), function_name, None, native.Walker)
    made.watches(frame, expressions, new_snapshot(), Clock())
    seen = [held, held.first[0], held.second, held.second[1], expressions, *expressions]
    before = [sys.getrefcount(each) for each in seen]
    for _ in range(20):
        made.watches(frame, expressions, new_snapshot(), Clock())
        made.watches(frame, expressions, new_snapshot(), Clock(3))
    assert [sys.getrefcount(each) for each in seen] == before


def test_what_cannot_be_prepared_is_refused() -> None:
    """Data that the collector never makes are an error, and no crash."""
    walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
    for wrong in (1, (1,), ((None,),), ((None, 1, 2),), (((), "a", 1),)):
        with pytest.raises((TypeError, ValueError)):
            walker.prepare(wrong)
    frame = sys._getframe()
    for each in (
        (),
        (frame, 1, Clock(), 1, 1, 1, 1, "x"),
        (1, walker.prepare(()), Clock(), 1, 1, 1, 1, "x"),
    ):
        with pytest.raises((TypeError, ValueError)):
            walker.watches(*each)
    assert walker.watches(frame, walker.prepare(()), Clock(), 1, 1, None, None, "x") == ([], False)
    ask = lambda *given: None  # noqa: E731
    with pytest.raises(TypeError):
        walker.watches(frame, walker.prepare(((None, "a", 1),)), Clock(), 1, 1, ask, None, "x")


@pytest.mark.parametrize("limit", [64, 200, 2048])
def test_what_leaves_is_the_same(limit: int) -> None:
    """Attributes of the hit, cut or whole, and what the API shows of it do not depend on who captured it."""

    def target(short: int, lines: List[Any], word: str, missing_later: Any) -> Any:
        del missing_later
        return _both_snapshots(sys._getframe())

    expected, mine = target(1, [{"sku": f"\u20ac {n}", "price": n * 1.5} for n in range(40)], "x" * 900, 1)
    attributes = hit_attributes(mine, limit)
    assert attributes == hit_attributes(expected, limit)
    assert all(type(value) is not JsonText for value in attributes.values())
    assert describe(mine) == describe(expected)


def test_names_of_functions_are_asked_for_again() -> None:
    """A name that becomes known later is shown then, within a second or so."""
    walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
    stack: List[Any] = []
    assert walker.stack(sys._getframe(), stack, 5, function_name, Clock()) is True
    assert len(stack) == 5
    again: List[Any] = []
    walker.stack(sys._getframe(), again, 5, lambda code: "other." + code.co_name, Clock())
    assert again[0].function.startswith("other.")
    assert [each.file for each in stack] == [each.file for each in again]


def test_watches_are_prepared_where_they_are_compiled() -> None:
    """Where a callback is to see plain values nothing is prepared for the compiled walk."""
    expressions = (parse_watch("a"),)
    for callback, prepared in ((None, True), (lambda value, info: value, False)):
        made = collector.Collector(POLICY, CaptureLimits(), function_name, callback, native.Walker)
        made.prepare(expressions)
        assert (made._prepared is not None) is prepared


def test_what_is_made_hashes_as_a_tuple() -> None:
    """A frame of a stack and the value of a watch have the hash of the tuples that they are."""
    snapshot = new_snapshot()
    made = Counting(POLICY, CaptureLimits(), function_name, None, native.Walker)
    made.stack(sys._getframe(), snapshot, Clock())
    assert {hash(each) for each in snapshot.stack} == {hash(tuple(each)) for each in snapshot.stack}
    walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
    prepared = walker.prepare(((None, "x", 1),))
    values, _ = walker.watches(
        sys._getframe(), prepared, Clock(), 100, 0, lambda *_: (True, "shown"), snapshot, ""
    )
    assert [hash(each) for each in values] == [hash(tuple(each)) for each in values]


def test_threads_may_change_what_is_read() -> None:
    """Lists, dicts, sets and objects that other threads change meanwhile are read to whole JSON."""
    items: List[Any] = list(range(20))
    table: Any = {n: n for n in range(20)}
    several = set(range(20))
    value = Usual(1, 2)
    over = threading.Event()

    def change() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            items.append([turn])
            table[turn % 50] = {"turn": turn}
            several.add(turn % 60)
            setattr(value, f"f{turn % 9}", [turn])
            if turn % 3 == 0:
                del items[5:]
                table.pop(turn % 40, None)
                several.discard(turn % 50)
                value.__dict__.pop(f"f{turn % 7}", None)

    threads = [threading.Thread(target=change) for _ in range(3)]
    for each in threads:
        each.start()
    try:
        walker = native.Walker(POLICY, CaptureLimits(), collector._WALKER_PARTS)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            text, _, _ = walker.read([items, table, several, value, {"v": value}], Clock(), 100_000)
            assert len(json.loads(text)) == 5
    finally:
        over.set()
        for each in threads:
            each.join()
