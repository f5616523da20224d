"""What a value is (by its real type), its exact builtin form, its truth and its length.

Work on a value goes through the slots of the builtin type that `introspect.builtin_base` finds
in its MRO, never through what a subclass put over them. Types are compared by identity or by
``id``: a class's own ``==`` and hash are its metaclass's, which may be the application's.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
from typing import Any, Callable, Dict, List, Optional

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import MAX_STRING, State, over, spend

#: Exact builtin types on whose instances CPython's own ``==``, ``<`` and hash run no other code.
SIMPLE_IDS = frozenset(id(each) for each in (str, int, float, bool, type(None), bytes, complex))

#: A Decimal above this size in memory has more than some 4 500 digits.
_DECIMAL_BYTES = 2_048

_NUMBERS = frozenset(id(each) for each in (int, float, complex, bool, decimal.Decimal, fractions.Fraction))

_SIZED: List[Any] = [
    *(str, bytes, bytearray, tuple, list, dict, set, frozenset, range, memoryview, collections.deque),
    *(type({}.keys()), type({}.values()), type({}.items())),
]
_LENGTHS: Dict[int, Callable[[Any], int]] = {id(each): each.__len__ for each in _SIZED}


def base_of(value: object) -> Any:
    """The builtin type whose slots work on this value, or None (Any, as slots are called on it)."""
    return introspect.builtin_base(type(value))


def is_number(base: Optional[type]) -> bool:
    """True for the bases that arithmetic knows, bool included."""
    return id(base) in _NUMBERS


def named(value: object) -> str:
    """The quoted name of a value's type, for error messages."""
    return f"'{introspect.type_name(type(value))}'"


def exact(value: Any, base: Optional[type], state: Optional[State] = None) -> Any:
    """A number, str or bytes of a subclass as the builtin type itself; anything else as it is.

    The copy of a text is charged to ``state`` where one is given.

    Raises:
        EvaluationError: ``BUDGET`` when the copy would be too large.
    """
    cls = type(value)
    if cls is base:
        if base is decimal.Decimal and decimal.Decimal.__sizeof__(value) > _DECIMAL_BYTES:
            raise over("a Decimal")
        if base is fractions.Fraction:
            return _fraction(value)
        return value
    if base is str:
        if str.__len__(value) > MAX_STRING:
            raise over("a string")
        if state is not None:
            spend(state, str.__len__(value) >> 7)
        return str.__str__(value)
    if base is int:
        return int.__pos__(value)
    if base is float:
        return float.__pos__(value)
    if base is complex:
        return complex.__pos__(value)
    if base is bytes:
        if bytes.__len__(value) > MAX_STRING:
            raise over("a bytes object")
        if state is not None:
            spend(state, bytes.__len__(value) >> 7)
        return bytes.__getitem__(value, slice(None))
    if base is decimal.Decimal:
        if decimal.Decimal.__sizeof__(value) > _DECIMAL_BYTES:
            raise over("a Decimal")
        return decimal.Decimal(value)
    if base is fractions.Fraction:
        return _fraction(value)
    return value


def _fraction(value: Any) -> fractions.Fraction:
    """A fresh Fraction from the stored parts: the class is written in Python, its parts may be anything."""
    numerator = introspect.read_attribute(value, "_numerator")
    denominator = introspect.read_attribute(value, "_denominator")
    if type(numerator) is not int or type(denominator) is not int or denominator <= 0:
        raise EvaluationError("TYPE_MISMATCH", f"{named(value)} is not a fraction of two integers")
    if numerator.bit_length() > MAX_STRING or denominator.bit_length() > MAX_STRING:
        raise over("a Fraction")
    result = fractions.Fraction()
    result._numerator = numerator  # type: ignore[attr-defined]
    result._denominator = denominator  # type: ignore[attr-defined]
    return result


def truth(value: Any, state: State) -> bool:
    """The truth of a value, as Python's ``bool`` would say.

    Raises:
        EvaluationError: ``UNSAFE_COMPARISON`` when only the application's code could tell.
    """
    cls = type(value)
    if cls is bool:
        return value is True
    if value is None:
        return False
    if cls is str or cls is int or cls is list or cls is dict or cls is tuple or cls is float:
        return bool(value)
    spend(state, 10)
    base = introspect.builtin_base(cls)
    if is_number(base):
        if base is int:
            return int.__bool__(value)
        if base is float:
            return float.__bool__(value)
        return bool(exact(value, base))
    measure = _LENGTHS.get(id(base) if base is not None else id(cls))
    if measure is not None:
        return measure(value) != 0
    if base is datetime.timedelta:
        return datetime.timedelta.__bool__(value)
    spend(state, 30)
    for name in ("__bool__", "__len__"):
        if introspect.class_attribute(cls, name) is not introspect.MISSING:
            raise EvaluationError(
                "UNSAFE_COMPARISON",
                f"only the application's own {name} could tell the truth of {named(value)}",
            )
    return True


def length(value: Any) -> int:
    """``len(value)`` of a builtin container or a subclass of one, by the builtin's own slot.

    Raises:
        EvaluationError: ``TYPE_MISMATCH`` for anything else.
    """
    cls = type(value)
    if cls is list or cls is str or cls is dict or cls is tuple:
        return len(value)
    base = introspect.builtin_base(cls)
    measure = _LENGTHS.get(id(base) if base is not None else id(cls))
    if measure is None:
        raise EvaluationError("TYPE_MISMATCH", f"{named(value)} has no length that can be read")
    return measure(value)
