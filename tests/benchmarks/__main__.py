"""``python -m tests.benchmarks``: all systems, all figures, fresh processes, interleaved, minimum of many.

Prints a table and writes ``bench.json``. Ratios are to the plain program in the same run; the
other figures are what a hit adds to the call, in microseconds of the application's thread, and (h) what
setting a probe takes in a large program.
Compare within one run only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
import platform
import subprocess
import sys
from typing import Any, Dict, List

from tests.benchmarks.measure import FIGURES, INSTALL
from tests.benchmarks.systems import SYSTEMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", default="bench.json")
    options = parser.parse_args()
    needs = {"ddtrace": "ddtrace", "native": "otel_tracepoints.engine._native"}
    systems = [name for name in SYSTEMS if name not in needs or importlib.util.find_spec(needs[name])]
    runs: Dict[str, Dict[str, List[Dict[str, Any]]]] = {
        figure: {system: [] for system in systems} for figure in (*FIGURES, "h")
    }
    for _ in range(options.repeat):
        for figure in runs:
            for system in systems:
                result = _run(system, figure)
                if result is not None:
                    runs[figure][system].append(result)
    table = {
        figure: {system: _figure(figure, runs[figure], system) for system in systems} for figure in FIGURES
    }
    for figure, (key, unit) in INSTALL.items():
        table[figure] = {system: _install(runs["h"][system], system, key, unit) for system in systems}
    report = {"python": platform.python_version(), "systems": systems, "figures": table}
    pathlib.Path(options.out).write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(f"\nPython {platform.python_version()}, {options.repeat} runs each, minimum")
    print(f"| figure | {' | '.join(systems)} |\n|---|{'---|' * len(systems)}")
    for figure, row in table.items():
        print(f"| {figure} | {' | '.join(str(row[system]) for system in systems)} |")


def _run(system: str, figure: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measure", system, figure],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        print(f"{system} / {figure} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def _figure(name: str, row: Dict[str, List[Dict[str, Any]]], system: str) -> Any:
    if not row[system]:
        return "–"
    probed = min(run["probed"] for run in row[system])
    plain = min(run["probed"] for run in row["plain"])
    if FIGURES[name].note == "ratio":
        return f"{probed / plain:.2f}"
    if system == "plain":
        return f"({plain / 1000:.2f} µs a call)"
    bare = min(run["bare"] for run in row[system])
    return f"{(probed - bare) / 1000:.2f} µs"


def _install(runs: List[Dict[str, Any]], system: str, key: str, unit: str) -> str:
    return "–" if system == "plain" or not runs else f"{min(run[key] for run in runs):.2f} {unit}"


if __name__ == "__main__":
    main()
