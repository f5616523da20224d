"""The code of one file as it was last seen: who holds which lines, and since when it is known.

Kept from one probe to the next, so that a thousand probes in a file cost little more than one.
Everything live is held weakly, and only by the identity of code objects, since they compare by
value: two modules made from one text have equal code, and a probe must get both.
"""

from __future__ import annotations

import types
import weakref
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.probes.codes import FoundCode
from otel_tracepoints.probes.heap import Root
from otel_tracepoints.probes.holders import Holder, live_holders, tree_holders

#: Code objects that engines make before those that are gone are forgotten.
_ROOM = 1000

_Reference = Callable[[], Optional[types.CodeType]]


class _WeakRoot(NamedTuple):
    code: _Reference
    module: Optional[str]
    qualname: Optional[str]


class _WeakHolder(NamedTuple):
    """A `Holder` whose code is held weakly; ``code`` is None where it is only on disk."""

    name: str
    code: Optional[_Reference]
    parents: Tuple[_Reference, ...]


class FileCode:
    """What is known of a file's code; never changed but by `same`, which may come from any thread.

    Args:
        roots: Live code.
        tree: The file on disk.
        module: The name of the module that was loaded from it, if one was.
        named: What the module is, or would be, called.
    """

    def __init__(
        self, roots: Iterable[Root], tree: Optional[types.CodeType], module: Optional[str], named: str
    ) -> None:
        self.tree = tree
        self.module = module
        self.named = named
        self._roots = {id(root.code): _weakly(root) for root in roots}
        self._known: Dict[int, _Reference] = {id_: root.code for id_, root in self._roots.items()}
        self._by_line: Dict[int, List[_WeakHolder]] = {}
        self._lines: Optional[List[int]] = None
        self._room = _ROOM

    def index(self, remember: Callable[[types.CodeType, str], None]) -> None:
        """Work out who holds which lines; has each live code object's name remembered."""
        holders = live_holders(self.roots(), self.tree, self.module)
        for holder in holders:
            if holder.live is not None:
                self._known[id(holder.live.code)] = weakref.ref(holder.live.code)
                remember(holder.live.code, holder.name)
        if self.tree is not None:
            holders += tree_holders(self.tree, self.named, holders)
        holders.sort(key=lambda holder: holder.order)
        for holder in holders:
            weak = _holder(holder)
            for line in holder.lines:
                self._by_line.setdefault(line, []).append(weak)

    def roots(self) -> List[Root]:
        """The live code that was found on its own, as far as it lives still."""
        found = [(root.code(), root) for root in list(self._roots.values())]
        return [Root(code, root.module, root.qualname) for code, root in found if code is not None]

    def new_among(self, roots: Iterable[Root]) -> List[Root]:
        """Those of these that were not known."""
        known = self._known
        return [
            root for root in roots if (found := known.get(id(root.code))) is None or found() is not root.code
        ]

    def same(self, code: types.CodeType) -> None:
        """Note code that an engine has made from code of this file: it is nothing new."""
        self._known[id(code)] = weakref.ref(code)
        self._room -= 1
        if self._room < 0:
            known = dict.copy(self._known)
            self._known = {key: reference for key, reference in known.items() if reference() is not None}
            self._room = _ROOM

    def is_alive(self) -> bool:
        """Whether any code of it is left that was found on its own."""
        return any(root.code() is not None for root in list(self._roots.values()))

    def lines(self) -> List[int]:
        """The lines that hold code, ascending."""
        if self._lines is None:
            self._lines = sorted(self._by_line)
        return self._lines

    def at(self, line: int) -> List[Tuple[str, Optional[FoundCode]]]:
        """The names of what holds a line, outermost first, each with its code where that is alive."""
        found: List[Tuple[str, Optional[FoundCode]]] = []
        for holder in self._by_line.get(line, ()):
            code = holder.code() if holder.code is not None else None
            parents = (parent() for parent in holder.parents)
            live = FoundCode(code, tuple(each for each in parents if each is not None)) if code else None
            found.append((holder.name, live))
        return found


def _weakly(root: Root) -> _WeakRoot:
    return _WeakRoot(weakref.ref(root.code), root.module, root.qualname)


def _holder(holder: Holder) -> _WeakHolder:
    live = holder.live
    if live is None:
        return _WeakHolder(holder.name, None, ())
    return _WeakHolder(holder.name, weakref.ref(live.code), _references(live.parents))


def _references(codes: Sequence[types.CodeType]) -> Tuple[_Reference, ...]:
    return tuple(weakref.ref(code) for code in codes)
