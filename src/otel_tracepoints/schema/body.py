"""Bytes of a request → JSON data, strictly: RFC 8259, UTF-8, no member twice."""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, NoReturn, Tuple

from otel_tracepoints.errors import MalformedJson

#: An integer this long is out of every field's range, and reading it costs the square of it.
_MAX_DIGITS = 400


def decode_json(body: bytes) -> Any:
    """The data. Raises `MalformedJson`, with ``position`` (in characters) where it is known."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedJson("The body is not UTF-8.") from None
    if not text.strip():
        raise MalformedJson("The body is empty; it must be JSON.", {"position": 0})
    try:
        return json.loads(
            text,
            parse_constant=_constant,
            parse_int=_integer,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The body is not JSON: {error.msg} at character {error.pos}.", {"position": error.pos}
        ) from None
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON.")


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _MAX_DIGITS else math.inf


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("An object of the body has a member twice.")
    return members
