"""A value of the application → plain, finite, acyclic, redacted JSON of bounded size.

Slice first, format after: what is read is bounded by the limits, never by the size of the value.
No code of the application runs; see `introspect` for how.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, NamedTuple, Optional, Protocol, Set, Tuple

from otel_tracepoints import introspect
from otel_tracepoints.capture import containers, plain, shapes
from otel_tracepoints.capture.redaction import LOOK_BEYOND, RedactionPolicy
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.model import CaptureLimits, JsonValue
from otel_tracepoints.semconv import JSON_REPR, JSON_SIZE, JSON_TRUNCATED, JSON_TYPE

#: Values read between two looks at the clock, which cost half a microsecond each.
_STEPS = 16
#: Longest key of a dict that is told.
_LONGEST_KEY = 256
#: A name up to here may be remembered; longer ones are data.
_LONGEST_NAME = 64
#: What a value costs of the room beside its characters: quotes, commas, brackets.
_NODE = 8
#: The same for a key of ours, such as ``"__tpd_type__": ``.
_TYPED = 24


class Clock(Protocol):
    """How long the hit may go on (`limits.PauseClock`)."""

    def expired(self) -> bool:
        """Cheap enough to ask every few values."""

    def left_ns(self) -> Optional[int]:
        """How long exactly, in nanoseconds; None for ever."""


class Captured(NamedTuple):
    """A detached value; ``truncated`` when a limit cut something."""

    json: JsonValue
    truncated: bool


class Reader:
    """Reads values under one set of limits; for one hit in one thread.

    Args:
        room: Characters of JSON, roughly, that may still be produced.

    Attributes:
        truncated: True when any limit cut something.
        exhausted: True when room or time ran out: nothing more is looked into.
        path: Ids of the containers that are open now, to find cycles.
    """

    __slots__ = (
        "_clock",
        "_expired",
        "_steps",
        "depth",
        "exhausted",
        "longest",
        "path",
        "policy",
        "room",
        "truncated",
        "width",
    )

    def __init__(self, policy: RedactionPolicy, limits: CaptureLimits, clock: Clock, room: int) -> None:
        self.policy = policy
        self.depth = limits.max_depth
        self.width = limits.max_properties
        self.longest = limits.max_string_length
        self.room = room
        self.truncated = False
        self.exhausted = False
        self.path: Set[int] = set()
        self._clock = clock
        self._expired = False
        self._steps = _STEPS

    def allot(self, room: int) -> None:
        """Begin a new value with this much room of its own."""
        self.room = room
        self.exhausted = self._expired

    def read(self, value: object, level: int = 0) -> JsonValue:
        """The JSON of a value; never raises one of its own: a value that cannot be read says so."""
        if value is None or value is True or value is False:
            return value
        cls = type(value)
        self.room -= _NODE
        self._steps -= 1
        try:
            if (self._steps < 0 or self.room < 0) and self._ran_out():
                return self.closed(introspect.type_name(cls))
            if cls is str:
                return plain.string(self, value, "str")
            shape = shapes.shape_of(cls)
            return _READERS[shape.kind](self, value, shape, level)
        except Exception as error:
            if is_for_application(error):
                raise
            # One bad value costs that value only.
            return {JSON_TYPE: self.policy.label(introspect.type_name(cls)), JSON_REPR: "<unreadable>"}

    def key(self, key: object) -> Tuple[str, bool]:
        """The text of a dict's key or a field's name, and whether its value is sensitive."""
        if type(key) is str:
            if len(key) <= _LONGEST_NAME and key.isidentifier():
                return self.policy.label(key), self.policy.is_sensitive(key)
            text, more = key[: _LONGEST_KEY + LOOK_BEYOND], len(key) > _LONGEST_KEY + LOOK_BEYOND
            return self._cut_key(text, more), self.policy.is_sensitive(text)
        if type(key) is bytes:
            head = key[:_LONGEST_KEY]
            return self._cut_key(repr(head), len(key) > _LONGEST_KEY), self.policy.is_sensitive(
                head.decode("latin-1")
            )
        text = self.text(key)
        return self._cut_key(text, False), self.policy.is_sensitive(text)

    def _cut_key(self, text: str, more: bool) -> str:
        clean = self.policy.cut(text, _LONGEST_KEY, more)
        self.spend(0, len(text))
        if self._steps < 0:  # values that need no reading do not ask
            self._ran_out()
        if len(text) > _LONGEST_KEY:
            self.truncated = True
            return clean + "…"
        return clean

    def text(self, value: Any) -> str:
        """A value as a template prints it (expressions.md); strings are not yet redacted."""
        cls = type(value)
        if value is None or value is True or value is False:
            return repr(value)
        shape = shapes.shape_of(cls)
        if shape.kind == shapes.STR:
            return str.__getitem__(value, slice(0, self.longest + LOOK_BEYOND))
        shown = self.read(value)
        if type(shown) is str:
            return shown
        if shape.kind in _ONE_TEXT and type(shown) is dict and JSON_REPR in shown:
            return str(shown[JSON_REPR])
        return json.dumps(shown, ensure_ascii=False)

    # For the readers of each kind.

    def enter(self, value: object, shape: shapes.Shape, level: int, size: Optional[int]) -> JsonValue:
        """None when a container may be opened (then `leave` it), else what stands for it."""
        if id(value) in self.path:
            return containers.circular(self, shape)
        if level >= self.depth:
            return self.closed(shape.name, size)
        self.path.add(id(value))
        return None

    def leave(self, value: object) -> None:
        """The container is done with."""
        self.path.discard(id(value))

    def typed(self, name: str) -> Dict[str, Any]:
        """The beginning of everything that says its type."""
        label = self.policy.label(name)
        self.room -= len(label) + _TYPED
        return {JSON_TYPE: label}

    def closed(self, name: str, size: Optional[int] = None) -> Dict[str, Any]:
        """What stands for a value that a limit kept from being looked into."""
        self.truncated = True
        out = self.typed(name)
        self.room -= _TYPED
        out[JSON_TRUNCATED] = True
        if size is not None:
            out[JSON_SIZE] = size
        return out

    def mark(self, out: Dict[str, Any], size: int) -> Dict[str, Any]:
        """Say that ``out`` is only part of ``size`` items."""
        self.truncated = True
        out[JSON_TRUNCATED] = True
        out[JSON_SIZE] = size
        return out

    def clean(self, text: str, limit: int, more: bool) -> Tuple[str, bool]:
        """`RedactionPolicy.cut`, and whether it was cut shorter for want of time.

        Patterns take from 20 to 400 ns a character, whatever the text means: what they take for
        its beginning tells how far half of the time that is left will reach.
        """
        short = False
        if len(text) > plain.AT_ONCE:
            before = self._clock.left_ns()
            if before is not None:
                self.policy.text(text[: plain.SAMPLE])
                left = self._clock.left_ns() or 0
                reach = plain.SAMPLE * left // (2 * max(1, before - left))
                if reach < len(text):
                    limit = min(limit, max(plain.AT_ONCE, reach) - LOOK_BEYOND)
                    text = text[: limit + LOOK_BEYOND]
                    short = more = True
        return self.policy.cut(text, limit, more), short

    def spend(self, characters: int, looked_at: int) -> None:
        """Account for a text: what is kept of it, and what the patterns had to look at."""
        self.room -= characters
        self._steps -= looked_at >> 8

    def _ran_out(self) -> bool:
        if not self.exhausted:
            self._expired = self._clock.expired()
            self.exhausted = self._expired or self.room < 0
        # Once time is up every value has to come here.
        self._steps = 0 if self._expired else _STEPS
        self.truncated = self.truncated or self.exhausted
        return self.exhausted


#: Kinds whose JSON is nothing but a type and a text.
_ONE_TEXT = frozenset((shapes.TEXT, shapes.FLOAT, shapes.BYTES, shapes.ENUM))

_READERS: Dict[int, Callable[[Reader, Any, shapes.Shape, int], JsonValue]] = {
    shapes.OBJECT: containers.read_object,
    shapes.OPAQUE: plain.read_opaque,
    shapes.TEXT: plain.read_text,
    shapes.ENUM: plain.read_enum,
    shapes.STR: plain.read_str,
    shapes.INT: plain.read_int,
    shapes.FLOAT: plain.read_float,
    shapes.BYTES: plain.read_bytes,
    shapes.LIST: containers.read_sequence,
    shapes.TUPLE: containers.read_sequence,
    shapes.RECORD: containers.read_record,
    shapes.DICT: containers.read_dict,
    shapes.ITEMS: containers.read_items,
    shapes.VIEW: containers.read_view,
    shapes.EXCEPTION: plain.read_exception,
    shapes.ARRAY: containers.read_array,
}
