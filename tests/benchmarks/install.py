"""What setting a probe costs in a large program: 2 000 modules, 100 000 functions, one module of 5 000 lines."""

from __future__ import annotations

import gc
import importlib
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from typing import Any, Dict, List

MODULES, FUNCTIONS = 2_000, 50
#: Functions of ten lines in the large module; probes go on the sixth line of each.
LARGE, LINES, SIXTH = 500, 10, 6
#: Probes for the figure of one more, and for the figure of memory.
NEXT, MANY = 20, 300
#: Seconds after which a debugger has done what it put off.
AFTERWARDS = 1.5

_KIB = 1_024


def measure(system: Any) -> Dict[str, float]:
    """Milliseconds of the first probe, of one more and of removing one; KiB of memory that each keeps, and at most took."""
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        large = _program(pathlib.Path(folder))
        lines = [start * LINES + SIXTH for start in range(LARGE)]
        first = _milliseconds(system, large, lines[:1])
        more = _milliseconds(system, large, lines[1 : NEXT + 1])
        gc.collect()
        forgotten, before = _forget_peak(), _memory()
        system.place_all(large, lines[NEXT + 1 : NEXT + 1 + MANY])
        gc.collect()
        peak = (_peak() - before) / MANY if forgotten else None
        kept = (_memory() - before) / MANY
        started = time.perf_counter()
        system.unset()
        removed = (time.perf_counter() - started) * 1e3
        system.close()
    told = {"first": first[0], "next": statistics.median(more), "removed": removed, "kept": kept}
    return told if peak is None else {**told, "peak": peak}


def measure_held(system: Any) -> Dict[str, float]:
    """Milliseconds for which another thread cannot run at a stretch while the first probe is set, or one more.

    With the GIL that is the longest piece of work that cannot be interrupted, since the other thread asks for its turn
    at once (a program's threads wait for 5 ms before they do); without, how long the others are stopped. Also the most
    in all this, with what is done meanwhile and in the second after it; and the most in a second where nothing is,
    which is the machine's own. In a process of its own, since the other thread takes turns with what it watches.
    """
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        large = _program(pathlib.Path(folder))
        gc.collect()
        gc.disable()  # a collection that happens to come now is the program's, not the probe's
        witness = _Witness()
        try:
            held = []
            for start in range(NEXT + 1):
                system.place(large, start * LINES + SIXTH, None, None, False)
                held.append(witness.took())
            most = max([*held[1:], witness.took_in(AFTERWARDS)])
            idle = witness.took_in(AFTERWARDS)
        finally:
            witness.end()
        system.close()
    return {"heldFirst": held[0], "heldNext": statistics.median(held[1:]), "heldMost": most, "heldIdle": idle}


class _Witness:
    """A thread that does nothing but look at the clock; the longest that it was kept from that."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._over = False
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # it asks for its turn at once
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        clock, last = time.perf_counter, time.perf_counter()
        while not self._over:
            now = clock()
            if now - last > self._longest:
                self._longest = now - last
            last = now

    def took(self) -> float:
        """Milliseconds, since this was last asked."""
        time.sleep(1e-3)  # it has its turn, and notes the last of it
        longest, self._longest = self._longest, 0.0
        return longest * 1e3

    def took_in(self, seconds: float) -> float:
        """The same of so much time from now on."""
        time.sleep(seconds)
        return self.took()

    def end(self) -> None:
        """It looks no more."""
        self._over = True
        self._thread.join()
        sys.setswitchinterval(self._before)


def _program(folder: pathlib.Path) -> str:
    """Write and import the program; answers the file of its large module."""
    body = "".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(FUNCTIONS))
    names = [f"small_{number}" for number in range(MODULES)]
    for name in names:
        (folder / f"{name}.py").write_text(body, "utf-8")
    inner = "".join(f"    x += {n}\n" for n in range(LINES - 2))
    large = "".join(f"def large_{n}(x):\n{inner}    return x\n" for n in range(LARGE))
    (folder / "large.py").write_text(large, "utf-8")
    importlib.invalidate_caches()
    for name in (*names, "large"):
        importlib.import_module(name)
    return str(folder / "large.py")


def _milliseconds(system: Any, file: str, lines: List[int]) -> List[float]:
    spent = []
    for line in lines:
        started = time.perf_counter()
        system.place(file, line, None, None, False)
        spent.append((time.perf_counter() - started) * 1e3)
    return spent


def _memory() -> float:
    """KiB that this process holds."""
    pages = int(pathlib.Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _KIB


def _forget_peak() -> bool:
    """The most that this process ever held is what it holds now; whether the system lets us say so."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return False
    return True


def _peak() -> float:
    """KiB that this process has held at most."""
    status = pathlib.Path("/proc/self/status").read_text("ascii", "replace")
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
