"""The program that is probed at random: how often each tagged line is arrived at, and whether its code is as compiled."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

from tests.support.live import Target

SOURCE = """
    n = 2
    total = n  # TAG: module

    def work(n):  # TAG: def
        total = 0  # TAG: first
        for i in range(n):
            total += n  # TAG: body
        return total  # TAG: end

    def outer(n):
        def inner(m):
            return m + n  # TAG: inner
        return inner(1)  # TAG: outer

    class Cart:
        def add(self, n):
            return n  # TAG: add

    def ticker():
        n = 0
        while True:
            n = yield n  # TAG: resumed
            total = n  # TAG: tick
"""

#: Line → the function that holds it, as the API names it below its module ("": the module itself).
OWNERS = {
    "module": "",
    "first": "work",
    "body": "work",
    "end": "work",
    "outer": "outer",
    "inner": "outer.<locals>.inner",
    "add": "Cart.add",
    "resumed": "ticker",
    "tick": "ticker",
}
TAGS = tuple(OWNERS)
#: Lines of the module's own body: reached on import and on reload, with ``n`` as 2.
BODY_TAGS = ("module",)


class Called(NamedTuple):
    """A call, what it must answer, and (line, n) of every arrival that it makes."""

    call: Callable[[], Any]
    answer: Any
    arrivals: List[Tuple[str, int]]


class Program:
    """A target, the functions that were taken from it at any time, and a generator that is suspended for long."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._compiled = compile(target.source, str(target.path), "exec")
        self._kept: List[Dict[str, Any]] = []
        self._tickers: List[Any] = []

    @property
    def name(self) -> str:
        """The module's name."""
        return self.target.name

    def take(self) -> None:
        """Keep the functions that the module has now, also for after a reload."""
        module = self.target.module
        kept = {name: getattr(module, name) for name in ("work", "outer", "ticker")}
        kept["add"] = module.Cart.add
        self._kept.append(kept)
        ticker = module.ticker()
        next(ticker)
        self._tickers.append(ticker)

    def start_ticker_arrivals(self) -> List[Tuple[str, int]]:
        """What `take` arrives at."""
        return [("resumed", 0)]

    def call(self, name: str, n: int, generation: int) -> Called:
        """A call of a function, of the present module or of one before its reload."""
        kept = self._kept[generation % len(self._kept)]
        if name == "work":
            arrivals = [("first", n), *([("body", n)] * n), ("end", n)]
            return Called(lambda: kept["work"](n), n * n, arrivals)
        if name == "outer":
            return Called(lambda: kept["outer"](n), n + 1, [("outer", n), ("inner", n)])
        if name == "add":
            return Called(lambda: kept["add"](None, n), n, [("add", n)])
        ticker = self._tickers[generation % len(self._tickers)]
        return Called(lambda: ticker.send(n), n, [("tick", n), ("resumed", n)])

    def unclean(self, mechanism: str, tool_id: Any, watched: Callable[[str], bool]) -> List[str]:
        """The functions whose code is not as compiled, or still has events, though nobody watches them."""
        originals = {_key(code): code for code in _tree(self._compiled)}
        found = []
        for kept in self._kept:
            for name, function in kept.items():
                if watched(name):
                    continue
                for code in _tree(function.__code__):
                    if code.co_code != originals[_key(code)].co_code:
                        found.append(f"{name}: rewritten")
                    if mechanism == "monitoring" and _events(tool_id, code):
                        found.append(f"{name}: has events")
        return found


def tags_of(function: str) -> List[str]:
    """The tagged lines in a function, nested ones included."""
    owner = "Cart.add" if function == "add" else function
    return [tag for tag, name in OWNERS.items() if name == owner or name.startswith(owner + ".")]


def _tree(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _tree(constant)


def _key(code: CodeType) -> Tuple[str, int]:
    return code.co_name, code.co_firstlineno


def _events(tool_id: int, code: CodeType) -> int:
    monitoring: Any = getattr(sys, "monitoring")
    events: int = monitoring.get_local_events(tool_id, code)
    return events
