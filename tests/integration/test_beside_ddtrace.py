"""The agent beside Datadog's library, which watches every import."""

from __future__ import annotations

import pytest
from tests.support.beside import Stage, results

pytest.importorskip("ddtrace", reason="ddtrace is not installed")

PRICES = """
    RATES = dict(low=2)  # TAG: rates

    def price(n):
        return n * 3  # TAG: priced

    FIRST = price(1)
"""
PROGRAM = """
    import sys
    {first}
    print("up and running", flush=True)
    sys.stdin.readline()
    import prices
    print("result", prices.FIRST, [prices.price(n) for n in range(3)], flush=True)
"""


@pytest.mark.parametrize(
    "first", ["import ddtrace.auto", "from ddtrace.internal.module import ModuleWatchdog"]
)
def test_a_module_is_watched_from_its_first_line(stage: Stage, first: str) -> None:
    """One that is imported after its probes were set, by loaders that Datadog's library has put around others."""
    stage.write("prices.py", PRICES)
    if "Watchdog" in first:
        first += "; ModuleWatchdog.install()"
    stage.write("program.py", PROGRAM.format(first=first))
    quiet = {"DD_TRACE_ENABLED": "false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
    process = stage.start("program.py", **quiet)
    process.wait_for_line("up and running")
    process.wait_for_api()
    stage.logpoint(process.api, "prices.py", "rates", "rates", "pending")
    stage.logpoint(process.api, "prices.py", "priced", "price of {n}", "pending")
    process.say("go")
    assert process.end() == 0
    assert results(process.output) == ["result 3 [0, 3, 6]"]
    assert stage.messages() == {"rates": 1, "price of 0": 1, "price of 1": 2, "price of 2": 1}
