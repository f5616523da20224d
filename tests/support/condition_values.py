"""Values that conditions of the compiled hit path are tested with: plain, derived and hostile ones."""

from __future__ import annotations

import collections
import decimal
import enum
from typing import Any


class Plain:
    kind = "class data"

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slotted:
    __slots__ = ("x", "y")

    def __init__(self, x: Any) -> None:
        self.x = x


class Truthless:
    def __bool__(self) -> bool:
        raise AssertionError("__bool__ ran")


class Sized:
    def __len__(self) -> int:
        raise AssertionError("__len__ ran")


class Comparing:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("__eq__ ran")

    __hash__ = object.__hash__


class Computing:
    x = property(lambda self: 1 / 0)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("__getattr__ ran")


class Number(int):
    pass


class Text(str):
    pass


class Level(enum.IntEnum):
    HIGH = 3


class Status(str, enum.Enum):
    PAID = "paid"


class Real(float):
    pass


NAN = Real("nan")
DECIMAL_NAN = decimal.Decimal("NaN")


class Money(decimal.Decimal):
    pass


class Color(enum.Enum):
    RED = 1


class Column:
    """As an ORM describes what lies in an instance's dict once it is loaded."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        raise AssertionError("__get__ ran")

    def __set__(self, instance: Any, value: Any) -> None:
        raise AssertionError("__set__ ran")


class Record:
    x = Column()
    k = Column()

    def __init__(self, **values: Any) -> None:
        Record.__dict__["__dict__"].__get__(self).update(values)


class Elsewhere(Record):
    """Its ``__dict__`` is none."""

    __dict__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


Row = collections.namedtuple("Row", "x y")  # noqa: PYI024

PLAIN = Plain(status="active", n=3, user=Plain(name="bob"), items=[1, 2], none=None)
