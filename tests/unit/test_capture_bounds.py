"""Capture of huge values, and when time is up: bounded by the limits, never by the value."""

from __future__ import annotations

import decimal
import json
import sys
import time
import types
from typing import Any

import pytest
from tests.support.captures import Clock, collector, value_of, variables_of
from tests.support.timing import quickest

from otel_tracepoints.limits import PauseClock
from otel_tracepoints.model import CaptureLimits


def deep_list(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


HUGE = {
    "str": lambda: "x" * 100_000_000,
    "bytes": lambda: bytes(100_000_000),
    "list": lambda: [0] * 5_000_000,
    "dict": lambda: dict.fromkeys(range(2_000_000)),
    "set": lambda: set(range(1_000_000)),
    "int": lambda: 10**100_000,
    "decimal": lambda: decimal.Decimal("1" * 100_000),
    "deep": lambda: deep_list(100_000),
    "wide": lambda: [[[[0] * 100] * 100] * 100] * 100,
    "object": lambda: types.SimpleNamespace(**{f"f{n}": n for n in range(100_000)}),
}


@pytest.mark.parametrize("name", sorted(HUGE))
def test_huge_values_are_cheap(name: str) -> None:
    """The cost is bounded by the limits, never by the size: below 5 ms of this thread's own time."""
    value = HUGE[name]()
    limits = CaptureLimits()
    reader = collector()
    clock = Clock()

    def once() -> float:
        begun = time.thread_time()
        shown = reader.value(value, limits, clock)
        spent = time.thread_time() - begun
        assert len(json.dumps(shown.json)) < 250_000
        return spent

    # "wide" reaches the room for one value: a quarter of a million characters take longer.
    limit = 0.005 if name != "wide" else 0.2
    assert quickest(once, limit) < limit
    while type(value) is list and value and type(value[0]) is list:
        value = value[0]  # unwound by hand: freeing it at once would recurse


def test_a_hit_is_bounded() -> None:
    """Many huge variables together stay within the room of a hit, and all of them are told."""

    def target() -> Any:
        a = b = c = d = e = f = g = h = [[["x" * 1000] * 100] * 100] * 100
        last = 5
        return variables_of(sys._getframe())

    snapshot = target()
    assert len(json.dumps(snapshot.variables)) < 400_000
    assert snapshot.variables["last"] == 5
    assert snapshot.variables["h"][0] != []
    assert snapshot.truncated is True


class TestTimeIsUp:
    """The pause clock."""

    @pytest.mark.parametrize(
        "value",
        ["4111 " * 40_000, "name: value " * 20_000, b"4111 " * 40_000],
        ids=["digits", "names", "bytes"],
    )
    @pytest.mark.parametrize("longest", [65_536, 131_072])
    def test_long_text_is_cut_to_what_there_is_time_for(self, value: Any, longest: int) -> None:
        """However long strings may be, redaction keeps within the pause (four times that here: machines are shared, and some are slow)."""
        limits = CaptureLimits(max_string_length=longest)

        def once() -> float:
            clock = PauseClock(5_000_000)
            shown = collector(limits=limits).value(value, limits, clock)
            assert shown.truncated is True
            assert shown.json["__tpd_truncated__"] is True
            assert shown.json["__tpd_size__"] == len(value)
            assert len(shown.json["__repr__"]) > 4_000
            return clock.elapsed_ns()

        assert quickest(once, 20_000_000) < 20_000_000

    def test_long_text_is_whole_where_time_allows(self) -> None:
        """With time enough a text up to the limit is told to its end, and what is redacted may make it longer."""
        text = "pwd=x\n" * 10_000
        shown = value_of(text, max_string_length=65_536)
        assert shown == "pwd=[REDACTED]\n" * 10_000

    def test_everything_further_is_cut_and_marked(self) -> None:
        """After the clock expired nothing more is looked into, and what was cut says so."""
        shown = value_of([list(range(10)) for _ in range(50)], clock=Clock(2))
        assert len(shown) < 50
        assert shown[-1] == {"__tpd_truncated__": True, "__tpd_size__": 50}

    def test_variables_after_it(self) -> None:
        """Variables that time did not reach are named with their type."""

        def target() -> Any:
            first = [list(range(10)) for _ in range(50)]
            second = {"a": 1}
            third = 5
            return variables_of(sys._getframe(), clock=Clock(1))

        snapshot = target()
        assert snapshot.truncated is True
        assert snapshot.variables["second"] == {"__tpd_type__": "dict", "__tpd_truncated__": True}
        assert list(snapshot.variables)[:3] == ["first", "second", "third"]
