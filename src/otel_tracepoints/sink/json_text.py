"""JSON that may come from anywhere: read strictly, and only what can be written again."""

from __future__ import annotations

import json
import math
from typing import Any

#: Data nested deeper is refused: writing it out again could exhaust the interpreter's stack.
MAX_DEPTH = 64


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none; ``NaN``, numbers beyond a float's range, and nesting deeper than
            `MAX_DEPTH` are none either.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not _is_shallow(value, MAX_DEPTH):
        raise ValueError("nested too deeply")
    return value


def dump(value: Any) -> str:
    """Compact ASCII JSON: no character in it can act on a terminal or break a line."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def dump_readable(value: Any) -> str:
    """JSON for a person: letters of all scripts as they are. Not safe for a terminal by itself."""
    return json.dumps(value, ensure_ascii=False)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _is_shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    if depth == 0:
        return False
    return all(
        _is_shallow(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value)
    )
