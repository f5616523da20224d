"""Reads protobuf bytes into the shape of OTLP/JSON, by tables of the fields that the sink needs.

Why not the generated classes: the ones that Python 3.8 gets do not know ``event_name``, and on
free-threaded interpreters protobuf is pure Python and reads every field, where this reads a few.
Both encodings of OTLP so meet in one form. Wire format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, NamedTuple, Optional, Tuple

from otel_tracepoints.errors import TracepointsError

#: Deeper nesting of messages is refused, as protobuf's own readers refuse it.
MAX_DEPTH = 100

_DOUBLE = struct.Struct("<d")
_FIXED64 = struct.Struct("<Q")
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5


class MalformedBody(TracepointsError):
    """The bytes, or the JSON, are not the message that was announced."""

    def __init__(self, message: str, code: str = "INVALID_FIELD") -> None:
        super().__init__(message, {"field": "$", "expected": "an OTLP request"})
        self.code = code


class Field(NamedTuple):
    """A field that is read: its name in OTLP/JSON, and how its value is written.

    ``kind`` is ``string``, ``bytes``, ``hex`` (bytes shown as lower-case hex), ``bool``, ``int64``
    ``uint``, ``double``, ``fixed64`` or ``message``.
    """

    name: str
    kind: str
    message: Optional[Message] = None
    repeated: bool = False


class Message:
    """A message type: the fields that are read, by number; all others are skipped."""

    def __init__(self, fields: Optional[Dict[int, Field]] = None) -> None:
        self.fields: Dict[int, Field] = dict(fields or {})


_WIRE_TYPES = {
    "string": _LEN,
    "bytes": _LEN,
    "hex": _LEN,
    "message": _LEN,
    "bool": _VARINT,
    "int64": _VARINT,
    "uint": _VARINT,
    "double": _I64,
    "fixed64": _I64,
}


def read_message(message: Message, data: bytes) -> Dict[str, Any]:
    """The message in ``data`` as a dictionary under its JSON names; absent fields are absent.

    Raises:
        MalformedBody: the bytes end early, or are no protobuf, or nest deeper than `MAX_DEPTH`.
    """
    return _read(message, data, 0, len(data), 0)


def _read(message: Message, data: bytes, position: int, end: int, depth: int) -> Dict[str, Any]:
    if depth > MAX_DEPTH:
        raise MalformedBody(f"Messages are nested deeper than {MAX_DEPTH}.")
    values: Dict[str, Any] = {}
    fields = message.fields
    while position < end:
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = _varint(data, position - 1, end)
        wire_type = tag & 7
        number = tag >> 3
        if number == 0:
            raise MalformedBody("A field has the number 0.")
        start = position
        scalar = 0
        if wire_type == _LEN:
            if position >= end:
                raise _ends_early()
            length = data[position]
            position += 1
            if length >= 0x80:
                length, position = _varint(data, position - 1, end)
            start = position
            position += length
        elif wire_type == _VARINT:
            scalar, position = _varint(data, position, end)
        elif wire_type == _I64:
            position += 8
        elif wire_type == _I32:
            position += 4
        else:
            raise MalformedBody(f"Wire type {wire_type} is not used by OTLP.")
        if position > end:
            raise _ends_early()
        field = fields.get(number)
        if field is None or _WIRE_TYPES[field.kind] != wire_type:
            continue
        value: Any
        if wire_type == _LEN:
            value = _length_delimited(field, data, start, position, depth)
        elif wire_type == _VARINT:
            value = _integer(field.kind, scalar)
        else:
            value = (_DOUBLE if field.kind == "double" else _FIXED64).unpack_from(data, start)[0]
        if field.repeated:
            values.setdefault(field.name, []).append(value)
        else:
            values[field.name] = value
    return values


def _length_delimited(field: Field, data: bytes, start: int, end: int, depth: int) -> Any:
    if field.message is not None:
        return _read(field.message, data, start, end, depth + 1)
    raw = data[start:end]
    if field.kind == "hex":
        return raw.hex()
    if field.kind == "bytes":
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody(f"{field.name} is not UTF-8.") from None


def _integer(kind: str, value: int) -> Any:
    if kind == "bool":
        return value != 0
    if kind == "int64" and value >= 1 << 63:
        return value - (1 << 64)
    return value


def _varint(data: bytes, position: int, end: int) -> Tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise _ends_early()
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise MalformedBody("An integer is longer than 10 bytes.")


def _ends_early() -> MalformedBody:
    return MalformedBody("The message ends early.")
