"""Work is bounded before it is done: about a millisecond, then the answer or BUDGET."""

from __future__ import annotations

import collections
import datetime
import decimal
import sys
from types import FrameType
from typing import Any, List, Optional

import pytest
from tests.support.timing import cpu_seconds, quickest

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import parse_condition, parse_watch

#: 1 ms is the aim; the rest is for an interpreter and a machine that are busy with other things.
SECONDS = 0.004


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


MILLION = list(range(1_000_000))
TEXT = "a" * 10_000_000
NESTED: Any = []
for _ in range(100_000):
    NESTED = [NESTED]
OTHER_NESTED: Any = []
for _ in range(100_000):
    OTHER_NESTED = [OTHER_NESTED]
CYCLE: Any = []
CYCLE.append(CYCLE)
CYCLE2: Any = []
CYCLE2.append(CYCLE2)


class Node:
    pass


CASES = [
    ("'a' * 1000000000", {}, "BUDGET"),
    ("[1] * 1000000000", {}, "BUDGET"),
    ("x * x * x * x * x * x * x * x", {"x": 1 << 1000}, "BUDGET"),
    ("x + x", {"x": "a" * 40_000}, "BUDGET"),
    ("x + x", {"x": [1] * 6_000}, "BUDGET"),
    ("x + 1", {"x": 1 << 100_000}, "BUDGET"),
    ("x % 7", {"x": 1 << 10_000_000}, "BUDGET"),
    ("-x", {"x": 1 << 10_000_000}, "BUDGET"),
    ("-1 in x", {"x": MILLION}, "BUDGET"),
    ("-1 in x", {"x": tuple(MILLION)}, "BUDGET"),
    ("-1 in x", {"x": collections.deque(MILLION)}, "BUDGET"),
    ("5 in x", {"x": MILLION}, None),
    ("-1 in x", {"x": range(10**15)}, None),
    ("'x' in x", {"x": range(10**15)}, None),
    ("1.5 in x", {"x": range(10**15)}, None),
    ("x == y", {"x": MILLION, "y": list(MILLION)}, "BUDGET"),
    ("x == y", {"x": MILLION, "y": MILLION[1:]}, None),
    ("x < y", {"x": MILLION, "y": list(MILLION)}, "BUDGET"),
    ("x == y", {"x": dict.fromkeys(MILLION), "y": dict.fromkeys(MILLION)}, "BUDGET"),
    ("x == y", {"x": set(MILLION), "y": set(MILLION)}, "BUDGET"),
    ("x - y", {"x": set(MILLION), "y": set(MILLION)}, "BUDGET"),
    ("x == y", {"x": {(i,) for i in range(3000)}, "y": {(i,) for i in range(3000)}}, "BUDGET"),
    ("min(x)", {"x": MILLION}, "BUDGET"),
    ("max(x)", {"x": MILLION}, "BUDGET"),
    ("any(x)", {"x": [0] * 1_000_000}, "BUDGET"),
    ("all(x)", {"x": MILLION}, "BUDGET"),
    ("max(x)", {"x": list(range(10_000))}, None),
    ("max(x)", {"x": ["a" * 60_000 + str(i) for i in range(1000)]}, "BUDGET"),
    ("x == y", {"x": NESTED, "y": OTHER_NESTED}, "BUDGET"),
    ("x == y", {"x": CYCLE, "y": CYCLE2}, "BUDGET"),
    ("x < y", {"x": CYCLE, "y": CYCLE2}, "BUDGET"),
    ("x.lower()", {"x": TEXT}, "BUDGET"),
    ("x.strip()", {"x": TEXT}, "BUDGET"),
    ("x == y", {"x": TEXT, "y": "a" * 10_000_000}, "BUDGET"),
    ("x == y", {"x": TEXT, "y": "b" + TEXT[1:]}, None),
    ("x < y", {"x": TEXT, "y": TEXT + "b"}, "BUDGET"),
    ("x < y", {"x": TEXT, "y": "b"}, None),
    ("'b' in x", {"x": TEXT}, "BUDGET"),
    ("x.contains(y)", {"x": "a" * 60_000, "y": "a" * 20_000 + "b" + "a" * 9_000}, ...),
    ("x.contains(y)", {"x": "a" * 29_000, "y": "a" * 49 + "b" + "a" * 49}, ...),
    ("'needle' in x", {"x": "hay" * 20_000}, None),
    ("x.startswith('a') and x[0:5] == 'aaaaa' and len(x) > 5", {"x": TEXT}, None),
    ("x[:]", {"x": TEXT}, "BUDGET"),
    ("x[::2]", {"x": MILLION}, "BUDGET"),
    ("x[5:9]", {"x": MILLION}, None),
    ("x.matches('b')", {"x": TEXT}, "BUDGET"),
    ("x.matches('a*b')", {"x": "a" * 4096}, None),
    ("x.matches('.*a.*a.*b')", {"x": "a" * 4096}, None),
    ("x in y", {"x": TEXT, "y": {"k"}}, "BUDGET"),
    ("y[x]", {"x": TEXT, "y": {"k": 1}}, "BUDGET"),
    ("x in y", {"x": "a" * 60_000, "y": ["a" * 59_999 + "b" for _ in range(9_000)]}, "BUDGET"),
    ("y in x", {"x": {Node() for _ in range(50_000)}, "y": 5}, "BUDGET"),
    ("x['k']", {"x": {Node(): 1 for _ in range(50_000)}}, "BUDGET"),
    ("x[5]", {"x": {i: i for i in range(9_000)}}, None),
    (" + ".join(["x.lower()"] * 20), {"x": "\u00c4" * 3_000}, ...),
    (" and ".join(["x.upper()"] * 250), {"x": "\u00c4" * 60_000}, "BUDGET"),
    (" and ".join(["not -1 in x"] * 200), {"x": MILLION[:9_000]}, "BUDGET"),
    (" and ".join(["not x.matches('a+b')"] * 150), {"x": "a" * 4_096}, "BUDGET"),
]


@pytest.mark.parametrize(
    ("text", "names", "expected"), CASES, ids=[f"{n}: {c[0][:40]}" for n, c in enumerate(CASES)]
)
def test_bounded(text: str, names: Any, expected: Any) -> None:
    """The worst that an expression can ask for ends in about a millisecond, with the answer or BUDGET."""
    code = timed(text, frame(**names))
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
