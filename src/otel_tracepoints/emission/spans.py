"""The current span, seen from the hit path: which it is, and how many of our events it may still take."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from types import FrameType
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import _Span
from opentelemetry.trace import propagation as trace_propagation

from otel_tracepoints.interrupts import is_from_signal
from otel_tracepoints.model import TraceContext

#: A span keeps 128 events and drops the *oldest* of them: a hot probe must not push out the
#: application's own.
EVENTS_PER_SPAN = 16

#: Wrappers around the application's functions: they are on the stack of every request, and
#: hold no lock of OpenTelemetry while the application runs.
_AROUND_THE_APPLICATION = ("opentelemetry.instrumentation", "opentelemetry.util._decorator")

_dict_get = dict.get


def current_span() -> Any:
    """The span of this thread or task; a non-recording one if there is none. Takes no lock."""
    return trace_api.get_current_span()


class SpanParts(NamedTuple):
    """Where a compiled hit finds what `current_span` and `context_of` find."""

    variable: Any
    context: type
    key: str
    #: Classes whose ``get_span_context`` gives what is in ``_context``.
    spans: Tuple[type, ...]
    span_context: type
    made: type


def span_parts() -> Optional[SpanParts]:
    """None where OpenTelemetry keeps its context in another way than in a context variable."""
    runtime = getattr(context_api, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is not ContextVarsRuntimeContext or type(variable) is not ContextVar:
        return None
    ids = trace_api.SpanContext(1, 2, is_remote=False, trace_flags=trace_api.TraceFlags(1))
    if tuple.__getitem__(ids, slice(4)) != (1, 2, False, 1):  # it is not the tuple that it was up to 1.45
        return None
    spans = (trace_api.NonRecordingSpan, _Span)
    return SpanParts(
        variable, context_api.Context, trace_propagation._SPAN_KEY, spans, type(ids), TraceContext
    )


def context_of(span: Any) -> Optional[TraceContext]:
    """The span's ids, or None if it has no valid ones."""
    context = span.get_span_context()
    if not context.trace_id or not context.span_id:
        return None
    return TraceContext(context.trace_id, context.span_id, int(context.trace_flags))


def current_trace() -> Optional[TraceContext]:
    """The ids of the span that is current in this thread or task."""
    try:
        return context_of(current_span())
    except Exception as error:  # a span class that is not OpenTelemetry's
        if is_from_signal(error):
            raise
        return None


def inside_telemetry(frame: Optional[FrameType]) -> bool:
    """Whether OpenTelemetry's own code is on this stack.

    A span's lock is not reentrant: a finaliser that the collector runs inside
    ``set_attribute`` and whose hit then called ``add_event`` on the same span would hang for
    ever.
    """
    while frame is not None:
        name = _dict_get(frame.f_globals, "__name__")
        if (
            type(name) is str
            and name.startswith("opentelemetry.")
            and not name.startswith(_AROUND_THE_APPLICATION)
        ):
            return True
        frame = frame.f_back
    return False


class SpanBudget:
    """At most `EVENTS_PER_SPAN` events a span, exact under threads, without a lock."""

    def __init__(self) -> None:
        # By identity: a span class of the application may define __eq__ or __hash__.
        self._tickets: Dict[int, Tuple[Any, List[None]]] = {}

    def take(self, span: Any) -> bool:
        """Take one of the span's events, if it has any left."""
        tickets, key = self._tickets, id(span)
        # Not get(): without the GIL that takes 19 µs where another thread made the key. The entry
        # stays as long as the span.
        if key in tickets:
            entry = tickets[key]
        else:

            def forget(_: object) -> None:
                tickets.pop(key, None)

            try:
                # The span's end of life removes its entry, before its id can be used again.
                reference = weakref.ref(span, forget)
            except TypeError:
                return False  # a span class that cannot be counted gets no events of ours
            entry = tickets.setdefault(key, (reference, [None] * EVENTS_PER_SPAN))
        try:
            entry[1].pop()
        except IndexError:
            return False
        return True

    def __len__(self) -> int:
        return len(self._tickets)
