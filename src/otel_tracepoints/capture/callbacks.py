"""The two redaction callbacks of ``start()``: the only code of the application on the hit path."""

from __future__ import annotations

import inspect
import math
from typing import Any, Callable, List, Optional

from otel_tracepoints.interrupts import is_from_signal
from otel_tracepoints.model import JsonValue
from otel_tracepoints.semconv import REDACTED

#: ``callable(value)`` or ``callable(value, name)`` → value; ``callable(message)`` or
#: ``callable(message, probe_id)`` → message.
Callback = Callable[..., Any]

#: A callback may not hand back more than capture itself would: characters of JSON, and levels.
_MOST_TEXT = 262_144
_DEEPEST = 32


def adapt(callback: Optional[Callback]) -> Optional[Callable[[JsonValue, str], JsonValue]]:
    """A callable that always takes two arguments, never raises, and answers detached JSON.

    How many arguments the callback takes is found here, once: it is given the second where it
    requires two, takes any number, or calls its second one ``name`` or ``probe_id``. What it
    raises, or hands back that cannot be shown (no plain JSON, or too much of it), redacts.
    """
    if callback is None:
        return None
    called = callback
    wants_name = _takes_two(callback)

    def redact(value: JsonValue, name: str) -> JsonValue:
        try:
            answer = called(value, name) if wants_name else called(value)
            # A copy: the application may keep what it gave, and change it.
            return _copy(answer, [_MOST_TEXT], _DEEPEST)
        except Exception as error:
            if is_from_signal(error):
                raise
            return REDACTED

    return redact


def _takes_two(callback: Callback) -> bool:
    try:
        parameters = list(inspect.signature(callback).parameters.values())
    except (TypeError, ValueError):  # a C function without a signature
        return False
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return True
    positional = [
        each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    required = [each for each in positional if each.default is each.empty]
    return len(required) >= 2 or (len(positional) >= 2 and positional[1].name in ("name", "probe_id"))


def _copy(value: Any, room: List[int], depth: int) -> JsonValue:
    """Plain JSON of exact builtin types; raises ValueError for anything else."""
    room[0] -= 8
    if room[0] < 0 or depth < 0:
        raise ValueError("too large")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        room[0] -= len(value)
        if room[0] < 0:
            raise ValueError("too large")
        value.encode("utf-8")  # raises for a lone surrogate, which could not be sent
        return value
    if kind is int and value.bit_length() <= 256:
        return value
    if kind is float and math.isfinite(value):
        return value
    if kind is list or kind is tuple:
        return [_copy(item, room, depth - 1) for item in value]
    if kind is dict and all(type(key) is str for key in value):
        return {_copy(key, room, depth - 1): _copy(item, room, depth - 1) for key, item in value.items()}
    raise ValueError("not JSON")
