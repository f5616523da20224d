"""How numbers, dates, UUIDs, paths, dataclasses and plain objects compare.

What is written in Python or may call out to Python (a Fraction's operators, a tzinfo, a path's
parts) is only handed exact types of the standard library.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import fractions
import operator
import pathlib
import sys
import types
import uuid
from typing import Any, Callable, Optional

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import MAX_STRING, State, over, spend
from otel_tracepoints.expression.values import exact, named

_CLOCKS = (datetime.datetime, datetime.time)
_CALENDAR = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)
_PATHS = (
    pathlib.PurePath,
    pathlib.Path,
    type(pathlib.Path()),
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)
#: With these the comparison of aware times runs C code only.
_TIMEZONES = [type(None), datetime.timezone]
try:
    from zoneinfo import ZoneInfo
except ImportError:
    pass
else:
    _TIMEZONES.append(ZoneInfo)

_VALUE_BASES = frozenset(
    id(each)
    for each in (
        *(str, bytes, tuple, list, dict, set, frozenset, range, int, float, complex, bool),
        *(decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath, *_CALENDAR),
    )
)
_OBJECT_EQUALITY = object.__dict__["__eq__"]
_OBJECT_ORDER = object.__dict__["__lt__"], object.__dict__["__gt__"]
_UUID_INT = uuid.UUID.__dict__["int"]
# Up to 3.12 the generated __eq__ compares tuples, so identical fields are equal unseen (NaN).
_FIELDS_BY_IDENTITY = sys.version_info < (3, 13)


def is_value(base: Optional[type]) -> bool:
    """True for bases whose own ``==`` says "not equal" to every other kind of thing."""
    return base is not None and id(base) in _VALUE_BASES


def compare_numbers(
    compare: Callable[[Any, Any], Any],
    left: Any,
    left_base: Optional[type],
    right: Any,
    right_base: Optional[type],
) -> bool:
    """``compare(left, right)`` of two numbers of any builtin kinds; ``compare`` is of `operator`."""
    left, right = exact(left, left_base), exact(right, right_base)
    if decimal.Decimal in (left_base, right_base):
        # Not Decimal's own mixed comparisons: they set flags in the application's context.
        left, right = _decimal_operand(left), _decimal_operand(right)
        for value in (left, right):
            if type(value) is decimal.Decimal and value.is_nan():
                if compare is operator.eq:
                    return False
                raise EvaluationError("TYPE_MISMATCH", "NaN has no order")
    elif fractions.Fraction in (left_base, right_base):
        _check_bits(left)
        _check_bits(right)
    return bool(compare(left, right))


def _decimal_operand(value: Any) -> Any:
    if type(value) is complex:
        if value.imag != 0:
            return decimal.Decimal("NaN")
        value = value.real
    if type(value) is float:
        return decimal.Decimal.from_float(value)  # noqa: FURB164 - the constructor would set a flag
    _check_bits(value)
    return value


def _check_bits(value: Any) -> None:
    if type(value) is int and value.bit_length() > MAX_STRING:
        raise over("an integer")


def compare_values(compare: Callable[[Any, Any], Any], left: Any, right: Any, base: type) -> Optional[bool]:
    """``compare(left, right)`` of two dates, times, UUIDs or paths of one ``base``; None for other bases.

    Raises:
        EvaluationError: ``UNSAFE_COMPARISON`` where a tzinfo or path class of the application would run.
    """
    if base is uuid.UUID:
        return bool(compare(_UUID_INT.__get__(left), _UUID_INT.__get__(right)))
    if base in _CALENDAR:
        if base in _CLOCKS:
            check_timezones(left, right, base)
        slot = getattr(base, f"__{compare.__name__}__")
        answer = slot(left, right)
        if answer is NotImplemented:
            return None
        return bool(answer)
    if base is pathlib.PurePath:
        for value in (left, right):
            if not any(type(value) is each for each in _PATHS):
                raise EvaluationError("UNSAFE_COMPARISON", f"{named(value)} may compare in a way of its own")
        answer = getattr(type(left), f"__{compare.__name__}__")(left, right)
        return None if answer is NotImplemented else bool(answer)
    return None


def check_timezones(left: Any, right: Any, base: Any) -> None:
    """Two datetimes or times may be handed to C code: no tzinfo of the application will be asked.

    Raises:
        EvaluationError: ``UNSAFE_COMPARISON``.
    """
    zone = base.__dict__["tzinfo"].__get__
    ours, theirs = zone(left), zone(right)
    if ours is theirs:
        return
    for each in (ours, theirs):
        if not any(type(each) is known for known in _TIMEZONES):
            raise EvaluationError("UNSAFE_COMPARISON", f"only the code of {named(each)} knows its offset")


def equal_objects(left: Any, right: Any, equal: Callable[[Any, Any], bool], state: State) -> bool:
    """``left == right`` of two different objects of which one at least is no builtin value.

    Two instances of one dataclass with its generated ``__eq__`` are compared field by field with
    ``equal``; where both leave ``__eq__`` to ``object`` (or to a builtin that knows nothing of the
    other) they are not equal.

    Raises:
        EvaluationError: ``UNSAFE_COMPARISON`` when the application has an ``__eq__``.
    """
    # Going through the namespaces of two classes takes some microseconds.
    spend(state, 40)
    cls = type(left)
    if cls is type(right):
        owner = _generated_equality(cls)
        if owner is not None:
            return _equal_fields(owner, left, right, equal, state)
    for value in (left, right):
        kind = type(value)
        found = introspect.class_attribute(kind, "__eq__")
        if (
            found is not _OBJECT_EQUALITY
            and value is not None
            and not is_value(introspect.builtin_base(kind))
            and _generated_equality(kind) is None
        ):
            raise EvaluationError("UNSAFE_COMPARISON", f"only the code of {named(value)} could tell '=='")
    return False


def compares_by_identity(cls: type) -> bool:
    """True for a class of no builtin kind that leaves ``==`` to ``object``."""
    return (
        introspect.builtin_base(cls) is None and introspect.class_attribute(cls, "__eq__") is _OBJECT_EQUALITY
    )


def _generated_equality(cls: type) -> Optional[type]:
    """The dataclass in the MRO whose generated ``__eq__`` decides for instances of ``cls``, or None."""
    for each in introspect.mro(cls):
        namespace = type.__dict__["__dict__"].__get__(each)
        found = namespace.get("__eq__")
        if found is None:
            continue
        if type(found) is not types.FunctionType or type(namespace.get("__dataclass_fields__")) is not dict:
            return None
        code = found.__code__
        # Generated functions come from an exec of text without a file, and only ever name
        # these two and the fields; one written by hand for the same class has a file.
        if code.co_filename != "<string>" or code.co_name != "__eq__" or code.co_argcount != 2:
            return None
        fields = namespace["__dataclass_fields__"]
        if all(
            type(name) is str and (name in ("__class__", "NotImplemented") or name in fields)
            for name in code.co_names
        ):
            return each
        return None
    return None


def _equal_fields(
    owner: type, left: Any, right: Any, equal: Callable[[Any, Any], bool], state: State
) -> bool:
    fields = type.__dict__["__dict__"].__get__(owner)["__dataclass_fields__"]
    for name, field in dict.items(fields):
        if type(field) is not dataclasses.Field or type(name) is not str:
            raise EvaluationError(
                "UNSAFE_COMPARISON", f"the fields of {named(left)} are not a dataclass's own"
            )
        if field.compare is not True or getattr(field, "_field_type", None) is not dataclasses._FIELD:  # type: ignore[attr-defined]
            continue
        spend(state, 20)
        ours, theirs = introspect.read_attribute(left, name), introspect.read_attribute(right, name)
        if not ((_FIELDS_BY_IDENTITY and ours is theirs) or equal(ours, theirs)):
            return False
    return True


def has_own_order(value: Any) -> bool:
    """True when the application's class defines ``<`` or ``>``: only its code could tell."""
    cls = type(value)
    base = introspect.builtin_base(cls)
    if value is None or cls is base:
        return False
    for name, plain in zip(("__lt__", "__gt__"), _OBJECT_ORDER):
        found = introspect.class_attribute(cls, name)
        if found is not plain and (base is None or type(found) is not types.WrapperDescriptorType):
            return True
    return False
