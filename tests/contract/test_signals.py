"""What a signal's handler of the application raises while a hit is being taken."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tests.support.live import Live, TargetMaker, ok

import otel_tracepoints

PROGRAM = """
    def work(big, times):
        many = list(range(2000))
        for i in range(times):
            i = i  # TAG: body
        return "done"
"""
BIG = {f"key {i}": [f"value {i}", {"nested": list(range(20))}] for i in range(100)}


class TimeIsUp(Exception):
    """As `celery.exceptions.SoftTimeLimitExceeded`: no BaseException."""


_PACKAGE = os.path.dirname(otel_tracepoints.__file__)
Limit = Callable[[float, Callable[[], Any]], bool]


@pytest.fixture
def limited() -> Iterator[Limit]:
    """Runs something until it is in a hit after so many seconds of CPU time; answers whether it was ended there."""
    running: List[None] = []

    def over(_: int, frame: Any) -> None:
        if not running:
            return
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0001)
            return
        raise TimeIsUp

    def limit(seconds: float, action: Callable[[], Any]) -> bool:
        gc.disable()  # what is raised in a finalizer goes nowhere in any program
        try:
            running.append(None)
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            action()
        except TimeIsUp:
            return True
        finally:
            running.clear()
            gc.enable()
        return False

    before = signal.signal(signal.SIGVTALRM, over)
    yield limit
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


#: What is asked of each hit; the condition is false after a look at every item.
PROBES: Dict[str, Dict[str, Any]] = {
    "condition": {"condition": "4711 in many or 4712 in many or 4713 in many"},
    "tracepoint": {},
    "watch": {"watch": ["big['key 7']", "missing", "len(big) / 0"]},
}


@pytest.mark.parametrize("on_span", [False, True], ids=["queue", "span"])
@pytest.mark.parametrize("kind", [*PROBES, "logpoint"])
def test_a_time_limit_ends_the_application_also_in_a_hit(
    live: Live,
    target: TargetMaker,
    limited: Limit,
    kind: str,
    on_span: bool,
) -> None:
    """A signal's plain Exception is never swallowed, wherever in a hit it strikes, and probe and span work on."""
    program = target(PROGRAM)
    assert program.module
    if kind == "logpoint":
        point = live.logpoint(program, "body", "{i:06d} {big} {missing}")
    else:
        point = live.tracepoint(program, "body", **PROBES[kind])
    tracer = TracerProvider().get_tracer("app")
    for attempt in range(8):
        _until_hit(live, point, lambda: program.work(BIG, 1))
        span: Any = tracer.start_span("request")
        with trace.use_span(span) if on_span else contextlib.nullcontext():
            assert limited(0.002 + attempt * 0.0007, lambda: program.work(BIG, 3_000)), attempt
            span.set_attribute("alive", True)
        span.end()
    _until_hit(live, point, lambda: program.work(BIG, 1))


def _until_hit(live: Live, point: Dict[str, Any], action: Callable[[], Any]) -> None:
    """With `sys.settrace` and a trace function of Python the exception ends the tracing of a thread; it comes back soon.

    Where the exception strikes before the trace function's first line it comes back with the next
    probe that is set (docs/limits.md).
    """
    before = sum(live.counts(point).values())
    deadline = time.monotonic() + 3
    engine = ok(live.api.get("/health"))["engine"]
    again = (engine["name"], engine["mechanism"]) == ("pytrace", "settrace")
    while sum(live.counts(point).values()) == before:
        if again and time.monotonic() > deadline:
            ok(live.api.post(f"/points/{point['id']}/disable"))
            ok(live.api.post(f"/points/{point['id']}/enable"))
            again, deadline = False, time.monotonic() + 3
        assert time.monotonic() < deadline, "the probe is dead"
        action()
