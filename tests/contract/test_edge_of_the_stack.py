"""A recursion that the application survives is survived with probes too, whatever they look at.

Each in a process of its own: on Python 3.8 what goes wrong here is the end of the process, by
``Fatal Python error: Cannot recover from stack overflow``.
"""

from __future__ import annotations

import pathlib
import sys

import pytest
from tests.support.engines import MECHANISMS, name_of
from tests.support.processes import run_python

APPLICATION = """
def endless(n, a, b):
    n = n + 1  # TAG: endless
    return endless(n, a, b)

def handles(n, more):
    try:
        return handles(n + 1, more)
    except RecursionError:
        return helper(more)

def helper(n):
    n = n - 1  # TAG: helper
    return n if n <= 0 else helper(n)

def began_before(n, wait):
    if n == 5:
        wait()
    n = n + 1  # TAG: began_before
    return began_before(n, wait)

def long_before(n, wait):
    wait()
    n = n + 1  # TAG: long_before
    return deeper(n)

def deeper(n):
    n = n + 1
    return deeper(n)
"""

DRIVER = """
import sys, threading
sys.path.insert(0, {directory!r})
import application
import otel_tracepoints
from otel_tracepoints import Settings, foundation
from tests.support.engines import Native, engine_of
from tests.support.live import WIDE_OPEN

LINES = open(application.__file__).read().splitlines()

def place(tag, **fields):
    line = next(n for n, text in enumerate(LINES, 1) if text.endswith("TAG: " + tag))
    foundation.create_engine = lambda choice, **_: engine_of({mechanism!r})
    agent = otel_tracepoints.start(
        settings=Settings(control_api_port=0, event_sink_url="none", max_overhead_percent=100.0)
    )
    agent.set_tracepoint(application.__file__, line, rate_limit=WIDE_OPEN, **fields)

def to_the_edge(function, *arguments):
    usual = sys.getrecursionlimit()
    answers = []
    for extra in range(8):
        sys.setrecursionlimit(260 + extra)
        try:
            answers.append(function(*arguments))
        except RecursionError:
            answers.append(None)
        finally:
            sys.setrecursionlimit(usual)
    return answers

def nested():
    value = [1]
    for _ in range(45):
        value = [value]
    return value

{body}
otel_tracepoints.stop()
print("survived", answers)
"""

#: Comparing such values takes more calls than the 50 that a RecursionError of its own gave the next.
DEEP_VALUES = """
place("endless", watch=["a == b"] * 4)
answers = to_the_edge(application.endless, 0, nested(), nested())
"""

#: Application code that runs, legally, above the limit, and a condition that needs some calls.
HANDLED = """
place("helper", condition="(" * 20 + "n" + " + 1)" * 20 + " > 0")
answers = to_the_edge(application.handles, 0, {more})
"""

#: A frame that began before the probe is watched by a callback from C.
RUNNING = """
def wait():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    setting = threading.Thread(target=place, args=({tag!r},))
    setting.start()
    setting.join()
    sys.setrecursionlimit(limit)

answers = []
for extra in range(4):
    sys.setrecursionlimit(260 + extra)
    try:
        application.{tag}(0, wait)
    except RecursionError:
        answers.append(None)
    sys.setrecursionlimit(1000)
    otel_tracepoints.stop()
"""


def survive(directory: pathlib.Path, mechanism: str, body: str) -> str:
    """Its output; the driver fails if the process does."""
    (directory / "application.py").write_text(APPLICATION)
    return run_python(DRIVER.format(directory=str(directory), mechanism=mechanism, body=body), timeout=120)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=name_of)
def test_watches_of_deep_values_at_the_edge(tmp_path: pathlib.Path, mechanism: str) -> None:
    """Several watches that run out of stack, one after the other, do not end the process."""
    assert f"survived {[None] * 8}" in survive(tmp_path, mechanism, DEEP_VALUES)


@pytest.mark.skipif(sys.version_info >= (3, 9, 2), reason="nothing runs above the limit from 3.9.2 on")
@pytest.mark.parametrize("more", [1, 20, 30, 40, 45])
@pytest.mark.parametrize("mechanism", MECHANISMS, ids=name_of)
def test_a_hit_where_the_application_handles_its_own_recursion_error(
    tmp_path: pathlib.Path, mechanism: str, more: int
) -> None:
    """Application code above the limit keeps the 50 calls that the interpreter gives it, with a probe in it."""
    assert f"survived {[0] * 8}" in survive(tmp_path, mechanism, HANDLED.format(more=more))


@pytest.mark.parametrize("tag", ["began_before", "long_before"])
@pytest.mark.parametrize("mechanism", MECHANISMS, ids=name_of)
def test_a_thread_with_a_frame_of_before_comes_to_the_edge(
    tmp_path: pathlib.Path, mechanism: str, tag: str
) -> None:
    """Where frames that began before the probe are watched, the application gets its own RecursionError, and nothing is printed."""
    output = survive(tmp_path, mechanism, RUNNING.format(tag=tag))
    assert f"survived {[None] * 4}" in output
    assert "Exception ignored" not in output
