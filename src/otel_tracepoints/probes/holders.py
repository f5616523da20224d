"""Who holds which lines of a file: live code first, and what the file on disk adds to it."""

from __future__ import annotations

import types
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.probes.codes import executable_lines, with_parents
from otel_tracepoints.probes.heap import Root
from otel_tracepoints.probes.naming import full_name, qualname_within, tree_names
from otel_tracepoints.probes.originals import Originals


class Holder(NamedTuple):
    """A code object, live or only on disk, and its lines.

    Attributes:
        name: ``code.function.name``.
        order: Sorts holders as their code stands in the file, outer before inner.
        live: None where the code is not in this process.
    """

    lines: FrozenSet[int]
    name: str
    order: Tuple[int, int]
    live: Optional[CodeSite]


def live_holders(
    roots: Sequence[Root],
    tree: Optional[types.CodeType],
    module: Optional[str],
    originals: Optional[Originals] = None,
) -> List[Holder]:
    """All live code of a file: the roots that were found, and what is nested in them.

    Args:
        roots: What was found on its own.
        tree: The file on disk, for the qualified names that code has not before 3.11.
        module: The module's name, for roots that do not know it.
        originals: What to take for the code that engines have put among constants.
    """
    by_place = tree_names(tree) if tree is not None else {}
    # Outer code first, so that the parents of a code object have their names before it.
    roots = sorted(roots, key=lambda root: root.code.co_firstlineno)
    known: Dict[int, Tuple[Optional[str], str]] = {}
    for root in roots:
        code = root.code
        known[id(code)] = (root.module or module, _root_name(root, by_place))
    holders: List[Holder] = []
    for depth, found in enumerate(with_parents((root.code for root in roots), originals)):
        code = found.code
        if id(code) not in known:
            parent = found.parents[0]
            owner, parent_name = known[id(parent)]
            known[id(code)] = (owner, qualname_within(code, parent, parent_name))
        name = full_name(*known[id(code)])
        holders.append(Holder(executable_lines(code), name, (code.co_firstlineno, depth), found))
    return holders


def tree_holders(tree: types.CodeType, module: str, live: Sequence[Holder]) -> List[Holder]:
    """What the file on disk adds to the live code: bodies that are over, functions not made yet.

    Where the file has changed since it was loaded its functions are not the ones that run, so
    only module and class bodies, which run again on a reload, are taken from it.
    """
    names = tree_names(tree)
    found = [(each.code, executable_lines(each.code)) for each in with_parents([tree])]
    in_tree = {(_place(code), lines) for code, lines in found}
    alive = {(_place(holder.live.code), holder.lines) for holder in live if holder.live is not None}
    changed = not alive <= in_tree
    holders: List[Holder] = []
    for depth, (code, lines) in enumerate(found):
        if (_place(code), lines) in alive or (changed and not _is_body(code)):
            continue
        name = full_name(module, names[_place(code)])
        holders.append(Holder(lines, name, (code.co_firstlineno, depth), None))
    return holders


_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: functions have it, module and class bodies have not


def _place(code: types.CodeType) -> Tuple[str, int]:
    return code.co_name, code.co_firstlineno


def _is_body(code: types.CodeType) -> bool:
    return not code.co_flags & _OPTIMIZED


def _root_name(root: Root, by_place: Dict[Tuple[str, int], str]) -> str:
    """The qualified name of code that was found without its parents."""
    # Its own, since 3.11: the file may be another by now.
    own = getattr(root.code, "co_qualname", None) or by_place.get(_place(root.code))
    if type(own) is str:
        return own
    # functools.wraps gives a wrapper the name of what it wraps.
    name = root.qualname or ""
    return name if name.rpartition(".")[2] == root.code.co_name else root.code.co_name
