"""Programs as text, and the code objects in them: what the resolver does, in small, for tests of engines."""

from __future__ import annotations

import dis
import itertools
import re
import textwrap
from types import CodeType
from typing import Any, Dict, Iterator, List, Optional, Tuple

from otel_tracepoints.engine.base import CodeSite

_names = itertools.count(1)


class Program:
    """A module that is not run yet; ``# TAG: name`` marks lines."""

    def __init__(self, source: str) -> None:
        self.source = textwrap.dedent(source)
        self.filename = f"/nowhere/program{next(_names)}.py"
        self.code: CodeType = compile(self.source, self.filename, "exec")
        self.tags: Dict[str, int] = {}
        for number, text in enumerate(self.source.splitlines(), 1):
            found = re.search(r"# TAG: (\w+)", text)
            if found:
                self.tags[found.group(1)] = number

    def run(self, engine: Optional[Any] = None) -> Dict[str, Any]:
        """Run the module's body, as an engine would have it; returns its globals."""
        names: Dict[str, Any] = {"__name__": "program"}
        exec(self.code if engine is None else engine.replacement(self.code), names)
        return names

    def sites(self, tag: str) -> List[CodeSite]:
        """Every code object that holds the line, with its parents."""
        return self.sites_of_line(self.tags[tag])

    def sites_of_line(self, line: int) -> List[CodeSite]:
        """The same by number."""
        return [site for site in self.tree() if line in lines_of(site.code)]

    def tree(self) -> Iterator[CodeSite]:
        """Every code object of the module."""
        return _walk(self.code, ())

    def lines(self) -> List[int]:
        """Every line that has code."""
        return sorted({line for site in self.tree() for line in lines_of(site.code)})


def _walk(code: CodeType, parents: Tuple[CodeType, ...]) -> Iterator[CodeSite]:
    yield CodeSite(code, parents)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _walk(constant, (code,))


def lines_of(code: CodeType) -> List[int]:
    """The lines on which instructions of this code object start."""
    return [line for _, line in dis.findlinestarts(code) if line]


def where(code: CodeType) -> Tuple[str, int]:
    """What stays of a code object when it is rewritten."""
    return code.co_name, code.co_firstlineno
