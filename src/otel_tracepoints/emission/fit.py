"""Values into attributes of a bounded size: JSON text cut where a value ends, never inside one.

Tempo cuts a string attribute at 2 048 bytes wherever that falls, which leaves text that nobody
can parse. So it is cut here first, with a marker that says how much there was, and what leaves
is always whole JSON.
"""

from __future__ import annotations

import json
import json.encoder
from typing import Any, Callable, Dict, List, Optional, Tuple

from otel_tracepoints import semconv
from otel_tracepoints.model import JsonValue
from otel_tracepoints.recursion import FORGIVES, forgive

#: Below this a cut string or container would be little more than its own marker.
_WORTH_CUTTING = 48


def _encoder() -> Callable[[JsonValue], str]:
    """What ``JSONEncoder(ensure_ascii=False, allow_nan=False).encode`` does, made once.

    That method makes a new encoder in C for each call, which costs more than a small value does.
    Without a memory of what it is inside of: captured values are finite.
    """
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
    if make is None:
        return plain.encode
    chunks = make(
        None, plain.default, json.encoder.encode_basestring, None, ": ", ", ", False, False, False
    )  # fmt: skip
    join = "".join
    return lambda value: join(chunks(value, 0))


_encode = _encoder()

_MARKER_KEYS = (semconv.JSON_TRUNCATED, semconv.JSON_SIZE)


def fit(value: JsonValue, limit: int) -> Tuple[str, bool]:
    """The value as JSON text of at most ``limit`` bytes of UTF-8 (64 or more), and whether it was cut.

    A cut container ends with ``__tpd_truncated__`` and ``__tpd_size__``, a cut string becomes an
    object with its beginning (``docs/telemetry.md``). The text is valid JSON and valid UTF-8
    whatever the value holds: a lone surrogate stays as its escape.
    """
    if not _is_larger(value, limit):
        text = _dump(value)
        if _size(text) <= limit:
            return text, False
    return _cut(value, limit) or _dump({semconv.JSON_TRUNCATED: True}), True


def fit_text(text: str, limit: int) -> Tuple[str, bool]:
    """Plain text of at most ``limit`` bytes of UTF-8, ending in an ellipsis if it was cut."""
    if len(text) <= limit and text.isascii():
        return text, False
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode("utf-8"), False
    return data[: max(0, limit - 3)].decode("utf-8", "ignore") + "…", True


def _is_larger(value: JsonValue, limit: int) -> bool:
    """Whether the JSON certainly has more than ``limit`` bytes, by the least that its parts take.

    Looks at no more than that much of it: a large value is not written out only to be cut.
    """
    waiting: List[Any] = [value]
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is str:
            limit -= len(each) + 2
        elif kind is dict:
            limit -= 4 * len(each)  # and two for the quotes of each name
            waiting += each
            waiting += each.values()
        elif kind is list:
            limit -= 2 * len(each)
            waiting += each
        else:
            limit -= 1
        if limit < 0:
            return True
    return False


def _dump(value: JsonValue) -> str:
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError):
        if FORGIVES:
            forgive()
        # Capture promises plain JSON. Should it ever fail to, this value is lost, not the batch.
        return json.dumps({semconv.JSON_REPR: "<not representable>"})
    if text.isascii():
        return text
    # Inside a JSON string the backslash escape of a surrogate is JSON's own escape for it.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _marker(size: int) -> Dict[str, Any]:
    return {semconv.JSON_TRUNCATED: True, semconv.JSON_SIZE: size}


def _cut(value: JsonValue, room: int) -> Optional[str]:
    """The value in at most ``room`` bytes, known not to fit whole; None if not even a marker fits."""
    if type(value) is str:
        return _cut_string(value, {semconv.JSON_TYPE: "str"}, len(value), room)
    if type(value) is dict:
        shown = value.get(semconv.JSON_REPR)
        if type(shown) is str:
            rest = {key: item for key, item in value.items() if key not in (semconv.JSON_REPR, *_MARKER_KEYS)}
            return _cut_string(shown, rest, value.get(semconv.JSON_SIZE, len(shown)), room)
        return _cut_dict(value, room)
    if type(value) in (list, tuple):
        return _cut_list(value, room)
    return None


def _cut_string(text: str, rest: Dict[str, Any], size: Any, room: int) -> Optional[str]:
    frame = {**rest, **_marker(size), semconv.JSON_REPR: ""}
    left = room - _size(_dump(frame))
    if left < 0:
        marker = _dump(_marker(size))
        return marker if _size(marker) <= room else None
    low, high = 0, min(len(text), left)
    while low < high:
        middle = (low + high + 1) // 2
        if _size(_dump(text[:middle])) - 2 <= left:
            low = middle
        else:
            high = middle - 1
    frame[semconv.JSON_REPR] = text[:low]
    return _dump(frame)


def _cut_dict(value: Dict[str, Any], room: int) -> Optional[str]:
    items = [(key, item) for key, item in value.items() if key not in _MARKER_KEYS]
    size = value.get(semconv.JSON_SIZE)
    if size is None:
        size = sum(1 for key, _ in items if key != semconv.JSON_TYPE)
    marker = _dump(_marker(size))[1:-1]
    entries = [(_dump(str(key)) + ": ", item) for key, item in items]
    parts, all_there = _take(entries, room - 2, _size(marker))
    if parts is None:
        return None
    if not all_there or semconv.JSON_TRUNCATED in value:
        parts.append(marker)
    return "{" + ", ".join(parts) + "}"


def _cut_list(value: List[Any], room: int) -> Optional[str]:
    items = list(value)
    size: Any = len(items)
    cut_before = bool(items) and type(items[-1]) is dict and semconv.JSON_TRUNCATED in items[-1]
    if cut_before and set(items[-1]) == set(_MARKER_KEYS):
        size = items.pop()[semconv.JSON_SIZE]
    else:
        cut_before = False
    marker = _dump(_marker(size))
    parts, all_there = _take([("", item) for item in items], room - 2, _size(marker))
    if parts is None:
        return None
    if not all_there or cut_before:
        parts.append(marker)
    return "[" + ", ".join(parts) + "]"


def _take(entries: List[Tuple[str, Any]], room: int, marker: int) -> Tuple[Optional[List[str]], bool]:
    """As many entries as fit beside the marker, the last one perhaps cut; and whether that is all."""
    left = room - marker
    if left < 0:
        return None, False
    parts: List[str] = []
    for index, (prefix, item) in enumerate(entries):
        space = left - _size(prefix) - 2
        text = prefix + _dump(item) if not _is_larger(item, space) else None
        size = left + 1 if text is None else _size(text) + 2
        if text is None or size > left:
            cut = _cut(item, space) if space >= _WORTH_CUTTING else None
            if cut is None:
                return parts, False
            parts.append(prefix + cut)
            return parts, index == len(entries) - 1
        left -= size
        parts.append(text)
    return parts, True
