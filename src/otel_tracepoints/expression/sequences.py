"""Strings, lists and their like: read in pieces, compared and searched, within the budget."""

from __future__ import annotations

import collections
import itertools
import sys
from typing import Any, Callable, Iterator, List

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import MAX_STRING, State, over, spend
from otel_tracepoints.expression.values import exact, named

SEQUENCE_IDS = frozenset(id(each) for each in (list, tuple, collections.deque))
SET_IDS = frozenset(id(each) for each in (set, frozenset))

#: Longest text that is compared whole: some ten microseconds.
MAX_TEXT = 4 * MAX_STRING
_PIECE = 512

# From 3.10 on str.find is linear for large needles (two-way); below these sizes, and always
# before, it may look at every character once for every character of the needle.
_TWO_WAY = sys.version_info >= (3, 10)
_QUADRATIC_STEPS = 1_500_000


def count(value: Any, base: Any) -> int:
    """Number of elements, by the slot of ``base``."""
    size: int = base.__len__(value)
    return size


def pieces(value: Any, base: Any, state: State) -> Iterator[List[Any]]:
    """The elements of a list, tuple or deque, in copies of 512 that nobody else can change."""
    if base is collections.deque:
        iterator = base.__iter__(value)
        while True:
            piece = list(itertools.islice(iterator, _PIECE))
            if not piece:
                return
            yield piece
    for start in range(0, base.__len__(value), _PIECE):
        spend(state, 8)
        yield list(base.__getitem__(value, slice(start, start + _PIECE)))


def elements(value: Any, base: Any, state: State) -> List[Any]:
    """All elements of a builtin container, charged before they are copied."""
    spend(state, base.__len__(value))
    return list(base.__iter__(value))


def weigh(values: List[Any], state: State) -> bool:
    """Charge what comparing these with C code costs; False when that may not be done.

    It may when all are of one exact type: numbers, or texts whose length is charged.
    """
    spend(state, len(values))
    kind = type(values[0]) if values else int
    for value in values:
        if type(value) is not kind:
            return False
    if kind is str or kind is bytes:
        spend(state, sum(map(len, values)) >> 9)
    elif kind is int:
        spend(state, sum(map(int.bit_length, values)) >> 12)
    else:
        return kind is float or kind is bool or kind is type(None)
    return True


def equal_texts(left: Any, right: Any, base: Any, state: State) -> bool:
    """``==`` of two str or two bytes; equal ones too long to compare whole are ``BUDGET``."""
    size = base.__len__(left)
    if size != base.__len__(right):
        return False
    if left is right:
        return True
    if size <= MAX_TEXT:
        if size > 512:
            spend(state, size >> 9)
        return bool(base.__eq__(left, right))
    spend(state, MAX_TEXT >> 9)
    start = slice(0, MAX_TEXT)
    if base.__getitem__(left, start) != base.__getitem__(right, start):
        return False
    raise over("the length of the texts compared")


def compare_texts(compare: Callable[[Any, Any], Any], left: Any, right: Any, base: Any, state: State) -> bool:
    """One of the orders of two str or two bytes, by their first characters where that is enough."""
    sizes = base.__len__(left), base.__len__(right)
    start = slice(0, MAX_TEXT)
    spend(state, min(*sizes, MAX_TEXT) >> 9)
    ours, theirs = base.__getitem__(left, start), base.__getitem__(right, start)
    if ours == theirs and min(sizes) > MAX_TEXT:
        raise over("the length of the texts compared")
    return bool(compare(ours, theirs) if ours != theirs else compare(sizes[0], sizes[1]))


def in_text(wanted: Any, kind: Any, text: Any, base: Any, state: State) -> bool:
    """``wanted in text`` for str in str and bytes (or an int) in bytes; a text above 64 KiB is ``BUDGET``."""
    size = base.__len__(text)
    if base is bytes and (kind is int or kind is bool):
        if size > MAX_STRING:
            raise over("the text searched")
        return bool(bytes.__contains__(text, int.__pos__(wanted)))
    if kind is not base:
        raise EvaluationError("TYPE_MISMATCH", f"{named(wanted)} cannot be part of {named(text)}")
    needle = base.__len__(wanted)
    if needle > size:
        return False
    if size > MAX_STRING:
        raise over("the text searched")
    if not _TWO_WAY or (size < 2_500 or (needle < 100 and size < 30_000) or needle < 6):
        steps = needle * (size - needle + 1)
        if steps > _QUADRATIC_STEPS:
            raise over("the search")
        spend(state, max(steps >> 8, size >> 6) + 1)
    else:
        spend(state, size >> 4)
    # bytes would ask a subclass for its __index__ first.
    return bool(base.__contains__(text, exact(wanted, base, state)))
