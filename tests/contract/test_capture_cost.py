"""What a hit may cost, whatever the values are that it looks at."""

from __future__ import annotations

import time
from typing import Any, Dict

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.support.live import TargetMaker
from tests.support.looking import HOLD


def deep_list(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def graph(size: int) -> Any:
    """Lists that hold one another, a million edges from anywhere to anywhere."""
    nodes: Any = [[] for _ in range(size)]
    for number, node in enumerate(nodes):
        node += (nodes[number * 7 % size], nodes[(number + 1) % size])
    return nodes


def milliseconds(call: Any, enough: float = 0.0, tries: int = 3) -> float:
    """Of this thread's own time; the best of some tries, because the machine is shared, up to one below ``enough``."""
    best = float("inf")
    for _ in range(tries):
        begun = time.thread_time_ns()
        call()
        best = min(best, (time.thread_time_ns() - begun) / 1e6)
        if best < enough:
            break
    return best


LARGE: Dict[str, Any] = {
    "text": lambda: "x" * 100_000_000,
    "list": lambda: [0] * 5_000_000,
    "dict": lambda: dict.fromkeys(range(2_000_000)),
    "int": lambda: 10**100_000,
    "deep": lambda: deep_list(100_000),
    "graph": lambda: graph(1_000_000),
}


def test_large_values_cost_no_more_than_small_ones(live_with: Any, target: TargetMaker) -> None:
    """Each of the largest values adds less than 5 ms to a hit, in a snapshot with watches and in a message."""
    live = live_with()
    program = target(HOLD)
    assert program.module
    points = [
        live.tracepoint(program, "hold", watch=["value", "len(value)", "value == other"]),
        live.logpoint(program, "hold", "{value}"),
    ]
    for name, make in LARGE.items():
        value = make()
        for point in points:
            others = [each for each in points if each is not point]
            for other in others:
                live.api.post(f"/points/{other['id']}/disable")
            live.api.post(f"/points/{point['id']}/enable")
            spent = milliseconds(lambda: program.hold(value), 5, 20)  # noqa: B023 - called at once
            assert spent < 5, (name, point["type"])
        while name == "deep" and value:  # by hand: freeing it at once overflows older interpreters
            value = value.pop()
        for node in value if name == "graph" else ():  # or every later look at the heap goes over it
            del node[:]
    for point in points:
        counts = live.counts(point)
        assert list(counts) == ["emitted"]
        assert counts["emitted"] >= len(LARGE)
    assert all(
        hit["truncated"] for hit in live.hits(points[0]) if "__tpd_bits__" not in str(hit["variables"])
    )


COSTLY = [
    *(
        "'a' * 1000000000 == 'b'",
        "value * value * value * value == 1",
        "-1 in many",
        "many == other",
        "max(many) > 1",
    ),
    *(
        "'b' in text",
        "text == other",
        "text.matches('a*b')",
        "text[0:4096].matches('a*b')",
        "any(many)",
        "args == 1",
    ),
]


def test_costly_conditions_are_bounded(live_with: Any, target: TargetMaker) -> None:
    """No condition holds its thread up for more than a millisecond, whatever the values: the answer, or BUDGET."""
    live = live_with()
    program = target(
        """
        def hold(value, many, text, other):
            return None  # TAG: hold
        """
    )
    assert program.module
    value, many, text = 10**1000, list(range(10_000_000)), "a" * 100_000_000
    point = live.tracepoint(program, "hold")
    for condition in COSTLY:
        changed = live.api.put(f"/points/{point['id']}", {"condition": condition})
        assert changed.status == 200, changed.text
        assert milliseconds(lambda: program.hold(value, many, text, list(many[:9]))) < 1.5, condition
        error = live.point(point)["error"]
        assert error is None or error["code"] == "BUDGET", condition
    assert set(live.counts(point)) <= {"conditionFalse", "conditionError"}


def test_catastrophic_patterns_are_refused(live_with: Any, target: TargetMaker) -> None:
    """A regular expression that could backtrack without end is refused, with its position in the condition."""
    live = live_with()
    program = target(HOLD)
    for pattern in ("(a+)+$", r"(a)\\1", "(?=a)b", "a*a*b", "("):
        body = {
            "file": str(program.path),
            "line": program.line("hold"),
            "condition": f"value.matches('{pattern}')",
        }
        reply = live.api.post("/tracepoints", body)
        assert (reply.status, reply.json["code"]) == (422, "INVALID_CONDITION"), pattern
        assert reply.json["details"]["position"] == len("value.matches(")
        assert all(type(each) is str for each in reply.json["details"]["allowed"])


MANY_LOCALS = """
    def hold(value):
        a = b = c = d = e = f = g = h = i = j = k = value
        return a  # TAG: hold
"""

WIDE: Dict[str, Any] = {
    "lists": lambda: [
        [[{"a": i, "name": f"user {i}"} for i in range(20)] for _ in range(20)] for _ in range(20)
    ],
    "dicts": lambda: {
        f"k{i}": {f"k{j}": {f"k{n}": "x" for n in range(30)} for j in range(30)} for i in range(30)
    },
    "texts": lambda: [{f"k{i}": "é" * 1000 for i in range(90)} for _ in range(90)],
}


@pytest.mark.parametrize("name", list(WIDE))
def test_wide_values_in_many_locals_cost_no_more_on_a_span(
    live_with: Any, target: TargetMaker, name: str
) -> None:
    """Capture, encoding and the span event together add less than 5 ms, also for a wide value in twelve locals."""
    live = live_with()
    program = target(MANY_LOCALS)
    assert program.module
    point = live.tracepoint(program, "hold")
    value = WIDE[name]()
    with TracerProvider().get_tracer("app").start_as_current_span("request") as span:
        assert milliseconds(lambda: program.hold(value), 5, 20) < 5
        assert span.events
    assert list(live.counts(point)) == ["emitted"]
