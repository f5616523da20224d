"""``a[0]``, ``a['k']`` and slices of builtin containers and their subclasses."""

from __future__ import annotations

import collections
from typing import Any

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import lookup
from otel_tracepoints.expression.budget import MAX_ITEMS, MAX_STRING, State, over, spend
from otel_tracepoints.expression.comparison import equal
from otel_tracepoints.expression.values import base_of, exact, is_number, named

_SLICED = {id(str): MAX_STRING, id(bytes): MAX_STRING, id(list): MAX_ITEMS, id(tuple): MAX_ITEMS}
_INDEXED = frozenset(id(each) for each in (str, bytes, bytearray, list, tuple, range, collections.deque))


def item(container: Any, key: Any, state: State, shown: str = "") -> Any:
    """``container[key]``, by the slots of the container's builtin type (no ``__missing__``).

    Args:
        container: Any value.
        key: Any value.
        state: The account.
        shown: The key as it may appear in an error: one that stands in the expression, not a value.

    Raises:
        EvaluationError: ``UNKNOWN_KEY``, ``INDEX_OUT_OF_RANGE``, ``TYPE_MISMATCH``,
            ``UNSAFE_COMPARISON`` when only a key of the application could tell, ``BUDGET``.
    """
    spend(state, 15)
    base, kind = base_of(container), base_of(key)
    if kind is str or kind is bytes or is_number(kind):
        key = exact(key, kind, state)
    if base is dict:
        value = lookup.get_item(container, key, state, equal)
        if value is introspect.MISSING:
            raise EvaluationError("UNKNOWN_KEY", f"{named(container)} has no such key{shown}")
        return value
    if base is None or id(base) not in _INDEXED:
        raise EvaluationError("TYPE_MISMATCH", f"{named(container)} has no items that can be read")
    if type(key) is not int and type(key) is not bool:
        raise EvaluationError("TYPE_MISMATCH", f"an index of {named(container)} is an int, not {named(key)}")
    size = base.__len__(container)
    if not -size <= key < size:
        raise EvaluationError("INDEX_OUT_OF_RANGE", f"{named(container)} has {size} items")
    try:
        return base.__getitem__(container, key)
    except IndexError:
        # Another thread has taken items away in between.
        raise EvaluationError("INDEX_OUT_OF_RANGE", f"{named(container)} has fewer items") from None


def section(container: Any, bounds: slice, state: State) -> Any:
    """``container[a:b:c]`` with constant bounds.

    Raises:
        EvaluationError: ``TYPE_MISMATCH``, or ``BUDGET`` when the result would be too long.
    """
    base = base_of(container)
    if base is range:
        return range.__getitem__(container, bounds)
    limit = _SLICED.get(id(base))
    if base is None or limit is None:
        raise EvaluationError("TYPE_MISMATCH", f"{named(container)} cannot be sliced")
    size = len(range(*bounds.indices(base.__len__(container))))
    if size > limit:
        raise over("the slice")
    # Copying: a list's items are counted one by one, characters are not.
    spend(state, 10 + (size >> (3 if limit == MAX_ITEMS else 7)))
    return base.__getitem__(container, bounds)
