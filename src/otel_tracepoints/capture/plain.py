"""How values that hold no others are read: text, numbers, and what is told in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_tracepoints import introspect
from otel_tracepoints.capture import scalars
from otel_tracepoints.capture.redaction import LOOK_BEYOND
from otel_tracepoints.capture.shapes import Shape
from otel_tracepoints.model import JsonValue
from otel_tracepoints.semconv import (
    JSON_BITS,
    JSON_CIRCULAR,
    JSON_MESSAGE,
    JSON_REPR,
    JSON_SIZE,
    JSON_TRUNCATED,
    REDACTED,
)

if TYPE_CHECKING:
    from otel_tracepoints.capture.values import Reader

#: The agent's own words and the text of a date or an id are shown up to here even where the
#: limit for strings is lower: cut further they say nothing.
_LEAST_TEXT = 64
#: A text up to here is redacted at once: 3 ms where every character is the dearest there is.
AT_ONCE = 2 * LOOK_BEYOND
#: Of a longer one so many characters first, to see how long the rest would take.
SAMPLE = 2_048
_WHOLE = 1 << 60


def string(reader: Reader, value: Any, name: str) -> JsonValue:
    """A str, or the beginning of a long one. ``value`` may be of a subclass."""
    size, limit = str.__len__(value), reader.longest
    if size <= limit and size <= AT_ONCE:
        clean = reader.policy.text(value if type(value) is str else str.__str__(value))
        reader.spend(len(clean), size)
        return clean
    if size <= limit:
        text = value if type(value) is str else str.__str__(value)
        clean, short = reader.clean(text, _WHOLE, False)
        if not short:
            reader.spend(len(clean), size)
            return clean
    else:
        text = str.__getitem__(value, slice(0, limit + LOOK_BEYOND))
        clean, _ = reader.clean(text, limit, size > len(text))
    reader.spend(len(clean), len(text))
    reader.truncated = True
    return {**reader.typed(name), JSON_TRUNCATED: True, JSON_SIZE: size, JSON_REPR: clean}


def read_str(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """A str subclass reads as its text."""
    return string(reader, value, shape.name)


def read_int(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """An int, or its size in bits where it is larger than any id."""
    number = value if type(value) is int else scalars.exact_int(value)
    bits = number.bit_length()
    if bits > scalars.MAX_INT_BITS:
        return {**reader.typed(shape.name), JSON_BITS: bits}
    return REDACTED if reader.policy.hides_number(number) else number


def read_float(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """A float; nan and the infinities, which JSON does not have, as text."""
    number = value if type(value) is float else scalars.exact_float(value)
    if not scalars.is_finite(number):
        return {**reader.typed(shape.name), JSON_REPR: repr(number)}
    return REDACTED if reader.policy.hides_number(number) else number


def read_bytes(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """What bytes and bytearray hold: their size and, as Python prints them, their beginning."""
    base: Any = bytes if shape.base is bytes else bytearray
    size, limit = base.__len__(value), reader.longest
    window = repr(bytes(base.__getitem__(value, slice(0, limit + LOOK_BEYOND))))
    out = reader.typed(shape.name)
    out[JSON_SIZE] = size
    most = limit if size > limit else _WHOLE
    clean, short = reader.clean(window, most, size > limit + LOOK_BEYOND)
    if short or size > limit:
        reader.truncated = out[JSON_TRUNCATED] = True
    reader.spend(len(clean), len(window))
    out[JSON_REPR] = clean
    return out


def read_text(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """Dates, Decimals, ids, paths, …: see `scalars`."""
    text = scalars.TEXTS[id(shape.base)](value)
    return read_opaque(reader, value, shape, level) if type(text) is not str else _shown(reader, shape, text)


def read_enum(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """A member of an enum, by its name."""
    return _shown(reader, shape, scalars.enum_text(value))


def read_opaque(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """What is not taken apart, in the agent's own words."""
    return _shown(reader, shape, scalars.one_line(value, shape.name))


def _shown(reader: Reader, shape: Shape, text: str) -> JsonValue:
    out = reader.typed(shape.name)
    limit = max(reader.longest, _LEAST_TEXT)
    if len(text) > limit:
        reader.mark(out, len(text))
    clean = reader.policy.cut(text[: limit + LOOK_BEYOND], limit, len(text) > limit + LOOK_BEYOND)
    reader.spend(len(clean), len(text))
    out[JSON_REPR] = clean
    return out


def read_exception(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:  # noqa: ARG001 - readers are alike
    """Its type, and its message made from ``args``: ``str()`` of it may be the application's code."""
    out = reader.typed(shape.name)
    if id(value) in reader.path:
        out[JSON_CIRCULAR] = True
        return out
    reader.path.add(id(value))
    try:
        args = introspect.read_attribute(value, "args")
        if type(args) is not tuple or not args:
            text = ""
        elif len(args) == 1:
            text = reader.text(args[0])
        elif type(args[0]) is int and type(args[1]) is str and introspect.is_subtype(type(value), OSError):
            text = f"[Errno {args[0]}] {args[1][: reader.longest]}" if args[0].bit_length() < 64 else args[1]
            name = introspect.read_attribute(value, "filename")
            if type(name) is str:
                text += f": {name[: reader.longest]!r}"
        else:
            text = reader.text(args)
        out[JSON_MESSAGE] = string(reader, text, "str")
    finally:
        reader.path.discard(id(value))
    return out
