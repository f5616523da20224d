"""A code object to put a probe on, as those who find code and those who watch it exchange it."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Callable, NamedTuple, Optional, Tuple

#: A weak reference to a function.
WeakFunction = Callable[[], Optional[FunctionType]]


class CodeSite(NamedTuple):
    """A live code object that holds a line, and where else it can be found.

    Attributes:
        code: The code object.
        parents: Code objects that have it among their constants (the enclosing function, class
            body or module), as far as they can be found; functions that they make later start
            watched only if they are given. Two code objects may be equal and yet not the same:
            both fields are about identity.
        functions: Functions that have it, as far as they were seen; spares an engine the search
            for them if they are all, and is not believed to be.
    """

    code: CodeType
    parents: Tuple[CodeType, ...]
    functions: Tuple[WeakFunction, ...] = ()
