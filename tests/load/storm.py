"""A million hits under sixteen threads, while probes come, change and go: ``python -m tests.load.storm [--hits N]``.

Prints whether the program's answers were right, whether memory stayed, and how the arrivals ended. A
crash ends the process, and so the exit status tells of it.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import gc
import importlib
import os
import pathlib
import random
import sys
import tempfile
import textwrap
import threading
import time
from typing import Any, Callable, Counter, Dict, List

import otel_tracepoints
from otel_tracepoints import Settings
from otel_tracepoints.errors import TracepointsError
from tests.load.figures import Figures, resident_mib
from tests.support.live import WIDE_OPEN

SOURCE = """
    class Item:
        def __init__(self, name, price):
            self.name = name
            self.price = price
    def total(items, rate):
        amount = 0
        for item in items:
            amount += item.price * rate  # TAG: loop
        return amount  # TAG: total
    def label(n):
        words = {"n": n, "name": "item", "half": n / 2}
        return "%s-%d" % (words["name"], n)  # TAG: label
    def deep(n):
        return n if n <= 0 else deep(n - 1)  # TAG: deep
    def stream(n):
        for i in range(n):
            yield i * i  # TAG: stream
    def caught(n):
        try:
            return 10 // n  # TAG: tried
        except ZeroDivisionError as error:
            return str(error)  # TAG: caught
"""
TAGS = ("loop", "total", "label", "deep", "stream", "tried", "caught")
CONDITIONS = (
    None,
    "n > 3",
    "amount > 100 and len(items) == 3",
    "item.name == 'b'",
    "words['half'] >= 1.5 or nothing",
    "i in (1, 2, 3)",
)
#: Outcomes of arrivals that came as far as a verdict on their condition.
DECIDED = ("emitted", "dropped", "conditionFalse", "rateLimited")
THREADS = 16
GROWTH_MIB = 16.0


class Subject:
    """The program: a module with a file, as applications have."""

    def __init__(self, folder: pathlib.Path) -> None:
        text = textwrap.dedent(SOURCE)
        path = folder / "stormy.py"
        path.write_text(text, "utf-8")
        self.filename = str(path)
        lines = enumerate(text.splitlines(), 1)
        self.tags = {line.split("# TAG: ")[1]: number for number, line in lines if "# TAG: " in line}
        sys.path.insert(0, str(folder))
        self.names = vars(importlib.import_module("stormy"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=1_000_000)
    parser.add_argument("--engine", default="auto", choices=["auto", "native", "pytrace"])
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    faulthandler.enable()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    chosen = Settings(
        control_api_port=0, event_sink_url="none", max_overhead_percent=100.0, engine=options.engine
    )
    agent = otel_tracepoints.start(settings=chosen)
    engine: Any = agent._engine
    print(f"-- {engine.name}, {engine.mechanism}, Python {sys.version.split()[0]}, seed {seed}", flush=True)
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        storm(figures, agent, random.Random(seed), options.hits, pathlib.Path(folder))
    otel_tracepoints.stop()
    return 0 if figures.kept else 1


def storm(figures: Figures, agent: Any, dice: random.Random, hits: int, folder: pathlib.Path) -> None:
    """Until there were so many hits."""
    program = Subject(folder)
    names = program.names
    items = [names["Item"](name, price) for name, price in zip("abc", (1, 20, 300))]
    wrong: List[object] = []
    over = threading.Event()
    calls = [0] * THREADS

    def run(number: int) -> None:
        try:
            while not over.is_set():
                answers = (
                    names["total"](items, 2),
                    names["label"](5),
                    names["deep"](6),
                    sum(names["stream"](4)),
                    names["caught"](0),
                    names["caught"](5),
                )
                calls[number] += 1
                if not calls[number] % 20:
                    time.sleep(0.0005)  # or nobody else would have a turn
                if answers != (642, "item-5", 0, 14, answers[4], 2) or "zero" not in str(answers[4]):
                    wrong.append(answers)
        except BaseException as error:  # noqa: BLE001 - a broken program may raise anything
            wrong.append(error)

    sys.setswitchinterval(1e-4)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    ended: Counter[str] = collections.Counter()
    begin, memory = time.monotonic(), 0.0
    changes = refused = 0
    try:
        while sum(map(ended.__getitem__, DECIDED)) < hits and not wrong:
            ids = [place(agent, program, dice) for _ in range(dice.randrange(1, 8))]
            time.sleep(dice.random() * 0.1)  # for traffic; nothing waits for it
            for id in ids:
                try:
                    change(agent, dice, id)
                except TracepointsError:
                    refused += 1
            for id in ids:
                for outcome, number in agent._debugger.point(id)["counts"].items():
                    ended[outcome] += number
                agent.remove(id)
            changes += 3 * len(ids)
            if not memory and sum(map(ended.__getitem__, DECIDED)) > hits / 10:
                gc.collect()
                memory = resident_mib(os.getpid())
    finally:
        over.set()
        for thread in threads:
            thread.join()
    gc.collect()
    figures.tell("seconds", time.monotonic() - begin, "s")
    figures.tell("calls of the program", sum(calls))
    figures.tell("probes set, changed, removed", changes)
    for outcome, number in sorted(ended.items()):
        figures.tell(f"arrivals: {outcome}", number, "", 0 if outcome == "captureError" else None)
    figures.tell("changes refused", refused, "", 0)
    figures.tell("wrong results", len(wrong), "", 0)
    print(*map(repr, wrong[:3]), sep="\n", end="\n" if wrong else "")
    figures.tell("more memory after the first tenth", resident_mib(os.getpid()) - memory, "MiB", GROWTH_MIB)


def place(agent: Any, program: Subject, dice: random.Random) -> str:
    """A probe anywhere, of any kind."""
    tag = dice.choice(TAGS)
    given: Dict[str, Any] = {"condition": dice.choice(CONDITIONS), "rate_limit": WIDE_OPEN}
    if dice.random() < 0.2:
        given["rate_limit"] = {"limitPerSecond": 5, "burst": 5}
    if dice.random() < 0.2:
        given["max_hits"] = dice.randrange(1, 100)
    set_one: Callable[..., str] = agent.set_tracepoint
    if dice.random() < 0.5:
        set_one = agent.set_logpoint
        given["message"] = dice.choice(("here", "{n} and {items}", "{item.name}: {amount}", "{words!r}"))
    return set_one(program.filename, program.tags[tag], **given)


def change(agent: Any, dice: random.Random, id: str) -> None:
    """What an operator might do to it."""
    what = dice.randrange(4)
    if what == 0:
        agent._debugger.set_enabled(id, False)
        agent._debugger.set_enabled(id, True)
    elif what == 1:
        agent._debugger.update(id, {"condition": dice.choice(CONDITIONS[1:])})
    elif what == 2:
        agent._debugger.sleep()
        agent._debugger.wake()


if __name__ == "__main__":
    sys.exit(main())
