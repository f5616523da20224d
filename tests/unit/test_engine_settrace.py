"""The trace function of `sys.settrace`, and what is left of it in other threads."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any, Callable, Iterator, List

import pytest

from otel_tracepoints.engine import settrace
from otel_tracepoints.engine.base import CodeSite
from otel_tracepoints.engine.settrace import SettraceEngine


def watched() -> int:
    return 1


LINE = watched.__code__.co_firstlineno + 1


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    before, hook = sys.gettrace(), threading._trace_hook  # type: ignore[attr-defined]
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    yield
    assert settrace._WATCHING == {}
    sys.settrace(before)
    threading.settrace(hook)


def elsewhere(action: Callable[[], None]) -> None:
    """Do it in another thread, while this one stays in a call into C: it sees no event."""
    import _thread

    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            action()
        finally:
            done.release()

    _thread.start_new_thread(work, ())
    done.acquire()


def test_an_engine_takes_over_the_threads_of_the_one_before() -> None:
    """A thread that still has the function of an engine that was closed elsewhere is watched by the next one."""
    hits: List[FrameType] = []
    first, second = SettraceEngine(), SettraceEngine()
    sites = [CodeSite(watched.__code__, ())]
    first.install("p", sites, LINE, hits.append)
    watched()
    assert len(hits) == 1

    def change() -> None:
        first.close()
        second.install("p", sites, LINE, hits.append)

    elsewhere(change)
    watched()
    watched()
    assert len(hits) == 3
    second.close()
    watched()
    assert len(hits) == 3


def test_a_probe_on_a_line_that_nothing_holds_any_more_ends_no_thread() -> None:
    """A probe without code to watch (of a module's body that is over) leaves threads untraced, and alone."""
    engine = SettraceEngine()
    engine.install("p", [], LINE, lambda frame: None)
    assert watched() == 1
    assert sys.gettrace() is None
    engine.close()


def test_a_probe_set_while_a_thread_is_being_left_is_hit_there() -> None:
    """Between a thread's look at the table, which is empty, and the end of its tracing, a probe may be set."""
    hits: List[FrameType] = []
    engine = SettraceEngine()
    sites = [CodeSite(watched.__code__, ())]

    class Raced(dict):  # type: ignore[type-arg]
        """Empty when it is asked; not any more when the answer arrives."""

        def __bool__(self) -> bool:
            if not settrace._WATCHING:
                elsewhere(lambda: engine.install("p", sites, LINE, hits.append))
                return False
            return len(self) > 0

    table: Any = Raced()
    engine._table = table
    engine._global, engine._local = settrace._tracers(table, lambda: None, None)
    sys.settrace(engine._global)
    watched()
    watched()
    assert len(hits) == 2
    engine.close()
