"""Kinds of JSON values that are made of others: lists, objects, and "or null"."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from otel_tracepoints.errors import InvalidField
from otel_tracepoints.schema.kinds import Kind, Text, invalid, member_path, unknown


class Nullable(Kind):
    """Another kind, or null; ``blank``: a blank string is null too."""

    def __init__(self, kind: Kind, *, blank: bool = False) -> None:
        self.kind = kind
        self.expected = f"{kind.expected}, or null"
        self._blank = blank

    def read(self, value: Any, path: str) -> Any:
        """See `Kind`."""
        if value is None or (self._blank and type(value) is str and not value.strip()):
            return None
        try:
            return self.kind.read(value, path)
        except InvalidField as error:
            if error.details.get("expected") == self.kind.expected:
                raise invalid(path, self.expected) from None
            raise

    def render(self, value: Any, redact: Callable[[str], str]) -> Any:
        """See `Kind`."""
        return None if value is None else self.kind.render(value, redact)

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
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
        """See `Kind`."""
        if type(value) is not list:
            raise invalid(path, self.expected)
        texts: List[str] = [self.item.read(text, f"{path}[{index}]") for index, text in enumerate(value)]
        if self._distinct:
            texts = list(dict.fromkeys(texts))
        if len(texts) > self._high:
            raise invalid(path, self.expected)
        return tuple(texts)

    def render(self, value: Any, redact: Callable[[str], str]) -> List[str]:
        """See `Kind`."""
        return [self.item.render(text, redact) for text in value]

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
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
        """See `Kind`."""
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
        """See `Kind`."""
        return {
            member.name: member.kind.render(getattr(value, member.attribute), redact)
            for member in self.members
        }

    def schema(self) -> Dict[str, Any]:
        """See `Kind`."""
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
