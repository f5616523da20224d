"""Load on a real agent: ``python -m tests.load [--seconds N] [--points N] [SCENARIO …]``.

Every scenario is a process under ``opentelemetry-instrument``, its clients in processes of their
own, and a sink that is one more. The exit status says whether all promises were kept.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
from typing import Callable, Dict

from tests.load.figures import Figures
from tests.load.scenarios import Scene, everything_at_once, many_points, receiver_agrees

SCENARIOS: Dict[str, Callable[[Scene], None]] = {
    "rate": everything_at_once,
    "exact": receiver_agrees,
    "points": many_points,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=500.0, help="hits a second")
    options = parser.parse_args()
    figures = Figures()
    for name in options.scenario or SCENARIOS:
        print(f"-- {name}, Python {sys.version.split()[0]}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            SCENARIOS[name](
                Scene(figures, pathlib.Path(folder), options.seconds, options.points, options.rate)
            )
    return 0 if figures.kept else 1


if __name__ == "__main__":
    sys.exit(main())
