"""What engines have made of code (Python 3.8 to 3.11), so that it is looked up as what it was made from.

Code that was made for a probe goes with the probe, and its original is back in its place: whoever
took note of the former would be left with nothing.
"""

from __future__ import annotations

import types
import weakref
from typing import Callable, Dict, NamedTuple, Optional

#: Entries that are made before those of code that is gone are forgotten.
_ROOM = 1000

_Reference = Callable[[], Optional[types.CodeType]]


class _Made(NamedTuple):
    code: _Reference
    original: _Reference


class Originals:
    """Code that was made → what it was made from, both held weakly. Any thread may call."""

    def __init__(self) -> None:
        self._made: Dict[int, _Made] = {}
        self._room = _ROOM

    def note(self, code: types.CodeType, other: types.CodeType) -> None:
        """``other`` was made from ``code``, or from what that was made from."""
        original = self.of(code)
        if original is other:
            return
        self._made[id(other)] = _Made(weakref.ref(other), weakref.ref(original))
        self._room -= 1
        if self._room < 0:
            # Copied in one step of C: others add to it meanwhile, and what they add may be lost.
            made = dict.copy(self._made)
            self._made = {key: each for key, each in made.items() if each.code() is not None}
            self._room = _ROOM

    def of(self, code: types.CodeType) -> types.CodeType:
        """What this was made from; itself, if nobody said that it was made."""
        made = self._made.get(id(code))
        if made is None or made.code() is not code:
            return code
        return made.original() or code
