"""The collector's own lists: what on them can run code, and how to tell what is young."""

from __future__ import annotations

import builtins
import functools
import gc
import itertools
import operator
import sys
import sysconfig
import types
from typing import Any, Dict, List, Optional, Sequence, Tuple

_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class Mark:
    """A moment: made before a search, it tells at the next whether what was made since is all young.

    Attributes:
        age: While this stays the same nothing young has become old, as far as can be told at no cost:
            a collection that has not come to its end is not counted, though its finalizers let others
            run. None: this interpreter cannot tell.
        object: Made then. As long as it is young itself, so is everything that is younger.
    """

    __slots__ = ("age", "object")

    def __init__(self) -> None:
        self.age = age()
        #: An empty list is known to the collector from the beginning, and for ever.
        self.object: List[None] = []


def age() -> Optional[Tuple[int, ...]]:
    """See `Mark`.

    Without the GIL there are no generations, and the incremental collector of early 3.14 (whose
    third threshold is 0) makes objects old at any time.
    """
    if _FREE_THREADED or (sys.version_info >= (3, 14) and not gc.get_threshold()[2]):
        return None
    return (*(each["collections"] for each in gc.get_stats()[1:]), gc.get_freeze_count())


def all_runnable(namespaces: Sequence[Dict[str, Any]] = ()) -> List[Any]:
    """Every function, and everything suspended, that the collector shows.

    Args:
        namespaces: Globals whose functions may have builtins of their own.
    """
    if sys.version_info < (3, 10):
        return _runnable_of([None])[0]
    found = gc.get_referrers(builtins.__dict__, *namespaces)
    return [each for each in found if id(type(each)) in _RUNNABLE]


def runnable_since(mark: Mark) -> Tuple[List[Any], bool]:
    """Those that are young, and whether that is all that was made since."""
    # The youngest first: a collection in between moves what it held to the next.
    return _runnable_of([0, 1], mark.object)


def _runnable_of(generations: List[Optional[int]], mark: object = None) -> Tuple[List[Any], bool]:
    """Those objects of these generations, and whether this one is in them; in one call into C throughout."""
    lists: List[List[Any]] = []
    found: List[Any] = []
    marked: List[bool] = []
    every = itertools.chain.from_iterable(lists)
    each, same = itertools.chain.from_iterable(lists), itertools.chain.from_iterable(lists)
    # The class itself is not hashed: that may run code of its metaclass.
    chosen = itertools.compress(each, map(_RUNNABLE.__contains__, map(id, map(type, same))))
    steps = [
        functools.partial(lists.extend, map(gc.get_objects, generations)),
        functools.partial(found.extend, chosen),
        # Nothing is left in it, but until it has noticed it holds the list, which holds it in turn.
        functools.partial(found.extend, same),
        functools.partial(marked.extend, filter(None, map(operator.is_, every, itertools.repeat(mark)))),
        functools.partial(lists.clear),
    ]
    try:
        list(map(functools.partial.__call__, steps))
    finally:
        lists.clear()
    return found, bool(marked)


_RUNNABLE = frozenset(
    map(
        id,
        (
            types.FunctionType,
            types.FrameType,
            types.GeneratorType,
            types.CoroutineType,
            types.AsyncGeneratorType,
        ),
    )
)
