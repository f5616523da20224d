"""Every rewritten code object that is alive, and what it was made from."""

from __future__ import annotations

import weakref
from types import CodeType
from typing import Any, Dict, List, Tuple

from otel_tracepoints.engine.hook import ENTRANCES


class Versions:
    """The book of rewritten code objects.

    A frame may outlive its probe by any time, and whoever looks at it finds its rewritten code
    object; so an entry is kept for as long as the code object itself.

    Args:
        unreached: A table by identity of code objects, from which those that die are taken.
    """

    def __init__(self, unreached: Dict[int, Dict[int, int]]) -> None:
        self._unreached = unreached
        self._of: Dict[int, Tuple[CodeType, Dict[int, int]]] = {}
        self._made: Dict[int, Dict[int, Any]] = {}

    def add(
        self, made: CodeType, original: CodeType, lines: Dict[int, int], entrances: Tuple[int, ...]
    ) -> None:
        """Enter a version, with its lines and their numbers, and its entrances."""
        identity, source = id(made), id(original)
        of, all_made, unreached = self._of, self._made, self._unreached

        def gone(_: object) -> None:
            # In whichever thread lets go of it last: nothing but atomic steps.
            of.pop(identity, None)
            unreached.pop(identity, None)
            siblings = all_made.get(source)
            if siblings is not None:
                siblings.pop(identity, None)
                if not siblings:
                    all_made.pop(source, None)
            for entrance in entrances:
                ENTRANCES.pop(entrance, None)

        of[identity] = (original, lines)
        all_made.setdefault(source, {})[identity] = weakref.ref(made, gone)

    def original(self, code: CodeType) -> CodeType:
        """What this code object was made from; itself, if it was not made here."""
        entry = self._of.get(id(code))
        return code if entry is None else entry[0]

    def lines(self, code: CodeType) -> Dict[int, int]:
        """The lines and numbers of a version; none for an original."""
        entry = self._of.get(id(code))
        return {} if entry is None else entry[1]

    def entries(self, original: CodeType) -> List[object]:
        """What in here refers to an original."""
        made = list(self._made.get(id(original), ()))
        return [entry for entry in map(self._of.get, made) if entry is not None]

    def family(self, original: CodeType) -> List[CodeType]:
        """The original and all versions of it that are alive."""
        made = (reference() for reference in list(self._made.get(id(original), {}).values()))
        return [original, *(code for code in made if code is not None)]
