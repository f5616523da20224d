"""How values that hold others are read: builtin containers and their subclasses, objects, arrays."""

from __future__ import annotations

import gc
import itertools
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Tuple

from otel_tracepoints import introspect
from otel_tracepoints.capture import arrays, plain
from otel_tracepoints.capture.shapes import Shape, fields_of, slots_of
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.model import JsonValue
from otel_tracepoints.semconv import JSON_CIRCULAR, JSON_ITEMS, JSON_REPR, REDACTED

if TYPE_CHECKING:
    from otel_tracepoints.capture.values import Reader

#: Longest first item of a pair that is taken for a name.
_LONGEST_NAME = 64


def read_sequence(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """Lists and tuples, through their own slots."""
    base: Any = shape.base
    size = base.__len__(value)
    if size == 0:
        return []
    closed = reader.enter(value, shape, level, size)
    if closed is not None:
        return closed
    try:
        items = base.__getitem__(value, slice(0, reader.width))
        out = _read_all(reader, items, level)
        if len(items) == 2 and len(out) == 2 and _names_secret(reader, items[0]):
            out[1] = REDACTED
    finally:
        reader.leave(value)
    if len(out) < size:
        out.append(reader.mark({}, size))
    return out


def read_record(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """A namedtuple, as the object it stands for."""
    size = tuple.__len__(value)
    closed = reader.enter(value, shape, level, size)
    if closed is not None:
        return closed
    try:
        pairs = list(zip(shape.fields[: reader.width], tuple.__iter__(value)))
        return _read_fields(reader, reader.typed(shape.name), pairs, size, level)
    finally:
        reader.leave(value)


def read_dict(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """Dicts and their subclasses, in the order of dict."""
    size = dict.__len__(value)
    if size == 0:
        return {}
    closed = reader.enter(value, shape, level, size)
    if closed is not None:
        return closed
    try:
        return _read_fields(reader, {}, _take(lambda: dict.items(value), reader.width), size, level)
    finally:
        reader.leave(value)


def read_items(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """set, frozenset and deque."""
    base: Any = shape.base
    return _read_iterable(reader, value, shape, level, base.__len__(value), lambda: base.__iter__(value))


def read_view(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """Views and proxies of dicts: of what they stand for, without asking (a proxy may wrap any mapping)."""
    owners = gc.get_referents(value)
    owner: Any = owners[0] if len(owners) == 1 else None
    if not introspect.is_subtype(type(owner), dict):
        return plain.read_opaque(reader, value, shape, level)
    if shape.name == "mappingproxy":
        return read_dict(reader, owner, shape, level)
    method: Any = {"dict_keys": dict.keys, "dict_values": dict.values}.get(shape.name, dict.items)
    return _read_iterable(reader, value, shape, level, dict.__len__(owner), lambda: method(owner))


def read_array(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """Arrays and frames: see `arrays`."""
    found = arrays.look(value, reader.width)
    if found is None:
        return plain.read_opaque(reader, value, shape, level)
    out = reader.typed(shape.name)
    if found.text is not None:
        out[JSON_REPR] = plain.string(reader, found.text, "str")
    if found.size is None:
        return out
    if level >= reader.depth:
        return reader.mark(out, found.size)
    items = _read_all(reader, found.items, level)
    if items:
        out[JSON_ITEMS] = items
    if found.columns:
        out["columns"] = _read_all(reader, found.columns, level)
    return reader.mark(out, found.size) if len(items) < found.size else out


def read_object(reader: Reader, value: Any, shape: Shape, level: int) -> JsonValue:
    """Slots, then the instance's own namespace; what is computed (properties) is not an object's data."""
    closed = reader.enter(value, shape, level, None)
    if closed is not None:
        return closed
    try:
        pairs: List[Tuple[Any, Any]] = [*slots_of(shape, value)]
        size = len(pairs)
        fields = fields_of(shape, value)
        if fields is not None:
            own = fields
            size += dict.__len__(own)
            pairs += _take(lambda: dict.items(own), reader.width - len(pairs))
        return _read_fields(reader, reader.typed(shape.name), pairs[: reader.width], size, level)
    finally:
        reader.leave(value)


def circular(reader: Reader, shape: Shape) -> JsonValue:
    """What stands for a container inside itself."""
    return {**reader.typed(shape.name), JSON_CIRCULAR: True}


def _read_iterable(
    reader: Reader, value: Any, shape: Shape, level: int, size: int, iterate: Callable[[], Iterable[Any]]
) -> JsonValue:
    closed = reader.enter(value, shape, level, size) if size else None
    if closed is not None:
        return closed
    try:
        items = _read_all(reader, _take(iterate, reader.width), level)
    finally:
        reader.leave(value)
    out = reader.typed(shape.name)
    out[JSON_ITEMS] = items
    return reader.mark(out, size) if len(items) < size else out


def _read_all(reader: Reader, items: Iterable[Any], level: int) -> List[JsonValue]:
    out: List[JsonValue] = []
    for item in items:
        if reader.exhausted:
            break
        out.append(reader.read(item, level + 1))
    return out


def _read_fields(
    reader: Reader, out: Dict[str, Any], pairs: List[Tuple[Any, Any]], size: int, level: int
) -> Dict[str, Any]:
    read = 0
    for key, item in pairs:
        if reader.exhausted:
            break
        text, sensitive = reader.key(key)
        if text in out:
            text = _distinct(text, key, out)
        reader.room -= len(text)
        out[text] = REDACTED if sensitive else reader.read(item, level + 1)
        read += 1
    return reader.mark(out, size) if read < size else out


def _take(iterate: Callable[[], Iterable[Any]], count: int) -> List[Any]:
    """At most ``count`` items; those before the change, when another thread changes the size meanwhile."""
    if count <= 0:
        return []
    try:
        return list(itertools.islice(iterate(), count))
    except RuntimeError as error:
        if is_for_application(error):
            raise
        taken: List[Any] = []
        try:
            taken.extend(itertools.islice(iterate(), count))
        except RuntimeError as again:
            if is_for_application(again):
                raise
        return taken


def _distinct(text: str, key: object, taken: Dict[str, Any]) -> str:
    """Keys that read alike (``1`` and ``"1"``, two redacted ones) must not hide one another."""
    candidate = f"{text} ({introspect.type_name(type(key))})"
    for number in itertools.count(2):
        if candidate not in taken:
            break
        candidate = f"{text} ({number})"
    return candidate


def _names_secret(reader: Reader, name: object) -> bool:
    """A pair such as a header, ``(b"authorization", b"…")``, says what its second item is."""
    if type(name) is bytes and len(name) <= _LONGEST_NAME:
        return reader.policy.is_sensitive(name.decode("latin-1"))
    return type(name) is str and len(name) <= _LONGEST_NAME and reader.policy.is_sensitive(name)
