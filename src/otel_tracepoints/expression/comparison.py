"""``==``, ``<`` and ``in`` by the builtins' own slots, within the budget.

The answer is the one that the application's own comparison would give, or none: where only code
of the application could tell, it is ``UNSAFE_COMPARISON``.
"""

from __future__ import annotations

import operator
from typing import Any, Callable, Dict, Optional

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import lookup, sequences, special
from otel_tracepoints.expression.budget import MAX_DEPTH, State, over, spend
from otel_tracepoints.expression.sequences import SEQUENCE_IDS, SET_IDS, count, elements, pieces
from otel_tracepoints.expression.values import SIMPLE_IDS, base_of, exact, is_number, named

Comparer = Callable[[Any, Any], Any]

#: The four orders by the function of `operator` that computes each.
ORDERS: Dict[Comparer, str] = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">="}


def equal(left: Any, right: Any, state: State, depth: int = 0) -> bool:
    """``left == right`` for any two values.

    Raises:
        EvaluationError: ``UNSAFE_COMPARISON`` or ``BUDGET``.
    """
    kind = type(left)
    if kind is type(right) and id(kind) in SIMPLE_IDS:
        return (
            sequences.equal_texts(left, right, kind, state)
            if kind is str or kind is bytes
            else bool(left == right)
        )
    spend(state, 10)
    base, other = base_of(left), base_of(right)
    if is_number(base) and is_number(other):
        return special.compare_numbers(operator.eq, left, base, right, other)
    if left is right:
        return True
    if depth > MAX_DEPTH:
        raise over("the nesting of the values compared")
    spend(state, 4)
    if base is not None and (base is other or (id(base) in SET_IDS and id(other) in SET_IDS)):
        answer = _equal_kinds(left, right, base, state, depth)
        if answer is not None:
            return answer
    if special.is_value(base) and special.is_value(other):
        return False
    return special.equal_objects(left, right, lambda one, two: equal(one, two, state, depth + 1), state)


def _equal_kinds(left: Any, right: Any, base: type, state: State, depth: int) -> Optional[bool]:
    """``==`` of two values of one builtin kind; None where it is not for the kind to tell."""
    if base is str or base is bytes:
        return sequences.equal_texts(left, right, base, state)
    if id(base) in SEQUENCE_IDS:
        if count(left, base) != count(right, base):
            return False
        ours, theirs = pieces(left, base, state), pieces(right, base, state)
        return all(_first_difference(one, two, state, depth) is None for one, two in zip(ours, theirs))
    if base is dict:
        return _equal_dicts(left, right, state, depth)
    if id(base) in SET_IDS:
        return count(left, base) == count(right, base_of(right)) and _subset(left, right, state)
    if base is range:
        return bool(range.__eq__(left, right))
    return special.compare_values(operator.eq, left, right, base)


def _first_difference(ours: Any, theirs: Any, state: State, depth: int) -> Optional[int]:
    """Index of the first pair of elements that are neither identical nor equal, or None."""
    if sequences.weigh(ours, state) and sequences.weigh(theirs, state) and ours == theirs:
        return None
    for index, (one, two) in enumerate(zip(ours, theirs)):
        spend(state, 4)
        if one is not two and not equal(one, two, state, depth + 1):
            return index
    return None


def _equal_dicts(left: Any, right: Any, state: State, depth: int) -> bool:
    if dict.__len__(left) != dict.__len__(right):
        return False
    simple = lookup.simple_keys(dict.__iter__(left), state) and lookup.simple_keys(
        dict.__iter__(right), state
    )
    for key, value in dict.items(left):
        spend(state, 8)
        if simple:
            found = dict.get(right, key, introspect.MISSING)
        else:
            found = lookup.get_item(right, key, state, equal)
        if found is introspect.MISSING:
            return False
        if found is not value and not equal(value, found, state, depth + 1):
            return False
    return True


def _subset(smaller: Any, larger: Any, state: State) -> bool:
    members = elements(smaller, base_of(smaller), state)
    others = elements(larger, base_of(larger), state)
    if lookup.all_simple(members, state) and lookup.all_simple(others, state):
        return frozenset(members) <= frozenset(others)
    return all(lookup.any_equal(others, each, state, equal) for each in members)


def less(left: Any, right: Any, compare: Comparer, state: State, depth: int = 0) -> bool:
    """``compare(left, right)`` for one of `ORDERS`.

    Raises:
        EvaluationError: ``TYPE_MISMATCH`` when the two have no order, ``UNSAFE_COMPARISON``, ``BUDGET``.
    """
    spend(state, 10)
    base, other = base_of(left), base_of(right)
    if is_number(base) and is_number(other):
        if base is complex or other is complex:
            raise _unordered(left, right, compare)
        return special.compare_numbers(compare, left, base, right, other)
    if depth > MAX_DEPTH:
        raise over("the nesting of the values compared")
    spend(state, 4)
    if base is not None and id(base) in SET_IDS and id(other) in SET_IDS:
        upwards = compare is operator.lt or compare is operator.le
        smaller, larger = (left, right) if upwards else (right, left)
        sizes = count(smaller, base_of(smaller)), count(larger, base_of(larger))
        strict = compare is operator.lt or compare is operator.gt
        return (sizes[0] < sizes[1] if strict else sizes[0] <= sizes[1]) and _subset(smaller, larger, state)
    if base is not None and base is other:
        if base is str or base is bytes:
            return sequences.compare_texts(compare, left, right, base, state)
        if id(base) in SEQUENCE_IDS:
            return _less_sequences(left, right, base, compare, state, depth)
        answer = special.compare_values(compare, left, right, base)
        if answer is not None:
            return answer
    for value in (left, right):
        if special.has_own_order(value):
            raise EvaluationError(
                "UNSAFE_COMPARISON", f"only the code of {named(value)} could tell '{ORDERS[compare]}'"
            )
    raise _unordered(left, right, compare)


def _less_sequences(left: Any, right: Any, base: type, compare: Comparer, state: State, depth: int) -> bool:
    for ours, theirs in zip(pieces(left, base, state), pieces(right, base, state)):
        index = _first_difference(ours, theirs, state, depth)
        if index is not None:
            return less(ours[index], theirs[index], compare, state, depth + 1)
    return bool(compare(count(left, base), count(right, base)))


def _unordered(left: Any, right: Any, compare: Comparer) -> EvaluationError:
    return EvaluationError("TYPE_MISMATCH", f"'{ORDERS[compare]}' between {named(left)} and {named(right)}")


def contains(wanted: Any, container: Any, state: State) -> bool:
    """``wanted in container``.

    Raises:
        EvaluationError: ``TYPE_MISMATCH`` when nothing can be in it, ``UNSAFE_COMPARISON``, ``BUDGET``.
    """
    spend(state, 10)
    base, kind = base_of(container), base_of(wanted)
    if base is str or base is bytes:
        return sequences.in_text(wanted, kind, container, base, state)
    if type(wanted) is not kind and (kind is str or kind is bytes or is_number(kind)):
        wanted = exact(wanted, kind, state)
    if base is not None and id(base) in SEQUENCE_IDS:
        return lookup.in_sequence(pieces(container, base, state), wanted, state, equal)
    if base is dict:
        return lookup.get_item(container, wanted, state, equal) is not introspect.MISSING
    if base is not None and id(base) in SET_IDS:
        return lookup.has_member(container, base, wanted, state, equal)
    if base is range:
        return _in_range(wanted, container, state)
    for name in ("__contains__", "__iter__", "__getitem__"):
        if base is None and introspect.class_attribute(type(container), name) is not introspect.MISSING:
            raise EvaluationError("UNSAFE_COMPARISON", f"only the code of {named(container)} could tell 'in'")
    raise EvaluationError("TYPE_MISMATCH", f"nothing can be in {named(container)}")


def _in_range(wanted: Any, container: Any, state: State) -> bool:
    """CPython would go through the whole range for anything but an int; the nearest int will do."""
    kind = type(wanted)
    if kind is int or kind is bool:
        return bool(range.__contains__(container, wanted))
    if kind is float:
        return wanted.is_integer() and bool(range.__contains__(container, int(wanted)))
    if is_number(kind):
        raise EvaluationError(
            "TYPE_MISMATCH", f"only int and float can be looked for in a range, not {named(wanted)}"
        )
    return equal(wanted, 0, state)
