"""Who watches what: the book that every mechanism keeps of its keys, code objects and lines."""

from __future__ import annotations

from types import CodeType
from typing import Dict, Iterator, List, Optional, Tuple

from otel_tracepoints.engine.base import Handler


class Watched:
    """A code object with at least one watched line. Holds it strongly, for just that long.

    Most have one watch: a tuple of one takes a fifth of what dicts by line and key would.
    """

    __slots__ = ("code", "watches")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        #: (line, key, handler), in order of installation.
        self.watches: Tuple[Tuple[int, str, Handler], ...] = ()

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
        lines = [watch[0] for watch in watched.watches if watch[1] == key]
        if line in lines:
            return None
        if not lines:
            self._places[key] = (*self._places.get(key, ()), watched)
        watched.watches = (*watched.watches, (line, key, handler))
        return watched

    def remove(self, *keys: str) -> List[Watched]:
        """Cross out keys; returns the entries that they were on, some without lines now."""
        touched: Dict[int, Watched] = {}
        for key in keys:
            for watched in self._places.pop(key, ()):
                watched.watches = tuple(watch for watch in watched.watches if watch[1] != key)
                self._forget_if_empty(watched)
                touched[id(watched)] = watched
        return list(touched.values())

    def withdraw(self, key: str, watched: Watched, line: int) -> None:
        """Undo one `add`."""
        watched.watches = tuple(watch for watch in watched.watches if watch[:2] != (line, key))
        if all(watch[1] != key for watch in watched.watches):
            self._places[key] = tuple(each for each in self._places[key] if each is not watched)
            if not self._places[key]:
                del self._places[key]
        self._forget_if_empty(watched)

    def _forget_if_empty(self, watched: Watched) -> None:
        if not watched.watches:
            del self._watched[id(watched.code)]
