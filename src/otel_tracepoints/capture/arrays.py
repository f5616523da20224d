"""Arrays and frames of numpy and pandas: shape, element type and the first values.

The packages are never imported: an object of theirs exists only where the application did that.
Of their code only C getters and ``ndarray.item`` run; what only their Python code could tell
(a frame's dtypes by column, the contents of extension arrays) is left out.
"""

from __future__ import annotations

import array
import sys
from typing import Any, List, NamedTuple, Optional, Sequence

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError

#: Element kinds whose items are plain numbers: bool, signed, unsigned, float, complex; and text.
_PLAIN_KINDS = frozenset("biufcUS")
#: Type numbers from here on are given to types of others, whose ``item`` may be anything.
_FIRST_FOREIGN_NUMBER = 24
_PLAIN_TYPES = frozenset(id(cls) for cls in (bool, int, float, complex, str, bytes))


class Look(NamedTuple):
    """What can be told: a text, the first items of ``size`` (None: it is no container), names of columns."""

    text: Optional[str]
    items: Sequence[Any] = ()
    size: Optional[int] = None
    columns: Sequence[Any] = ()


def look(value: object, width: int) -> Optional[Look]:
    """At most ``width`` items of an array, series or frame; None where nothing can be told safely."""
    for cls in introspect.mro(type(value)):
        name = introspect.type_name(cls)
        if name == "array.array" and cls is array.array:
            size = array.array.__len__(value)  # type: ignore[arg-type]
            head: Any = array.array.__getitem__(value, slice(0, width))  # type: ignore[call-overload]
            return Look(None, array.array.tolist(head), size)
        if name == "numpy.ndarray" and cls is _of_module("numpy", "ndarray"):
            return _ndarray(value, cls, width)
        if name == "numpy.generic" and cls is _of_module("numpy", "generic"):
            item = introspect.namespace(cls)["item"](value)
            return Look(_scalar_text(item)) if id(type(item)) in _PLAIN_TYPES else None
        if name in ("pandas.core.frame.DataFrame", "pandas.DataFrame") and cls is _of_module(
            "pandas", "DataFrame"
        ):
            return _frame(value, width)
        if name in ("pandas.core.series.Series", "pandas.Series") and cls is _of_module("pandas", "Series"):
            return _frame(value, width)
    return None


def _of_module(module: str, name: str) -> Any:
    """A class by name, without import, ``__getattr__`` of a lazy module, or trust in a namesake."""
    found = sys.modules.get(module)
    fields = introspect.instance_dict(found) if found is not None else None
    return None if fields is None else dict.get(fields, name)


def _scalar_text(item: Any) -> str:
    return item[:256] if type(item) is str else repr(item[:256]) if type(item) is bytes else repr(item)


def _ndarray(value: Any, cls: type, width: int) -> Look:
    namespace = introspect.namespace(cls)
    shape = namespace["shape"].__get__(value)
    dtype: Any = namespace["dtype"].__get__(value)
    size = namespace["size"].__get__(value)
    kind, number = dtype.kind, dtype.num
    # Not dtype.name, which numpy computes in Python.
    text = f"<ndarray shape={tuple(shape)!r} dtype={_dtype_text(dtype)}>"
    items: List[Any] = []
    if kind in _PLAIN_KINDS and number < _FIRST_FOREIGN_NUMBER and dtype.itemsize <= 4096:
        item = namespace["item"]
        for index in range(min(size, width)):
            each = item(value, index)
            if id(type(each)) not in _PLAIN_TYPES:  # long double
                break
            items.append(each)
    return Look(text, items, size)


def _dtype_text(dtype: Any) -> str:
    """``float64``, ``int32``, ``bool``; numpy's own code (``|V12``) for what is no plain number."""
    word = {"i": "int", "u": "uint", "f": "float", "c": "complex"}.get(dtype.kind)
    if dtype.kind == "b":
        return "bool"
    if dtype.kind == "O":
        return "object"
    return f"{word}{8 * dtype.itemsize}" if word else str(dtype.str)


def _frame(value: object, width: int) -> Optional[Look]:
    """Shape, and where the columns lie in plain arrays, their names and first values."""
    manager = _raw(value, "_mgr") or _raw(value, "_data")
    axes, blocks = _raw(manager, "axes"), _raw(manager, "blocks")
    # A frame's manager has the columns first; a frame's shape has the rows first.
    lengths = tuple(map(_length, reversed(axes))) if type(axes) is list else ()
    if not lengths or lengths[0] is None:
        return None
    name = introspect.type_name(type(value)).rsplit(".", 1)[-1]
    ndarray = _of_module("numpy", "ndarray")
    dtypes: List[str] = []
    items: List[Any] = []
    for block in blocks if type(blocks) is tuple else ():
        values = _raw(block, "values")
        if type(values) is not ndarray or ndarray is None:
            dtypes.append(introspect.type_name(type(values)).rsplit(".", 1)[-1])
            continue
        found = _ndarray(values, ndarray, max(0, width - len(items)))
        dtypes.append(_dtype_text(introspect.namespace(ndarray)["dtype"].__get__(values)))
        items += found.items
    size = lengths[0]
    for length in lengths[1:]:
        size *= length or 0
    shape = ", ".join("?" if length is None else str(length) for length in lengths)
    comma = "," if len(lengths) == 1 else ""
    text = f"<{name} shape=({shape}{comma}) dtypes={', '.join(dict.fromkeys(dtypes))}>"
    return Look(text, items, size, _labels(axes[0], width) if len(axes) == 2 else ())


def _raw(value: object, name: str) -> Any:
    """An attribute as stored, or a public field of a Cython class of pandas (a plain C getter)."""
    if value is None:
        return None
    try:
        return introspect.read_attribute(value, name)
    except EvaluationError:
        pass
    for cls in introspect.mro(type(value)):
        found: Any = introspect.namespace(cls).get(name)
        if found is not None and introspect.type_name(cls).startswith("pandas._libs."):
            getter = introspect.class_attribute(type(found), "__get__")
            is_c = introspect.type_name(type(found)) == "getset_descriptor"
            return getter(found, value) if is_c else None
    return None


def _length(axis: object) -> Optional[int]:
    span = _raw(axis, "_range")
    if type(span) is range:
        return len(span)
    labels = _label_array(axis)
    return None if labels is None else _size(labels)


def _label_array(axis: object) -> Any:
    """The plain array behind an index: its data, or what an array of strings keeps its own in."""
    ndarray = _of_module("numpy", "ndarray")
    data = _raw(axis, "_data")
    for candidate in (data, _raw(data, "_ndarray")):
        if ndarray is not None and type(candidate) is ndarray:
            return candidate
    return None


def _size(array_: Any) -> int:
    size: Any = introspect.namespace(type(array_))["size"].__get__(array_)
    return int(size) if type(size) is int else 0


def _labels(axis: object, width: int) -> Sequence[Any]:
    labels = _label_array(axis)
    if labels is None:
        return ()
    item = introspect.namespace(type(labels))["item"]
    return [item(labels, index) for index in range(min(_size(labels), width))]
