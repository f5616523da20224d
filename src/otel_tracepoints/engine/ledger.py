"""Who watches what: the book that every mechanism keeps of its keys, code objects and lines."""

from __future__ import annotations

from types import CodeType
from typing import Dict, Iterator, List, Optional, Set, Tuple

from otel_tracepoints.engine.base import Handler


class Watched:
    """A code object with at least one watched line. Holds it strongly, for just that long."""

    __slots__ = ("code", "lines")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        #: line → key → handler, both in order of installation.
        self.lines: Dict[int, Dict[str, Handler]] = {}

    def handlers(self) -> Dict[int, Tuple[Handler, ...]]:
        """A fresh line → handlers table, which is never changed once it is published."""
        return {line: tuple(by_key.values()) for line, by_key in self.lines.items()}


class Ledger:
    """Keys, code objects and lines. Not thread safe: the engine's control lock guards it.

    Code objects are told apart by identity. They compare and hash by value, so two functions
    that merely look the same would be taken for one if they were dictionary keys.
    """

    def __init__(self) -> None:
        self._watched: Dict[int, Watched] = {}
        self._places: Dict[str, Set[Tuple[int, int]]] = {}

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
        places = self._places.setdefault(key, set())
        if (id(code), line) in places:
            return None
        places.add((id(code), line))
        watched = self._watched.get(id(code))
        if watched is None:
            watched = self._watched[id(code)] = Watched(code)
        watched.lines.setdefault(line, {})[key] = handler
        return watched

    def remove(self, *keys: str) -> List[Watched]:
        """Cross out keys; returns the entries that they were on, some without lines now."""
        touched: Dict[int, Watched] = {}
        for key in keys:
            for identity, line in self._places.pop(key, ()):
                watched = self._watched[identity]
                by_key = watched.lines[line]
                del by_key[key]
                if not by_key:
                    del watched.lines[line]
                    if not watched.lines:
                        del self._watched[identity]
                touched[identity] = watched
        return list(touched.values())

    def withdraw(self, key: str, watched: Watched, line: int) -> None:
        """Undo one `add`."""
        self._places[key].discard((id(watched.code), line))
        if not self._places[key]:
            del self._places[key]
        by_key = watched.lines[line]
        del by_key[key]
        if not by_key:
            del watched.lines[line]
            if not watched.lines:
                del self._watched[id(watched.code)]
