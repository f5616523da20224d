"""Code that runs already, and what a probe must not change about it."""

from __future__ import annotations

import functools
import threading
import time

import pytest
from tests.support.live import Live, TargetMaker


def test_running_loop_in_another_thread_is_reached(live: Live, target: TargetMaker) -> None:
    """A loop that runs already, in another thread, is hit within an iteration."""
    program = target(
        """
        def spin(stop, beat):
            turns = 0
            while not stop.is_set():
                turns += 1  # TAG: turn
                beat.wait(0.005)
            return turns
        """
    )
    stop, beat = threading.Event(), threading.Event()
    thread = threading.Thread(target=program.spin, args=(stop, beat))
    thread.start()
    try:
        point = live.logpoint(program, "turn", "{turns}", maxHits=3)
        deadline = time.monotonic() + 5
        while live.point(point)["hitCount"] < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        hits = live.point(point)["hitCount"]
    finally:
        stop.set()
        thread.join()
    assert hits == 3


def test_suspended_generator_and_coroutine_are_reached(live: Live, target: TargetMaker) -> None:
    """A generator, and a coroutine, that wait while the probe is set are hit when they go on."""
    program = target(
        """
        def generator():
            yield 1
            x = 2  # TAG: gen
            yield x

        class Pause:
            def __await__(self):
                yield

        async def coroutine():
            await Pause()
            y = 3  # TAG: coro
            return y
        """
    )
    waiting = program.generator()
    next(waiting)
    coroutine = program.coroutine()
    coroutine.send(None)
    gen = live.logpoint(program, "gen", "here")
    coro = live.logpoint(program, "coro", "here")
    assert next(waiting) == 2
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert (live.counts(gen), live.counts(coro)) == ({"emitted": 1}, {"emitted": 1})


def test_recursion_500_deep(live: Live, target: TargetMaker) -> None:
    """Each of 500 nested calls arrives once."""
    program = target(
        """
        def down(n):
            if n:
                down(n - 1)
            return n  # TAG: up
        """
    )
    point = live.logpoint(program, "up", "{n}")
    program.down(500)
    assert live.counts(point) == {"emitted": 501}


def test_finally_is_hit_once_on_either_path(live: Live, target: TargetMaker) -> None:
    """A line inside finally counts once on the normal path and once on the exceptional one."""
    program = target(
        """
        def work(fail):
            try:
                if fail:
                    raise KeyError(fail)
            finally:
                done = 1  # TAG: finally
            return done
        """
    )
    point = live.logpoint(program, "finally", "{fail}")
    program.work(False)
    assert live.counts(point) == {"emitted": 1}
    with pytest.raises(KeyError):
        program.work(True)
    assert live.counts(point) == {"emitted": 2}


def test_two_functions_with_one_code_object(live: Live, target: TargetMaker) -> None:
    """Functions that share a code object are all probed."""
    program = target(
        """
        import types
        def first():
            return 1  # TAG: shared
        second = types.FunctionType(first.__code__, globals(), "second")
        """
    )
    assert program.module
    point = live.logpoint(program, "shared", "here")
    program.first(), program.second(), functools.partial(program.first)()
    assert live.counts(point) == {"emitted": 3}


def test_traceback_reads_the_same_with_a_probe(live: Live, target: TargetMaker) -> None:
    """The text of a traceback through a probed line is that of the plain program."""
    import traceback

    program = target(
        """
        def outer(n):
            return inner(n)  # TAG: outer

        def inner(n):
            return 1 / n  # TAG: inner
        """
    )

    def text() -> str:
        try:
            program.outer(0)
        except ZeroDivisionError:
            return traceback.format_exc()
        raise AssertionError

    plain = text()
    live.tracepoint(program, "outer")
    live.tracepoint(program, "inner")
    assert text() == plain


def test_base_exceptions_pass_untouched(live: Live, target: TargetMaker) -> None:
    """KeyboardInterrupt, SystemExit and GeneratorExit go through a probed line as they are."""
    program = target(
        """
        def throw(error):
            raise error  # TAG: raise

        def generator(log):
            try:
                yield 1
            except GeneratorExit:
                log.append("closed")  # TAG: closed
                raise
        """
    )
    live.tracepoint(program, "raise")
    closed = live.logpoint(program, "closed", "here")
    for error in (KeyboardInterrupt("x"), SystemExit(3)):
        with pytest.raises(type(error)) as caught:
            program.throw(error)
        assert caught.value is error
    log: list = []
    generator = program.generator(log)
    next(generator)
    generator.close()
    assert log == ["closed"]
    assert live.counts(closed) == {"emitted": 1}
