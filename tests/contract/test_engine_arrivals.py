"""One call per arrival, in every kind of code, on every mechanism."""

from __future__ import annotations

import asyncio
import collections
import functools
import pathlib
import sys
import traceback
from types import CodeType, FrameType
from typing import Any, Counter, Dict, Iterator, List, Tuple

import pytest
from tests.support import every_construct
from tests.support.codes import Program, lines_of, where
from tests.support.engines import MECHANISMS, engine_of, name_of

from otel_tracepoints.engine.base import Engine, Watch


@pytest.fixture(params=MECHANISMS, ids=name_of)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each mechanism of this interpreter."""
    made = engine_of(request.param)
    yield made
    made.close()


KINDS = Program(
    """
    import functools
    def passing(function): return function
    def wrapping(function):
        @functools.wraps(function)
        def wrapper(*args): return function(*args)
        return wrapper
    def bare(function):
        return lambda *args: function(*args)

    def plain(a):
        return a  # TAG: function
    class Box:
        def __init__(self):
            self.value = 1  # TAG: init
        def method(self):
            return self.value  # TAG: method
        @property
        def getter(self):
            return 1  # TAG: property
        @staticmethod
        def static():
            return 2  # TAG: static
        @classmethod
        def klass(cls):
            return cls  # TAG: classmethod
        def __mangled(self):
            return 3  # TAG: mangled
        def use(self): return self.__mangled()
        def __eq__(self, other):
            return True  # TAG: dunder
        __hash__ = None
    def outer(a):
        def inner():
            return a  # TAG: closure
        return inner
    made_before = outer(1)
    lam = lambda a: a + 1  # TAG: lambda
    def one(a): return a  # TAG: oneliner
    def comprehension(n):
        return [
            i * 2  # TAG: comprehension
            for i in range(n)]
    def generator_expression(n):
        return list(
            i * 2  # TAG: genexpr
            for i in range(n))
    def generator(n):
        while n:
            yield n  # TAG: generator
            n -= 1
    async def coroutine():
        return 1  # TAG: coroutine
    async def async_generator(n):
        for i in range(n):
            yield i  # TAG: asyncgen
    async def consume(n):
        return [i async for i in async_generator(n)]
    @passing
    def passed():
        return 1  # TAG: decorated
    @wrapping
    def wrapped():
        return 1  # TAG: wrapped
    @bare
    def hidden():
        return 1  # TAG: hidden
    @functools.lru_cache(maxsize=None)
    def cached(a):
        return a  # TAG: cached
    def keywords(a, b):
        return a  # TAG: partial
    part = functools.partial(keywords, b=1)
    """
)

CALLS: Dict[str, Tuple[Any, int]] = {
    "function": (lambda m: m["plain"](1), 1),
    "init": (lambda m: m["Box"](), 1),
    "method": (lambda m: m["Box"]().method(), 1),
    "property": (lambda m: m["Box"]().getter, 1),
    "static": (lambda m: m["Box"].static(), 1),
    "classmethod": (lambda m: m["Box"].klass(), 1),
    "mangled": (lambda m: m["Box"]().use(), 1),
    "dunder": (lambda m: m["Box"]() == 1, 1),
    "closure": (lambda m: (m["made_before"](), m["outer"](2)()), 2),
    "lambda": (lambda m: m["lam"](1), 1),
    "oneliner": (lambda m: m["one"](1), 1),
    "comprehension": (lambda m: m["comprehension"](3), 3),
    "genexpr": (lambda m: m["generator_expression"](3), 3),
    "generator": (lambda m: list(m["generator"](3)), 3),
    "coroutine": (lambda m: asyncio.run(m["coroutine"]()), 1),
    "asyncgen": (lambda m: asyncio.run(m["consume"](3)), 3),
    "decorated": (lambda m: m["passed"](), 1),
    "wrapped": (lambda m: m["wrapped"](), 1),
    "hidden": (lambda m: m["hidden"](), 1),
    "cached": (lambda m: (m["cached"].cache_clear(), m["cached"](1), m["cached"](1)), 1),
    "partial": (lambda m: m["part"](1), 1),
}


@pytest.mark.parametrize("kind", sorted(CALLS))
def test_every_kind_of_function_is_hit_once_an_arrival(engine: Engine, kind: str) -> None:
    """A probe fires in this kind of code that exists already, exactly once per arrival, and not after removal."""
    module = KINDS.run()
    call, expected = CALLS[kind]
    codes: List[CodeType] = []
    engine.install("p", KINDS.sites(kind), KINDS.tags[kind], lambda frame: codes.append(frame.f_code))
    call(module)
    engine.remove("p")
    call(module)
    assert len(codes) == expected
    assert {where(code) for code in codes} <= {where(site.code) for site in KINDS.sites(kind)}


def test_bodies_still_to_run_are_hit(engine: Engine) -> None:
    """Module and class bodies, and what they define, are hit if the engine's replacement is what runs."""
    program = Program(
        """
        a = 1  # TAG: module
        class C:
            b = 2  # TAG: klass
            def m(self):
                return 3  # TAG: method
        C().m()
        for i in range(2):
            exec("x = 1")  # TAG: loop
        """
    )
    hits: List[str] = []
    for tag, line in program.tags.items():
        engine.install(tag, program.sites(tag), line, lambda frame, tag=tag: hits.append(tag))
    names = program.run(engine)
    assert hits == ["module", "klass", "method", "loop", "loop"]
    assert names["C"]().m() == 3


def test_exec_ed_code_is_hit(engine: Engine) -> None:
    """A function that was made by exec, under a file name that does not exist, is hit like any other."""
    program = Program("def f(a):\n    return a  # TAG: f\n")
    function = program.run()["f"]
    hits: List[FrameType] = []
    engine.install("p", program.sites("f"), program.tags["f"], hits.append)
    assert function(5) == 5
    assert hits[0].f_locals["a"] == 5


def test_finally_is_one_arrival_on_either_way(engine: Engine) -> None:
    """A line in `finally`, which is compiled several times, is hit once on the normal and once on the exceptional path."""
    program = Program(
        """
        def f(fail):
            for _ in range(1):
                try:
                    if fail == 1: raise KeyError
                    if fail == 2: return 2
                    if fail == 3: continue
                    if fail == 4: break
                finally:
                    done = True  # TAG: cleanup
            return 0
        """
    )
    function = program.run()["f"]
    for fail in range(5):
        hits: List[object] = []
        engine.install("p", program.sites("cleanup"), program.tags["cleanup"], hits.append)
        try:
            function(fail)
        except KeyError:
            pass
        engine.remove("p")
        assert len(hits) == 1, fail


def test_several_keys_on_a_line_are_called_in_order_of_installation(engine: Engine) -> None:
    """Each handler is called once per arrival, in order; removing one, whichever, leaves the others."""
    program = Program("def f():\n    return 1  # TAG: f\n")
    function = program.run()["f"]
    for removed in ("a", "b", "c"):
        hits: List[str] = []
        for key in ("a", "b", "c"):
            engine.install(key, program.sites("f"), 2, lambda frame, key=key: hits.append(key))
            engine.install(key, program.sites("f"), 2, lambda frame, key=key: hits.append(key))
        function()
        assert hits == ["a", "b", "c"]
        engine.remove(removed)
        engine.remove(removed)
        function()
        assert hits[3:] == [key for key in ("a", "b", "c") if key != removed]
        for key in ("a", "b", "c"):
            engine.remove(key)
        function()
        assert len(hits) == 5


def test_fifty_probes_in_one_function(engine: Engine) -> None:
    """Fifty lines of one function, probed one after the other, are each hit once per call."""
    program = Program("def f(a):\n" + "".join(f"    a += {i}\n" for i in range(50)) + "    return a\n")
    function = program.run()["f"]
    hits: List[int] = []
    for line in range(2, 52):
        engine.install(
            str(line), program.sites_of_line(line), line, lambda frame, line=line: hits.append(line)
        )
        assert function(0) == sum(range(50))
    del hits[:]
    function(0)
    assert hits == list(range(2, 52))


def test_a_probe_removed_during_its_own_hit(engine: Engine) -> None:
    """A handler may remove its own probe: the hit ends well, and there is no other."""
    program = Program("def f(n):\n    for i in range(n):\n        n = n  # TAG: f\n")
    function = program.run()["f"]
    hits: List[object] = []

    def once(frame: FrameType) -> None:
        hits.append(frame)
        engine.remove("p")

    engine.install("p", program.sites("f"), program.tags["f"], once)
    function(5)
    function(5)
    assert len(hits) == 1


def test_a_probe_added_by_anothers_handler(engine: Engine) -> None:
    """A handler may set a probe on another line: from the next call on at the latest, it is hit."""
    program = Program("def f():\n    a = 1  # TAG: a\n    return a  # TAG: b\n")
    function = program.run()["f"]
    hits: List[object] = []
    engine.install(
        "a",
        program.sites("a"),
        program.tags["a"],
        lambda frame: engine.install("b", program.sites("b"), program.tags["b"], hits.append),
    )
    function()
    del hits[:]
    function()
    assert len(hits) == 1


def test_every_exception_passes_and_no_traceback_changes(engine: Engine) -> None:
    """Exceptions of every kind pass a probed line, with the very text of traceback that they have without."""
    program = Program(
        """
        def g(error):
            raise error  # TAG: g
        def f(error):
            x = 1
            try:
                g(
                    error)  # TAG: f
            finally:
                x = 2  # TAG: cleanup
        """
    )
    function = program.run()["f"]

    def text(error: BaseException) -> str:
        try:
            function(error)
        except BaseException as caught:  # noqa: BLE001
            assert caught is error
            return traceback.format_exc()
        raise AssertionError

    kinds = (KeyError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, RecursionError)
    before = [text(kind("x")) for kind in kinds]
    for tag, line in program.tags.items():
        engine.install(tag, program.sites(tag), line, lambda frame: None)
    assert [text(kind("x")) for kind in kinds] == before


def test_a_handler_that_raises_harms_nobody(engine: Engine) -> None:
    """Handlers must not raise; should one all the same, the application does not learn of it."""
    program = Program("def f():\n    return 1  # TAG: f\n")
    function = program.run()["f"]

    bad: Any = float  # a TypeError, and no code of this test in its traceback
    engine.install("p", program.sites("f"), 2, bad)
    assert function() == 1
    assert function() == 1


def test_the_edge_of_the_stack(engine: Engine) -> None:
    """An endless recursion over a probed line is survived, whatever the handler does, and shows no frame of the agent."""
    program = Program("def f(n):\n    n = n + 1  # TAG: f\n    return f(n)\n")
    function = program.run()["f"]

    def deep(n: int) -> int:
        return deep(n + 1)

    def hungry(frame: FrameType) -> None:
        try:
            deep(0)
        except RecursionError:
            pass

    engine.install("p", program.sites("f"), program.tags["f"], hungry)
    limit = sys.getrecursionlimit()
    for extra in (0, 1, 2, 3):
        sys.setrecursionlimit(300 + extra)
        try:
            with pytest.raises(RecursionError) as caught:
                function(0)
        finally:
            sys.setrecursionlimit(limit)
        files = {str(entry.path) for entry in caught.traceback}
        assert not [name for name in files if "otel_tracepoints" in name]


def oracle(engine: Engine, code: CodeType) -> Counter[Tuple[str, int, int]]:
    """What the interpreter itself reports for the module: line events."""
    seen: Counter[Tuple[str, int, int]] = collections.Counter()
    if engine.mechanism != "monitoring":

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            if frame.f_code.co_filename != code.co_filename:
                return None
            if event == "line":
                seen[(*where(frame.f_code), frame.f_lineno)] += 1
            return trace

        sys.settrace(trace)
        try:
            exec(code, {"__name__": "oracle"})
        finally:
            sys.settrace(None)
        return seen
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    events = monitoring.events

    def on_line(where_at: CodeType, line: int) -> None:
        if where_at.co_filename == code.co_filename:
            seen[(*where(where_at), line)] += 1

    monitoring.use_tool_id(5, "oracle")
    monitoring.register_callback(5, events.LINE, on_line)
    monitoring.set_events(5, events.LINE | events.PY_START)
    try:
        exec(code, {"__name__": "oracle"})
    finally:
        monitoring.set_events(5, 0)
        monitoring.register_callback(5, events.LINE, None)
        monitoring.free_tool_id(5)
    return seen


def test_hits_are_what_the_interpreter_reports(engine: Engine) -> None:
    """With a probe on every line of a program of every construct, each line is hit exactly as often as the interpreter's own line events say."""
    source = pathlib.Path(every_construct.__file__).read_text()
    expected = oracle(engine, Program(source).code)
    program = Program(source)
    seen: Counter[Tuple[str, int, int]] = collections.Counter()
    watches = []
    for line in program.lines():

        def hit(frame: FrameType, line: int = line) -> None:
            seen[(*where(frame.f_code), line)] += 1

        watches.append(Watch(str(line), program.sites_of_line(line), line, hit))
    engine.install_all(watches)
    program.run(engine)
    assert len(expected) > 300
    assert {at: (count, seen[at]) for at, count in expected.items() if count != seen[at]} == {}
    assert set(seen) == set(expected)


def test_functools_and_copies_keep_working(engine: Engine) -> None:
    """A probed function can be pickled, copied, wrapped and inspected as before."""
    import copy
    import inspect
    import pickle

    before = inspect.signature(every_construct.ident), set(vars(every_construct.ident))
    code = every_construct.ident.__code__
    from otel_tracepoints.engine.base import CodeSite

    hits: List[object] = []
    engine.install("p", [CodeSite(code, ())], lines_of(code)[-1], hits.append)
    function = every_construct.ident
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function
    assert (inspect.signature(function), set(vars(function))) == before
    assert functools.wraps(function)(lambda x: x).__wrapped__ is function  # type: ignore[attr-defined]
    assert (function.__code__.co_name, function.__code__.co_flags) == (code.co_name, code.co_flags)
    del hits[:]
    assert function(1) == 1
    assert len(hits) == 1
