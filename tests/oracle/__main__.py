"""``python -m tests.oracle [PACKAGE …]``: every package, imported before and after; a table; 1 if anything differs."""

from __future__ import annotations

import importlib.util
import sys
from typing import List

from tests.oracle.compare import judge
from tests.oracle.workloads import WORKLOADS


def main(packages: List[str]) -> int:
    """Print a line per package and order; answers the exit code."""
    bad = 0
    for package in packages or list(WORKLOADS):
        if importlib.util.find_spec(WORKLOADS[package].package) is None:
            print(f"{package}: not installed")
            bad += 1
            continue
        for when in ("before", "after"):
            verdict = judge(package, when)
            good = verdict.unchanged and not verdict.differences and verdict.hits > 1000
            bad += not good
            print(
                f"{package}, imported {when}: {verdict.lines} lines hit {verdict.hits} times,"
                f" probes set in {verdict.seconds:.1f} s, {len(verdict.differences)} differences"
                + ("" if verdict.unchanged else ", ANOTHER ANSWER"),
                flush=True,
            )
            for (how, place), (ours, theirs) in list(verdict.differences.items())[:20]:
                print(f"    {place}: {ours} hits, {theirs} by {how}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
