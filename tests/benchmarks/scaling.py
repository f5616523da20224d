"""Hits a second by 1 to 8 threads that do nothing else: what it adds to have more, with the GIL and without."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from tests.benchmarks import workload

THREADS = (1, 2, 4, 8)


class Kind(NamedTuple):
    """What the probe does, and how many calls all threads make together."""

    calls: int
    condition: Optional[str] = None
    message: Optional[str] = None


KINDS: Dict[str, Kind] = {
    "scaling false condition": Kind(160_000, condition="qty > 100"),
    "scaling logpoint": Kind(8_000, message="qty={qty} total={total}"),
    "scaling snapshot": Kind(2_000),
}


def measure(system: Any, name: str) -> Dict[str, Any]:
    """By number of threads: calls a second, each of them a hit, and what one takes of its thread's CPU time.

    The first includes whoever else runs: with the GIL, the threads that send hits take turns with these.
    """
    kind = KINDS[name]
    if system.name != "plain":
        system.set("handle", kind.condition, kind.message, False)
    before = system.hits()
    each = kind.calls // system.fewer
    _rate(1, each // 8, 5)  # all is warm then
    calls = each // 8
    rates: Dict[str, float] = {}
    spent: Dict[str, float] = {}
    for threads in THREADS:
        rates[str(threads)], spent[str(threads)] = _rate(threads, each // threads, 5)
        calls += each // threads * threads
        # What is still on its way to the consumer would take processors from the next.
        if system.name != "plain" and kind.condition is None and system.arrived() - before != calls:
            raise SystemExit(f"{system.name}: of {calls} hits {system.arrived() - before} arrived")
    if system.name != "plain" and kind.condition is not None:
        _hold(system)
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return {"rates": rates, "cpu": spent, "processors": processors(), "gil": gil}


def processors() -> int:
    """How many of them this process may use: with more threads than that nothing is to be had."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _hold(system: Any) -> None:
    """In another thread too the condition was looked at: with one that holds, there is a hit."""
    before = system.hits()
    _rate(2, 1, 500)
    if system.hits() != before + 2:
        raise SystemExit(f"{system.name} has no hit where the condition holds")


def _rate(threads: int, calls: int, qty: int) -> Tuple[float, float]:
    """Calls a second of all threads together, from the moment that they all are ready; microseconds of one."""
    ready = threading.Barrier(threads + 1)
    ended: List[float] = []
    spent: List[float] = []

    def run() -> None:
        # Objects of its own: without the GIL, to share them would be what is measured.
        order, items = workload.make_order(), list(range(10))
        handle, rounds = workload.handle, range(calls)
        ready.wait()
        started = time.thread_time()
        for _ in rounds:
            handle(order, qty, items)
        spent.append(time.thread_time() - started)
        ended.append(time.perf_counter())

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    started = time.perf_counter()
    ready.wait()
    for thread in running:
        thread.join()
    return threads * calls / (max(ended) - started), sum(spent) / (threads * calls) * 1e6
