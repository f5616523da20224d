"""A live frame → the variables, watches and stack of a snapshot, within limits, redacted.

Reading ``f_locals`` before 3.13 refreshes the dict that the application's own ``locals()`` gave
it, and that dict lives as long as the frame; only native code can do without. Nothing else of
the application is held longer than the call.
"""

from __future__ import annotations

import inspect
import sys
import types
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints import introspect
from otel_tracepoints.capture.callbacks import Callback, adapt
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.capture.shapes import shape_of
from otel_tracepoints.capture.stack import collect_stack
from otel_tracepoints.capture.values import Captured, Clock, Reader
from otel_tracepoints.comprehensions import ARE_INLINED, inlined_names
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.lowering import reads_openly
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.model import CaptureLimits, JsonText, JsonValue, Snapshot, StackFrame, WatchValue
from otel_tracepoints.semconv import JSON_UNBOUND, REDACTED

if TYPE_CHECKING:
    from otel_tracepoints.expression import Expression

#: Variables of a hit; Loki refuses a record with more than 128 attributes (telemetry.md).
MAX_VARIABLES = 90
#: Characters of JSON that the variables of one hit, and its watches, may come to. Emission sends
#: 32 KiB of them; the rest is for ``GET /hits``, whose memory holds 1,000 hits.
VARIABLES_ROOM = 196_608
WATCHES_ROOM = 65_536
#: What every variable may take, whatever those before it took.
_LEAST_ROOM = 1024

_NO_TIME = "<BUDGET: the time for this hit was used up>"

_CELLS_OF_THE_COMPILER = frozenset(("__class__", "__classdict__", "__conditional_annotations__"))


class Collector:
    """Captures the hits of probes with these limits; safe from any thread.

    Args:
        function_name: ``code.function.name`` of a code object.
        callback: ``tracepoint_data_redaction_callback``: called once per variable and watch,
            after everything else, with detached JSON.
        walker: The class of the compiled walk, if there is one: it does what `Reader` does, to `JsonText`.
    """

    __slots__ = (
        "__weakref__",
        "_callback",
        "_function_name",
        "_limits",
        "_policy",
        "_prepared",
        "_walker",
        "_walker_type",
    )

    def __init__(
        self,
        policy: RedactionPolicy,
        limits: CaptureLimits,
        function_name: Callable[[CodeType], str],
        callback: Optional[Callback] = None,
        walker: Optional[Callable[..., Any]] = None,
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._function_name = function_name
        self._callback = adapt(callback)
        self._walker = None if walker is None else walker(policy, limits, _WALKER_PARTS)
        self._walker_type = walker
        # Of the watches that came last: `prepare`.
        self._prepared: Optional[_Prepared] = None

    def variables(self, frame: FrameType, snapshot: Snapshot, clock: Clock) -> None:
        """Fills ``variables``, ``arguments`` and ``omitted``."""
        if self._walker is not None and self._callback is None:
            # One that calls back gets plain values.
            told = self._walker.variables(frame, snapshot.variables, clock, VARIABLES_ROOM, _LEAST_ROOM)
            if told is not None:
                snapshot.arguments, snapshot.omitted, truncated = told
                snapshot.truncated = snapshot.truncated or truncated
                return
        code = frame.f_code
        if code.co_flags & inspect.CO_OPTIMIZED:
            snapshot.arguments = _arguments(code)
            pairs, omitted = _function_locals(frame, code)
        else:
            pairs, omitted = _namespace_locals(frame)
        reader = Reader(self._policy, self._limits, clock, VARIABLES_ROOM)
        variables = snapshot.variables
        left = len(pairs)
        room = VARIABLES_ROOM
        for name, value in pairs:
            label, sensitive = reader.key(name)
            # A fair share, so that one huge variable does not hide those after it.
            share = max(_LEAST_ROOM, room // left)
            reader.allot(share)
            if value is introspect.MISSING:
                variables[label] = {JSON_UNBOUND: True}
            else:
                variables[label] = REDACTED if sensitive else reader.read(value)
            room -= min(share, share - reader.room)
            left -= 1
        snapshot.omitted = omitted
        snapshot.truncated = snapshot.truncated or reader.truncated or omitted > 0
        callback = self._callback
        if callback is not None:
            # After all have been read: what the callback takes is not the agent's time.
            for label, shown in variables.items():
                if type(shown) is not dict or JSON_UNBOUND not in shown:
                    variables[label] = callback(shown, label)

    def prepare(self, expressions: Sequence[Expression]) -> None:
        """Readies what `watches` will be given, so that not the first hit has to."""
        if self._walker_type is not None and self._callback is None and expressions:
            self._prepare(expressions, self._walker_type)

    def watches(
        self, frame: FrameType, expressions: Sequence[Expression], snapshot: Snapshot, clock: Clock
    ) -> None:
        """Fills ``watches``, with doubled limits: the user asked for these by name."""
        if self._walker_type is not None and self._callback is None:
            prepared = self._prepared
            if prepared is None or prepared.expressions is not expressions:
                prepared = self._prepare(expressions, self._walker_type)
            values, truncated = prepared.walker.watches(
                frame, prepared.watches, clock, WATCHES_ROOM, _LEAST_ROOM, self._evaluate, snapshot, _NO_TIME
            )
            snapshot.watches.extend(values)
            snapshot.truncated = snapshot.truncated or truncated
            return
        reader = Reader(self._policy, self._limits.doubled(), clock, WATCHES_ROOM)
        found: List[WatchValue] = []
        room = WATCHES_ROOM
        for number, expression in enumerate(expressions):
            share = max(_LEAST_ROOM, room // (len(expressions) - number))
            reader.allot(share)
            found.append(
                WatchValue(
                    self._policy.label(expression.source),
                    self._watch(frame, expression, snapshot, reader, clock),
                )
            )
            room -= min(share, share - reader.room)
        if self._callback is not None:
            found = [
                WatchValue(each.expression, self._callback(each.value, each.expression)) for each in found
            ]
        snapshot.watches.extend(found)
        snapshot.truncated = snapshot.truncated or reader.truncated

    def _watch(
        self, frame: FrameType, expression: Expression, snapshot: Snapshot, reader: Reader, clock: Clock
    ) -> JsonValue:
        if clock.expired():
            reader.truncated = True
            return _NO_TIME
        stands, value = self._evaluate(frame, expression, snapshot)
        return value if stands else reader.read(value)

    def _evaluate(self, frame: FrameType, expression: Expression, snapshot: Snapshot) -> Tuple[bool, Any]:
        """Whether there is a text that stands for the value, and that text or the value."""
        try:
            evaluated = expression.evaluate(frame)
        except EvaluationError as error:
            snapshot.failure = (error.code, self._policy.text(error.message))
            return True, self._policy.text(error.mark)
        return (True, REDACTED) if evaluated.sensitive else (False, evaluated.value)

    def _prepare(self, expressions: Sequence[Expression], make: Callable[..., Any]) -> _Prepared:
        """These watches as the compiled walk takes them, and a walk with their limits."""
        policy = self._policy
        walker = make(policy, self._limits.doubled(), _WALKER_PARTS)
        watches = walker.prepare(
            tuple((_openly(each, policy), policy.label(each.source), each) for each in expressions)
        )
        prepared = self._prepared = _Prepared(expressions, walker, watches)
        return prepared

    def stack(self, frame: FrameType, snapshot: Snapshot, clock: Clock) -> None:
        """Fills ``stack``."""
        if self._limits.max_frames > 0:
            most, name = self._limits.max_frames, self._function_name
            collect_stack(frame, snapshot, most, self._policy, name, clock, self._walker)

    def value(self, obj: object, limits: CaptureLimits, clock: Clock, name: Optional[str] = None) -> Captured:
        """One value, redacted also by its name, if it has one."""
        if name is not None and self._policy.is_sensitive(name):
            return Captured(REDACTED, False)
        reader = Reader(self._policy, limits, clock, VARIABLES_ROOM)
        return Captured(reader.read(obj), reader.truncated)


class _Prepared(NamedTuple):
    """The watches of one plan, for the compiled walk."""

    expressions: Sequence[Expression]
    walker: Any
    watches: Any


def _openly(expression: Expression, policy: RedactionPolicy) -> Any:
    """What of it can be evaluated without Python, as far as its value may certainly be shown."""
    lowered = expression.lowered
    return lowered if lowered is not None and reads_openly(lowered, policy.is_sensitive) else None


def _arguments(code: CodeType) -> Tuple[str, ...]:
    """Parameters in the order of the signature: ``a, /, b, *rest, c, **more``."""
    names, positional, keyword = code.co_varnames, code.co_argcount, code.co_kwonlyargcount
    total = positional + keyword
    rest = names[total : total + 1] if code.co_flags & inspect.CO_VARARGS else ()
    more_at = total + len(rest)
    more = names[more_at : more_at + 1] if code.co_flags & inspect.CO_VARKEYWORDS else ()
    return names[:positional] + rest + names[positional:total] + more


def _function_locals(frame: FrameType, code: CodeType) -> Tuple[List[Tuple[str, Any]], int]:
    """(name, value or MISSING) of all locals, cells and free variables, parameters first."""
    shown, omitted = _names(code)
    found: Any = frame.f_locals
    if sys.version_info >= (3, 13):
        found = found.copy()  # a proxy, whose lookups raise for an unbound name
    pairs = [(name, dict.get(found, name, introspect.MISSING)) for name in shown]
    if ARE_INLINED and any(value is introspect.MISSING for _, value in pairs):
        hidden = inlined_names(code).intersection(code.co_varnames)
        pairs = [pair for pair in pairs if pair[1] is not introspect.MISSING or pair[0] not in hidden]
    return pairs, omitted


def _names(code: CodeType) -> Tuple[List[str], int]:
    """Of the variables that are shown, in their order, and how many more there are."""
    names = [
        name
        for name in dict.fromkeys(code.co_varnames + code.co_cellvars + code.co_freevars)
        # `.0` is the iterator of a comprehension.
        if name not in _CELLS_OF_THE_COMPILER and name[0] != "."
    ]
    shown = names[:MAX_VARIABLES]
    return shown, len(names) - len(shown)


def _described(code: CodeType) -> Tuple[Tuple[str, ...], List[str], int, Set[str]]:
    """What the compiled walk asks of a code object once: arguments, names, how many more, comprehensions'."""
    shown, omitted = _names(code)
    hidden = inlined_names(code).intersection(code.co_varnames)
    return _arguments(code), shown, omitted, hidden


def _namespace_locals(frame: FrameType) -> Tuple[List[Tuple[str, Any]], int]:
    """What a module or class body has defined so far, data before modules, functions and classes."""
    found: Any = frame.f_locals
    # A metaclass's __prepare__ may have given any mapping: only a dict can be read safely.
    if type(found) is not dict and not introspect.is_subtype(type(found), dict):
        return [], 0
    try:
        items = list(dict.items(found))
    except RuntimeError as error:  # another thread changed it: a copy is made in one step
        if is_for_application(error):
            raise
        items = list(dict.copy(found).items())
    named: List[Tuple[str, Any]] = [
        (name, value)
        for name, value in items
        if type(name) is str and not (name.startswith("__") and name.endswith("__"))
    ]
    named.sort(key=lambda pair: _is_definition(pair[1]))
    return named[:MAX_VARIABLES], max(0, len(named) - MAX_VARIABLES)


def _is_definition(value: object) -> bool:
    kind = type(value)
    return kind is types.FunctionType or kind is types.ModuleType or introspect.is_subtype(kind, type)


#: What the compiled walk asks Python for.
_WALKER_PARTS = (Reader, JsonText, shape_of, _described, is_for_application, StackFrame, WatchValue)
