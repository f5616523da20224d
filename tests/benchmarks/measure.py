"""One measurement in a fresh process: ``python -m tests.benchmarks.measure SYSTEM FIGURE`` prints JSON.

With ``counted`` after it nothing is timed: the process is under callgrind, and marks where it is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from tests.benchmarks import install, scaling, workload
from tests.benchmarks.systems import SYSTEMS


class Figure(NamedTuple):
    """Where the probe is, what it does, what is called, and how often."""

    probe: Optional[str]
    call: str
    rounds: int
    condition: Optional[str] = None
    message: Optional[str] = None
    shut: bool = False
    hits: bool = False
    holds: bool = False
    note: str = ""
    removed: bool = False


#: Figures of setting a probe, those of one kind measured in one process; what `install` calls them.
INSTALL = {
    "h": {
        "h first probe": ("first", "ms"),
        "h one more": ("next", "ms"),
        "h removing one": ("removed", "ms"),
        "memory of a probe": ("kept", "KiB"),
        "memory of a probe, peak": ("peak", "KiB"),
    },
    "h held": {
        "h first probe, others held up": ("heldFirst", "ms"),
        "h one more, others held up": ("heldNext", "ms"),
        "h more, others held up at most": ("heldMost", "ms"),
        "h nothing, others held up at most": ("heldIdle", "ms"),
    },
}
SIMPLE = "qty > 100"
#: Calls before those that count.
WARM = 200
COMPLEX = "user.status == 'active' and len(items) > 5"

FIGURES: Dict[str, Figure] = {
    "a idle": Figure(None, "hot", 20, note="ratio"),
    "b probe elsewhere": Figure("elsewhere", "hot", 20, note="ratio"),
    "c probe on another line": Figure("after", "hot", 20, condition="total < 0", note="ratio"),
    "d false condition": Figure("handle", "handle", 20_000, condition=SIMPLE, holds=True),
    "d false condition, complex": Figure("handle", "handle", 20_000, condition=COMPLEX, holds=True),
    "e rate-limited": Figure("handle", "handle", 20_000, shut=True),
    "f snapshot": Figure("handle", "nested", 400, hits=True),
    "g logpoint": Figure("handle", "handle", 3_000, message="qty={qty} total={total}", hits=True),
    "after all were removed": Figure("after", "hot", 20, note="ratio", removed=True),
}


def main(system_name: str, figure_name: str, how: str = "timed") -> None:
    system: Any = SYSTEMS[system_name]()
    if figure_name in INSTALL:
        print(json.dumps({"h": install.measure, "h held": install.measure_held}[figure_name](system)))
        return
    if figure_name in scaling.KINDS:
        print(json.dumps(scaling.measure(system, figure_name)))
        system.close()
        return
    figure = FIGURES[figure_name]
    order, items = workload.make_order(), list(range(10))
    calls: Dict[str, Callable[[], Any]] = {
        "hot": lambda: workload.hot(20_000),
        "handle": lambda: workload.handle(order, 5, items),
        "nested": lambda: workload.nested(12, order, items),
    }
    call = calls[figure.call]
    cost = _best if how == "timed" else _marked
    bare = cost(call, figure.rounds)
    if figure.probe is not None and system_name != "plain":
        system.set(figure.probe, figure.condition, figure.message, figure.shut)
        if figure.removed:
            call()
            system.unset()
    watched = figure.probe is not None and not figure.removed
    before = system.hits() if watched else 0
    probed = cost(call, figure.rounds)
    seen = system.hits() - before if watched else 0
    if system_name != "plain":
        expected = _calls(figure.rounds, how) if figure.hits else 0
        if figure.hits and seen != expected:
            raise SystemExit(f"{system_name} had {seen} hits of {expected}")
        if figure.hits and how == "timed" and system.arrived() - before != expected:
            raise SystemExit(f"{system_name}: of {expected} hits {system.arrived() - before} arrived")
        if figure.holds:
            _hold(system)
    system.close()
    print(json.dumps({"bare": bare, "probed": probed, "hits": seen}))


def _hold(system: Any) -> None:
    """With a condition that holds there is a hit: so it was the condition that kept the others out."""
    order, before = workload.make_order(), system.hits()
    order.customer.status = "active"
    workload.handle(order, 500, list(range(10)))
    if system.hits() != before + 1:
        raise SystemExit(f"{system.name} has no hit where the condition holds")


def _calls(rounds: int, how: str) -> int:
    """How many calls `_best` or `_marked` makes."""
    if how == "timed":
        return min(rounds, WARM) + 5 * rounds
    return _counted_warm(rounds) + sum(counted_rounds(rounds))


def _counted_warm(rounds: int) -> int:
    # A call of few is a long one, of a loop that is warm after its first thousand turns.
    return WARM if rounds > WARM else counted_rounds(rounds)[0]


def counted_rounds(rounds: int) -> Tuple[int, int]:
    """Two numbers of calls, few enough for callgrind, which is fifty times slower."""
    many = max(6, rounds // 10)
    return many // 3, many


def _marked(call: Callable[[], Any], rounds: int) -> List[int]:
    """Two numbers of calls, between marks; these numbers."""
    few, many = counted_rounds(rounds)
    for _ in range(_counted_warm(rounds)):
        call()
    gc.collect()
    gc.disable()
    for count in (few, many):
        os.ctermid()  # callgrind is told that it begins another part here: nothing else calls it
        for _ in range(count):
            call()
    os.ctermid()
    gc.enable()
    return [few, many]


def _best(call: Callable[[], Any], rounds: int) -> float:
    """Nanoseconds of one call: the fastest of five batches, on the thread's own CPU clock."""
    for _ in range(min(rounds, WARM)):
        call()
    best = float("inf")
    gc.collect()
    gc.disable()
    for _ in range(5):
        started = time.thread_time_ns()
        for _ in range(rounds):
            call()
        best = min(best, (time.thread_time_ns() - started) / rounds)
    gc.enable()
    return best


if __name__ == "__main__":
    main(*sys.argv[1:])
