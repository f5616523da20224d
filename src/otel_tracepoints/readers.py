"""How a setting's value is read: from the text of a variable, or from what Python code gave.

Each reader answers the value in the form that `otel_tracepoints.config.Settings` keeps, or
raises ValueError with what is allowed. Text means the same from either side.
"""

from __future__ import annotations

import math
import os
from typing import Any, Callable, Dict, List, Mapping, Tuple
from urllib.parse import urlsplit

#: The word that stands for no URL.
NO_SINK = "none"

Reader = Callable[[Any], Any]


def flag(value: Any) -> bool:
    """``1`` or ``0``, and the usual words for them."""
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be 1 or 0")


def integer(low: int, high: int) -> Reader:
    """A whole number in this range."""

    def read(value: Any) -> int:
        found = low - 1
        if isinstance(value, str):
            try:
                found = int(value.strip())
            except ValueError:
                found = low - 1
        elif isinstance(value, int) and not isinstance(value, bool):
            found = int(value)
        if not low <= found <= high:
            raise ValueError(f"must be an integer from {low} to {high}")
        return found

    return read


def number(low: float, high: float) -> Reader:
    """A number in this range."""

    def read(value: Any) -> float:
        found = math.nan
        if isinstance(value, str):
            try:
                found = float(value.strip())
            except ValueError:
                found = math.nan
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found = float(value)
        if not low <= found <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return found

    return read


def one_of(allowed: Tuple[str, ...]) -> Reader:
    """One of these words, in any case."""

    def read(value: Any) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in allowed:
            raise ValueError("must be one of " + ", ".join(allowed))
        return word

    return read


def text(value: Any) -> str:
    """Text that is not blank, or a path."""
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(found, str) or not found.strip():
        raise ValueError("must be text")
    return found.strip()


def certificates(value: Any) -> str:
    """A file of certificates, as PEM."""
    path = text(value)
    import ssl  # Not for those who give none: the command line reads settings too.

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):
        raise ValueError("must be a readable file of certificates (PEM)") from None
    return path


def words(value: Any) -> Tuple[str, ...]:
    """Words between commas, or a sequence of them."""
    return tuple(word.strip() for word in _several(value, ",") if word.strip())


def lines(value: Any) -> Tuple[str, ...]:
    """One a line, or a sequence of them; blanks inside a line are part of it."""
    return tuple(line for line in (raw.strip("\r") for raw in _several(value, "\n")) if line.strip())


def url(value: Any) -> str:
    """An address over HTTP, or `NO_SINK`."""
    found = value.strip() if isinstance(value, str) else ""
    if found.lower() == NO_SINK:
        return NO_SINK
    try:
        parts = urlsplit(found)
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or the brackets of an IPv6 address do not match
        usable = False
    if not usable or any(character.isspace() for character in found):
        raise ValueError("must be an http:// or https:// URL, or none")
    return found


def headers(value: Any) -> Dict[str, str]:
    """``k=v,k=v``, or a mapping; names in lower case."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        pairs = [_pair(part) for part in _several(value, ",", "must be k=v,k=v") if part.strip()]
    found: Dict[str, str] = {}
    for key, text_of in pairs:
        if not isinstance(key, str) or not isinstance(text_of, str) or not key.strip():
            raise ValueError("must be k=v,k=v")
        # A line break would end the header, and the rest would be another.
        if any(character in "\r\n\0" for character in key + text_of):
            raise ValueError("must be k=v,k=v, without line breaks")
        found[key.strip().lower()] = text_of.strip()
    return found


def _pair(part: str) -> Tuple[str, str]:
    key, separator, value = part.partition("=")
    if not separator:
        raise ValueError("must be k=v,k=v")
    return key, value


def _several(value: Any, separator: str, allowed: str = "must be text, or a list of texts") -> List[str]:
    found = value.split(separator) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple, set, frozenset)) or not all(
        isinstance(each, str) for each in found
    ):
        raise ValueError(allowed)
    return list(found)
