"""Of all runs of a figure, what is told: the minimum of times, the most of rates, the difference to no probe."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from tests.benchmarks.measure import FIGURES

#: Where there is nothing to tell.
NOTHING = "–"

Runs = Dict[str, List[Dict[str, Any]]]


def cost(name: str, row: Runs, system: str) -> str:
    """A ratio to the plain program, or what the probe adds to the call."""
    if not row[system] or not row["plain"]:
        return NOTHING
    probed = min(run["probed"] for run in row[system])
    plain = min(run["probed"] for run in row["plain"])
    if FIGURES[name].note == "ratio":
        return f"{probed / plain:.2f}"
    if system == "plain":
        return f"({plain / 1000:.2f} µs a call)"
    bare = min(run["bare"] for run in row[system])
    return f"{(probed - bare) / 1000:.2f} µs"


def executed(name: str, row: Runs, system: str) -> str:
    """The same in instructions."""
    if not row[system] or not row["plain"]:
        return NOTHING
    probed = min(run["probed"] for run in row[system])
    plain = min(run["probed"] for run in row["plain"])
    if FIGURES[name].note == "ratio":
        return f"{probed / plain:.3f}"
    if system == "plain":
        return f"({plain:.0f} a call)"
    return f"{probed - min(run['bare'] for run in row[system]):.0f}"


def install(runs: List[Dict[str, Any]], system: str, key: str, unit: str) -> str:
    """The least that it took to set, to remove or to keep a probe."""
    told = [run[key] for run in runs if key in run]
    return NOTHING if system == "plain" or not told else f"{min(told):.2f} {unit}"


def rate(runs: List[Dict[str, Any]], threads: int) -> str:
    """The most calls a second, and the least CPU time of one."""
    if not runs:
        return NOTHING
    most = max(run["rates"][str(threads)] for run in runs)
    least = min(run["cpu"][str(threads)] for run in runs)
    return f"{most / 1000:.1f} k/s ({least:.2f} µs)"


def rendered(report: Dict[str, Any]) -> str:
    """The table for a person: a column for each system, and one of its instructions where they were counted."""
    systems: Sequence[str] = report["systems"]
    counted: Dict[str, Dict[str, str]] = report["instructions"]
    heads = [head for name in systems for head in ([name, "instructions"] if counted else [name])]
    lines = [f"| figure | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for figure, row in report["figures"].items():
        cells: List[str] = []
        for name in systems:
            cells.append(row[name])
            if counted:
                cells.append(counted.get(figure, {}).get(name, NOTHING))
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)
