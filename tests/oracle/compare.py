"""A workload recorded in several ways, and where they differ."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

ROOT = pathlib.Path(__file__).parents[2]
#: The ways in which the interpreter itself counts here.
JUDGES: Tuple[str, ...] = ("settrace", "monitoring") if sys.version_info >= (3, 12) else ("settrace",)
#: Seen with 3.12.1, and not with 3.13.
_REPEATS = sys.version_info[:2] == (3, 12)

Place = Tuple[Any, ...]


class Verdict(NamedTuple):
    """What came of it.

    Attributes:
        lines: Places that were hit at all.
        hits: Sum of all hits.
        differences: Judge and place → (hits, what the judge has counted).
        unchanged: The workload's answer is the same with probes and without.
        seconds: CPU time to set all probes.
    """

    lines: int
    hits: int
    differences: Dict[Tuple[str, Place], Tuple[int, int]]
    unchanged: bool
    seconds: float


def record(package: str, when: str, how: str, only: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Begin one run, with everything that could differ between processes fixed."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "TERM": "dumb",
        "COLUMNS": "80",
    }
    command = [sys.executable, "-m", "tests.oracle.record", package, when, how, *only]
    return subprocess.Popen(
        command, env=environment, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer_of(process: "subprocess.Popen[str]") -> Dict[str, Any]:
    """What the run has recorded."""
    output, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {errors[-3000:]}")
    answer: Dict[str, Any] = json.loads(output)
    return answer


def judge(package: str, when: str, only: Sequence[str] = ()) -> Verdict:
    """Record the package with probes and in the interpreter's own ways, and compare line for line."""
    runs = {"probes": record(package, when, "probes", only)}
    answers: Dict[str, Dict[str, Any]] = {}
    try:
        # The probed run takes the longest; the others, one after the other, go beside it.
        for how in ("nothing", *JUDGES):
            runs[how] = record(package, when, how, only)
            answers[how] = answer_of(runs[how])
        answers["probes"] = answer_of(runs["probes"])
    finally:
        for process in runs.values():
            if process.returncode is None:
                process.kill()
                process.communicate()
    probes = answers["probes"]
    hits = _counts(probes)
    loops, jumps = ({tuple(place) for place in probes.get(kind, ())} for kind in ("loops", "jumps"))
    differences: Dict[Tuple[str, Place], Tuple[int, int]] = {}
    for how in JUDGES:
        counted = _counts(answers[how])
        for place in sorted(set(hits) | set(counted)):
            ours, theirs = hits.get(place, 0), counted.get(place, 0)
            # The documented difference: a line that is a loop in itself is one arrival since 3.12.
            if how == "settrace" and place in loops and 0 < ours <= theirs:
                continue
            # And 3.12 reports some jumps within a line after reading a property, others not.
            if _REPEATS and place in jumps and 0 < ours and 0 < theirs:
                continue
            if ours != theirs:
                differences[(how, place)] = (ours, theirs)
    unchanged = all(answer["answer"] == answers["nothing"]["answer"] for answer in answers.values())
    return Verdict(len(hits), sum(hits.values()), differences, unchanged, probes["installing"])


def _counts(answer: Dict[str, Any]) -> Dict[Place, int]:
    lines: List[List[Any]] = answer["lines"]
    return {tuple(place): times for *place, times in lines}
