"""Instructions by callgrind: unlike times they repeat, whatever else the machine does.

The measured process marks where it is by a call of a C function that nothing else calls, before few calls
of the workload, between these and many, and after them. Callgrind writes what was executed between marks, by
thread; the first is the application's. The difference of the two, by the difference of their numbers of
calls, is what one call takes: what comes before, after or once is in neither.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Optional, Sequence

MARK = "ctermid"
#: Parts that end at a mark: what came before; few; many; the setting of the probe; few; many.
PARTS = 6
TIMEOUT = 1200


class CannotCount(Exception):
    """There are no numbers, and why."""


def why_not() -> Optional[str]:
    """Why nothing is counted here; None where it can be."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    with tempfile.TemporaryDirectory() as folder:
        done = _callgrind(folder, "-c", "import ssl, ctypes")
    return None if done.returncode == 0 else f"not under valgrind: {_last_line(done.stderr)}"


def count(system: str, figure: str) -> Dict[str, float]:
    """Instructions of a call before there is a probe, and with it, in the application's thread."""
    with tempfile.TemporaryDirectory() as folder:
        done = _callgrind(folder, "-m", "tests.benchmarks.measure", system, figure, "counted")
        if done.returncode != 0:
            raise CannotCount(_last_line(done.stderr))
        told = json.loads(done.stdout.strip().splitlines()[-1])
        totals = part_totals(folder)
    return {
        "bare": per_call(told["bare"], totals[1:3]),
        "probed": per_call(told["probed"], totals[4:6]),
    }


def part_totals(folder: str) -> List[int]:
    """What the first thread executed up to each mark."""
    # Those of other threads end in another number, and what came after the last mark has none in the middle.
    files = sorted(pathlib.Path(folder).glob("part.*-01"), key=lambda file: int(file.name[5:-3]))
    if len(files) != PARTS:
        raise CannotCount(f"{len(files)} parts instead of {PARTS}")
    return [total(file.read_text("ascii", "replace")) for file in files]


def total(profile: str) -> int:
    """The instructions of one file of callgrind's."""
    lines = dict(line.split(": ", 1) for line in profile.splitlines() if ": " in line)
    if lines.get("events", "").split()[:1] != ["Ir"]:
        raise CannotCount("the profile does not begin with instructions")
    for name in ("totals", "summary"):
        if name in lines:
            return int(lines[name].split()[0])
    raise CannotCount("the profile has no total")


def per_call(calls: Sequence[int], executed: Sequence[int]) -> float:
    """Of two numbers of calls and what each executed: what one takes."""
    (few, many), (less, more) = calls, executed
    if many <= few:
        raise CannotCount(f"{few} and {many} calls do not differ")
    return (more - less) / (many - few)


def _callgrind(folder: str, *arguments: str) -> Any:
    command = ["valgrind", "-q", "--tool=callgrind", "--separate-threads=yes", f"--dump-before={MARK}"]
    command += [f"--callgrind-out-file={folder}/part", sys.executable, *arguments]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
