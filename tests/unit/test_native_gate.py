"""The compiled gate beside that of Python: the same arrivals end in the same outcomes."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.debugger.gating import Gating, counting_for, governor_for
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.limits import HitBudget, TokenBucket
from otel_tracepoints.model import Outcome, RateLimit
from otel_tracepoints.pipeline import Gate, HitServices
from otel_tracepoints.probes.registry import Counts

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")

Step = Tuple[str, Any]


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Condition:
    """A condition that Python has to decide."""

    lowered = None

    def __init__(self) -> None:
        self.outcome: Any = True

    def test(self, _frame: FrameType) -> bool:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return bool(self.outcome)


class PlanStub:
    """What a gate asks of a plan."""

    def __init__(self, condition: Any, bucket: Any, budget: HitBudget) -> None:
        self.condition, self.bucket, self.budget = condition, bucket, budget
        self.entry = self
        self.probe = self
        self.id = "p"


class Taking:
    """An emitter that takes all."""

    def submit(self, snapshot: Any, emitted_before: Any) -> bool:
        snapshot.hit_count = emitted_before() + 1
        return True


class Engine(NamedTuple):
    """As far as gates are concerned."""

    native: Any


class Rig(NamedTuple):
    """A gate whose hits are only counted."""

    gate: Any
    counts: Counts
    told: List[str]
    condition: Condition
    plan: PlanStub
    rest: Any
    gating: Gating

    def arrive(self) -> None:
        self.gate(sys._getframe())

    def as_dict(self) -> Dict[str, int]:
        return self.counts.as_dict()


def rig(
    compiled: bool, limit: RateLimit, budget: Any = None, conditional: bool = True, clock: Any = None
) -> Rig:
    told: List[str] = []
    counting = counting_for(native if compiled else None)
    counts = Counts(counting.counter)
    services = HitServices(
        Taking(),
        governor_for(100, native if compiled else None),
        RedactionPolicy.build((), (), ()),
        lambda code: "f",
        10**9,
        told.append,
        lambda *_: told.append("failed"),
        lambda _: None,
    )  # type: ignore[arg-type]
    gate: Any = Gate(counts, services)
    bucket = (native.TokenBucket if compiled else TokenBucket)(limit, clock or Clock())
    condition = Condition()
    hits = HitBudget(None) if budget is None else counting.budget(budget, 0)
    plan = PlanStub(condition if conditional else None, bucket, hits)

    class Counting(Gate):
        """Emits nothing."""

        settling: Any = None

        def settle(self, *given: Any) -> bool:
            return super().settle(*given) if self.settling is None else self.settling(*given)

        def _capture(self, plan: Any, frame: FrameType, counts: Counts, ticket: List[int]) -> None:
            counts.emitted.take()
            ticket.clear()

    rest = gate = Counting(counts, services)
    gating = Gating(Engine(native if compiled else None), services)  # type: ignore[arg-type]
    if compiled:
        gate = native.Gate(rest, counts, gating.parts)
    gate.plan = plan
    return Rig(gate, counts, told, condition, plan, rest, gating)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from([True, False, "error", "broken"])),
        st.tuples(st.just("off"), st.none()),
        st.tuples(st.just("on"), st.none()),
        st.tuples(st.just("told"), st.none()),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 5), st.one_of(st.none(), st.integers(1, 6)), st.booleans())
def test_every_arrival_ends_as_in_python(
    steps: List[Step], burst: int, budget: Any, conditional: bool
) -> None:
    """Whatever the condition, the bucket and the budget say, and while the probe is switched off and on."""
    # So slow that no token comes back meanwhile: the compiled gate reads the real clock.
    rigs = [rig(compiled, RateLimit(1e-6, burst), budget, conditional) for compiled in (False, True)]
    for each in rigs:
        for what, value in steps:
            if what == "arrive":
                errors = {"error": EvaluationError("UNKNOWN_NAME", "n"), "broken": ValueError("ours")}
                each.condition.outcome = errors.get(value, value)
                each.arrive()
            elif what == "told":
                each.gate.rate_limit_told = False
            else:
                each.gate.plan = each.plan if what == "on" else None
    python, compiled = rigs
    assert compiled.as_dict() == python.as_dict()
    assert compiled.told == python.told
    assert compiled.gate.rate_limit_told == python.gate.rate_limit_told
    assert (compiled.gate.plan is None) == (python.gate.plan is None)


@given(
    rate=st.floats(0.01, 1e6),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=60),
)
def test_both_buckets_answer_the_same(rate: float, burst: int, steps: List[Tuple[float, int]]) -> None:
    """At every moment, and say the same time until which they are dry."""
    clock = Clock()
    python, compiled = (
        TokenBucket(RateLimit(rate, burst), clock),
        native.TokenBucket(RateLimit(rate, burst), clock),
    )
    for wait, often in steps:
        clock.now += wait
        for _ in range(often):
            assert python.take() == compiled.take()
            assert python.dry_until == compiled.dry_until


def test_an_arrival_inside_a_hit_is_reentrant() -> None:
    """It is counted as such, and nothing else happens."""
    each = rig(True, RateLimit(1e9, 10**9))
    inner = rig(True, RateLimit(1e9, 10**9))

    def nested(_frame: FrameType) -> bool:
        inner.arrive()
        return True

    each.condition.test = nested  # type: ignore[method-assign]
    each.arrive()
    assert inner.as_dict()[Outcome.REENTRANT.value] == 1 and sum(inner.as_dict().values()) == 1
    assert each.as_dict()[Outcome.EMITTED.value] == 1
    inner.arrive()
    assert inner.as_dict()[Outcome.EMITTED.value] == 1


def test_a_guarded_thread_is_never_hit() -> None:
    """Until it is let go."""
    each = rig(True, RateLimit(1e9, 10**9))
    native.guard_thread(True)
    try:
        each.arrive()
    finally:
        native.guard_thread(False)
    assert each.as_dict()[Outcome.EMITTED.value] == 0
    each.arrive()
    assert each.as_dict()[Outcome.EMITTED.value] == 1


def test_what_is_for_the_application_passes() -> None:
    """And the thread is no longer inside a hit."""
    each = rig(True, RateLimit(1e9, 10**9))

    def interrupted(_frame: FrameType) -> bool:
        raise KeyboardInterrupt

    each.condition.test = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        each.arrive()
    each.condition.test = lambda _frame: True  # type: ignore[method-assign]
    each.arrive()
    assert each.as_dict()[Outcome.EMITTED.value] == 1


def test_a_signal_that_strikes_while_an_error_is_settled_passes() -> None:
    """Whatever the error was, and wherever the handler was called."""
    each = rig(True, RateLimit(1e9, 10**9))
    failing = each.rest

    def settle(*_: Any) -> bool:
        raise KeyboardInterrupt

    def broken(_frame: FrameType) -> bool:
        raise ValueError("ours")

    each.condition.test = broken  # type: ignore[method-assign]
    each.arrive()
    assert each.as_dict()[Outcome.CAPTURE_ERROR.value] == 1
    failing.settling = settle
    with pytest.raises(KeyboardInterrupt):
        each.arrive()


def test_a_plan_may_be_taken_away_in_the_middle_of_a_hit() -> None:
    """By any thread: the hit goes on with the one that it began with."""
    each = rig(True, RateLimit(1e9, 10**9))

    def switched(_frame: FrameType) -> bool:
        for _ in range(10):
            each.gate.plan = None
            each.gate.plan = each.plan
        gc.collect()
        each.gate.plan = None
        return True

    each.condition.test = switched  # type: ignore[method-assign]
    each.arrive()
    assert each.as_dict()[Outcome.EMITTED.value] == 1 and each.gate.plan is None


def test_gates_under_threads_count_every_arrival() -> None:
    """Eight threads, a plan that comes and goes: each arrival is counted once, or found the probe off."""
    each = rig(True, RateLimit(1e9, 10**9), conditional=False)
    over = threading.Event()
    arrivals: List[int] = []

    def work() -> None:
        for _ in range(3000):
            each.arrive()
        arrivals.append(3000)

    def switch() -> None:
        while not over.is_set():
            each.gate.plan = None
            each.gate.plan = each.plan

    threads = [threading.Thread(target=work) for _ in range(8)]
    switching = threading.Thread(target=switch)
    switching.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    switching.join()
    emitted = each.as_dict()[Outcome.EMITTED.value]
    assert emitted <= sum(arrivals) == 24_000
    each.gate.plan = each.plan
    again = [threading.Thread(target=work) for _ in range(8)]
    for thread in again:
        thread.start()
    for thread in again:
        thread.join()
    assert each.as_dict()[Outcome.EMITTED.value] == emitted + 24_000


def test_a_gate_goes_with_its_plan() -> None:
    """Also where they refer to one another."""

    class Kept:
        pass

    each: Any = rig(True, RateLimit(1, 1))
    kept = Kept()
    each.plan.kept, each.plan.gate = kept, each.gate
    seen = weakref.ref(kept)
    del each, kept
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("wrong", [(), (1,), (None, None)])
def test_a_gate_is_called_with_a_frame(wrong: Tuple[Any, ...]) -> None:
    """Anything else is refused."""
    with pytest.raises(TypeError):
        rig(True, RateLimit(1, 1)).gate(*wrong)


def test_a_gate_refuses_a_plan_that_it_cannot_use() -> None:
    """A bucket of Python has no part in it, and the plan stays as it was."""
    each = rig(True, RateLimit(1, 1))
    with pytest.raises(TypeError, match="compiled token bucket"):
        each.gate.plan = PlanStub(None, TokenBucket(RateLimit(1, 1)), HitBudget(None))
    with pytest.raises(AttributeError):
        each.gate.plan = object()
    assert each.gate.plan is each.plan


def test_an_unwatched_line_switches_itself_off() -> None:
    """The callback answers DISABLE, and so does that for the start of a call."""
    table, disable = native.Table(), object()
    on_line, on_start = native.line_callback(table, disable), native.start_callback(table, disable)
    code = test_an_unwatched_line_switches_itself_off.__code__
    assert on_line(code, 3) is disable and on_start(code, 0) is disable
    hits: List[FrameType] = []
    handler: Callable[[FrameType], None] = hits.append
    table[id(code)] = {3: (handler,)}
    assert on_line(code, 3) is None and on_start(code, 0) is None and len(hits) == 1
    assert on_line(code, 4) is disable and on_line(code, 2) is disable and id(code) in table
    table.pop(id(code), None)
    assert on_line(code, 3) is disable and id(code) not in table and not on_line


def test_tables_change_while_they_are_read() -> None:
    """Eight threads look lines up while others are put in and taken out: nothing is lost or made up."""
    table, disable = native.Table(), object()
    on_line = native.line_callback(table, disable)
    codes = [compile(f"x = {n}", "f.py", "exec") for n in range(200)]
    always = compile("y = 1", "f.py", "exec")
    hits: List[int] = []
    table[id(always)] = {1: (lambda _: hits.append(1),)}
    over = threading.Event()
    missed: List[int] = []

    def read() -> None:
        while not over.is_set():
            if on_line(always, 1) is disable:
                missed.append(1)
            on_line(codes[len(hits) % 200], 1)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        for code in codes:
            table[id(code)] = {1: (lambda _: None,), 2: (lambda _: None,)}
        for code in codes:
            table.pop(id(code), None)
    over.set()
    for thread in threads:
        thread.join()
    assert not missed and hits


def test_a_line_is_a_number() -> None:
    """Who calls the callback with something else hears of it."""
    on_line = native.line_callback(native.Table(), native)
    assert on_line(_in_children.__code__, 7) is native and on_line(_in_children.__code__, True) is native
    for wrong in ("x", None, (1, 2), object()):
        with pytest.raises(TypeError):
            on_line(_in_children.__code__, wrong)
    with pytest.raises(OverflowError):
        on_line(_in_children.__code__, 2**70)


def _in_children(forks: int, work: Callable[[Any, int], None], child: Callable[[Any], bool]) -> None:
    """What forked children say, while threads of the parent work on a table.

    Nothing is shared by closures: without the GIL a thread that reads a cell locks it, and a child that is
    forked at that moment waits for ever, in the interpreter.
    """
    table, over = native.Table(), threading.Event()

    def run(table: Any, over: threading.Event, work: Callable[[Any, int], None], number: int) -> None:
        while not over.is_set():
            work(table, number)

    threads = [threading.Thread(target=run, args=(table, over, work, number)) for number in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    try:
        said = [_said_by_child(table, child) for _ in range(forks)]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    # Without the GIL the interpreter itself hangs in a few (docs/limits.md).
    assert b"begun wrong" not in said and said.count(b"begun") <= forks // 10, said
    assert said.count(b"begun done") > forks / 2, said


def _said_by_child(table: Any, child: Callable[[Any], bool]) -> bytes:
    """``begun done`` where all was well."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        gc.disable()  # a collection stops the world, which is what hangs there
        os.write(writing, b"begun")
        native.after_fork_in_child()
        os.write(writing, b" done" if child(table) else b" wrong")
        os._exit(0)
    os.close(writing)
    said = b""
    while select.select([reading], [], [], 10)[0]:
        more = os.read(reading, 100)
        if not more:
            break
        said += more
    os.close(reading)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    """Threads that were reading a table when the process forked do not make each change there 50 ms longer."""

    def read(table: Any, _: int) -> None:
        native.line_callback(table, None)(_in_children.__code__, 1)

    def change(table: Any) -> bool:
        begin = time.monotonic()
        for _ in range(20):
            table[id(_in_children.__code__)] = {1: ()}
            table.pop(id(_in_children.__code__), None)
        return time.monotonic() - begin < 1.5  # it would be 2 s

    _in_children(5, read, change)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_waits_for_no_change_of_its_parent() -> None:
    """A table that other threads were changing when the process forked can be changed in the child."""

    def change(table: Any, number: int) -> None:
        table[64 * number] = {line: () for line in range(50)}

    def change_once(table: Any) -> bool:
        table[64] = {1: ()}
        return True

    _in_children(30, change, change_once)


def test_a_compiled_counter_gives_each_number_once() -> None:
    """From where it starts, under threads, by whichever of its names it is raised; `value` raises nothing."""
    counter = native.Count(7)
    taken: List[List[int]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def run(own: List[int]) -> None:
        start.wait(10)
        for _ in range(1000):
            own.append(next(counter))
            own.append(counter.take())

    threads = [threading.Thread(target=run, args=(own,)) for own in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for own in taken for number in own) == list(range(7, 16_007))
    assert counter.value == counter.value == 16_007


def test_a_compiled_gate_wants_compiled_counters() -> None:
    """It raises them by itself, so others are refused when it is made."""
    made = rig(True, RateLimit(1, 1))
    with pytest.raises(TypeError, match="compiled counters"):
        native.Gate(made.rest, Counts(), made.gating.parts)


def test_a_forked_child_guards_no_thread_of_its_parent() -> None:
    """A thread of the agent that forks is the application's there; letting it go then changes nothing."""
    guarded = rig(True, RateLimit(1e9, 10**9), conditional=False)
    native.guard_thread(True)
    guarded.arrive()
    native.after_fork_in_child()
    guarded.arrive()
    native.guard_thread(False)
    guarded.arrive()
    counts = guarded.as_dict()
    assert (counts[Outcome.REENTRANT.value], counts[Outcome.EMITTED.value]) == (1, 2)
