"""A code object with watched lines (Python 3.8 to 3.11), and who is known to have a version of it."""

from __future__ import annotations

import weakref
from types import CodeType, FunctionType
from typing import Collection, Dict, Iterable, List, Tuple

from otel_tracepoints.codesite import WeakFunction
from otel_tracepoints.engine.holders import replace_constant
from otel_tracepoints.engine.versions import Versions

#: So many functions of a body are kept in mind, to spare looking for them all over the heap when
#: the probe goes.
_REMEMBERED = 1000


class Body:
    """An original code object with watched lines, and what has been made of it.

    Its slots are counted where they hold a code object (`holders.held_elsewhere`).
    """

    __slots__ = ("current", "functions", "numbers", "original", "parents")

    def __init__(self, original: CodeType) -> None:
        self.original = original
        self.current = original
        #: Line → number of its calls; kept while any line is watched, so that older versions
        #: that are still being run go on calling. Replaced as a whole, since others keep it too.
        self.numbers: Dict[int, int] = {}
        #: Code objects whose constants hold this one; originals.
        self.parents: Tuple[CodeType, ...] = ()
        #: Functions that were given a rewritten one, as far as they are still there.
        self.functions: Tuple[WeakFunction, ...] = ()

    def numbers_of(self, lines: Collection[int]) -> Dict[int, int]:
        """The numbers of these lines, which all have one; not to be changed."""
        if len(lines) == len(self.numbers):
            return self.numbers
        return {line: self.numbers[line] for line in lines}

    def outdated(self, versions: Versions, *, watched: bool) -> List[CodeType]:
        """All versions but the present one; with nothing ``watched`` anew, the original may stay."""
        return [
            code
            for code in versions.family(self.original)
            if code is not self.current and (watched or code is not self.original)
        ]

    def give(self, function: FunctionType) -> None:
        """Have a function run the present version."""
        function.__code__ = self.current
        if self.current is not self.original and len(self.functions) < _REMEMBERED:
            self.functions = (*self.functions, weakref.ref(function))

    def exchange(self, versions: Versions, seen: Iterable[WeakFunction]) -> None:
        """Put the present version where it is known to belong: makers, then functions, those ``seen`` too."""
        # In this order: what the makers make in between is new already.
        olds = {id(code): code for code in self.outdated(versions, watched=True)}
        for parent in self.parents:
            for owner in versions.family(parent):
                replace_constant(owner, olds, self.current)
        for reference in self.functions:
            function = reference()
            if function is not None and id(function.__code__) in olds:
                function.__code__ = self.current
        for reference in seen:
            function = reference()
            if function is not None and id(function.__code__) in olds:
                self.give(function)
        if self.current is self.original:
            self.functions = ()
