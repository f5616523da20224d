"""Work is bounded before it is done: about a millisecond, then the answer or BUDGET."""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import sys
from types import FrameType
from typing import Any, Iterator, List, Optional

import pytest
from tests.support.timing import cpu_seconds, quickest

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import parse_condition, parse_watch

#: 1 ms is the aim; the rest is for an interpreter and a machine that are busy with other things.
SECONDS = 0.01


def frame(**names: Any) -> FrameType:
    namespace = {"sys": sys}
    exec(f"def function({', '.join(names)}):\n    return sys._getframe()", namespace)
    return namespace["function"](**names)


def timed(text: str, where: FrameType) -> Optional[str]:
    """The error code, or None, of an evaluation that must be fast (the best of many)."""
    expression = parse_watch(text)
    codes: List[Optional[str]] = []

    def evaluate() -> None:
        try:
            expression.evaluate(where)
            codes.append(None)
        except EvaluationError as error:
            codes.append(error.code)

    assert quickest(lambda: cpu_seconds(evaluate), SECONDS) < SECONDS
    return codes[-1]


@functools.lru_cache(None)
def million() -> List[int]:
    return list(range(1_000_000))


@functools.lru_cache(None)
def long_text() -> str:
    return "a" * 10_000_000


@functools.lru_cache(None)
def nested(_number: int) -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.fixture(scope="module", autouse=True)
def _freed() -> Iterator[None]:
    """Every look at the heap in a later test would go over it."""
    yield
    for number in range(2):
        value = nested(number)
        while value:  # by hand: freeing it at once overflows older interpreters
            value = value.pop()
    for each in (million, long_text, nested):
        each.cache_clear()


CYCLE: Any = []
CYCLE.append(CYCLE)
CYCLE2: Any = []
CYCLE2.append(CYCLE2)


class Node:
    pass


CASES = [
    ("'a' * 1000000000", dict, "BUDGET"),
    ("[1] * 1000000000", dict, "BUDGET"),
    ("x * x * x * x * x * x * x * x", lambda: {"x": 1 << 1000}, "BUDGET"),
    ("x + x", lambda: {"x": "a" * 40_000}, "BUDGET"),
    ("x + x", lambda: {"x": [1] * 6_000}, "BUDGET"),
    ("x + 1", lambda: {"x": 1 << 100_000}, "BUDGET"),
    ("x % 7", lambda: {"x": 1 << 10_000_000}, "BUDGET"),
    ("-x", lambda: {"x": 1 << 10_000_000}, "BUDGET"),
    ("-1 in x", lambda: {"x": million()}, "BUDGET"),
    ("-1 in x", lambda: {"x": tuple(million())}, "BUDGET"),
    ("-1 in x", lambda: {"x": collections.deque(million())}, "BUDGET"),
    ("5 in x", lambda: {"x": million()}, None),
    ("-1 in x", lambda: {"x": range(10**15)}, None),
    ("'x' in x", lambda: {"x": range(10**15)}, None),
    ("1.5 in x", lambda: {"x": range(10**15)}, None),
    ("x == y", lambda: {"x": million(), "y": list(million())}, "BUDGET"),
    ("x == y", lambda: {"x": million(), "y": million()[1:]}, None),
    ("x < y", lambda: {"x": million(), "y": list(million())}, "BUDGET"),
    ("x == y", lambda: {"x": dict.fromkeys(million()), "y": dict.fromkeys(million())}, "BUDGET"),
    ("x == y", lambda: {"x": set(million()), "y": set(million())}, "BUDGET"),
    ("x - y", lambda: {"x": set(million()), "y": set(million())}, "BUDGET"),
    ("x == y", lambda: {"x": {(i,) for i in range(3000)}, "y": {(i,) for i in range(3000)}}, "BUDGET"),
    ("min(x)", lambda: {"x": million()}, "BUDGET"),
    ("max(x)", lambda: {"x": million()}, "BUDGET"),
    ("any(x)", lambda: {"x": [0] * 1_000_000}, "BUDGET"),
    ("all(x)", lambda: {"x": million()}, "BUDGET"),
    ("max(x)", lambda: {"x": list(range(10_000))}, None),
    ("max(x)", lambda: {"x": ["a" * 60_000 + str(i) for i in range(1000)]}, "BUDGET"),
    ("x == y", lambda: {"x": nested(0), "y": nested(1)}, "BUDGET"),
    ("x == y", lambda: {"x": CYCLE, "y": CYCLE2}, "BUDGET"),
    ("x < y", lambda: {"x": CYCLE, "y": CYCLE2}, "BUDGET"),
    ("x.lower()", lambda: {"x": long_text()}, "BUDGET"),
    ("x.strip()", lambda: {"x": long_text()}, "BUDGET"),
    ("x == y", lambda: {"x": long_text(), "y": "a" * 10_000_000}, "BUDGET"),
    ("x == y", lambda: {"x": long_text(), "y": "b" + long_text()[1:]}, None),
    ("x < y", lambda: {"x": long_text(), "y": long_text() + "b"}, "BUDGET"),
    ("x < y", lambda: {"x": long_text(), "y": "b"}, None),
    ("'b' in x", lambda: {"x": long_text()}, "BUDGET"),
    ("x.contains(y)", lambda: {"x": "a" * 60_000, "y": "a" * 20_000 + "b" + "a" * 9_000}, ...),
    ("x.contains(y)", lambda: {"x": "a" * 29_000, "y": "a" * 49 + "b" + "a" * 49}, ...),
    ("'needle' in x", lambda: {"x": "hay" * 20_000}, None),
    ("x.startswith('a') and x[0:5] == 'aaaaa' and len(x) > 5", lambda: {"x": long_text()}, None),
    ("x[:]", lambda: {"x": long_text()}, "BUDGET"),
    ("x[::2]", lambda: {"x": million()}, "BUDGET"),
    ("x[5:9]", lambda: {"x": million()}, None),
    ("x.matches('b')", lambda: {"x": long_text()}, "BUDGET"),
    ("x.matches('a*b')", lambda: {"x": "a" * 4096}, None),
    ("x.matches('.*a.*a.*b')", lambda: {"x": "a" * 4096}, None),
    ("x in y", lambda: {"x": long_text(), "y": {"k"}}, "BUDGET"),
    ("y[x]", lambda: {"x": long_text(), "y": {"k": 1}}, "BUDGET"),
    ("x in y", lambda: {"x": "a" * 60_000, "y": ["a" * 59_999 + "b" for _ in range(9_000)]}, "BUDGET"),
    ("y in x", lambda: {"x": {Node() for _ in range(50_000)}, "y": 5}, "BUDGET"),
    ("x['k']", lambda: {"x": {Node(): 1 for _ in range(50_000)}}, "BUDGET"),
    ("x[5]", lambda: {"x": {i: i for i in range(9_000)}}, None),
    (" + ".join(["x.lower()"] * 20), lambda: {"x": "\u00c4" * 3_000}, ...),
    (" and ".join(["x.upper()"] * 250), lambda: {"x": "\u00c4" * 60_000}, "BUDGET"),
    (" and ".join(["not -1 in x"] * 200), lambda: {"x": million()[:9_000]}, "BUDGET"),
    (" and ".join(["not x.matches('a+b')"] * 150), lambda: {"x": "a" * 4_096}, "BUDGET"),
]


@pytest.mark.parametrize(
    ("text", "names", "expected"), CASES, ids=[f"{n}: {c[0][:40]}" for n, c in enumerate(CASES)]
)
def test_bounded(text: str, names: Any, expected: Any) -> None:
    """The worst that an expression can ask for ends in about a millisecond, with the answer or BUDGET."""
    code = timed(text, frame(**names()))
    if expected is not ...:
        assert code == expected
    else:
        assert code in (None, "BUDGET")


def test_ten_thousand_items_are_within_the_budget() -> None:
    """A list of 10 000 items is still searched."""
    assert parse_condition("-1 not in x").test(frame(x=list(range(10_000)))) is True
    assert parse_condition("'x9999' in x").test(frame(x=[f"x{i}" for i in range(10_000)])) is True


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before 3.11 a dict does not show that all its keys are strings"
)
def test_large_dict_of_strings() -> None:
    """A dict of strings is read however large it is."""
    assert parse_watch("x['k5']").evaluate(frame(x={f"k{i}": i for i in range(300_000)})).value == 5


def test_deep_application_stack() -> None:
    """Near the end of the application's stack an evaluation gives the answer or BUDGET and nothing else."""
    expression = parse_condition("x == y and len(x) > 0 and x[0] == y[0]")
    where = frame(x=[[1]], y=[[1]])
    depth = 0
    step: Any = sys._getframe()
    while step is not None:
        depth, step = depth + 1, step.f_back

    def outcome(frames: int) -> Any:
        if frames > 0:
            return outcome(frames - 1)
        try:
            return expression.test(where)
        except EvaluationError as error:
            return error.code

    outcomes = {}
    for left in range(3, 40):
        try:
            outcomes[left] = outcome(sys.getrecursionlimit() - depth - left)
        except RecursionError:
            assert left < 15  # there was no room for the test itself
    assert set(outcomes.values()) == {True, "BUDGET"}
    assert outcomes[39] is True


@pytest.mark.parametrize(
    "part",
    ["a", "!a", "a.b", "a[0]", "t+t", "l+l", "s<s", "true", "this", "args", "args[-1]", "l[:]", "t[1:]", "d+d", "d<d", "o==o2", "!o",
     "a is null", "isinstance(o,a.B)", "len(l)", "k in l", "k in m", "m[k]", "t.upper()", "a==1.5", "l==l2", "abs(d)", "n-n", "max(a,1)"],
)  # fmt: skip
def test_a_whole_expression_of_any_one_part_is_bounded(part: str) -> None:
    """4 096 characters of whatever is dearest for its length stay within about a millisecond."""

    class Thing:
        def __init__(self) -> None:
            self.b = 1

    class Text(str):
        pass

    names = {
        "self": Thing(), "a": Thing(), "t": "\u4e2d" * 30_000, "l": [[i] for i in range(5_000)], "l2": [[i] for i in range(5_000)],
        "s": "\u4e2d" * 60_000, "d": decimal.Decimal("1.5"), "o": Thing(), "o2": Thing(), "k": Text("\u4e2d" * 60_000),
        "m": {"x": 1}, "n": datetime.datetime(2026, 1, 1), **{f"local{i}": i for i in range(200)},
    }  # fmt: skip
    for joint in ("&&", "||"):
        text = joint.join([part] * ((4096 + len(joint)) // (len(part) + len(joint))))
        assert timed(text, frame(**names)) in (
            None,
            "BUDGET",
            "TYPE_MISMATCH",
            "UNKNOWN_KEY",
            "UNKNOWN_ATTRIBUTE",
        )
