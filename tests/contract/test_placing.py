"""Where a probe takes hold: every kind of code, now, later, and where it already runs."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import pathlib
import sys
import threading
import time
import zipfile
from typing import Any, Callable, Dict

import pytest
from tests.support.live import WIDE_OPEN, Live, Target, TargetMaker, ok

KINDS = """
    import contextlib
    import dataclasses
    import functools

    def plain():
        return 1  # TAG: plain

    def bare(function):
        def wrapper(*args):
            return function(*args)
        return wrapper

    def wrapping(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)
        return wrapper

    class Thing:
        def __init__(self):
            self.x = 1  # TAG: init
        def method(self):
            return self.x  # TAG: method
        @staticmethod
        def static():
            return 1  # TAG: static
        @classmethod
        def klass(cls):
            return 1  # TAG: classmethod
        @property
        def prop(self):
            return 1  # TAG: property
        def __mangled(self):
            return 1  # TAG: mangled
        def call_mangled(self):
            return self.__mangled()

    @dataclasses.dataclass
    class Data:
        n: int
        def __post_init__(self):
            self.n += 1  # TAG: post_init

    @bare
    def decorated():
        return 1  # TAG: decorated

    @wrapping
    def wrapped():
        return 1  # TAG: wrapped

    @functools.lru_cache(None)
    def cached():
        return 1  # TAG: cached

    def outer():
        def inner():
            return 1  # TAG: inner
        return inner

    existing = outer()
    anonymous = lambda: 1  # TAG: lambda
    def one_line(): return 1  # TAG: one_line

    def comprehend():
        return [
            n + 1  # TAG: comprehension
            for n in range(3)
        ]

    def generate():
        return sum(
            n + 1  # TAG: genexpr
            for n in range(3)
        )

    def generator():
        yield 1
        yield 2  # TAG: generator

    async def coroutine():
        return 1  # TAG: coroutine

    async def agen():
        yield 1  # TAG: agen

    def make_class():
        class Inner:
            value = 1  # TAG: class_body
        return Inner
"""


async def _drain(agen: Any) -> None:
    async for _ in agen:
        pass


CALLS: Dict[str, Callable[[Target], Any]] = {
    "plain": lambda t: t.plain(),
    "init": lambda t: t.Thing(),
    "method": lambda t: t.Thing().method(),
    "static": lambda t: t.Thing.static(),
    "classmethod": lambda t: t.Thing.klass(),
    "property": lambda t: t.Thing().prop,
    "mangled": lambda t: t.Thing().call_mangled(),
    "post_init": lambda t: t.Data(1),
    "decorated": lambda t: t.decorated(),
    "wrapped": lambda t: t.wrapped(),
    "cached": lambda t: t.cached(),
    "inner": lambda t: (t.existing(), t.outer()()),
    "lambda": lambda t: t.anonymous(),
    "one_line": lambda t: t.one_line(),
    "comprehension": lambda t: t.comprehend(),
    "genexpr": lambda t: t.generate(),
    "generator": lambda t: list(t.generator()),
    "coroutine": lambda t: asyncio.run(t.coroutine()),
    "agen": lambda t: asyncio.run(_drain(t.agen())),
    "class_body": lambda t: t.make_class(),
}


@pytest.mark.parametrize("tag", sorted(CALLS))
def test_probe_fires_in(live: Live, target: TargetMaker, tag: str) -> None:
    """A probe fires the first time its line is reached, whatever kind of code holds it."""
    program = target(KINDS)
    assert program.module
    point = live.logpoint(program, tag, "here")
    expected = {"inner": 2, "comprehension": 3, "genexpr": 3}.get(tag, 1)
    CALLS[tag](program)
    assert live.counts(point) == {"emitted": expected}


def test_pending_probe_fires_in_the_module_body(live: Live, target: TargetMaker) -> None:
    """A probe set before the import is pending, becomes active with it, and sees the module's own lines."""
    program = target(
        """
        VALUE = 42  # TAG: body
        class Thing:
            size = VALUE + 1  # TAG: class
        def work():
            return VALUE  # TAG: work
        """
    )
    points = {tag: live.tracepoint(program, tag) for tag in ("body", "class", "work")}
    assert {point["state"] for point in points.values()} == {"pending"}
    assert points["body"]["resolved"] is None
    assert program.work() == 42
    after = {tag: live.point(point) for tag, point in points.items()}
    assert {tag: point["hitCount"] for tag, point in after.items()} == {"body": 1, "class": 1, "work": 1}
    assert {point["state"] for point in after.values()} == {"active"}
    assert after["class"]["resolved"]["functions"] == [f"{program.name}.Thing"]
    assert after["body"]["resolved"]["functions"] == [program.name]
    (hit,) = live.hits(points["class"])
    assert hit["function"] == f"{program.name}.Thing"


def test_reload_and_second_import_keep_the_probe(live: Live, target: TargetMaker) -> None:
    """After importlib.reload, and after a second import, the probe fires in the new code too."""
    program = target(
        """
        def work():
            return 1  # TAG: work
        """
    )
    old = program.module.work
    point = live.logpoint(program, "work", "here")
    importlib.reload(program.module)
    program.module.work()
    del sys.modules[program.name]
    importlib.import_module(program.name).work()
    old()
    assert live.counts(point) == {"emitted": 3}


def test_zip_member_is_probed(live: Live, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module inside an archive is named as archive.zip/mod.py, before and after its import."""
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(str(archive), "w") as bundle:
        bundle.writestr("zipped_target.py", "def work(n):\n    return n + 1\n")
    monkeypatch.syspath_prepend(str(archive))
    body = {"file": "bundle.zip/zipped_target.py", "line": 2, "message": "n={n}", "rateLimit": WIDE_OPEN}
    point = ok(live.api.post("/logpoints", body))
    assert point["state"] == "pending"
    module = importlib.import_module("zipped_target")
    try:
        module.work(1)
        assert [hit["message"] for hit in live.hits(point)] == ["n=1"]
    finally:
        # Its code must be gone, or the next test means it by the same suffix.
        ok(live.api.delete("/points?all=true"))
        del sys.modules["zipped_target"], module
        gc.collect()


def test_executed_code_with_a_made_up_name_is_probed(live: Live) -> None:
    """Code that was exec-ed under a made-up file name is found by that name."""
    namespace: Dict[str, Any] = {"__name__": "made"}
    exec(compile("def work(n):\n    return n * 2\n", "made_up_name.py", "exec"), namespace)
    body = {"file": "made_up_name.py", "line": 2, "message": "{n}", "rateLimit": WIDE_OPEN}
    point = ok(live.api.post("/logpoints", body))
    namespace["work"](4)
    assert [hit["message"] for hit in live.hits(point)] == ["4"]


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


def test_removal_leaves_the_code_as_it_was(live: Live, target: TargetMaker) -> None:
    """After removal the function has the very bytes and constants that it had."""
    program = target(KINDS)
    before = {tag: getattr(program, tag).__code__ for tag in ("plain", "outer", "generate")}
    bytes_before = {tag: (code.co_code, code.co_consts) for tag, code in before.items()}
    for tag in ("plain", "inner", "genexpr"):
        live.remove(live.logpoint(program, tag, "here"))
    for tag, code in before.items():
        now = getattr(program, tag).__code__
        assert now is code
        assert (now.co_code, now.co_consts) == bytes_before[tag]


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


def test_line_without_code_is_refused_with_the_nearest(live: Live, target: TargetMaker) -> None:
    """A comment line is refused, and the two nearest lines that hold code are named."""
    program = target(
        """
        x = 1  # TAG: before

        # TAG: comment

        y = 2  # TAG: after
        """
    )
    reply = live.api.post("/tracepoints", {"file": str(program.path), "line": program.line("comment")})
    assert (reply.status, reply.code) == (400, "LINE_NOT_EXECUTABLE")
    nearest = [program.line("before"), program.line("after")]
    assert reply.json["details"]["nearest"] == nearest
    assert all(str(line) in reply.json["error"] for line in nearest)
    beyond = live.api.post("/tracepoints", {"file": str(program.path), "line": 4000})
    assert beyond.json["details"]["nearest"] == [program.line("after")]


def test_lines_are_those_that_create_accepts(live: Live, target: TargetMaker) -> None:
    """GET /lines lists exactly the lines on which a probe can be created."""
    program = target(KINDS)
    listed = {entry["line"] for entry in ok(live.api.get("/lines", {"file": str(program.path)}))["lines"]}
    accepted = set()
    for line in range(1, len(program.source.splitlines()) + 2):
        body = {"type": "tracepoint", "file": str(program.path), "line": line}
        if live.api.post("/points/validate", body).status == 200:
            accepted.add(line)
    assert listed == accepted


def test_explain_says_why_nothing_arrives(live: Live, target: TargetMaker) -> None:
    """Explain tells pending, unreached, false condition, disabled and asleep apart."""
    program = target(
        """
        def work(n):
            return n  # TAG: work
        """
    )
    point = live.tracepoint(program, "work", condition="n > 5")

    def explain() -> Dict[str, Any]:
        answer: Dict[str, Any] = ok(live.api.get(f"/points/{point['id']}/explain"))
        return answer

    pending = explain()
    assert (pending["state"], pending["reached"], pending["module"]["imported"]) == ("pending", None, False)
    assert "not imported yet" in pending["summary"]
    assert program.module
    unreached = explain()
    assert (unreached["state"], unreached["reached"]) == ("active", False)
    assert unreached["functions"] == [f"{program.name}.work"]
    program.work(1)
    assert "1 × the condition was false" in explain()["summary"]
    assert explain()["reached"] is True
    live.api.post("/sleep")
    assert "sleeps" in explain()["summary"]
    live.api.post("/wake")
    live.api.post(f"/points/{point['id']}/disable")
    assert "disabled" in explain()["summary"]
    assert list(explain()) == [
        "summary",
        "state",
        "module",
        "files",
        "functions",
        "reached",
        "counts",
        "error",
        "eventSink",
    ]


NESTED = """
    def outer(value):
        class Local:
            def method(self):
                return value  # TAG: method
        return Local().method()
"""


@pytest.mark.parametrize("imported", [True, False])
def test_a_hit_and_its_caller_have_qualified_names(live: Live, target: TargetMaker, imported: bool) -> None:
    """``outer.<locals>.Local.method``: in the point, the hit and the stack, whatever the engine exchanged."""
    program = target(NESTED)
    if imported:
        program.module
    point = live.tracepoint(program, "method")
    assert program.outer(3) == 3
    name = f"{program.name}.outer.<locals>.Local.method"
    (hit,) = live.hits(point)
    assert hit["function"] == name
    assert [frame["function"] for frame in hit["stack"][:2]] == [name, f"{program.name}.outer"]
    assert live.point(point)["resolved"]["functions"] == [name]
