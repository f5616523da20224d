"""A signal's exception at any instruction of the hit path: nothing is counted twice, lost, or stuck."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import sys
from types import CodeType, FrameType, FunctionType
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence

import pytest
from opentelemetry.sdk.trace import TracerProvider
from tests.support.otlp_receiver import closed_port

from otel_tracepoints.capture.collector import Collector
from otel_tracepoints.capture.message import MessageRenderer
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.capture.values import Reader
from otel_tracepoints.config import Settings
from otel_tracepoints.debugger.planning import Planner
from otel_tracepoints.emission import Emitter
from otel_tracepoints.emission.intake import Intake
from otel_tracepoints.emission.recorder import Recorder
from otel_tracepoints.expression import Expression
from otel_tracepoints.limits import Governor, HitBudget, TokenBucket
from otel_tracepoints.model import Probe, ProbeType, RateLimit, Snapshot
from otel_tracepoints.pipeline import Gate, HitServices
from otel_tracepoints.probes.registry import Entry

WIDE_OPEN = RateLimit(1e9, 10**9)


def in_a_thread_of_its_own(test: Callable[..., None]) -> Callable[..., None]:
    """An exception at the end of an ``except`` block leaves the interpreter with one that is handled for ever."""

    @functools.wraps(test)
    def run(*given: Any, **named: Any) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(test, *given, **named).result()

    return run


class Rig(NamedTuple):
    """A gate and an emitter whose threads do not run, so that everything stays where it was put."""

    gate: Gate
    entry: Entry
    emitter: Emitter

    def hit(self) -> None:
        local = 1
        assert local
        self.gate(sys._getframe())


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    emitter = Emitter(Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}", queue_size=10_000), str)

    def make(**probe: Any) -> Rig:
        policy = RedactionPolicy.build((), (), ())
        definition = Probe(id="p", file="f.py", line=1, rate_limit=WIDE_OPEN, **probe)
        entry = Entry(definition, "/f.py", 0.0)
        told: Any = lambda *_: None
        services = HitServices(emitter, Governor(100), policy, lambda code: "f", 0, told, told, told)
        gate = Gate(entry.counts, services)
        gate.plan = Planner(policy, lambda code: "f").plan(entry, TokenBucket(WIDE_OPEN))
        return Rig(gate, entry, emitter)

    yield make
    emitter.stop(0.5)


class Struck(BaseException):
    """What a signal's handler raises."""


class TimeIsUp(Exception):
    """What it raises to end a task, as Celery does."""


def strike(action: Callable[[], None], at: int, error: type = Struck, codes: Sequence[CodeType] = ()) -> bool:
    """Raise ``error`` in front of the so-manieth instruction of the hit path; False if there are not so many."""
    left = at

    def handler(number: int, frame: FrameType) -> None:
        raise error

    def instruction(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            handler(14, sys._getframe())

    try:
        with each_instruction(instruction, codes or CODES):
            action()
    except error:
        return True
    assert left > 0, "the application's exception was swallowed"
    return False


@contextlib.contextmanager
def each_instruction(callback: Callable[..., None], codes: Sequence[CodeType]) -> Iterator[None]:
    """Call it before each instruction of this code."""
    if sys.version_info >= (3, 12):
        monitoring = sys.monitoring
        event = monitoring.events.INSTRUCTION
        monitoring.use_tool_id(4, "strike")
        monitoring.register_callback(4, event, callback)
        for code in codes:
            monitoring.set_local_events(4, code, event)
        try:
            yield
        finally:
            for code in codes:
                monitoring.set_local_events(4, code, 0)
            monitoring.register_callback(4, event, None)
            monitoring.free_tool_id(4)
        return

    def in_frame(frame: Any, event: str, argument: Any) -> Any:
        if event == "opcode":
            callback()
        return in_frame

    def in_call(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes = True
        return in_frame

    before = sys.gettrace()
    sys.settrace(in_call)
    try:
        yield
    finally:
        sys.settrace(before)


def codes_of(*classes: type) -> List[CodeType]:
    return [each.__code__ for cls in classes for each in vars(cls).values() if isinstance(each, FunctionType)]


#: Where the exception is raised: the parts that count, take places and mark the thread.
CODES = codes_of(Gate, Intake, Recorder, HitBudget, TokenBucket)
#: The parts that forgive what goes wrong with one value, one expression, one hit.
FORGIVING = codes_of(Gate, HitBudget, Expression, Reader, RedactionPolicy, MessageRenderer, Collector)


@pytest.mark.parametrize("on_span", [False, True], ids=["queue", "span"])
@in_a_thread_of_its_own
def test_whatever_is_struck_the_accounts_hold(rig: Callable[..., Rig], on_span: bool) -> None:
    """At each instruction in turn: emitted is the sum of the accounts, each hit is there once, the next one works."""
    tested = rig(type=ProbeType.TRACEPOINT)
    emitter, counts = tested.emitter, tested.entry.counts
    tracer = TracerProvider().get_tracer("app")

    def one(action: Callable[[], Any]) -> Any:
        if not on_span:
            return action()
        with tracer.start_as_current_span("request"):
            return action()

    one(tested.hit)
    at = 0
    while one(lambda: strike(tested.hit, at + 1)):
        at += 1
        before = counts.emitted.value
        status = emitter.status()
        assert status["queued"] + status["dropped"] + status["onSpans"] == before, at
        assert emitter._outbox.qsize() - (status["onSpans"] > 0) == status["queued"], at
        one(tested.hit)
        assert counts.emitted.value == before + 1, at
    assert at > 300
    page = emitter.hits(0, 1000, 0, None)
    assert page.missed + len(page.hits) == counts.emitted.value
    waiting = [emitter._outbox.get() for _ in range(emitter._outbox.qsize())]
    numbers = [each.hit_count for each in waiting if isinstance(each, Snapshot)]
    assert sorted(numbers) == sorted(set(numbers))
    assert (counts.reentrant.value, counts.dropped.value) == (0, 0)


@in_a_thread_of_its_own
def test_a_hit_that_was_emitted_is_not_a_failed_capture_too(rig: Callable[..., Rig]) -> None:
    """An arrival that was struck ends in no more than one outcome."""
    tested = rig(type=ProbeType.LOGPOINT, message="m")
    counts = tested.entry.counts
    at = 0
    while strike(tested.hit, at + 1):
        at += 1
        assert sum(counts.as_dict().values()) <= at
    assert at > 200


def small_frame() -> FrameType:
    """A frame with little in it."""
    local = 1
    assert local
    return sys._getframe()


@pytest.mark.parametrize(
    "probe",
    [
        {"type": ProbeType.TRACEPOINT, "condition": "local == 1", "watch": ("local", "missing")},
        {"type": ProbeType.LOGPOINT, "message": "{local:03d} {missing}"},
    ],
    ids=["tracepoint", "logpoint"],
)
@in_a_thread_of_its_own
def test_an_exception_for_the_application_is_never_swallowed(rig: Callable[..., Rig], probe: Any) -> None:
    """At each instruction of conditions, capture and messages in turn: a plain Exception reaches the application."""
    tested = rig(**probe)
    frame = small_frame()
    at = 0
    while strike(lambda: tested.gate(frame), at + 1, TimeIsUp, FORGIVING):
        at += 1
    assert at > 400


@pytest.mark.parametrize("error", [Struck, TimeIsUp])
@in_a_thread_of_its_own
def test_a_ticket_of_max_hits_is_never_lost(rig: Callable[..., Rig], error: type) -> None:
    """At each instruction in turn: a hit that was struck is one of maxHits if it was emitted, and none if not."""
    at = 0
    while True:
        tested = rig(type=ProbeType.LOGPOINT, message="m", max_hits=2)
        struck = strike(tested.hit, at + 1, error, CODES if error is Struck else FORGIVING)
        for _ in range(3):
            tested.hit()
        assert tested.entry.counts.emitted.value == 2, at
        assert tested.entry.budget.exhausted, at
        if not struck:
            break
        at += 1
    assert at > 200
