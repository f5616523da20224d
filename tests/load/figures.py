"""What was measured, beside what was promised; a table, and whether all of it held."""

from __future__ import annotations

import os
import threading
import time
from typing import Callable, List, NamedTuple, Optional, Sequence

from tests.support.api_client import ApiClient


class Figure(NamedTuple):
    """A measured value; without a limit it is only told."""

    name: str
    value: float
    unit: str
    limit: Optional[float] = None

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return self.limit is None or self.value <= self.limit


class Figures:
    """The table. Lines are printed as they come."""

    def __init__(self) -> None:
        self.all: List[Figure] = []

    def tell(self, name: str, value: float, unit: str = "", limit: Optional[float] = None) -> None:
        """A value, and the most that it may be."""
        figure = Figure(name, value, unit, limit)
        self.all.append(figure)
        promised = "" if limit is None else f"  <= {limit:g} {unit}"
        verdict = "" if figure.holds else "   NOT KEPT"
        print(f"{name:58} {value:12.4g} {unit:6}{promised}{verdict}", flush=True)

    def latency(
        self, name: str, seconds: Sequence[float], limit: float, beside: Sequence[float] = ()
    ) -> None:
        """The median, the worst, and the 95th percentile, which is judged.

        Args:
            limit: What it may be, in milliseconds.
            beside: What a server that does nothing took meanwhile: that much is the machine's, which
                others may use too.
        """
        machine = share_of(beside, 95) if beside else 0.0
        self.tell(f"{name}, median of {len(seconds)}", share_of(seconds, 50), "ms")
        self.tell(f"{name}, 95 %", share_of(seconds, 95), "ms", limit + machine)
        self.tell(f"{name}, worst", share_of(seconds, 100), "ms")

    @property
    def kept(self) -> bool:
        """Whether all promises were."""
        return all(figure.holds for figure in self.all)


def share_of(seconds: Sequence[float], percent: int) -> float:
    """Milliseconds within which so many of them lie."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else float("nan")


def resident_mib(pid: int) -> float:
    """Memory of a process, from Linux's /proc; 0 where there is none."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except FileNotFoundError:
        return 0.0


class Sampler:
    """Calls something again and again beside the scenario, and keeps what it answers.

    Args:
        interval: Seconds between two calls.
    """

    def __init__(self, call: Callable[[], float], interval: float) -> None:
        self.seen: List[float] = []
        self.errors: List[str] = []
        self._call = call
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.seen.append(self._call())
            except Exception as error:  # noqa: BLE001
                self.errors.append(repr(error))
            self._stopping.wait(self._interval)


def timed(api: ApiClient, method: str, path: str) -> float:
    """Seconds of a request that must succeed."""
    begin = time.perf_counter()
    reply = api.request(method, path)
    taken = time.perf_counter() - begin
    assert reply.status == 200, reply.text
    return taken


def switched_off(api: ApiClient) -> float:
    """Seconds of ``POST /sleep``; awake again afterwards, which may take longer."""
    taken = timed(api, "POST", "/sleep")
    timed(ApiClient(f"http://{api.host}:{api.port}", timeout=120), "POST", "/wake")
    return taken
