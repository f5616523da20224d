"""Values that are one text: what a number, a date, an id, a path or an enum member reads as.

Everything goes through methods of the builtin type itself (``Decimal.__str__(x)``, never
``str(x)``), on a type that was checked first, and nothing is formatted whose size is not known.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import math
import pathlib
import types
import uuid
from typing import Any, Callable, Dict, Optional

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError

#: Ints beyond are told by their size (telemetry.md): turning 10^100000 into digits takes a second,
#: and Python refuses above 4,300 digits.
MAX_INT_BITS = 256
#: Bytes of memory of a Decimal that is still written out: about 2,000 digits.
_MAX_DECIMAL_SIZE = 1024

_tzinfo: Callable[[Any], Any] = datetime.datetime.__dict__["tzinfo"].__get__
_time_tzinfo: Callable[[Any], Any] = datetime.time.__dict__["tzinfo"].__get__
_uuid_int: Callable[[Any], Any] = uuid.UUID.__dict__["int"].__get__
_fraction_parts = tuple(fractions.Fraction.__dict__[name].__get__ for name in ("_numerator", "_denominator"))

_SAFE_ZONES = [datetime.timezone]
try:
    import zoneinfo

    _SAFE_ZONES.append(zoneinfo.ZoneInfo)  # type: ignore[arg-type]
except ImportError:  # before 3.9
    pass

#: Path classes of the standard library: their __str__ is known code.
_PATHS = {
    id(cls)
    for cls in (
        *(pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath),
        *(pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath),
    )
}


def float_text(value: Any) -> str:
    """As Python prints it; also for subclasses."""
    return float.__repr__(value)


def exact_int(value: Any) -> int:
    """The int that an int subclass (an IntEnum member, a bool) is."""
    return int.__int__(value)


def exact_float(value: Any) -> float:
    """The float that a float subclass (``numpy.float64``) is."""
    return float.__float__(value)


def is_finite(value: float) -> bool:
    """False for nan and the infinities, which JSON does not have. Needs an exact float."""
    return math.isfinite(value)


def complex_text(value: Any) -> str:
    """As Python prints it."""
    return complex.__repr__(value)


def decimal_text(value: Any) -> Optional[str]:
    """As Python prints it; None when it has thousands of digits."""
    if decimal.Decimal.__sizeof__(value) > _MAX_DECIMAL_SIZE:
        return None
    return decimal.Decimal.__str__(value)


def fraction_text(value: Any) -> Optional[str]:
    """``1/3``; None when its parts are no ints of a usual size."""
    numerator, denominator = (get(value) for get in _fraction_parts)
    if type(numerator) is not int or type(denominator) is not int:
        return None
    if numerator.bit_length() > MAX_INT_BITS or denominator.bit_length() > MAX_INT_BITS:
        return None
    return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"


def uuid_text(value: Any) -> Optional[str]:
    """With dashes; None when its number is none."""
    number = _uuid_int(value)
    if type(number) is not int or number.bit_length() > 128:
        return None
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _zone_is_safe(zone: Any) -> bool:
    kind = type(zone)
    return zone is None or any(kind is safe for safe in _SAFE_ZONES)


def datetime_text(value: Any) -> str:
    """ISO 8601; for an application's tzinfo, whose ``utcoffset`` is code, its type in place of the offset."""
    zone = _tzinfo(value)
    if _zone_is_safe(zone):
        return datetime.datetime.isoformat(value)
    return f"{datetime.datetime.isoformat(naive_datetime(value))}[{introspect.type_name(type(zone))}]"


def naive_datetime(value: Any) -> datetime.datetime:
    """A plain datetime of the same fields without zone (``replace`` would call a subclass's ``__new__``)."""
    year, month, day, hour, minute, second, microsecond = (get(value) for get in _DATETIME.values())
    return datetime.datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001 - as asked


_DATETIME: Dict[str, Callable[[Any], int]] = {
    name: (datetime.date if name in ("year", "month", "day") else datetime.datetime).__dict__[name].__get__
    for name in ("year", "month", "day", "hour", "minute", "second", "microsecond")
}


def time_text(value: Any) -> str:
    """ISO 8601; see `datetime_text`."""
    zone = _time_tzinfo(value)
    if _zone_is_safe(zone):
        return datetime.time.isoformat(value)
    fields = (
        datetime.time.__dict__[name].__get__(value) for name in ("hour", "minute", "second", "microsecond")
    )
    return f"{datetime.time(*fields).isoformat()}[{introspect.type_name(type(zone))}]"


def has_safe_zone(value: Any) -> bool:
    """Whether formatting this datetime or time runs no code but the standard library's."""
    is_time = introspect.is_subtype(type(value), datetime.time)
    return _zone_is_safe(_time_tzinfo(value) if is_time else _tzinfo(value))


def enum_text(value: Any) -> str:
    """``Color.RED``; a value without a name (a combined flag, before 3.11) as ``Color(3)``."""
    qualname = introspect.type_name(type(value)).rsplit(".", 1)[-1]
    try:
        name = introspect.read_attribute(value, "_name_")
        if type(name) is str and len(name) <= introspect.NAME_LIMIT:
            return f"{qualname}.{name}"
        number = introspect.read_attribute(value, "_value_")
        if type(number) is int and number.bit_length() <= MAX_INT_BITS:
            return f"{qualname}({number})"
    except EvaluationError:
        pass
    return qualname


def path_text(value: Any) -> Optional[str]:
    """The path as text; for an application's subclass only what is stored, None if that is not enough."""
    if id(type(value)) in _PATHS:
        text = pathlib.PurePath.__str__(value)
        return text if type(text) is str else None
    for name in ("_str", "_raw_paths"):
        try:
            stored = introspect.read_attribute(value, name)
        except EvaluationError:
            continue
        if type(stored) is str:
            return stored
        if (
            type(stored) is list
            and stored
            and len(stored) < 1000
            and all(type(part) is str for part in stored)
        ):
            return "/".join(stored)
    try:
        drive, root, parts = (introspect.read_attribute(value, name) for name in ("_drv", "_root", "_parts"))
    except EvaluationError:
        return None
    if (
        type(drive) is str
        and type(root) is str
        and type(parts) is list
        and all(type(part) is str for part in parts)
    ):
        return drive + root + "/".join(parts[1:] if drive or root else parts)
    return None


def range_text(value: Any) -> Optional[str]:
    """As Python prints it; None when its bounds are no ints of a usual size."""
    for part in (value.start, value.stop, value.step):
        if type(part) is not int or part.bit_length() > MAX_INT_BITS:
            return None
    return repr(value)


#: Builtin base → its text, or None where it would be too long. By id: see introspect.
TEXTS: Dict[int, Callable[[Any], Optional[str]]] = {
    id(complex): complex_text,
    id(decimal.Decimal): decimal_text,
    id(fractions.Fraction): fraction_text,
    id(datetime.datetime): datetime_text,
    id(datetime.date): datetime.date.isoformat,
    id(datetime.time): time_text,
    id(datetime.timedelta): datetime.timedelta.__str__,
    id(datetime.timezone): datetime.timezone.__str__,
    id(uuid.UUID): uuid_text,
    id(enum.Enum): enum_text,
    id(pathlib.PurePath): path_text,
    id(range): range_text,
}


def one_line(value: Any, name: str) -> str:
    """The agent's own words for what is not taken apart: ``<module json>``, ``<socket>``."""
    kind = type(value)
    short = name.rsplit(".", 1)[-1]
    if kind is types.FunctionType:
        module, label = value.__module__, value.__qualname__
        label = f"{module}.{label}" if type(module) is str and type(label) is str else label
    elif kind is types.BuiltinFunctionType:
        # Not __qualname__: that of a bound method asks the metaclass of what it is bound to.
        label = value.__name__
    elif kind is types.MethodType:
        function = value.__func__
        label = function.__qualname__ if type(function) is types.FunctionType else None
    elif kind is types.GeneratorType or kind is types.CoroutineType or kind is types.AsyncGeneratorType:
        label = value.__qualname__
    elif kind is types.CodeType:
        label = value.co_name
    elif introspect.is_subtype(kind, type):
        short, label = "class", introspect.type_name(value)
    elif introspect.is_subtype(kind, types.ModuleType) or short in ("Logger", "Thread"):
        namespace = introspect.instance_dict(value) or {}
        key = {"Logger": "name", "Thread": "_name"}.get(short, "__name__")
        label = dict.get(namespace, key)
    else:
        label = None
    if type(label) is str and label:
        return f"<{short} {label[: 2 * introspect.NAME_LIMIT]}>"
    return f"<{short}>"
