"""``python -m tests.benchmarks``: all systems, all figures, fresh processes, interleaved, minimum of many.

Prints a table and writes ``bench.json``. Ratios are to the plain program in the same run; the
other figures are what a hit adds to the call, in microseconds of the application's thread, (h) what
setting a probe takes in a large program, and (scaling) hits a second by number of threads. Where Valgrind
is, each of the first two also in instructions, counted once.
Compare within one run only; instructions repeat.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
import platform
import subprocess
import sys
from typing import Any, Dict, List, Optional

from tests.benchmarks import instructions, scaling, table
from tests.benchmarks.measure import FIGURES, INSTALL
from tests.benchmarks.systems import SYSTEMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", default="bench.json")
    parser.add_argument("--only", action="append", help="figures that begin so; may be given more than once")
    parser.add_argument(
        "--no-instructions", action="store_true", help="do not count them, which takes longest"
    )
    options = parser.parse_args()
    systems = [name for name, system in SYSTEMS.items() if importlib.util.find_spec(system.needs)]
    wanted = [
        figure
        for figure in (*FIGURES, *INSTALL, *scaling.KINDS)
        if not options.only or figure.startswith(tuple(options.only))
    ]
    runs: Dict[str, table.Runs] = {figure: {system: [] for system in systems} for figure in wanted}
    for _ in range(options.repeat):
        for figure in wanted:
            for system in systems:
                result = _run(system, figure)
                if result is not None:
                    runs[figure][system].append(result)
    reason = "not asked for" if options.no_instructions else instructions.why_not()
    report: Dict[str, Any] = {
        "python": platform.python_version(),
        "processors": scaling.processors(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "systems": systems,
        "figures": _told(runs, systems),
        "instructions": {} if reason else _counted(wanted, systems),
        "noInstructions": reason,
    }
    pathlib.Path(options.out).write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    gil = "with the GIL" if report["gil"] else "without the GIL"
    print(f"\nPython {report['python']} {gil}, {report['processors']} processors,", end=" ")
    print(f"{options.repeat} runs each, minimum")
    print(table.rendered(report))
    if reason:
        print(f"Without instructions: {reason}.")


def _told(runs: Dict[str, table.Runs], systems: List[str]) -> Dict[str, Dict[str, str]]:
    told: Dict[str, Dict[str, str]] = {}
    for figure, row in runs.items():
        rows: Dict[str, Dict[str, str]] = {}
        if figure in INSTALL:
            for name, (key, unit) in INSTALL[figure].items():
                rows[name] = {system: table.install(row[system], system, key, unit) for system in systems}
        elif figure in scaling.KINDS:
            for threads in scaling.THREADS:
                rows[f"{figure}, threads: {threads}"] = {
                    system: table.rate(row[system], threads) for system in systems
                }
        else:
            rows[figure] = {system: table.cost(figure, row, system) for system in systems}
        for cells in rows.values():
            cells.update({system: reason for system, reason in _cannot(figure).items() if system in systems})
        told.update(rows)
    return told


def _counted(wanted: List[str], systems: List[str]) -> Dict[str, Dict[str, str]]:
    """Each in a process of its own, once."""
    told: Dict[str, Dict[str, str]] = {}
    for figure in wanted:
        if figure not in FIGURES:
            continue
        row: table.Runs = {system: [] for system in systems}
        failed: Dict[str, str] = _cannot(figure)
        for system in systems:
            if system in failed:
                continue
            try:
                row[system].append(instructions.count(system, figure))
            except (instructions.CannotCount, subprocess.TimeoutExpired) as error:
                print(f"{system} / {figure} was not counted: {error}", file=sys.stderr)
        told[figure] = {
            system: failed.get(system) or table.executed(figure, row, system) for system in systems
        }
    return told


def _cannot(figure: str) -> Dict[str, str]:
    """The systems that have not this figure, and why."""
    return {name: system.cannot[figure] for name, system in SYSTEMS.items() if figure in system.cannot}


def _run(system: str, figure: str) -> Optional[Dict[str, Any]]:
    if figure in SYSTEMS[system].cannot:
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.measure", system, figure],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"{system} / {figure} took too long", file=sys.stderr)
        return None
    if done.returncode != 0:
        print(f"{system} / {figure} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    result: Dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
