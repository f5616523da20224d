"""One measurement in a fresh process: ``python -m tests.benchmarks.measure SYSTEM FIGURE`` prints JSON."""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

from tests.benchmarks import install, workload
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
    note: str = ""
    removed: bool = False


#: Figures of setting a probe, all measured in one process; what `install.measure` calls them.
INSTALL = {
    "h first probe": ("first", "ms"),
    "h one more": ("next", "ms"),
    "h removing one": ("removed", "ms"),
    "memory of a probe": ("kept", "KiB"),
}
SIMPLE = "qty > 100"
COMPLEX = "user.status == 'active' and len(items) > 5"

FIGURES: Dict[str, Figure] = {
    "a idle": Figure(None, "hot", 20, note="ratio"),
    "b probe elsewhere": Figure("elsewhere", "hot", 20, note="ratio"),
    "c probe on another line": Figure("after", "hot", 20, condition="total < 0", note="ratio"),
    "d false condition": Figure("handle", "handle", 20_000, condition=SIMPLE),
    "d false condition, complex": Figure("handle", "handle", 20_000, condition=COMPLEX),
    "e rate-limited": Figure("handle", "handle", 20_000, shut=True),
    "f snapshot": Figure("handle", "nested", 400, hits=True),
    "g logpoint": Figure("handle", "handle", 3_000, message="qty={qty} total={total}", hits=True),
    "after all were removed": Figure("after", "hot", 20, note="ratio", removed=True),
}


def main(system_name: str, figure_name: str) -> None:
    system: Any = SYSTEMS[system_name]()
    if figure_name == "h":
        print(json.dumps(install.measure(system)))
        return
    figure = FIGURES[figure_name]
    order, items = workload.make_order(), list(range(10))
    calls: Dict[str, Callable[[], Any]] = {
        "hot": lambda: workload.hot(20_000),
        "handle": lambda: workload.handle(order, 5, items),
        "nested": lambda: workload.nested(12, order, items),
    }
    call = calls[figure.call]
    bare = _best(call, figure.rounds)
    if figure.probe is not None and system_name != "plain":
        system.set(figure.probe, figure.condition, figure.message, figure.shut)
        if figure.removed:
            call()
            system.unset()
    watched = figure.probe is not None and not figure.removed
    before = system.hits() if watched else 0
    probed = _best(call, figure.rounds)
    seen = system.hits() - before if watched else 0
    if figure.hits and system_name != "plain" and not seen:
        raise SystemExit(f"{system_name} had no hits in {figure_name}")
    system.close()
    print(json.dumps({"bare": bare, "probed": probed, "hits": seen}))


def _best(call: Callable[[], Any], rounds: int) -> float:
    """Nanoseconds of one call: the fastest of five batches, on the thread's own CPU clock."""
    for _ in range(min(rounds, 200)):
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
    main(*sys.argv[1:3])
