"""Where a probe takes hold: every kind of code, now, later, and where it already runs."""

from __future__ import annotations

import asyncio
import gc
import importlib
import pathlib
import sys
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


SEVERAL = """
    def bare(function):
        def wrapper(*args):
            given = len(args)  # TAG: wrapper
            return function(*args)
        return wrapper

    class Thing:
        @bare
        def method(self):
            x = 1  # TAG: first
            return x  # TAG: second
        @bare
        def another(self):
            return 2

    def outer():
        def inner():
            return 3  # TAG: inner
        return inner
    kept = [outer() for _ in range(3)]
"""


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="nothing is exchanged from 3.12 on")
def test_one_more_probe_does_not_search_the_heap(
    live: Live, target: TargetMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set, removed and set again, in methods, wrappers and closures: what the look has seen is all there is."""
    from otel_tracepoints.engine import holders

    program = target(SEVERAL)
    thing, kept = program.Thing(), program.kept
    # Its first look goes through everything, and takes time enough for anything to happen.
    live.remove(live.logpoint(program, "first", "here"))
    searched = []
    monkeypatch.setattr(holders, "find", lambda codes: searched.append(codes) or holders.Holders([], []))
    expected = {"first": 1, "second": 1, "wrapper": 2, "inner": 4}
    for _ in range(2):
        points = {tag: live.logpoint(program, tag, "here") for tag in expected}
        assert (thing.method(), thing.another()) == (1, 2)
        assert [function() for function in (*kept, program.outer())] == [3] * 4
        assert {tag: live.counts(point)["emitted"] for tag, point in points.items()} == expected
        for point in points.values():
            live.remove(point)
    assert searched == []


@pytest.mark.parametrize("tag", ["wrapper", "first", "inner"])
def test_a_probe_that_was_there_before_the_module_can_be_set_again(
    live: Live, target: TargetMaker, tag: str
) -> None:
    """Removed after its module was looked at with the probe in it, and set again, it fires as before."""
    program = target(SEVERAL)
    point = live.logpoint(program, tag, "here")

    def call() -> None:
        program.Thing().method()
        program.outer()()

    call()
    gc.collect()
    gc.disable()  # A collection has everything looked at anew.
    try:
        other = live.logpoint(program, "second", "here")
        hits = live.counts(point)["emitted"]
        live.remove(other)
        live.remove(point)
        point = live.logpoint(program, tag, "here")
        call()
        assert live.counts(point) == {"emitted": hits}
    finally:
        gc.enable()


def test_a_function_keeps_its_name_when_one_of_its_probes_goes(live: Live, target: TargetMaker) -> None:
    """What hits say of the function is the same with one probe in it as with two."""
    program = target(SEVERAL)
    thing = program.Thing()
    point, other = live.tracepoint(program, "first"), live.tracepoint(program, "second")
    thing.method()
    live.remove(other)
    thing.method()
    assert [hit["function"] for hit in live.hits(point)] == [f"{program.name}.Thing.method"] * 2


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
