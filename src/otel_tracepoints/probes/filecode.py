"""The code of one file as it was last seen: who holds which lines, and since when it is known.

Kept from one probe to the next, so that a thousand probes in a file cost little more than one.
Everything live is held weakly, and only by the identity of code objects, since they compare by
value: two modules made from one text have equal code, and a probe must get both.
"""

from __future__ import annotations

import itertools
import operator
import sys
import types
import weakref
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints.codesite import CodeSite, WeakFunction
from otel_tracepoints.probes.heap import Root
from otel_tracepoints.probes.holders import Holder, live_holders, tree_holders
from otel_tracepoints.probes.originals import Originals
from otel_tracepoints.probes.sources import Source

#: Functions of one code object that are kept in mind; of more than that an engine finds all by itself.
_MAX_FUNCTIONS = 1000

_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: functions have it, module and class bodies have not

_Reference = Callable[[], Optional[types.CodeType]]

_code_of: Callable[[Any], Optional[types.CodeType]] = weakref.ref.__call__


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
    """What is known of a file's code; changed by `note` alone.

    The file on disk is read when that is needed: to compile 5,000 lines takes 15 ms, with the GIL held.

    Args:
        roots: Live code; originals, where it was made by an engine.
        source: The file on disk.
        module: The name of the module that was loaded from it, if one was.
        named: What the module is, or would be, called.
        before: What was known until now, to which the roots are added.
    """

    def __init__(
        self,
        roots: Iterable[Root],
        source: Optional[Source],
        module: Optional[str],
        named: str,
        before: Optional[FileCode] = None,
    ) -> None:
        roots = list(roots)
        found = [*(before.roots() if before is not None else ()), *roots]
        self.source = source
        self.module = module
        self.named = named
        self._roots = {id(root.code): _weakly(root) for root in found}
        #: Identity → what was found on its own; see `passes.Known`.
        self.found: Dict[int, _Reference] = {id_: root.code for id_, root in self._roots.items()}
        self._known: Dict[int, _Reference] = dict(self.found)
        self._by_line: Dict[int, List[_WeakHolder]] = {}
        #: Lines that nothing on disk can hold besides; None: what is on disk is among the holders.
        self._settled: Optional[Set[int]] = None
        #: Ascending, of this ``_by_line``.
        self._lines: Tuple[Dict[int, List[_WeakHolder]], List[int]] = (self._by_line, [])
        #: Identity of a code object → the functions that have it, or what was made from it.
        self._functions: Dict[int, Dict[int, WeakFunction]] = {}
        if before is not None:
            held = ((code, _alive(functions)) for code, functions in before._functions.items())
            self._functions = {code: functions for code, functions in held if functions}
        self.note(roots)

    def index(self, remember: Callable[[types.CodeType, str], None], originals: Originals) -> None:
        """Work out who holds which lines; has each live code object's name remembered."""
        self._remember, self._originals = remember, originals
        # Before 3.11 the file says what its code is called.
        self._may_wait = sys.version_info >= (3, 11) and self.module is not None
        self._enter_all(read=not self._may_wait)

    def _enter_all(self, *, read: bool) -> None:
        """What is on disk is entered, too, where it was read before, or is to be and can be."""
        source = self.source
        if read and source is not None:
            source.code()
        # Asked once: another thread may be reading it.
        with_tree = source is None or source.was_read
        tree = source.code() if source is not None and with_tree else None
        holders = live_holders(self.roots(), tree, self.module, self._originals)
        for holder in holders:
            if holder.live is not None:
                self._known[id(holder.live.code)] = weakref.ref(holder.live.code)
                self._remember(holder.live.code, holder.name)
        settled: Optional[Set[int]] = None
        if not with_tree:
            settled = {line for each in holders for line in _own_lines(each)} if self._may_wait else set()
        if tree is not None:
            holders += tree_holders(tree, self.named, holders)
        holders.sort(key=lambda holder: holder.order)
        by_line: Dict[int, List[_WeakHolder]] = {}
        for holder in holders:
            weak = _holder(holder)
            for line in holder.lines:
                by_line.setdefault(line, []).append(weak)
        # Replaced, not changed: several threads may look.
        self._by_line = by_line
        self._settled = settled

    def _read(self) -> None:
        """Enter what is on disk, if that can be read."""
        if self.source is None or self.source.code() is not None or self.source.was_read:
            self._enter_all(read=True)

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

    def note(self, roots: Iterable[Root]) -> None:
        """Keep in mind, weakly, which functions have this code."""
        for root in roots:
            if root.function is not None:
                held = self._functions.setdefault(id(root.code), {})
                if len(held) <= _MAX_FUNCTIONS:
                    # A function has one such reference at a time.
                    held[id(root.function)] = root.function
        for code, held in list(self._functions.items()):
            if len(held) > _MAX_FUNCTIONS:
                alive = _alive(held)
                self._functions[code] = alive if len(alive) <= _MAX_FUNCTIONS else {}

    def is_alive(self) -> bool:
        """Whether any code of it is left that was found on its own."""
        return any(root.code() is not None for root in list(self._roots.values()))

    def has_lost(self) -> bool:
        """Whether some of what was found on its own is no more; asked at every look."""
        codes = map(_code_of, list(self.found.values()))
        return any(map(operator.is_, codes, itertools.repeat(None)))

    def lines(self) -> List[int]:
        """The lines that hold code, ascending."""
        if self._settled is not None:
            self._read()
        by_line = self._by_line
        if self._lines[0] is not by_line:
            self._lines = by_line, sorted(by_line)
        return self._lines[1]

    def at(self, line: int) -> List[Tuple[str, Optional[CodeSite]]]:
        """The names of what holds a line, outermost first, each with its code where that is alive."""
        settled = self._settled
        if settled is not None and line not in settled:
            self._read()
        found: List[Tuple[str, Optional[CodeSite]]] = []
        for holder in self._by_line.get(line, ()):
            code = holder.code() if holder.code is not None else None
            parents = (parent() for parent in holder.parents)
            live: Optional[CodeSite] = None
            if code is not None:
                functions = tuple(self._functions.get(id(code), {}).values())
                live = CodeSite(code, tuple(each for each in parents if each is not None), functions)
            found.append((holder.name, live))
        return found


def _own_lines(holder: Holder) -> Iterable[int]:
    """Lines of a function's body, below its first: what else holds them is in the function's constants.

    The first may be that of the ``def``, too, which belongs to the code around it.
    """
    code = holder.live.code if holder.live is not None else None
    if code is None or not code.co_flags & _OPTIMIZED or not holder.lines:
        return ()
    # Lambdas and generator expressions are within a line, and so are annotations (3.14).
    if not code.co_name.isidentifier() or code.co_name == "__annotate__":
        return ()
    first = min(holder.lines)
    return (line for line in holder.lines if line > first)


def _weakly(root: Root) -> _WeakRoot:
    return _WeakRoot(weakref.ref(root.code), root.module, root.qualname)


def _alive(held: Dict[int, WeakFunction]) -> Dict[int, WeakFunction]:
    return {key: function for key, function in held.items() if function() is not None}


def _holder(holder: Holder) -> _WeakHolder:
    live = holder.live
    if live is None:
        return _WeakHolder(holder.name, None, ())
    return _WeakHolder(holder.name, weakref.ref(live.code), _references(live.parents))


def _references(codes: Sequence[types.CodeType]) -> Tuple[_Reference, ...]:
    return tuple(weakref.ref(code) for code in codes)
