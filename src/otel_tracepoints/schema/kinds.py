"""Kinds of JSON values: one object checks a value, shows it again and describes itself.

Each kind has ``expected`` (what it takes, for a person; ``details.expected`` of an error),
``read`` (a checked value, or `InvalidField`) and ``schema`` (JSON Schema 2020-12). Kinds that
stand in query strings also have ``read_text``.
"""

from __future__ import annotations

import math
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

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

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:
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
        return redact(value) if self.redacted and value is not None else value

    def schema(self) -> Dict[str, Any]:
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
        if type(value) is not str or value not in self.values:
            raise invalid(path, self.expected)
        return value

    def schema(self) -> Dict[str, Any]:
        return {"type": "string", "enum": list(self.values)}


class Flag(Kind):
    """A boolean."""

    expected = "true or false"

    def read(self, value: Any, path: str) -> bool:
        if type(value) is not bool:
            raise invalid(path, self.expected)
        return value

    def read_text(self, text: str, path: str) -> bool:
        if text not in ("true", "false"):
            raise invalid(path, self.expected)
        return text == "true"

    def schema(self) -> Dict[str, Any]:
        return {"type": "boolean"}


class Integer(Kind):
    """An integer in a range; 10.0 and true are none."""

    def __init__(self, low: int, high: Optional[int] = None) -> None:
        self.low = low
        self.high = high
        self.expected = (
            f"an integer from {low}" if high is None else f"an integer from {low} to {high}"
        )

    def read(self, value: Any, path: str) -> int:
        if type(value) is not int or value < self.low:
            raise invalid(path, self.expected)
        if self.high is not None and value > self.high:
            raise invalid(path, self.expected)
        return value

    def read_text(self, text: str, path: str) -> int:
        if not _DIGITS.match(text):
            raise invalid(path, self.expected)
        return self.read(int(text), path)

    def schema(self) -> Dict[str, Any]:
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
        if not _DECIMAL.match(text):
            raise invalid(path, self.expected)
        return self.read(float(text), path)

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:
        # 3600, not 3600.0: what was sent as an integer reads as one.
        if value is not None and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value

    def schema(self) -> Dict[str, Any]:
        schema: Dict[str, Any] = {"type": "number"}
        if self._above is not None:
            schema["exclusiveMinimum"] = self._above
        if self._low is not None:
            schema["minimum"] = self._low
        if self._high is not None:
            schema["maximum"] = self._high
        return schema


class Nullable(Kind):
    """Another kind, or null; ``blank``: a blank string is null too."""

    def __init__(self, kind: Kind, *, blank: bool = False) -> None:
        self.kind = kind
        self.expected = f"{kind.expected}, or null"
        self._blank = blank

    def read(self, value: Any, path: str) -> Any:
        if value is None or (self._blank and type(value) is str and not value.strip()):
            return None
        try:
            return self.kind.read(value, path)
        except InvalidField as error:
            if error.details.get("expected") == self.kind.expected:
                raise invalid(path, self.expected) from None
            raise

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:
        return None if value is None else self.kind.render(value, redact)

    def schema(self) -> Dict[str, Any]:
        schema = self.kind.schema()
        return {**schema, "type": [schema["type"], "null"]}


class Texts(Kind):
    """A list of strings, kept as a tuple; ``distinct``: repeated ones count once."""

    def __init__(self, item: Text, *, high: int, distinct: bool = False) -> None:
        self.item = item
        self.expected = f"a list of at most {high} strings"
        self._high = high
        self._distinct = distinct

    def read(self, value: Any, path: str) -> Tuple[str, ...]:
        if type(value) is not list:
            raise invalid(path, self.expected)
        texts: List[str] = [
            self.item.read(text, f"{path}[{index}]") for index, text in enumerate(value)
        ]
        if self._distinct:
            texts = list(dict.fromkeys(texts))
        if len(texts) > self._high:
            raise invalid(path, self.expected)
        return tuple(texts)

    def render(self, value: Any, redact: Callable[[str], str]) -> List[str]:
        return [self.item.render(text, redact) for text in value]

    def schema(self) -> Dict[str, Any]:
        schema: Dict[str, Any] = {"type": "array", "items": self.item.schema()}
        if not self._distinct:
            schema["maxItems"] = self._high
        return schema


class Member(NamedTuple):
    """A member of a `Group`.

    Attributes:
        alone: At creation, its value where another member is given and it is not (None: the
            default).
    """

    name: str
    attribute: str
    kind: Kind
    alone: Optional[int] = None


class Group(Kind):
    """An object of a few members, kept as a named tuple; each member may be left out."""

    def __init__(self, factory: Callable[..., Any], *members: Member) -> None:
        self.members = members
        self.expected = "an object of " + ", ".join(member.name for member in members)
        self._factory = factory

    def read(self, value: Any, path: str) -> Any:
        given = self._given(value, path)
        for member in self.members:
            if given and member.attribute not in given and member.alone is not None:
                given[member.attribute] = member.alone
        return self._factory(**given)

    def update(self, present: Any, value: Any, path: str) -> Any:
        """``present`` with the members that are given."""
        return present._replace(**self._given(value, path))

    def _given(self, value: Any, path: str) -> Dict[str, Any]:
        if type(value) is not dict:
            raise invalid(path, self.expected)
        names = [member.name for member in self.members]
        for name in value:
            if name not in names:
                raise unknown(member_path(path, name), names)
        return {
            member.attribute: member.kind.read(value[member.name], f"{path}.{member.name}")
            for member in self.members
            if member.name in value
        }

    def render(self, value: Any, redact: Callable[[str], str]) -> Dict[str, Any]:
        return {
            member.name: member.kind.render(getattr(value, member.attribute), redact)
            for member in self.members
        }

    def schema(self) -> Dict[str, Any]:
        default = self._factory()
        return {
            "type": "object",
            "properties": {
                member.name: {
                    **member.kind.schema(),
                    "default": member.kind.render(getattr(default, member.attribute), str),
                }
                for member in self.members
            },
            "additionalProperties": False,
        }


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
