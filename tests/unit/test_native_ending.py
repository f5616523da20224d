"""What happens to a compiled hit when things end: the interpreter, an object's class, a local, memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import sysconfig
import textwrap
import types
import weakref
from typing import Any, Dict, List

import pytest
from tests.support import hit_rig

native = pytest.importorskip("otel_tracepoints.engine._native", reason="no compiled engine here")

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
PROBES: Dict[str, Dict[str, Any]] = {
    "tracepoint": {"message": None},
    "logpoint": {"message": "{a} {b.c}"},
    "condition": {"message": "x", "condition": "len(b) == 2"},
}


@pytest.mark.skipif(FREE_THREADED, reason="3.13 may hang at its end with busy daemon threads, without us too")
@pytest.mark.parametrize("probe", PROBES)
def test_the_interpreter_ends_while_threads_are_in_hits(probe: str) -> None:
    """Daemon threads that are in the middle of a hit then do not take the process down, whose exit status is its own."""
    program = f"""
        import sys, threading
        from otel_tracepoints.engine import _native
        from tests.support import hit_rig

        rig = hit_rig.rig(_native, **{PROBES[probe]!r})
        hits, enough = [], threading.Event()

        class Plain:
            pass

        def work():
            a, b, items = Plain(), 2, [1, "x", {{1: 2}}]
            while True:
                rig.gate(sys._getframe())
                del rig.emitter.taken[:]
                hits.append(1)
                if len(hits) > 2000:
                    enough.set()

        sys.setswitchinterval(1e-4)
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        enough.wait(30)
        sys.exit(7)
    """
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 7, done.stderr


def test_an_object_that_gets_another_class_during_its_capture() -> None:
    """The class that it had lives as long as anything looks at it."""

    class Other:
        pass

    value: Any = type("Passing", (), {})()
    value.x = 1
    gone = weakref.ref(type(value))
    freed: List[bool] = []

    def profile(frame: types.FrameType, event: str, _: Any) -> None:
        told = [each for each in frame.f_locals.values() if type(each) is str and each.endswith("Passing")]
        if event == "call" and frame.f_code.co_name == "label" and told and not freed:
            value.__class__ = Other
            gc.collect()
            freed.append(gone() is None)

    rig = hit_rig.rig(native, message=None)
    sys.setprofile(profile)
    try:
        snapshot = rig.hit(a=value)
    finally:
        sys.setprofile(None)
    assert freed == [False] and snapshot is not None and not rig.failed
    gc.collect()
    # Without the GIL the interpreter keeps what was made after its second thread began.
    assert gone() is None or FREE_THREADED


@pytest.mark.skipif(sys.version_info < (3, 13), reason="f_locals is a copy")
def test_a_local_that_is_replaced_while_it_is_compared() -> None:
    """Its value lives as long as the condition looks at it, whatever code a planted key of the globals runs."""
    kept: List[str] = []

    class Key:
        armed = False

        def __hash__(self) -> int:
            return hash("limit")

        def __eq__(self, other: object) -> bool:
            if self.armed:
                sys._getframe(1).f_locals["x"] = None
                kept.extend("z" * 4_000 for _ in range(50))  # where it was, if it has gone
            return False

    key = Key()
    names: Dict[Any, Any] = {key: 1, "limit": "q" * 4_000, "sys": sys, "__name__": "app"}
    exec("def f(gate, n):\n    x = 'q' * n\n    gate(sys._getframe())\n    return x\n", names)
    rig = hit_rig.rig(native, condition="x == limit")
    key.armed = True
    assert names["f"](rig.gate, 4_000) is None
    key.armed = False
    assert kept and rig.counts() == {"emitted": 1} and not rig.failed


def test_no_memory_for_the_frame() -> None:
    """A hit for whose frame there is no object, for want of memory, is counted as one that failed."""
    testcapi: Any = pytest.importorskip("_testcapi")
    rig = hit_rig.rig(native, message=None)
    table = native.Table()
    on_line = native.line_callback(table, object())

    def target(code: Any) -> None:
        testcapi.set_nomemory(0, 1)
        try:
            on_line(code, 3)
        finally:
            testcapi.remove_mem_hooks()

    table[id(target.__code__)] = {3: (rig.gate,)}
    target(target.__code__)
    assert sum(rig.counts().values()) == 1
