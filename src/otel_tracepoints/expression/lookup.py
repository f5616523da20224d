"""Find a key in a dict or set without running the ``==`` of anybody's key.

CPython's lookup calls ``__eq__`` of every stored key whose hash equals the one looked for: of an
application's key that hashes like the string ``'id'``, for instance. So the table is asked
itself only when every key in it is known to be of an exact builtin type (`SIMPLE_IDS`); that
costs a look at each key, charged, and nothing for dicts whose size in memory gives away that
they hold exact strings only (3.11 and later). Any other table is gone through key by key,
compared by the rules of this package. Tables too large to look at are ``BUDGET``.
"""

from __future__ import annotations

import collections
import itertools
import operator
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import MAX_DEPTH, State, spend
from otel_tracepoints.expression.special import compares_by_identity
from otel_tracepoints.expression.values import SIMPLE_IDS, base_of, named
from otel_tracepoints.introspect import MISSING

#: Compares two values by the rules of `comparison`.
Equal = Callable[[Any, Any, State], bool]

_dict_size: Callable[[Any], int] = dict.__sizeof__
_PIECE = 512


def _string_table_sizes() -> FrozenSet[int]:
    """Sizes of dicts whose table is CPython's form for exact ``str`` keys (16 bytes an entry, not 24).

    From 3.11 on the two forms differ in size, and a dict leaves the form for strings with the first
    other key, for good. Computed for every table size, and believed only where it agrees with
    dicts of both forms made here: on any other interpreter the set is empty.
    """

    def size(header: int, log2: int, entry: int) -> int:
        slots = 1 << log2
        width = 1 if log2 < 8 else 2 if log2 < 16 else 4 if log2 < 32 else 8
        return header + slots * width + (slots * 2 // 3) * entry

    sample: Dict[Any, int] = {"a": 1}
    header = _dict_size(sample) - size(0, 3, 16)
    strings = {size(header, log2, 16) for log2 in range(3, 40)}
    general = {size(header, log2, 24) for log2 in range(3, 40)}
    if strings & general:
        return frozenset()
    texts: Dict[Any, int] = {}
    others: Dict[Any, int] = {1: 1}
    for number in range(3000):
        texts[f"k{number}"] = number
        others[f"k{number}"] = number
        if _dict_size(texts) not in strings or _dict_size(others) in strings:
            return frozenset()
    return frozenset(strings)


_STRING_TABLES = _string_table_sizes()


def all_simple(values: List[Any], state: State) -> bool:
    """True when every one is of an exact builtin type that compares without running other code."""
    if not values:
        return True
    spend(state, len(values))
    first = type(values[0])
    if id(first) in SIMPLE_IDS and all(map(operator.is_, map(type, values), itertools.repeat(first))):
        return True
    return set(map(id, map(type, values))) <= SIMPLE_IDS


def simple_keys(keys: Iterable[Any], state: State) -> bool:
    """`all_simple` of the keys of a dict or set, in pieces, so that the account is charged first."""
    iterator = iter(keys)
    while True:
        piece = list(itertools.islice(iterator, _PIECE))
        if not piece:
            return True
        if not all_simple(piece, state):
            return False


def get_item(mapping: Any, key: Any, state: State, equal: Equal) -> Any:
    """The value under ``key`` in a dict or a subclass of it (no ``__missing__``), or `MISSING`.

    Raises:
        EvaluationError: ``TYPE_MISMATCH`` for a key that cannot be hashed, ``BUDGET``,
            ``UNSAFE_COMPARISON`` when only a key of the application could tell.
    """
    simple = id(type(key)) in SIMPLE_IDS
    if simple:
        spend(state, 1 + _weight(key))  # the hash looks at all of it
    # (The size of a subclass's instance includes its slots, and tells nothing.)
    if simple and (
        (type(mapping) is dict and _dict_size(mapping) in _STRING_TABLES)
        or simple_keys(dict.__iter__(mapping), state)
    ):
        return dict.get(mapping, key, MISSING)
    _check_hashable(key, state)
    for _, value in _candidates(dict.items(mapping), key, state, equal):
        return value
    return MISSING


def has_member(members: Any, base: Any, key: Any, state: State, equal: Equal) -> bool:
    """``key in members`` for a set or frozenset (``base`` says which) or a subclass of one."""
    spend(state, 1)
    if id(type(key)) in SIMPLE_IDS and simple_keys(base.__iter__(members), state):
        spend(state, _weight(key))
        return bool(base.__contains__(members, key))
    _check_hashable(key, state)
    return any_equal(base.__iter__(members), key, state, equal)


def _weight(value: Any) -> int:
    """Units of work that comparing this simple value once more may cost on top: memory to look at."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) >> 9
    return value.bit_length() >> 12 if kind is int else 0


def _check_hashable(key: Any, state: State, depth: int = 0) -> None:
    base = base_of(key)
    if base is tuple and depth < MAX_DEPTH:
        spend(state, 2 * tuple.__len__(key))
        for each in tuple.__iter__(key):
            _check_hashable(each, state, depth + 1)
    for each in (list, dict, set, bytearray, collections.deque):
        if base is each:
            raise EvaluationError("TYPE_MISMATCH", f"{named(key)} cannot be a key")


def any_equal(values: Iterable[Any], wanted: Any, state: State, equal: Equal) -> bool:
    """True when one is identical or equal; what cannot be compared counts only if none is."""
    return any(True for _ in _candidates(((value, None) for value in values), wanted, state, equal))


def _candidates(
    pairs: Iterable[Tuple[Any, Any]], wanted: Any, state: State, equal: Equal
) -> Iterator[Tuple[Any, Any]]:
    """The pairs whose key is equal; when there is none, the error of one that could not be compared."""
    undecided = None
    plain: Optional[type] = None
    simple = id(type(wanted)) in SIMPLE_IDS
    for stored, value in pairs:
        spend(state, 2)
        kind = type(stored)
        if kind is plain and stored is not wanted:
            # The class of the key before: such a key is equal to nothing but itself.
            continue
        try:
            if stored is wanted or equal(stored, wanted, state):
                yield stored, value
                return
        except EvaluationError as error:
            if error.code == "BUDGET":
                raise
            undecided = error
            continue
        if simple and compares_by_identity(kind):
            plain = kind
    if undecided is not None:
        raise undecided


def in_sequence(pieces: Iterable[List[Any]], wanted: Any, state: State, equal: Equal) -> bool:
    """``wanted in sequence``, given in pieces that nobody else can change.

    Python stops at the first that is equal, so an element before it that only the application's
    code could compare makes the answer unknown, and one after it does not matter.
    """
    simple = id(type(wanted)) in SIMPLE_IDS
    for piece in pieces:
        if simple and all_simple(piece, state):
            spend(state, _weight(wanted) * len(piece))
            if wanted in piece:
                return True
            continue
        spend(state, 4 * len(piece))
        for value in piece:
            if value is wanted or equal(value, wanted, state):
                return True
    return False
