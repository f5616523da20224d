"""A compiled hit on its way into the queue, beside one of Python: the same accounts, trace and outcomes."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import TracerProvider
from tests.support import hit_rig
from tests.support.otlp_receiver import closed_port

from otel_tracepoints import pipeline
from otel_tracepoints.config import Settings
from otel_tracepoints.debugger import gating
from otel_tracepoints.emission import Emitter
from otel_tracepoints.emission.spans import span_parts
from otel_tracepoints.limits import Governor, HitBudget
from otel_tracepoints.model import TraceContext

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")

TRACER = TracerProvider().get_tracer("app")


class Watched(Emitter):
    """Counts what came by way of Python."""

    def __init__(self, *given: Any) -> None:
        self._calls: List[None] = []
        super().__init__(*given)

    @property
    def calls(self) -> int:
        return len(self._calls)

    def submit(self, *given: Any) -> bool:
        self._calls.append(None)
        return super().submit(*given)


@contextlib.contextmanager
def emitting(
    compiled: bool, max_hits: Optional[int] = None, **settings: Any
) -> Iterator[Tuple[hit_rig.Rig, Watched]]:
    """A logpoint whose hits wait in the queue: nobody sends."""
    url = settings.pop("event_sink_url", f"http://127.0.0.1:{closed_port()}")
    emitter = Watched(Settings(event_sink_url=url, **settings), str)
    try:
        yield hit_rig.rig(native if compiled else None, None, emitter, max_hits=max_hits), emitter
    finally:
        emitter.stop(0.2)


def shown(emitter: Emitter) -> List[Dict[str, Any]]:
    """All hits, without what differs from hit to hit."""
    hits = emitter.hits(0, 1000, 0, None).hits
    return [{name: value for name, value in hit.items() if name != "timestamp"} for hit in hits]


class OwnSpan(trace.NonRecordingSpan):
    """Of a class of the application."""


class Odd(trace.Span):
    """A span that has its ids in another place."""

    def __init__(self, ids: trace.SpanContext) -> None:
        self.ids = ids

    def get_span_context(self) -> trace.SpanContext:
        return self.ids

    is_recording = lambda self: False  # noqa: E731
    end = set_attributes = set_attribute = add_event = update_name = lambda self, *_, **__: None  # noqa: E731
    set_status = record_exception = end


IDS = trace.SpanContext(7 << 90, 9, is_remote=True, trace_flags=trace.TraceFlags(1))
SPANS: Dict[str, Tuple[Callable[[], ContextManager[Any]], bool]] = {
    "none": (contextlib.nullcontext, True),
    "recording": (lambda: TRACER.start_as_current_span("request"), True),
    "remote": (lambda: trace.use_span(trace.NonRecordingSpan(IDS)), True),
    "invalid": (lambda: trace.use_span(trace.INVALID_SPAN), True),
    "no trace id": (lambda: trace.use_span(trace.NonRecordingSpan(trace.SpanContext(0, 5, False))), True),
    "no span id": (lambda: trace.use_span(trace.NonRecordingSpan(trace.SpanContext(5, 0, False))), True),
    "of the application": (lambda: trace.use_span(OwnSpan(IDS)), False),
    "with its ids elsewhere": (lambda: trace.use_span(Odd(IDS)), False),
    "no span at all": (lambda: attached("a text"), False),
}


@contextlib.contextmanager
def attached(span: Any) -> Iterator[None]:
    token = context_api.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        context_api.detach(token)


@pytest.mark.parametrize("which", SPANS)
def test_a_hit_has_the_trace_of_the_span_that_is_current(which: str) -> None:
    """As Python finds it, whatever the span is; by C++ alone where it is one of OpenTelemetry's own."""
    enter, in_cpp = SPANS[which]
    with emitting(True) as (compiled, to), emitting(False) as (python, beside), enter():
        for _ in range(2):
            compiled.hit()
            python.hit()
        assert to.calls == (0 if in_cpp else 2)
        assert shown(to) == shown(beside) and len(shown(to)) == 2
        assert (shown(to)[0]["trace"] is not None) == (which in ("recording", "remote", *list(SPANS)[6:8]))
        assert to.status() == {**beside.status(), "url": to.status()["url"]}


def test_ids_become_a_trace_context() -> None:
    """Of plain ints, and of that class."""
    with emitting(True) as (compiled, to), trace.use_span(trace.NonRecordingSpan(IDS)):
        taken: List[Any] = []
        to.way_in = to.way_in._replace(arrived=taken.append)  # type: ignore[union-attr]
        compiled.hit()
    found = taken[0][0].trace
    assert type(found) is TraceContext and found == TraceContext(7 << 90, 9, 1)
    assert [type(part) for part in found] == [int, int, int]


def test_a_full_queue_refuses() -> None:
    """The hit is dropped and counted, and no ordinal is used up; with a place free again the next one is taken."""
    with emitting(True, queue_size=2) as (compiled, to):
        for _ in range(5):
            compiled.hit()
        assert compiled.counts() == {"emitted": 2, "dropped": 3} and to.status()["queued"] == 2
        to.way_in.give_place_back(None)  # type: ignore[union-attr]
        compiled.hit()
        assert compiled.counts() == {"emitted": 3, "dropped": 3} and to.calls == 0


def test_places_are_exact_under_threads() -> None:
    """Threads that want more places than there are get each of them once, and ordinals without a gap."""
    with emitting(True, queue_size=500) as (compiled, to):
        start = threading.Barrier(8)

        def run() -> None:
            start.wait(10)
            for _ in range(100):
                compiled.gate(frame)

        a, b, frame = 1, 2.5, sys._getframe()
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (a, b) and to.calls == 0 and compiled.counts() == {"emitted": 500, "dropped": 300}
        assert to.status()["queued"] == 500 and len(shown(to)) == 500


@pytest.mark.parametrize("compiled", [True, False])
def test_limited_hits_are_exact(compiled: bool) -> None:
    """Under threads; the last one is told, and what comes after it is not counted."""
    with emitting(compiled, 70) as (limited, to):
        start = threading.Barrier(8)

        def run() -> None:
            start.wait(10)
            for _ in range(20):
                limited.gate(frame)

        a, b, frame = 1, 2.5, sys._getframe()
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert limited.counts() == {"emitted": 70} and len(shown(to)) == 70
        assert limited.entry.budget.exhausted and limited.poked and set(limited.poked) == {"p"}
        assert (a, b) and to.calls == (0 if compiled else 70)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_hit_that_is_dropped_is_none_of_the_limited_ones(compiled: bool) -> None:
    """It leaves the budget as it was, and with a place free the rest of the hits are made."""
    with emitting(compiled, 3, queue_size=2) as (limited, to):
        for _ in range(5):
            limited.hit()
        assert limited.counts() == {"emitted": 2, "dropped": 3} and not limited.entry.budget.exhausted
        to.way_in.give_place_back(None)  # type: ignore[union-attr]
        for _ in range(2):
            limited.hit()
        assert limited.counts() == {"emitted": 3, "dropped": 3} and limited.entry.budget.exhausted


def test_a_limited_hit_that_fails_may_be_made_again() -> None:
    """What goes wrong before a hit was emitted costs no hit of the budget; what is emitted does."""
    with emitting(True, 2) as (limited, to):
        whole = to.way_in
        assert whole is not None

        def broken(_: Any) -> None:
            raise ValueError("no room")

        def take_nothing() -> None:
            raise ValueError("no place")

        to.way_in = whole._replace(take_place=take_nothing)
        limited.hit()
        assert limited.counts() == {"captureError": 1} and not limited.entry.budget.exhausted
        to.way_in = whole._replace(arrived=broken)
        limited.hit()
        to.way_in = whole
        limited.hit()
        assert limited.counts() == {"captureError": 1, "emitted": 2} and limited.entry.budget.exhausted
        assert limited.failed == ["snapshot: no place", "snapshot: no room"]


HITS = st.lists(st.sampled_from(["take", "give back"]), max_size=30)


@given(HITS, st.integers(1, 5), st.integers(0, 7))
def test_both_budgets_say_the_same(steps: List[str], limit: int, used: int) -> None:
    """Whatever is taken and given back; a ticket that is given back twice is given back once."""
    both = HitBudget(limit, used), native.HitBudget(limit, used)
    held: List[Tuple[List[Any], List[Any]]] = []
    for step in steps:
        if step == "take":
            mine: Tuple[List[Any], List[Any]] = ([], [])
            took = [budget.take(ticket) for budget, ticket in zip(both, mine)]
            assert took[0] == took[1] and [bool(ticket) for ticket in mine] == took
            held.append(mine)
        elif held:
            mine = held.pop()
            for budget, ticket in zip(both, mine):
                budget.give_back(ticket)
                budget.give_back(ticket)
        assert both[0].exhausted == both[1].exhausted and both[1].limited


def test_a_hit_that_could_not_be_added_is_added_once_more() -> None:
    """It is counted as emitted by then; where that fails too, its place at least is given back."""
    with emitting(True, queue_size=1) as (compiled, to):
        whole = to.way_in
        assert whole is not None
        failures = [MemoryError()]

        def once(record: Any) -> None:
            if failures:
                raise failures.pop()
            whole.arrived(record)

        to.way_in = whole._replace(arrived=once)
        compiled.hit()
        assert compiled.counts() == {"emitted": 1} and len(shown(to)) == 1 and to.status()["queued"] == 1
        whole.give_place_back(None)
        failures += [MemoryError(), MemoryError()]
        compiled.hit()
        assert compiled.counts() == {"emitted": 2} and to.status()["queued"] == 0


@pytest.mark.parametrize("limit", [2**62, 2**63, 10**30])
def test_a_limit_may_be_any_number(limit: int) -> None:
    """One that no process ever comes to is as good as none."""
    with emitting(True, limit) as (compiled, _):
        compiled.hit()
        assert compiled.counts() == {"emitted": 1} and not compiled.entry.budget.exhausted


def test_a_closed_emitter_refuses() -> None:
    """It is asked in Python, and drops the hit."""
    with emitting(True) as (compiled, to):
        to.stop(0.2)
        compiled.hit()
        assert to.way_in is None and to.calls == 1 and compiled.counts() == {"dropped": 1}


def test_the_first_hit_of_a_forked_child_starts_its_threads() -> None:
    """By Python; those after it go past it again, into the child's own queue."""
    with emitting(True) as (compiled, to):
        to._running = True  # as after `start`, but without threads that no fork takes away here
        compiled.hit()
        to.after_fork_in_child()
        assert to.way_in is None
        compiled.hit()
        assert to.calls == 1 and to.way_in is not None
        compiled.hit()
        assert to.calls == 1 and [hit["sequence"] for hit in shown(to)] == [1, 2]
    ours = [each for each in threading.enumerate() if each.name.startswith("otel-tracepoints")]
    deadline = time.monotonic() + 10
    while set(ours) & set(threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)  # one that has only just been started cannot be joined
    assert not set(ours) & set(threading.enumerate())


def test_a_hit_becomes_an_event_where_no_log_record_leaves() -> None:
    """Within a span, where the application has no log pipeline; without one it waits in the queue."""
    with emitting(True, event_sink_url="none") as (compiled, to):
        if not to.way_in.delivery.events_only:  # type: ignore[union-attr]
            pytest.skip("another test has set up a log pipeline in this process")
        with TRACER.start_as_current_span("request") as span:
            compiled.hit()
        assert [event.name for event in span.events] == ["probe.hit.logpoint"] and to.calls == 1
        compiled.hit()
        assert to.calls == 1 and (to.status()["onSpans"], to.status()["queued"]) == (1, 1)


def test_another_kind_of_context_is_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenTelemetry keeps its context in something else, nothing is guessed."""

    class Elsewhere(ContextVarsRuntimeContext):
        pass

    monkeypatch.setattr(context_api, "_RUNTIME_CONTEXT", Elsewhere())
    assert span_parts() is None
    with emitting(True) as (compiled, to), emitting(False) as (python, beside):
        compiled.hit()
        python.hit()
        assert to.calls == 1 and shown(to) == shown(beside) and len(shown(to)) == 1


STEPS = st.lists(st.tuples(st.sampled_from(["allows", "spend"]), st.integers(0, 2 * Governor.BURST_NS)))


@given(STEPS, st.sampled_from([0.0, 0.5, 5.0, 99.0, 100.0, 250.0]))
def test_both_governors_say_the_same(steps: List[Tuple[str, int]], percent: float) -> None:
    """Whatever the process and its hits spend."""
    now = [0]
    python, compiled = Governor(percent, lambda: now[0]), native.Governor(percent, lambda: now[0])
    for what, nanoseconds in steps:
        if what == "spend":
            python.spend(nanoseconds)
            compiled.spend(nanoseconds)
        else:
            now[0] += nanoseconds
            assert compiled.allows() == python.allows()
        assert compiled.credit == pytest.approx(python._credit)


def test_a_governor_says_what_is_wrong() -> None:
    """A clock that fails does so where it is asked, and what is no number is refused."""

    def broken() -> int:
        raise OSError("no clock")

    with pytest.raises(OSError, match="no clock"):
        native.Governor(1, broken)
    with pytest.raises(TypeError):
        native.Governor("much")
    with pytest.raises(TypeError):
        native.Governor(1).spend("much")


def test_a_greenlet_is_told_as_python_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where threads were replaced before the agent came, a hit has the ident and name that those gave."""
    shown = threading.Thread(name="greenlet 7")
    monkeypatch.setitem(threading._active, 77, shown)  # type: ignore[attr-defined]
    for module in (gating, pipeline):
        monkeypatch.setattr(module, "get_ident", lambda: 77)
    for module in (native, None):
        snapshot = hit_rig.rig(module).hit()
        assert snapshot is not None and (snapshot.thread_id, snapshot.thread_name) == (77, "greenlet 7")


def test_gates_want_compiled_parts() -> None:
    """What is none of `debugger.gating` is refused when a gate is made, not at its first hit."""
    with pytest.raises(TypeError, match="tuple of so many"):
        native.HitParts((1, 2))
    with pytest.raises(TypeError, match="compiled governor"):
        native.HitParts(tuple(range(14)))
    with pytest.raises(TypeError, match="parts of its hits"):
        native.Gate(object(), object(), ())
    with pytest.raises(TypeError, match="compiled hit budget"):
        compiled = hit_rig.rig(native, max_hits=1)
        compiled.gate.plan = dataclasses.replace(compiled.gate.plan, budget=HitBudget(1))
    with pytest.raises(TypeError, match="in a list"):
        native.HitBudget(1).take(())
