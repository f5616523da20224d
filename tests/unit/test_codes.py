from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import sys
import threading
import types

import pytest

from otel_tracepoints.probes import generations, heap
from otel_tracepoints.probes.codes import executable_lines, sites_in, with_parents
from otel_tracepoints.probes.naming import FunctionNames, full_name, tree_names

CONSTRUCTS = '''
import contextlib
def decorator(f):
    return f
@decorator
@decorator
def decorated(a,
              b=2):
    """A docstring."""
    global Q
    try:
        x = 1
    finally:
        y = 2
    try:
        raise ValueError
    except ValueError:
        pass
    else:
        raise AssertionError
    if a:
        pass
    for i in range(2):
        if i:
            continue
        x = 2
    else:
        z = 4
    while a:
        a -= 1
    with contextlib.nullcontext() as c:
        q = [
            i
            for i in range(3)
            if i
        ]
    s = """
    text
    """
    t = (a +
         b)
    return sum(
        v
        for v in q
    )
def oneline(): return 1
lam = lambda: 2
class K(object):
    """A docstring."""
    attr = 1
    y: int = 3
    def m(self):
        def inner():
            nonlocal v
            v = 1
            return v
        v = 0
        return inner()
    @property
    def p(self): return super().__repr__()
class E: pass
def gen(
    n
):
    while n:
        n -= 1
        yield n
    return
def delegate():
    yield from gen(3)
class Context:
    async def __aenter__(self): return 1
    async def __aexit__(self, *a):
        return None
async def agen():
    yield 1
async def co():
    async with Context() as v:
        pass
    async for i in agen():
        x = i
    return [j async for j in agen()]
def only_doc():
    """Only a docstring."""
def passer():
    pass
def closure():
    cell = 1
    def g():
        return cell
    return g()
def finals():
    try:
        return 1
    finally:
        cleanup = 1
def nested_loops():
    for i in [1]:
        for j in [2]:
            pass
def run():
    decorated(3); oneline(); lam(); K().m(); K().p; list(gen(2)); list(delegate())
    only_doc(); passer(); closure(); finals(); nested_loops()
    return co()
'''


def _observed_by_settrace(code):
    seen = {}

    def trace(frame, event, argument):
        if frame.f_code.co_filename != code.co_filename:
            return None
        if event == "line":
            seen.setdefault(id(frame.f_code), set()).add(frame.f_lineno)
        return trace

    namespace = {"__name__": "constructs"}
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(code, namespace)
        asyncio.run(namespace["run"]())
    finally:
        sys.settrace(before)
    return seen


def test_the_executable_lines_are_those_that_the_interpreter_reports():
    """In code that was run as a whole, the lines found in the line table are the lines traced."""
    code = compile(CONSTRUCTS, "/nowhere/constructs.py", "exec")
    seen = _observed_by_settrace(code)
    source = CONSTRUCTS.splitlines()
    checked = 0
    for found in with_parents([code]):
        if id(found.code) not in seen:
            assert found.code.co_name in ("__annotate__", "__conditional_annotations__")
            continue
        # The one line of the text that nothing reaches.
        reported = seen[id(found.code)] | {
            line for line in executable_lines(found.code) if "raise AssertionError" in source[line - 1]
        }
        extra = executable_lines(found.code) - reported
        assert reported - executable_lines(found.code) == set(), found.code.co_name
        assert extra <= (_DEAD if sys.version_info < (3, 10) else set()), found.code.co_name
        checked += 1
    assert checked > 20


#: The compilers of 3.8 and 3.9 leave copies of such lines behind that nothing jumps to.
_DEAD = {
    number for number, text in enumerate(CONSTRUCTS.splitlines(), 1) if text.strip() in ("pass", "z = 4")
}


def test_the_def_line_is_not_executable_from_inside():
    """The line of the def belongs to the code around it, except where the body is on it too."""
    code = compile("def f():\n    x = 1\n    yield x\ndef g(): return 1\n", "/nowhere/def.py", "exec")
    by_name = {found.code.co_name: executable_lines(found.code) for found in with_parents([code])}
    assert by_name == {"<module>": {1, 4}, "f": {2, 3}, "g": {4}}


def test_parents_are_the_code_objects_that_hold_the_code():
    """Each nested code object comes once, with the object in whose constants it is."""
    code = compile("def a():\n def b():\n  return lambda: 1\n", "/nowhere/p.py", "exec")
    found = {each.code.co_name: each for each in with_parents([code])}
    assert [p.co_name for p in found["<lambda>"].parents] == ["b"]
    assert found["b"].parents[0] is found["a"].code
    assert found["<module>"].parents == ()
    assert [site.code.co_name for site in sites_in(code, 3)] == ["b", "<lambda>"]


def _make(source, file, **names):
    namespace = {"__name__": "made." + file.strip("/").replace("/", "_")[:-3], **names}
    exec(compile(source, file, "exec"), namespace)
    return namespace


def _roots(file, namespaces=()):
    wanted = {file}.__contains__
    found = heap.whole(wanted).roots + heap.running(wanted) + heap.behind(list(namespaces), wanted)
    return list({id(root.code): root for root in reversed(found)}.values())


def test_functions_are_found_on_the_heap():
    """A function that only a closure or a local keeps alive is found, with its module's name."""
    namespace = _make("def f(): pass\n", "/nowhere/heap.py")
    hidden = [namespace.pop("f")]
    (root,) = _roots("/nowhere/heap.py")
    assert root.code is hidden[0].__code__
    assert root.module == "made.nowhere_heap"
    assert "/nowhere/heap.py" in heap.file_names()[0]


def test_equal_code_objects_are_both_found():
    """Two code objects of one value are two: a probe must get both."""
    first = _make("def f(): pass\n", "/nowhere/twice.py")
    second = _make("def f(): pass\n", "/nowhere/twice.py")
    assert first["f"].__code__ == second["f"].__code__
    found = {id(root.code) for root in _roots("/nowhere/twice.py")}
    assert found == {id(first["f"].__code__), id(second["f"].__code__)}


def test_frames_of_other_threads_are_found():
    """Code that runs in a thread is found though no function refers to it any more."""
    started, end = threading.Event(), threading.Event()
    source = "started.set()\nend.wait(10)\n"
    thread = threading.Thread(target=lambda: _make(source, "/nowhere/thread.py", started=started, end=end))
    thread.start()
    try:
        assert started.wait(10)
        (root,) = _roots("/nowhere/thread.py")
        assert root.code.co_name == "<module>"
        assert root.module == "made.nowhere_thread"
    finally:
        end.set()
        thread.join()
    assert _roots("/nowhere/thread.py") == []


def test_suspended_generators_and_coroutines_are_found():
    """What is suspended will run on, so its code counts though its function is gone."""
    namespace = _make(
        "def g():\n    yield 1\n    yield 2\n"
        "async def c():\n    await wait()\n"
        "async def a():\n    yield 1\n    yield 2\n"
        "@types.coroutine\ndef wait():\n    yield\n",
        "/nowhere/suspended.py",
        types=types,
    )
    generator, coroutine, asynchronous = namespace["g"](), namespace["c"](), namespace["a"]()
    next(generator)
    coroutine.send(None)
    step = asynchronous.__anext__()
    with contextlib.suppress(StopIteration):
        step.send(None)
    namespace.clear()
    found = {root.code.co_name for root in _roots("/nowhere/suspended.py")}
    assert {"g", "c", "a"} <= found
    coroutine.close()
    with contextlib.suppress(StopIteration):
        asynchronous.aclose().send(None)


def test_what_a_module_holds_is_found_where_the_heap_is_frozen():
    """Pre-forking servers freeze the heap; instances, partials and wrappers still lead to the code."""
    source = (
        "class Holder:\n"
        "    def method(self): pass\n"
        "    def __init__(self, f): self.callback = f\n"
        "def decorator(f):\n"
        "    def inner(): return f()\n"
        "    return Holder(partial(inner))\n"
        "@decorator\n"
        "def handler(): pass\n"
        "stored = compile('x = 1', '/nowhere/frozen.py', 'exec')\n"
    )
    namespace = _make(source, "/nowhere/frozen.py", partial=functools.partial)
    gc.freeze()
    try:
        found = {root.code.co_name for root in _roots("/nowhere/frozen.py", [namespace])}
    finally:
        gc.unfreeze()
    assert found == {"method", "__init__", "decorator", "inner", "handler", "<module>"}


class _Booby(type):
    def __eq__(cls, other):
        raise AssertionError("application code ran")

    def __hash__(cls):
        raise AssertionError("application code ran")

    def __instancecheck__(cls, instance):
        raise AssertionError("application code ran")

    def __getattribute__(cls, name):
        raise AssertionError("application code ran")


class _Trap(metaclass=_Booby):
    def __getattribute__(self, name):
        raise AssertionError("application code ran")

    def __eq__(self, other):
        raise AssertionError("application code ran")

    __hash__ = None  # type: ignore[assignment]

    def __len__(self):
        raise AssertionError("application code ran")


def test_no_application_code_runs():
    """Objects and classes that fail when touched are passed over untouched."""
    namespace = _make("def f(): pass\n", "/nowhere/traps.py")
    namespace["trap"] = object.__new__(_Trap)
    namespace["cls"] = _Trap
    namespace["nested"] = {"a": [object.__new__(_Trap)], "b": (_Trap,)}
    assert [root.code for root in _roots("/nowhere/traps.py", [namespace])] == [namespace["f"].__code__]


def test_nothing_is_held_afterwards():
    """Looking leaves no reference to what was found or passed on the way."""
    namespace = _make("def f(): pass\n", "/nowhere/held.py")
    function = namespace.pop("f")
    code = function.__code__
    before = sys.getrefcount(function), sys.getrefcount(code)
    _roots("/nowhere/held.py", [namespace])
    # Without the GIL a collection in between may settle what was only deferred: fewer are fine.
    assert sys.getrefcount(function) <= before[0]
    assert sys.getrefcount(code) <= before[1]


def test_looking_is_bounded_by_the_size_of_containers(monkeypatch):
    """A large container in a module's globals is data and not searched."""
    monkeypatch.setattr(heap, "_MAX_CONTAINER", 10)
    hidden = compile("x = 1", "/nowhere/large.py", "exec")
    assert _roots("/nowhere/large.py", [{"few": [hidden]}])
    assert not _roots("/nowhere/large.py", [{"many": [hidden] * 11}])


def test_qualified_names_come_from_the_tree():
    """Every code object of a module is called as its function will be, on every version."""
    source = (
        "class C:\n"
        "    class D:\n"
        "        def m(self):\n"
        "            def inner(): return (x for x in y)\n"
        "            class Local:\n"
        "                def n(self): pass\n"
        "    f = lambda: 1\n"
    )
    names = set(tree_names(compile(source, "/nowhere/names.py", "exec")).values())
    assert names == {
        "<module>",
        "C",
        "C.D",
        "C.D.m",
        "C.D.m.<locals>.inner",
        "C.D.m.<locals>.inner.<locals>.<genexpr>",
        "C.D.m.<locals>.Local",
        "C.D.m.<locals>.Local.n",
        "C.<lambda>",
    }
    assert full_name("pkg.mod", "<module>") == "pkg.mod"
    assert full_name("pkg.mod", "C.D") == "pkg.mod.C.D"
    assert full_name(None, "f") == "f"


def test_a_name_never_outlives_its_code():
    """An id that has been given to other code does not bring the old name back."""
    names = FunctionNames()
    for number in range(200):
        code = compile(f"def f{number}(): pass", "/nowhere/ids.py", "exec").co_consts[0]
        assert names.of(code) == f"f{number}"
        names.remember(code, f"f{number}")
        del code


def test_names_of_unknown_code_come_from_memory(monkeypatch):
    """Code that was never resolved gets its module and, where it can be known, its class; no file is read."""
    import json.decoder

    names = FunctionNames()
    method = json.decoder.JSONDecoder.decode.__code__

    def no_files(*args, **kwargs):
        raise AssertionError("a file was opened")

    monkeypatch.setattr("builtins.open", no_files)
    monkeypatch.setattr("os.stat", no_files)
    assert names.of(method) == "json.decoder.JSONDecoder.decode"
    assert (
        names.of(
            json.decoder.scanstring.__code__
            if hasattr(json.decoder.scanstring, "__code__")
            else json.decoder.py_scanstring.__code__
        )
        == "json.decoder.py_scanstring"
    )


def test_the_table_of_names_is_bounded(monkeypatch):
    """A program that makes new code for ever does not fill the table."""
    from otel_tracepoints.probes import naming

    monkeypatch.setattr(naming, "_MAX_NAMES", 10)
    names = FunctionNames()
    made = [compile(f"def f{n}(): pass", "/nowhere/many.py", "exec").co_consts[0] for n in range(50)]
    for code in made:
        names.remember(code, "x")
        names.learn(code)
    assert len(names._known) <= 10
    assert len(names._qualnames) <= 10


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="code objects know their names")
def test_learned_code_is_named_before_it_has_run():
    """Before 3.11 the names in code that is about to run are taken from its structure."""
    names = FunctionNames()
    code = compile("class C:\n    def m(self): pass\n", "/nowhere/learn.py", "exec")
    names.learn(code)
    method = [found.code for found in with_parents([code]) if found.code.co_name == "m"][0]
    assert names.of(method) == "C.m"


def test_a_look_at_the_heap_leaves_tuples_in_the_making_alone():
    """What a thread is just filling must have one owner: ``tuple(generator)`` would fail otherwise."""
    crowd = [(lambda n=n: n) for n in range(20_000)]  # so that a look takes its time
    failed, over = [], threading.Event()

    def build():
        while not over.is_set():
            try:
                tuple(n for n in range(50))
            except SystemError as error:
                failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    builder = threading.Thread(target=build)
    builder.start()
    try:
        for _ in range(8):
            heap.whole("nowhere".__eq__)
            heap.near([globals()], "nowhere".__eq__)
            heap.file_names()
            for _ in range(10 if generations.age() is not None else 0):
                heap.young("nowhere".__eq__, generations.Mark())
    finally:
        over.set()
        builder.join()
        sys.setswitchinterval(interval)
    assert crowd and not failed
