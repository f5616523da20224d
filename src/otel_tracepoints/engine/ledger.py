"""Who watches what: the book that every mechanism keeps of its keys, code objects and lines."""

from __future__ import annotations

from types import CodeType
from typing import AbstractSet, Collection, Dict, Iterator, List, Optional, Tuple, Union

from otel_tracepoints.engine.base import Handler

#: From so many watches of one code object on they are kept in a dict.
_MANY = 16

_Entry = Tuple[int, str, Handler]


class Watched:
    """A code object with at least one watched line. Holds it strongly, for just that long.

    Most have one watch: a tuple of one takes a fifth of what dicts by line and key would.
    """

    __slots__ = ("_held", "code")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        #: (line, key, handler), in order of installation; where they are many by line and key.
        self._held: Union[Tuple[_Entry, ...], Dict[Tuple[int, str], _Entry]] = ()

    @property
    def watches(self) -> Collection[_Entry]:
        """(line, key, handler), in order of installation."""
        return self._held.values() if isinstance(self._held, dict) else self._held

    def enter(self, line: int, key: str, handler: Handler) -> bool:
        """Add a watch; False if this key watches this line already."""
        held = self._held
        if isinstance(held, dict):
            if (line, key) in held:
                return False
            held[line, key] = (line, key, handler)
            return True
        if any(watch[0] == line and watch[1] == key for watch in held):
            return False
        self._keep((*held, (line, key, handler)))
        return True

    def strike(self, keys: AbstractSet[str], line: Optional[int] = None) -> None:
        """Take away the watches of these keys, on every line or on one."""
        self._keep(
            tuple(
                watch
                for watch in self.watches
                if watch[1] not in keys or (line is not None and watch[0] != line)
            )
        )

    def _keep(self, watches: Tuple[_Entry, ...]) -> None:
        many = len(watches) >= _MANY
        self._held = {watch[:2]: watch for watch in watches} if many else watches

    def has(self, line: int) -> bool:
        """Whether this line is watched."""
        return any(watch[0] == line for watch in self.watches)

    def handlers(self) -> Dict[int, Tuple[Handler, ...]]:
        """A fresh line → handlers table, which is never changed once it is published."""
        lines: Dict[int, List[Handler]] = {}
        for line, _, handler in self.watches:
            lines.setdefault(line, []).append(handler)
        return {line: tuple(handlers) for line, handlers in lines.items()}


class Ledger:
    """Keys, code objects and lines. Not thread safe: the engine's control lock guards it.

    Code objects are told apart by identity. They compare and hash by value, so two functions
    that merely look the same would be taken for one if they were dictionary keys.
    """

    def __init__(self) -> None:
        self._watched: Dict[int, Watched] = {}
        #: Key → the entries that it is on.
        self._places: Dict[str, Tuple[Watched, ...]] = {}

    def __iter__(self) -> Iterator[Watched]:
        return iter(list(self._watched.values()))

    def __len__(self) -> int:
        return len(self._watched)

    def every_key(self) -> List[str]:
        """Every key that watches something."""
        return list(self._places)

    def get(self, code: CodeType) -> Optional[Watched]:
        """The entry of this very code object."""
        return self._watched.get(id(code))

    def add(self, key: str, code: CodeType, line: int, handler: Handler) -> Optional[Watched]:
        """Enter a watch; None if this key watches this line there already."""
        watched = self._watched.get(id(code))
        if watched is None:
            watched = self._watched[id(code)] = Watched(code)
        fresh = not watched.watches
        if not watched.enter(line, key, handler):
            return None
        places = self._places.get(key, ())
        if fresh or not any(each is watched for each in places):
            self._places[key] = (*places, watched)
        return watched

    def remove(self, *keys: str) -> List[Watched]:
        """Cross out keys; returns the entries that they were on, some without lines now."""
        touched: Dict[int, Watched] = {}
        for key in keys:
            for watched in self._places.pop(key, ()):
                touched[id(watched)] = watched
        struck = set(keys)
        for watched in touched.values():
            watched.strike(struck)
            self._forget_if_empty(watched)
        return list(touched.values())

    def withdraw(self, key: str, watched: Watched, line: int) -> None:
        """Undo one `add`."""
        watched.strike({key}, line)
        if all(watch[1] != key for watch in watched.watches):
            self._places[key] = tuple(each for each in self._places[key] if each is not watched)
            if not self._places[key]:
                del self._places[key]
        self._forget_if_empty(watched)

    def _forget_if_empty(self, watched: Watched) -> None:
        if not watched.watches:
            del self._watched[id(watched.code)]
