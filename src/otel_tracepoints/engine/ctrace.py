"""``sys.settrace`` with a trace function of C, where the compiled module is.

The function looks up every line in a table; the frames are left alone, so those that run already are
watched at once, and the one who reaches the edge of the stack, or raises for a signal, stays watched.
What it costs beyond that is the interpreter's own: it goes slower as soon as anything is traced.
"""

from __future__ import annotations

import threading
from typing import Any, List

from otel_tracepoints.engine.tracing import FOREIGN, TraceEngine, trace_of_new_threads


class CompiledSettraceEngine(TraceEngine):
    """`engine.base.Engine` over the compiled module's ``Tracer``."""

    def __init__(self, native: Any) -> None:
        super().__init__(native, native.Table())
        self._tracer = native.Tracer(self._table)

    def _start(self) -> List[str]:
        to_come = trace_of_new_threads()
        if to_come is None:
            # In a thread that starts it is called once, as a function of Python, and makes way for that of C.
            threading.settrace(self._tracer)
        free = to_come is None or to_come is self._tracer
        left_to_others = self._tracer.set_all(free)
        return [] if free and not left_to_others else [FOREIGN]

    def _stop(self) -> None:
        next_one = None
        try:
            next_one = self._tracer.clear_all()
        finally:
            if trace_of_new_threads() is self._tracer:
                threading.settrace(next_one)
