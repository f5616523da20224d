"""Look at any object without running its code.

Everything here goes through C slots of types that were checked first: ``type(x)`` and never
``x.__class__`` (a property may lie or run), the real ``__mro__`` and never ``isinstance`` (a
metaclass hook), identity and never ``==`` or a dict keyed by a class: comparing or hashing a
class runs ``__eq__`` and ``__hash__`` of its metaclass, which may be the application's.

What is left: a name is looked up in namespaces by CPython itself, so a *str subclass* with an
``__eq__`` of its own that was planted as an attribute's name would be compared.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import types
import uuid
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.interrupts import is_for_application

#: Where a class, an instance or a namespace has nothing under a name (None is a value).
MISSING: Any = object()

#: Longest class name that is told; anything longer is not a name but data.
NAME_LIMIT = 256

# The getters of `type` itself, fetched once: no metaclass can stand in front of them.
_mro: Callable[[type], Tuple[type, ...]] = type.__dict__["__mro__"].__get__
#: The real namespace of a class, read only.
namespace: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_module: Callable[[type], Any] = type.__dict__["__module__"].__get__
_qualname: Callable[[type], Any] = type.__dict__["__qualname__"].__get__

_TupleGetter: type = type(collections.namedtuple("_Sample", "field").__dict__["field"])  # noqa: PYI024 - for the C type of its fields
_tuple_field: Callable[[Any, Any, type], Any] = _TupleGetter.__dict__["__get__"]
_PurePath: type = pathlib.PurePath

#: The builtin types whose own slots may be used on instances of subclasses, by id (an id and not
#: the type is the key, see above; these types are never collected).
_BASES: Dict[int, type] = {
    id(base): base
    for base in (
        *(bool, int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset),
        *(range, memoryview, collections.deque, decimal.Decimal, fractions.Fraction),
        *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
        *(uuid.UUID, _PurePath, enum.Enum, BaseException, types.ModuleType, type),
    )
}

#: C getters may be called when they belong to one of these: a C extension of the application
#: (Cython's properties) has the same descriptors with any code behind them.
_TRUSTED_GETTERS = frozenset(
    {id(value) for value in vars(builtins).values() if type(value) is type and value is not super}
    | {id(types.ModuleType)}
    | {id(getattr(datetime, name)) for name in ("datetime", "date", "time", "timedelta", "timezone")}
    | {id(decimal.Decimal), id(collections.deque)}
)

#: Properties of the standard library that only hand out a stored value: id → where it is stored.
_STORED_AS: Dict[int, str] = {
    id(enum.Enum.__dict__["name"]): "_name_",
    id(enum.Enum.__dict__["value"]): "_value_",
    id(fractions.Fraction.__dict__["numerator"]): "_numerator",
    id(fractions.Fraction.__dict__["denominator"]): "_denominator",
}


def mro(cls: type) -> Tuple[type, ...]:
    """The real method resolution order of a class, whatever its metaclass says."""
    return _mro(cls)


def is_subtype(cls: type, base: type) -> bool:
    """True when ``base`` is in the real MRO of ``cls``; no ``__subclasscheck__``, no ``==``."""
    for each in _mro(cls):  # noqa: SIM110 - a generator costs three times as much
        if each is base:
            return True
    return False


def type_name(cls: type) -> str:
    """``int`` for builtins, ``module.Qualname`` for all others (telemetry.md), at most 512 characters."""
    qualname = _text(_qualname(cls))
    module = _text(_module(cls))
    return qualname if module == "builtins" or not module else f"{module}.{qualname}"


def class_named(name: str) -> Any:
    """What stands at ``module.Qualname``, also where it was defined elsewhere; None where nothing does.

    ``json.JSONDecoder`` calls itself ``json.decoder.JSONDecoder``. Nothing is imported for it.
    """
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        found: Any = dict.get(sys.modules, ".".join(parts[:end]))
        for part in parts[end:]:
            if is_subtype(type(found), types.ModuleType):
                found = dict.get(instance_dict(found) or {}, part)
            elif is_subtype(type(found), type):
                found = namespace(found).get(part)
            else:
                found = None
        if found is not None:
            return found
    return None


def _text(name: Any) -> str:
    """``__module__`` may be any object and ``__qualname__`` a str subclass: take a plain str or nothing."""
    if type(name) is not str:
        if not is_subtype(type(name), str):
            return ""
        name = str.__str__(name)
    text: str = name
    return text if len(text) <= NAME_LIMIT else text[:NAME_LIMIT] + "…"


def builtin_base(cls: type) -> Optional[type]:
    """The first builtin type in the MRO whose own slots may be used on instances of ``cls``, or None.

    ``class Row(dict)`` → ``dict``, ``IntEnum`` → ``int``, ``Enum`` → ``enum.Enum``, ``PosixPath`` →
    ``pathlib.PurePath``, ``KeyError`` → ``BaseException``, a class → ``type``.
    """
    # Not get(): without the GIL that takes 19 µs where another thread made the int that is the key
    # (3.13t; `in` and [] take 0.1), and that is every thread but the one that imported this.
    key = id(cls)
    if key in _BASES:
        return _BASES[key]
    for each in _mro(cls):
        key = id(each)
        if key in _BASES:
            return _BASES[key]
    return None


def class_attribute(cls: type, name: str) -> Any:
    """What stands under ``name`` in the namespaces of the MRO, raw (no descriptor is run), or `MISSING`."""
    for each in _mro(cls):
        found = namespace(each).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def is_descriptor(value: object) -> bool:
    """True when reading ``value`` through a class would call its ``__get__``."""
    return class_attribute(type(value), "__get__") is not MISSING


def instance_dict(obj: object) -> Optional[Dict[str, Any]]:
    """The raw ``__dict__``, or None when there is none, or only one of the application's making.

    Use it only through ``dict``'s own methods (``dict.items(d)``): it may be a subclass.
    On 3.11 and 3.12 this materialises the dict, after which that object's attributes are read
    22-30 % slower for the rest of its life; there is no other way to learn their names in pure
    Python. `read_attribute`, which knows the name, does without where it can.
    """
    for each in _mro(type(obj)):
        found = namespace(each).get("__dict__")
        if found is None:
            continue
        # A property called __dict__ is passed over: the real getter may stand further up.
        kind = type(found)
        if kind is types.GetSetDescriptorType or kind is types.MemberDescriptorType:
            try:
                fields = found.__get__(obj)
            except Exception as error:
                if is_for_application(error):
                    raise
                return None
            if type(fields) is dict or is_subtype(type(fields), dict):
                return fields  # type: ignore[no-any-return]
            return None
    return None


def read_attribute(obj: object, name: str) -> Any:
    """The value of ``obj.name``, found without running any code of the application.

    From the instance's ``__dict__`` (also where a Python descriptor of that name stands in the
    class: a loaded ORM column), slots and C getters of builtin types, fields of namedtuples, and
    plain data in the class. Classes and modules are read from their own namespaces.

    Raises:
        EvaluationError: ``UNSAFE_ATTRIBUTE`` when only code could tell (a property, a method,
            ``__getattr__``), ``UNKNOWN_ATTRIBUTE`` when there is none.
    """
    cls = type(obj)
    if cls is types.ModuleType or is_subtype(cls, types.ModuleType):
        return _read_module(obj, name)
    if cls is type or is_subtype(cls, type):
        return _read_class(obj, name)  # type: ignore[arg-type]
    found = class_attribute(cls, name)
    if found is not MISSING and is_descriptor(found):
        return _read_descriptor(obj, name, found)
    try:
        # No descriptor can get in the way: this reads the instance's values (without
        # materialising its dict) and then the plain value of the class.
        return object.__getattribute__(obj, name)
    except AttributeError:
        raise _absent(cls, name) from None


def _read_descriptor(obj: object, name: str, found: Any) -> Any:
    cls = type(obj)
    kind = type(found)
    try:
        if kind is types.MemberDescriptorType:
            return found.__get__(obj, cls)
        if kind is types.GetSetDescriptorType and id(found.__objclass__) in _TRUSTED_GETTERS:
            return found.__get__(obj, cls)
        if kind is _TupleGetter and is_subtype(cls, tuple):
            return _tuple_field(found, obj, cls)
    except AttributeError:
        raise _absent(cls, name) from None
    except Exception as error:
        if is_for_application(error):
            raise
        raise _unsafe(cls, name) from None
    if id(found) in _STORED_AS:
        return read_attribute(obj, _STORED_AS[id(found)])
    fields = instance_dict(obj)
    if fields is not None:
        value = dict.get(fields, name, MISSING)
        if value is not MISSING:
            return value
    raise _unsafe(cls, name)


def _read_module(module: object, name: str) -> Any:
    fields = instance_dict(module) or {}
    value = dict.get(fields, name, MISSING)
    if value is not MISSING:
        return value
    if dict.get(fields, "__getattr__", MISSING) is not MISSING:
        raise _unsafe(type(module), name)
    raise _absent(type(module), name)


def _read_class(cls: type, name: str) -> Any:
    # Before 3.12 the members of an enum are found by its metaclass only.
    members = class_attribute(cls, "_member_map_")
    if type(members) is dict and is_subtype(cls, enum.Enum) and name in members:
        return members[name]
    found = class_attribute(cls, name)
    if found is MISSING:
        if class_attribute(type(cls), name) is not MISSING:
            raise _unsafe(type(cls), name)
        raise _absent(type(cls), name)
    if is_descriptor(found):
        raise _unsafe(type(cls), name)
    return found


def _absent(cls: type, name: str) -> EvaluationError:
    """Nothing is stored under this name; would the application's own lookup say so too?"""
    lookup = class_attribute(cls, "__getattribute__")
    plain = type(lookup) is types.WrapperDescriptorType and id(lookup.__objclass__) in _TRUSTED_GETTERS
    if not plain or class_attribute(cls, "__getattr__") is not MISSING:
        return _unsafe(cls, name)
    return EvaluationError("UNKNOWN_ATTRIBUTE", f"'{type_name(cls)}' has no attribute '{name}'")


def _unsafe(cls: type, name: str) -> EvaluationError:
    return EvaluationError(
        "UNSAFE_ATTRIBUTE",
        f"'{name}' of '{type_name(cls)}' would have to be computed by the application's code",
    )
