"""The trace function in C++: whose threads it takes, whose it leaves, and what is left when it goes."""

from __future__ import annotations

import _thread
import contextvars
import gc
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Any, Callable, Dict, Iterator, List

import pytest
from tests.support.processes import run_python

from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.base import CodeSite, Engine
from otel_tracepoints.engine.tracing import FOREIGN
from otel_tracepoints.stacks import sees_own_thread_only

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")

has_gil = pytest.mark.skipif(sees_own_thread_only(), reason="another thread's state cannot be looked at")


def watched() -> int:
    return 1


LINE = watched.__code__.co_firstlineno + 1
SITES = [CodeSite(watched.__code__, ())]


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Without what measures coverage; and nothing may be left."""
    before, hook = sys.gettrace(), threading._trace_hook  # type: ignore[attr-defined]
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    yield
    left = sys.gettrace(), threading._trace_hook  # type: ignore[attr-defined]
    sys.settrace(before)
    threading.settrace(hook)
    assert left == (None, None)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("native", mechanism="settrace")
    yield made
    made.close()


class Elsewhere:
    """A thread that does what it is told, and sleeps in C in between."""

    def __init__(self) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._action: Callable[[], Any] = lambda: None
        self._answer: Any = None
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._go.acquire()
            if self._over:
                return
            self._answer = self._action()
            self._done.release()

    def do(self, action: Callable[[], Any]) -> Any:
        """Its answer, from that thread."""
        self._action = action
        self._go.release()
        self._done.acquire()
        return self._answer

    def end(self) -> None:
        self._over = True
        self._go.release()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    thread = Elsewhere()
    yield thread
    thread.end()


def counter(engine: Engine) -> List[int]:
    """Watches the line; grows with each hit."""
    hits: List[int] = []
    engine.install("p", SITES, LINE, lambda frame: hits.append(frame.f_lineno))
    return hits


class Debugger:
    """A trace function of somebody else, that keeps the lines of `watched`."""

    def __init__(self) -> None:
        self.lines: List[int] = []

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and frame.f_code is watched.__code__:
            self.lines.append(frame.f_lineno)
        return self

    def start(self) -> None:
        sys.settrace(self)

    def stop(self) -> Any:
        before = sys.gettrace()
        sys.settrace(None)
        return before


def test_it_is_the_trace_function_of_every_thread(engine: Engine, elsewhere: Elsewhere) -> None:
    """`sys.gettrace` answers it in this thread, in those that run and in those that start, and all of them hit."""
    hits = counter(engine)
    started: List[object] = []
    thread = threading.Thread(target=lambda: started.extend((watched(), sys.gettrace())))
    thread.start()
    thread.join()
    assert (watched(), elsewhere.do(watched)) == (1, 1)
    assert hits == [LINE] * 3
    everybody = [sys.gettrace(), elsewhere.do(sys.gettrace), started[1], threading._trace_hook]  # type: ignore[attr-defined]
    assert {type(each) for each in everybody} == {native.Tracer}
    assert len(set(map(id, everybody))) == 1
    engine.remove("p")
    watched()
    elsewhere.do(watched)
    assert elsewhere.do(sys.gettrace) is None
    assert hits == [LINE] * 3


def test_a_loop_that_calls_nothing_is_watched_at_once(engine: Engine) -> None:
    """A frame that was running before the probe, and calls no function, is hit in the round that it is in."""
    names: Dict[str, Any] = {"over": [], "begun": threading.Event()}
    source = "def f():\n    begun.set()\n    while not over:\n        x = 1\n"
    exec(compile(source, "loop.py", "exec"), names)
    thread = threading.Thread(target=names["f"])
    thread.start()
    try:
        assert names["begun"].wait(10)
        hit = threading.Event()
        engine.install("p", [CodeSite(names["f"].__code__, ())], 4, lambda frame: hit.set())
        assert hit.wait(10)
    finally:
        names["over"].append(True)
        thread.join(10)


def test_no_frame_is_touched(engine: Engine) -> None:
    """Frames get no trace function of their own, so variables are never copied out of them and back."""
    seen: List[object] = []
    engine.install("p", SITES, LINE, lambda frame: seen.extend((frame.f_trace, frame.f_back.f_trace)))  # type: ignore[union-attr]
    watched()
    assert seen == [None, None]


@pytest.mark.parametrize("who", ["before", "after"])
def test_a_thread_of_a_debugger_stays_with_it(engine: Engine, elsewhere: Elsewhere, who: str) -> None:
    """A thread that another tracer has, since before the probe or after it, sees that one's events only, keeps it when the probe goes, and is named in the notes."""
    if who == "before" and sees_own_thread_only():
        pytest.skip("another thread's state cannot be looked at")
    debugger = Debugger()
    if who == "before":
        elsewhere.do(debugger.start)
    hits = counter(engine)
    assert list(engine.notes("p")) == ([FOREIGN] if who == "before" else [])
    if who == "after":
        elsewhere.do(debugger.start)
    watched()
    elsewhere.do(watched)
    assert (hits, debugger.lines) == ([LINE], [LINE])
    engine.remove("p")
    elsewhere.do(watched)
    assert elsewhere.do(debugger.stop) is debugger
    assert debugger.lines == [LINE] * 2


@has_gil
def test_the_next_probe_leaves_a_debugger_alone_that_came_with_the_first(
    engine: Engine, elsewhere: Elsewhere
) -> None:
    """A thread that another tracer has taken while there was a probe is not taken back by the next one."""
    counter(engine)
    debugger = Debugger()
    elsewhere.do(debugger.start)
    for key in ("q", "r"):
        engine.install(key, SITES, LINE, lambda frame: None)
        elsewhere.do(watched)
    assert elsewhere.do(debugger.stop) is debugger
    assert debugger.lines == [LINE] * 2


def test_a_debugger_of_this_thread_stays(engine: Engine, elsewhere: Elsewhere) -> None:
    """Where the thread that sets the probe has another tracer, that one stays, and the notes say so."""
    debugger = Debugger()
    debugger.start()
    hits = counter(engine)
    watched()
    notes = list(engine.notes("p"))
    assert debugger.stop() is debugger
    assert (hits, debugger.lines, notes) == ([], [LINE], [FOREIGN])


@has_gil
def test_other_threads_are_watched_beside_a_debugger(engine: Engine, elsewhere: Elsewhere) -> None:
    """A debugger in one thread takes no hit from the others."""
    debugger = Debugger()
    debugger.start()
    hits = counter(engine)
    elsewhere.do(watched)
    debugger.stop()
    assert hits == [LINE]


def test_tracing_that_the_application_puts_aside_and_back(engine: Engine) -> None:
    """What `sys.gettrace` answered may be given back to `sys.settrace`, and the thread is watched again."""
    hits = counter(engine)
    debugger = Debugger()
    before = sys.gettrace()
    debugger.start()
    watched()
    sys.settrace(before)
    watched()
    assert sys.gettrace() is before
    assert (hits, debugger.lines) == ([LINE], [LINE])


def test_tracing_that_is_put_back_too_late_goes_by_itself(engine: Engine) -> None:
    """What was put aside while there was a probe, and is put back when there is none, leaves at the next call."""
    counter(engine)
    before = sys.gettrace()
    sys.settrace(None)
    engine.remove("p")
    sys.settrace(before)
    watched()
    assert sys.gettrace() is None


def test_an_engine_takes_over_the_threads_of_the_one_before(engine: Engine) -> None:
    """A thread that is given the tracer of an engine that was closed gets that of the one that watches now."""
    first = create_engine("native", mechanism="settrace")
    counter(first)
    before = sys.gettrace()
    first.close()
    hits = counter(engine)
    now = sys.gettrace()
    sys.settrace(before)
    watched()
    watched()
    assert sys.gettrace() is now
    assert len(hits) == 2


@pytest.mark.parametrize("traced", [True, False])
def test_the_first_of_two_engines_leaves_its_threads_to_the_second(
    engine: Engine, elsewhere: Elsewhere, traced: bool
) -> None:
    """When the engine that has the threads goes, all of them, and those that start, hit the probes of the other."""
    first = create_engine("native", mechanism="settrace")
    counter(first)
    hits = counter(engine)
    if traced:
        watched()
    first.close()
    elsewhere.do(watched)
    if sees_own_thread_only():
        elsewhere.do(watched)  # it changes hands at an event of that thread
    before = len(hits)
    assert before >= 1
    watched()
    thread = threading.Thread(target=watched)
    thread.start()
    thread.join()
    assert len(hits) == before + 2


class Chain:
    """A trace function of somebody else, that hands every event on to the one before it."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self.events = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.events += 1
        self.before(frame, event, argument)
        return self


@pytest.mark.parametrize("on", [True, False])
def test_a_trace_function_that_hands_on_keeps_its_thread(engine: Engine, on: bool) -> None:
    """Who wraps the tracer and calls it for each event stays the trace function, whether there are probes or not."""
    counter(engine)
    chain = Chain(sys.gettrace())
    sys.settrace(None)
    if not on:
        engine.remove("p")
    sys.settrace(chain)
    watched()
    watched()
    left = sys.gettrace()
    sys.settrace(None)
    assert left is chain
    assert chain.events >= 6


def test_two_engines_leave_each_other_alone(engine: Engine) -> None:
    """A second engine finds the threads taken, says so, and takes nothing away when it goes."""
    hits = counter(engine)
    second = create_engine("native", mechanism="settrace")
    others = counter(second)
    watched()
    assert list(second.notes("p")) == [FOREIGN]
    second.close()
    watched()
    assert (len(hits), others) == (2, [])


@has_gil
def test_no_sleeping_thread_keeps_it(elsewhere: Elsewhere) -> None:
    """When the last probe goes it is taken from threads that do not run, too: they hold no reference any more."""
    alive: List[object] = []

    def handler(_frame: FrameType) -> None:
        alive.append(None)

    engine = create_engine("native", mechanism="settrace")
    engine.install("p", SITES, LINE, handler)
    tracer = sys.gettrace()
    under = sys.getrefcount(tracer)
    engine.remove("p")
    # This thread, the other one, and `threading`.
    assert under - sys.getrefcount(tracer) >= 3
    engine.close()
    gone = weakref.ref(handler)
    del engine, tracer, handler
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(sees_own_thread_only(), reason="without the GIL tracers are kept for ever")
def test_a_tracer_that_was_never_on_is_collected() -> None:
    """A tracer that its own handlers hold is no more than a cycle."""

    class Handler:
        tracer: object = None

        def __call__(self, _frame: FrameType) -> None: ...

    handler = Handler()
    table = native.Table()
    table[id(watched.__code__)] = {LINE: (handler,)}
    handler.tracer = native.Tracer(table)
    gone = weakref.ref(handler)
    del handler, table
    gc.collect()
    assert gone() is None


def test_what_a_signals_handler_raises_leaves_the_thread_watched(engine: Engine) -> None:
    """An exception of the application passes through the trace function, which stays."""

    class Timeout(BaseException): ...

    def times_out(_number: int, _frame: Any) -> None:
        raise Timeout

    def interrupted(_frame: FrameType) -> None:
        hits.append(1)
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            pass

    hits: List[int] = []
    before = signal.signal(signal.SIGINT, times_out)
    try:
        engine.install("p", SITES, LINE, interrupted)
        for _ in range(3):
            with pytest.raises(Timeout):
                watched()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(hits) == 3


def test_an_error_of_a_handler_ends_there(engine: Engine) -> None:
    """What goes wrong in a handler itself does not reach the application, and the next arrival is a hit again."""
    hits: List[int] = []

    def fails(_frame: FrameType) -> None:
        hits.append(1)
        raise ValueError

    engine.install("p", SITES, LINE, fails)
    assert (watched(), watched()) == (1, 1)
    assert len(hits) == 2


def test_a_thread_that_was_at_the_edge_of_its_stack_stays_watched(engine: Engine) -> None:
    """A recursion without end raises the application's own error, and afterwards its thread still hits."""
    names: Dict[str, Any] = {}
    exec(compile("def endless(n):\n    return endless(n + 1)\n", "endless.py", "exec"), names)
    hits: List[int] = []

    def handler(frame: FrameType) -> None:
        hits.append(frame.f_lineno)

    engine.install("p", [CodeSite(names["endless"].__code__, ())], 2, handler)
    engine.install("q", SITES, LINE, handler)
    for extra in range(4):
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(300 + extra)
        try:
            with pytest.raises(RecursionError):
                names["endless"](0)
        finally:
            sys.setrecursionlimit(limit)
        assert hits.count(2) > 20
        del hits[:]
        watched()
        assert hits == [LINE]


def test_a_handler_may_take_the_probe_away(engine: Engine) -> None:
    """The trace function may lose its thread while it is in there."""
    hits: List[int] = []

    def once(_frame: FrameType) -> None:
        hits.append(1)
        engine.remove("p")

    engine.install("p", SITES, LINE, once)
    assert (watched(), watched()) == (1, 1)
    assert (hits, sys.gettrace()) == ([1], None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="code is not instrumented")
def test_the_interpreter_counts_its_traced_threads_right(engine: Engine, elsewhere: Elsewhere) -> None:
    """While a debugger has a thread code stays instrumented for it, whatever probes came and went; after it, no more."""
    monitored = "INSTRUMENTED"

    def instructions() -> str:
        import dis

        watched()
        adaptive: Any = dis.get_instructions
        return " ".join(each.opname for each in adaptive(watched, adaptive=True))

    if sees_own_thread_only():
        pytest.skip("a thread that sleeps keeps it")
    plain = instructions()
    debugger = Debugger()
    elsewhere.do(debugger.start)
    for _ in range(3):
        hits = counter(engine)
        watched()
        engine.remove("p")
        assert len(hits) == 1
        elsewhere.do(watched)
    assert debugger.lines == [LINE] * 3
    assert monitored in instructions()
    elsewhere.do(debugger.stop)
    assert monitored not in instructions()
    assert instructions() == plain


def test_another_interpreter_is_left_alone(engine: Engine) -> None:
    """Threads of a second interpreter of the process are not traced."""
    interpreters = pytest.importorskip(
        "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters", reason="none to be had"
    )
    other = interpreters.create()
    try:
        counter(engine)
        answer = interpreters.run_string(
            other, "import sys\ndef f():\n    return sys.gettrace()\nassert f() is None, 'traced'\n"
        )
        assert not answer
    finally:
        engine.remove("p")
        interpreters.destroy(other)


REFUSED = """
import sys
from otel_tracepoints.engine import _native

def auditor(event, arguments):
    if event == "sys.settrace" and refuses:
        raise RuntimeError("refused by the auditor")

refuses = True
sys.addaudithook(auditor)
sys.unraisablehook = lambda unraisable: None  # 3.13 and later print it
tracer = _native.Tracer(_native.Table())
try:
    tracer.set_all(True)
except RuntimeError as error:
    print("refused" in str(error), sys.gettrace())
refuses = False
print(tracer.set_all(True), sys.gettrace() is tracer)
tracer.clear_all()
print(sys.gettrace())
"""


def test_an_auditor_may_refuse() -> None:
    """Where `sys.settrace` is refused by an audit hook the caller learns of it, and nothing is traced."""
    assert run_python(REFUSED).splitlines() == ["True None", "0 True", "None"]


ENDING = """
import _thread, sys, threading, time
from otel_tracepoints.engine import _native

def auditor(event, arguments):
    global asked
    if event == "sys.settrace" and armed:
        asked += 1
        for lock in locks:
            lock.locked() and lock.release()
        while running:
            time.sleep(0.001)

def short(lock, known):
    known.release()
    with lock:
        pass
    running.discard(lock)

asked, armed, locks, running = 0, False, [], set()
sys.addaudithook(auditor)
for _ in range(8):
    lock, known = _thread.allocate_lock(), _thread.allocate_lock()
    lock.acquire(), known.acquire()
    locks.append(lock), running.add(lock)
    _thread.start_new_thread(short, (lock, known))
    known.acquire()
armed = True
tracer = _native.Tracer(_native.Table())
print(tracer.set_all(True), asked > 0)
armed = False
print(sys.gettrace() is tracer)
tracer.clear_all()
print(sys.gettrace())
"""


def test_threads_may_end_while_an_auditor_is_asked() -> None:
    """An audit hook may let other threads run to their end in the midst of it: nothing of them is touched after that."""
    assert run_python(ENDING).splitlines() == ["0 True", "True", "None"]


TAKEN = """
import sys, threading
from otel_tracepoints.engine import _native

def debugger(frame, event, argument): ...

def other():
    go.wait()
    sys.settrace(debugger)
    taken.set()
    look.wait()
    print(sys.gettrace() is debugger)
    sys.settrace(None)

def auditor(event, arguments):
    global asked
    if event == "sys.settrace" and threading.get_ident() == main:
        asked += 1
        if asked == AT:
            go.set()
            taken.wait()

asked, main = 0, threading.get_ident()
go, taken, look = threading.Event(), threading.Event(), threading.Event()
thread = threading.Thread(target=other)
thread.start()
sys.addaudithook(auditor)
tracer = _native.Tracer(_native.Table())
tracer.set_all(True)
go.set()
taken.wait()
look.set()
thread.join()
tracer.clear_all()
"""


@has_gil
@pytest.mark.parametrize("at", [1, 2])
def test_a_debugger_that_comes_while_an_auditor_is_asked_stays(at: int) -> None:
    """A thread that another tracer takes in the midst of it is left to that one."""
    assert run_python(TAKEN.replace("AT", str(at))).splitlines() == ["True"]


STARTS = """
import sys, threading
from otel_tracepoints.engine import _native

def auditor(event, arguments):
    if event == "sys.settrace" and threading.get_ident() == main:
        thread = threading.Thread(target=lambda: ran.append(1))
        thread.start()
        thread.join()

ran, main = [], threading.get_ident()
threading.settrace(lambda *_: None)
sys.addaudithook(auditor)
tracer = _native.Tracer(_native.Table())
tracer.set_all(True)
begun = len(ran)
print(begun > 0)
tracer.clear_all()
"""


def test_threads_start_while_an_auditor_is_asked() -> None:
    """An audit hook may start a thread that sets its own trace function, and the thread runs."""
    assert run_python(STARTS).splitlines() == ["True"]


REFUSED_LATER = """
import sys, threading
from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.base import CodeSite
from otel_tracepoints.errors import PlacingFailed

def auditor(event, arguments):
    if event == "sys.settrace" and refuses:
        raise RuntimeError("refused by the auditor")

def watched():
    return 1

def install(key):
    try:
        engine.install(key, [CodeSite(watched.__code__, ())], watched.__code__.co_firstlineno + 1, lambda _: hits.append(key))
    except PlacingFailed as error:
        print("refused" in str(error), threading._trace_hook is None, end=" ")

hits, refuses = [], KIND == "first"
sys.addaudithook(auditor)
sys.unraisablehook = lambda unraisable: None  # 3.13 and later print it
engine = create_engine("native", mechanism="settrace")
install("p")
refuses = True
install("q")
refuses = False
watched()
print(hits)
install("q")
watched()
engine.close()
print(hits, sys.gettrace(), threading._trace_hook)
"""


@pytest.mark.parametrize("kind", ["first", "later"])
def test_a_probe_that_an_auditor_refuses_leaves_nothing(kind: str) -> None:
    """It fails to be placed, nothing of it is left to hit, and the probes that were there stay."""
    first, last = run_python(REFUSED_LATER.replace("KIND", repr(kind))).splitlines()
    if kind == "first":
        assert (first, last) == ("True True True True []", "['q'] None None")
    else:
        assert (first, last) == ("True False ['p']", "['p', 'p', 'q'] None None")


@has_gil
@pytest.mark.skipif(sys.version_info < (3, 12), reason="code is not instrumented")
def test_code_is_plain_again_when_the_traced_threads_have_ended(engine: Engine, elsewhere: Elsewhere) -> None:
    """Where the last threads that had the tracer ended before the last probe went, no code stays instrumented."""
    import dis

    counter(engine)
    ended = Elsewhere()
    sys.settrace(None)
    elsewhere.do(lambda: sys.settrace(None))
    ended.do(watched)
    ended.end()
    engine.remove("p")
    watched()
    adaptive: Any = dis.get_instructions
    assert not [each for each in adaptive(watched, adaptive=True) if each.opname.startswith("INSTRUMENTED")]


@pytest.mark.skipif(
    sees_own_thread_only() or sys.version_info < (3, 12), reason="that a thread ends cannot be seen"
)
def test_a_thread_that_ends_is_left_alone(engine: Engine) -> None:
    """A thread that has let go of its trace function, and still runs the application's code, is given none."""

    class Last:
        def __del__(self) -> None:
            inside.set()
            go.wait(10)

    def job() -> None:
        variable.set(Last())

    variable: Any = contextvars.ContextVar("variable")
    inside, go = threading.Event(), threading.Event()
    counter(engine)
    tracer = sys.gettrace()
    held = sys.getrefcount(tracer)
    engine.remove("p")
    _thread.start_new_thread(job, ())
    assert inside.wait(10)
    try:
        counter(engine)
        assert sys.getrefcount(tracer) == held
    finally:
        go.set()


@pytest.mark.parametrize("arguments", [(), (1,), ({},)])
def test_a_tracer_is_made_of_a_table(arguments: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(TypeError):
        native.Tracer(*arguments)
