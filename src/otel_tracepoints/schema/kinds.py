"""Kinds of JSON values: one object checks a value, shows it again and describes itself.

Each kind has ``expected`` (what it takes, for a person; ``details.expected`` of an error),
``read`` (a checked value, or `InvalidField`) and ``schema`` (JSON Schema 2020-12). Kinds that
stand in query strings also have ``read_text``.
"""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from otel_tracepoints.errors import InvalidField, UnknownField

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?\Z")


def invalid(path: str, expected: str) -> InvalidField:
    """The error for a value that is not what its field takes."""
    return InvalidField(f"{path} must be {expected}.", {"field": path, "expected": expected})


def unknown(path: str, allowed: Sequence[str]) -> UnknownField:
    """The error for a field that does not exist here."""
    sentence = f"{path} is not a field here. Allowed: {', '.join(allowed)}."
    return UnknownField(sentence, {"field": path, "allowed": list(allowed)})


def member_path(path: str, name: str) -> str:
    """The JSON path of an object's member; bracketed where its name is not a plain word."""
    if _IDENTIFIER.match(name):
        return f"{path}.{name}"
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"{path}['{quoted}']"


class Kind:
    """What every kind has."""

    expected = "any value"

    def read(self, value: Any, path: str) -> Any:
        """The checked value, in the form in which `Probe` keeps it. Raises `InvalidField`."""
        raise NotImplementedError

    def read_text(self, text: str, path: str) -> Any:
        """The same for a value in a query string."""
        return self.read(text, path)

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:  # noqa: ARG002 - for others
        """The JSON form of a checked value."""
        return value

    def schema(self) -> Dict[str, Any]:
        """JSON Schema of the values that `read` takes, as far as a schema can say it."""
        raise NotImplementedError


class Text(Kind):
    """A string that UTF-8 can carry; ``redacted``: it may quote the application's secrets."""

    def __init__(
        self,
        expected: str = "a string",
        *,
        low: int = 0,
        high: Optional[int] = None,
        pattern: Optional[str] = None,
        reserved: Tuple[str, ...] = (),
        redacted: bool = False,
    ) -> None:
        self.expected = expected
        self.redacted = redacted
        self._low = low
        self._high = high
        self._pattern = pattern
        self._matches = re.compile(pattern) if pattern else None
        self._reserved = reserved

    def read(self, value: Any, path: str) -> str:
        """See `Kind`."""
        if type(value) is not str or len(value) < self._low or value in self._reserved:
            raise invalid(path, self.expected)
        if self._high is not None and len(value) > self._high:
            raise invalid(path, self.expected)
        if self._matches and not self._matches.fullmatch(value):
            raise invalid(path, self.expected)
        if not _encodes(value):
            raise invalid(path, "a string without unpaired surrogates")
        return value

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:
        """See `Kind`."""
        return redact(value) if self.redacted and value is not None else value

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
        schema: Dict[str, Any] = {"type": "string"}
        if self._low:
            schema["minLength"] = self._low
        if self._high is not None:
            schema["maxLength"] = self._high
        if self._pattern:
            schema["pattern"] = f"^{self._pattern}$"
        if self._reserved:
            schema["not"] = {"enum": list(self._reserved)}
        return schema


class Path(Text):
    """A file's path: never blank; a NUL is what no file system takes."""

    def read(self, value: Any, path: str) -> str:
        """See `Kind`."""
        text = super().read(value, path)
        if not text.strip() or "\0" in text:
            raise invalid(path, self.expected)
        return text


class Choice(Kind):
    """One of some strings, exactly so."""

    def __init__(self, *values: str) -> None:
        self.values = values
        self.expected = "one of " + ", ".join(values)

    def read(self, value: Any, path: str) -> str:
        """See `Kind`."""
        if type(value) is not str or value not in self.values:
            raise invalid(path, self.expected)
        return value

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
        return {"type": "string", "enum": list(self.values)}


class Flag(Kind):
    """A boolean."""

    expected = "true or false"

    def read(self, value: Any, path: str) -> bool:
        """See `Kind`."""
        if type(value) is not bool:
            raise invalid(path, self.expected)
        return value

    def read_text(self, text: str, path: str) -> bool:
        """See `Kind`."""
        if text not in ("true", "false"):
            raise invalid(path, self.expected)
        return text == "true"

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
        return {"type": "boolean"}


class Integer(Kind):
    """An integer in a range; 10.0 and true are none."""

    def __init__(self, low: int, high: Optional[int] = None) -> None:
        self.low = low
        self.high = high
        self.expected = f"an integer from {low}" if high is None else f"an integer from {low} to {high}"

    def read(self, value: Any, path: str) -> int:
        """See `Kind`."""
        if type(value) is not int or value < self.low:
            raise invalid(path, self.expected)
        if self.high is not None and value > self.high:
            raise invalid(path, self.expected)
        return value

    def read_text(self, text: str, path: str) -> int:
        """See `Kind`."""
        if not _DIGITS.match(text):
            raise invalid(path, self.expected)
        return self.read(int(text), path)

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
        schema: Dict[str, Any] = {"type": "integer", "minimum": self.low}
        if self.high is not None:
            schema["maximum"] = self.high
        return schema


class Number(Kind):
    """A finite number in a range; ``above`` is outside it, ``low`` and ``high`` are inside."""

    def __init__(
        self,
        expected: str,
        *,
        above: Optional[float] = None,
        low: Optional[float] = None,
        high: Optional[float] = None,
    ) -> None:
        self.expected = expected
        self._above = above
        self._low = low
        self._high = high

    def read(self, value: Any, path: str) -> float:
        """See `Kind`."""
        if type(value) is not int and type(value) is not float:
            raise invalid(path, self.expected)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise invalid(path, self.expected)
        if self._above is not None and number <= self._above:
            raise invalid(path, self.expected)
        if self._low is not None and number < self._low:
            raise invalid(path, self.expected)
        if self._high is not None and number > self._high:
            raise invalid(path, self.expected)
        return number

    def read_text(self, text: str, path: str) -> float:
        """See `Kind`."""
        if not _DECIMAL.match(text):
            raise invalid(path, self.expected)
        return self.read(float(text), path)

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:  # noqa: ARG002 - a number
        """See `Kind`."""
        # 3600, not 3600.0: what was sent as an integer reads as one.
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
        schema: Dict[str, Any] = {"type": "number"}
        if self._above is not None:
            schema["exclusiveMinimum"] = self._above
        if self._low is not None:
            schema["minimum"] = self._low
        if self._high is not None:
            schema["maximum"] = self._high
        return schema


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
