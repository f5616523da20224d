"""One interpolated field of a message: its text, and its value for a back end to filter on.

Formatting is for values of builtin types, as f-strings do it; ``__format__``, ``__str__`` and
``__repr__`` of the application never run.
"""

from __future__ import annotations

import datetime
import decimal
import pathlib
import re
import uuid
from typing import Any, NamedTuple, Optional

from otel_tracepoints import introspect
from otel_tracepoints.capture import scalars, shapes
from otel_tracepoints.capture.redaction import LOOK_BEYOND, RedactionPolicy
from otel_tracepoints.capture.values import Clock, Reader
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.model import CaptureLimits, FieldValue
from otel_tracepoints.semconv import REDACTED

#: Characters of one field, and of a whole message: people read messages.
FIELD_LIMIT = 8_192
#: Containers and objects in a message are shown to these limits; a logpoint has none of its own.
_LIMITS = CaptureLimits(max_string_length=FIELD_LIMIT)
#: What is read for it. The shortest values (``"0, "``) take 8 of the room for 3 characters.
_ROOM = 3 * FIELD_LIMIT
#: A width or precision of five digits would make the result large, whatever the value.
_TOO_WIDE = re.compile(r"\d{5}")
#: A Decimal beyond this exponent would be written out with as many zeros.
_LARGEST_EXPONENT = 1_000
#: Formatting an int takes time that grows with its square; expressions stop at this size, too.
_MOST_BITS = 4_096
#: Numbers below it are neither infinite nor long.
_LARGE = 1e12
#: What an integer attribute of OTLP can hold.
_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1

#: Standard classes whose ``__repr__`` is known code over plain fields.
_REPRS = frozenset(
    id(cls)
    for cls in (
        *(complex, range, decimal.Decimal, uuid.UUID, datetime.timedelta, datetime.date, datetime.timezone),
        *(pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath, pathlib.PureWindowsPath),
    )
)


#: Takes half the time of a named tuple's own constructor.
_new = tuple.__new__


class Field(NamedTuple):
    """A printed field; ``truncated`` when a limit cut it."""

    text: str
    value: FieldValue
    truncated: bool = False


def print_field(
    value: Any, conversion: Optional[str], spec: str, policy: RedactionPolicy, clock: Clock
) -> Field:
    """A value as a template prints it.

    Raises:
        EvaluationError: ``TYPE_MISMATCH`` when the spec does not fit the value, ``BUDGET`` when
            the result would be too large.
    """
    kind = type(value)
    if not conversion and not spec:
        # What most fields are, without going through all that a field might be.
        if kind is str and len(value) <= FIELD_LIMIT:
            text = policy.text(value)
            return _new(Field, (text, text, False))
        if (kind is int or kind is float) and -_LARGE < value < _LARGE:
            if policy.hides_number(value):
                return Field(REDACTED, REDACTED)
            return _new(Field, (repr(value), value, False))
    if value is None:
        shown = Field("None", "null")
        if not conversion:
            return _formatted(shown, None, None, spec, kind, policy)
        # Each conversion makes text of it, the same four letters.
        return _formatted(shown, "None", "s", spec, kind, policy)
    if kind is bool:
        return _formatted(Field(repr(value), value), value, conversion, spec, kind, policy)
    base = _number_or_text(kind)
    if base is str:
        return _print_str(value, conversion, spec, policy)
    if base is int or base is float:
        number: Any = scalars.exact_int(value) if base is int else scalars.exact_float(value)
        if base is float or number.bit_length() <= _MOST_BITS:
            return _print_number(number, conversion, spec, policy)
    reader = Reader(policy, _LIMITS, clock, _ROOM)
    text = reader.text(value)
    window = text[: FIELD_LIMIT + LOOK_BEYOND]
    clean = policy.cut(window, FIELD_LIMIT, len(text) > len(window))
    shown = Field(clean, "", reader.truncated or len(text) > FIELD_LIMIT)
    shown = shown._replace(value=shown.text)
    if not conversion and not spec:
        return shown
    if REDACTED in shown.text:
        return shown
    if conversion:
        quoted = _str(value, kind) if conversion == "s" else _repr(value, kind)
        return _formatted(
            shown,
            shown.text if quoted is None else quoted,
            "s" if conversion != "a" else "a",
            spec,
            kind,
            policy,
        )
    return _formatted(shown, _formattable(value), None, spec, kind, policy)


def _number_or_text(kind: type) -> Optional[type]:
    """str, int or float where instances are that, also as members of an enum."""
    if kind is str or kind is int or kind is float:
        return kind
    base = introspect.builtin_base(kind)
    return base if base is str or base is int or base is float else None


def _print_str(value: Any, conversion: Optional[str], spec: str, policy: RedactionPolicy) -> Field:
    size = str.__len__(value)
    window = str.__getitem__(value, slice(0, FIELD_LIMIT + LOOK_BEYOND))
    clean = policy.cut(window, FIELD_LIMIT, size > len(window))
    shown = Field(clean, clean, size > FIELD_LIMIT)
    if clean != window[:FIELD_LIMIT]:
        return shown  # redacted: a conversion or spec might take it apart
    return _formatted(shown, clean, conversion, spec, str, policy)


def _print_number(number: Any, conversion: Optional[str], spec: str, policy: RedactionPolicy) -> Field:
    if policy.hides_number(number):
        return Field(REDACTED, REDACTED)
    if type(number) is int:
        if number.bit_length() > scalars.MAX_INT_BITS and not spec:
            text = f'{{"__tpd_type__": "int", "__tpd_bits__": {number.bit_length()}}}'
            return Field(text, text)
        text = repr(number) if number.bit_length() <= scalars.MAX_INT_BITS else ""
        shown = Field(text, number if _LEAST_INT <= number <= _LARGEST_INT else text)
    else:
        text = repr(number)
        shown = Field(text, number if scalars.is_finite(number) else text)
    return _formatted(shown, number, conversion, spec, type(number), policy)


def _formatted(
    shown: Field, value: Any, conversion: Optional[str], spec: str, kind: type, policy: RedactionPolicy
) -> Field:
    """``shown`` with conversion and spec applied to ``value``, which is exactly of a builtin type."""
    if conversion == "r":
        value = repr(value) if type(value) is str and shown.text == value else shown.text
    elif conversion == "a":
        value = ascii(value)
    elif conversion == "s":
        value = value if type(value) is str else shown.text
    elif not spec:
        return shown
    if not spec:
        return shown._replace(text=policy.cut(value, FIELD_LIMIT))
    if _TOO_WIDE.search(spec) is not None:
        raise EvaluationError("BUDGET", f"the width or precision of '{spec}' is too large")
    try:
        # Nothing formattable is told apart from what refuses the spec only here: both misfit.
        text = format(_NOTHING if value is None else value, spec)
    except Exception as error:
        if is_for_application(error):
            raise
        name = introspect.type_name(kind)
        raise EvaluationError("TYPE_MISMATCH", f"the format '{spec}' does not fit '{name}'") from None
    return shown._replace(
        text=policy.cut(text, FIELD_LIMIT), truncated=shown.truncated or len(text) > FIELD_LIMIT
    )


#: Refuses every spec, as None and containers do.
_NOTHING = object()


def _formattable(value: Any) -> Any:
    """The same value as an exact builtin type that takes a format spec; None if there is none."""
    base = introspect.builtin_base(type(value))
    if base is decimal.Decimal and scalars.decimal_text(value) is not None:
        exact = decimal.Decimal(value)
        if exact.is_finite() and abs(exact.adjusted()) > _LARGEST_EXPONENT:
            raise EvaluationError("BUDGET", "the number is too large to be formatted")
        return exact
    if base is complex:
        return complex.__add__(value, 0)
    if base is datetime.datetime:
        if not scalars.has_safe_zone(value):
            return scalars.naive_datetime(value)
        return value if type(value) is datetime.datetime else scalars.naive_datetime(value)
    if base is datetime.date and type(value) is datetime.date:
        return value
    if base is datetime.time and type(value) is datetime.time and scalars.has_safe_zone(value):
        return value
    if shapes.shape_of(type(value)).kind == shapes.ENUM:
        return scalars.enum_text(value)
    return None


def _str(value: Any, kind: type) -> Optional[str]:
    # The one type whose text is not what Python's conversion makes of it.
    if kind is datetime.datetime and scalars.has_safe_zone(value):
        return str(value)
    return None


def _repr(value: Any, kind: type) -> Optional[str]:
    if id(kind) in _REPRS:
        return repr(value)
    if (kind is datetime.datetime or kind is datetime.time) and scalars.has_safe_zone(value):
        return repr(value)
    return None
