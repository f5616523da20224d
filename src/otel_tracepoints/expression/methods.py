"""The functions and string methods of the language, on builtin values only."""

from __future__ import annotations

import datetime
import decimal
import operator
from typing import Any, Callable, Dict, FrozenSet, List, Tuple

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import lookup, sequences
from otel_tracepoints.expression.budget import MAX_ITEMS, MAX_STRING, State, over, spend
from otel_tracepoints.expression.comparison import contains, less
from otel_tracepoints.expression.values import base_of, exact, is_number, length, named, truth

#: A method: its name as the user wrote it, the receiver, the arguments, the account.
Method = Callable[[str, Any, Tuple[Any, ...], State], Any]
#: A function: the arguments, the account.
Function = Callable[[Tuple[Any, ...], State], Any]


def _receiver(name: str, value: Any) -> Any:
    base = base_of(value)
    if base is not str and base is not bytes:
        raise EvaluationError("TYPE_MISMATCH", f"{named(value)} has no method '{name}' here")
    return base


def _prefix(slot: str) -> Method:
    def call(name: str, value: Any, arguments: Tuple[Any, ...], state: State) -> bool:
        base = _receiver(name, value)
        wanted = arguments[0]
        kind = base_of(wanted)
        if kind is tuple:
            if tuple.__len__(wanted) > MAX_ITEMS:
                raise over("the tuple of prefixes")
            return any(call(name, value, (each,), state) for each in tuple.__getitem__(wanted, slice(None)))
        spend(state, 10)
        if kind is not base:
            raise EvaluationError("TYPE_MISMATCH", f"'{name}' of {named(value)} takes no {named(wanted)}")
        if base.__len__(wanted) > base.__len__(value):
            return False
        if base.__len__(wanted) > MAX_STRING:
            raise over("the text compared")
        spend(state, base.__len__(wanted) >> 9)
        return bool(getattr(base, slot)(value, exact(wanted, kind, state)))

    return call


def _converted(slot: str) -> Method:
    def call(name: str, value: Any, arguments: Tuple[Any, ...], state: State) -> Any:
        base = _receiver(name, value)
        size = base.__len__(value)
        if size > MAX_STRING:
            raise over("the text")
        # Case conversion of text that is not ASCII takes some 5-10 ns a character.
        spend(state, 10 + size // 8)
        result = getattr(base, slot)(value)
        if len(result) > MAX_STRING:
            raise over("the text")
        return exact(result, base)

    return call


def _contains(name: str, value: Any, arguments: Tuple[Any, ...], state: State) -> bool:
    _receiver(name, value)
    return contains(arguments[0], value, state)


_FAST_IDS = frozenset(id(each) for each in (int, float, str))

#: Methods by every spelling, with the number of arguments each takes; `matches` is compiled apart.
METHODS: Dict[str, Tuple[int, Method]] = {
    "startswith": (1, _prefix("startswith")),
    "startsWith": (1, _prefix("startswith")),
    "endswith": (1, _prefix("endswith")),
    "endsWith": (1, _prefix("endswith")),
    "contains": (1, _contains),
    "lower": (0, _converted("lower")),
    "upper": (0, _converted("upper")),
    "strip": (0, _converted("strip")),
}


def _len(arguments: Tuple[Any, ...], state: State) -> int:
    return length(arguments[0])


def _abs(arguments: Tuple[Any, ...], state: State) -> Any:
    value = arguments[0]
    base = base_of(value)
    if is_number(base):
        value = exact(value, base)
        return value.copy_abs() if base is decimal.Decimal else abs(value)
    if base is datetime.timedelta and type(value) is base:
        return abs(value)
    raise EvaluationError("TYPE_MISMATCH", f"abs() takes a number, not {named(value)}")


def _items(name: str, value: Any, state: State) -> List[Any]:
    base = base_of(value)
    if base is not list and base is not tuple:
        raise EvaluationError("TYPE_MISMATCH", f"{name}() goes over a list or tuple, not {named(value)}")
    if base.__len__(value) > MAX_ITEMS:
        raise over(f"what {name}() goes over")
    spend(state, base.__len__(value) >> 3)
    return list(base.__iter__(value))


def _extreme(name: str, compare: Callable[[Any, Any], Any]) -> Function:
    builtin: Callable[[Any], Any] = min if name == "min" else max

    def call(arguments: Tuple[Any, ...], state: State) -> Any:
        values = _items(name, arguments[0], state) if len(arguments) == 1 else list(arguments)
        if not values:
            raise EvaluationError("TYPE_MISMATCH", f"{name}() of nothing")
        if id(type(values[0])) in _FAST_IDS and sequences.weigh(values, state):
            return builtin(values)
        best = values[0]
        for value in values[1:]:
            spend(state, 8)
            if less(value, best, compare, state):
                best = value
        return best

    return call


def _quantifier(name: str, stop: bool) -> Function:
    def call(arguments: Tuple[Any, ...], state: State) -> bool:
        values = _items(name, arguments[0], state)
        if lookup.all_simple(values, state):
            return any(values) if stop else all(values)
        for value in values:
            spend(state, 4)
            if truth(value, state) is stop:
                return stop
        return not stop

    return call


#: Functions by name, with the fewest and the most arguments each takes; `isinstance` is compiled apart.
FUNCTIONS: Dict[str, Tuple[int, int, Function]] = {
    "len": (1, 1, _len),
    "abs": (1, 1, _abs),
    "min": (1, 255, _extreme("min", operator.lt)),
    "max": (1, 255, _extreme("max", operator.gt)),
    "any": (1, 1, _quantifier("any", True)),
    "all": (1, 1, _quantifier("all", False)),
}


def is_instance(value: Any, ids: FrozenSet[int], names: FrozenSet[str], state: State) -> bool:
    """True when a type in the real MRO is one of these: ids of builtin types, ``module.Qualname``s.

    By such a name a type is meant that gives it as its own, or that stands under it in a module, as a
    program would say it: ``pathlib.Path`` is defined in ``pathlib._local`` since 3.13.
    """
    mro = introspect.mro(type(value))
    for each in mro:
        if id(each) in ids:
            return True
    if names:
        spend(state, 30 * len(mro))
        for each in mro:
            if introspect.type_name(each) in names:
                return True
        for name in names:
            meant = introspect.class_named(name)
            for each in mro:
                if each is meant:
                    return True
    return False
