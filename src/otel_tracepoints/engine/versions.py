"""Every rewritten code object that is alive, and what it was made from."""

from __future__ import annotations

import weakref
from types import CodeType
from typing import TYPE_CHECKING, Callable, Dict, List, Tuple

from otel_tracepoints.engine.hook import ENTRANCES

if TYPE_CHECKING:
    _Reference = weakref.ReferenceType[CodeType]
else:
    _Reference = weakref.ref


class _Version(_Reference):
    """A rewritten code object, held weakly, and all that is known of it.

    The reference and the facts are one object, and its callback is one for all: a closure for each
    would take three times as much.
    """

    __slots__ = ("entrances", "identity", "lines", "original")

    identity: int
    original: CodeType
    lines: Dict[int, int]
    entrances: Tuple[int, ...]


class Versions:
    """The book of rewritten code objects.

    A frame may outlive its probe by any time, and whoever looks at it finds its rewritten code
    object; so an entry is kept for as long as the code object itself.

    Args:
        unreached: A table by identity of code objects, from which those that die are taken.
    """

    def __init__(self, unreached: Dict[int, Dict[int, int]]) -> None:
        self._of: Dict[int, _Version] = {}
        #: Identity of an original → its versions; those that died while others lived may be among them.
        self._made: Dict[int, Tuple[_Version, ...]] = {}
        self._gone = _gone(self._of, self._made, unreached)

    def add(
        self, made: CodeType, original: CodeType, lines: Dict[int, int], entrances: Tuple[int, ...]
    ) -> None:
        """Enter a version, with its lines and their numbers, and its entrances; under the engine's lock."""
        version = _Version(made, self._gone)
        version.identity = id(made)
        version.original = original
        version.lines = lines
        version.entrances = entrances
        self._of[version.identity] = version
        before = (each for each in self._made.get(id(original), ()) if each() is not None)
        self._made[id(original)] = (*before, version)

    def original(self, code: CodeType) -> CodeType:
        """What this code object was made from; itself, if it was not made here."""
        version = self._of.get(id(code))
        return code if version is None else version.original

    def lines(self, code: CodeType) -> Dict[int, int]:
        """The lines and numbers of a version, not to be changed; none for an original."""
        version = self._of.get(id(code))
        return {} if version is None else version.lines

    def entries(self, original: CodeType) -> List[object]:
        """What in here refers to an original."""
        return list(self._made.get(id(original), ()))

    def family(self, original: CodeType) -> List[CodeType]:
        """The original and all versions of it that are alive."""
        made = (version() for version in self._made.get(id(original), ()))
        return [original, *(code for code in made if code is not None)]


def _gone(
    of: Dict[int, _Version], made: Dict[int, Tuple[_Version, ...]], unreached: Dict[int, Dict[int, int]]
) -> Callable[[_Version], None]:
    def gone(version: _Version) -> None:
        # In whichever thread lets go of it last: nothing but atomic steps.
        of.pop(version.identity, None)
        unreached.pop(version.identity, None)
        source = id(version.original)
        if all(each() is None for each in made.get(source, ())):
            siblings = made.pop(source, ())
            if any(each() is not None for each in siblings):
                made.setdefault(source, siblings)  # another was made meanwhile
        for entrance in version.entrances:
            ENTRANCES.pop(entrance, None)

    return gone
