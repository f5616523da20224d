"""``+ - * / // %`` and the unary signs on builtin values, with results bounded beforehand."""

from __future__ import annotations

import datetime
import decimal
import fractions
import operator
from typing import Any, Callable, Dict, Tuple

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import lookup
from otel_tracepoints.expression.budget import MAX_BITS, MAX_ITEMS, MAX_STRING, State, over, spend
from otel_tracepoints.expression.sequences import SET_IDS, elements
from otel_tracepoints.expression.special import check_timezones
from otel_tracepoints.expression.values import base_of, exact, is_number, named
from otel_tracepoints.interrupts import is_for_application

#: The operators by their symbol.
OPERATORS: Dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}

_DIVISIONS = ("/", "//", "%")
_LIMITS = {id(str): MAX_STRING, id(bytes): MAX_STRING, id(list): MAX_ITEMS, id(tuple): MAX_ITEMS}
#: Digits of precision above which a Decimal operation of the application's context is not repeated.
_PRECISION = 1_000


def binary(symbol: str, left: Any, right: Any, state: State) -> Any:
    """``left symbol right``.

    Raises:
        EvaluationError: ``TYPE_MISMATCH``, ``DIVISION_BY_ZERO``, ``BUDGET``.
    """
    spend(state, 20)
    base, other = base_of(left), base_of(right)
    if is_number(base) and is_number(other):
        if not ((base is int or base is float) and (other is int or other is float)):
            spend(state, 60)
        return _numbers(symbol, exact(left, base), exact(right, other))
    if symbol == "+" and base is other and id(base) in _LIMITS:
        return _joined(left, right, base, state)
    if symbol == "*":
        if id(base) in _LIMITS and (other is int or other is bool):
            return _repeated(left, base, int.__pos__(right), state)
        if id(other) in _LIMITS and (base is int or base is bool):
            return _repeated(right, other, int.__pos__(left), state)
    if symbol == "-" and id(base) in SET_IDS and id(other) in SET_IDS:
        return _difference(left, base, right, other, state)
    if (_is_calendar(base) or _is_calendar(other)) and (symbol != "%" or base is datetime.timedelta):
        return _calendar(symbol, left, base, right, other)
    raise _mismatch(symbol, left, right)


def unary(symbol: str, value: Any) -> Any:
    """``-value`` or ``+value`` of a number or timedelta."""
    base = base_of(value)
    if is_number(base):
        value = exact(value, base)
        if type(value) is int and value.bit_length() > MAX_BITS:
            raise over("an integer")
        if type(value) is decimal.Decimal:
            context = _context()
            return context.minus(value) if symbol == "-" else context.plus(value)
        return -value if symbol == "-" else +value
    if base is datetime.timedelta:
        value = _plain(value, base)
        return -value if symbol == "-" else value
    raise EvaluationError("TYPE_MISMATCH", f"{named(value)} has no unary '{symbol}'")


def _numbers(symbol: str, left: Any, right: Any) -> Any:
    bits = _bits(left), _bits(right)
    if max(bits) > MAX_BITS or (symbol == "*" and sum(bits) > MAX_BITS):
        raise over("an integer")
    if type(left) is decimal.Decimal or type(right) is decimal.Decimal:
        return _decimals(symbol, left, right)
    if (type(left) is fractions.Fraction or type(right) is fractions.Fraction) and sum(bits) > MAX_BITS:
        raise over("a Fraction")
    try:
        result = OPERATORS[symbol](left, right)
    except TypeError:
        raise _mismatch(symbol, left, right) from None
    except ZeroDivisionError:
        raise EvaluationError("DIVISION_BY_ZERO", f"'{symbol}' by zero") from None
    if type(result) is int and result.bit_length() > MAX_BITS:
        raise over("an integer")
    return result


def _bits(value: Any) -> int:
    if type(value) is int:
        return value.bit_length()
    if type(value) is fractions.Fraction:
        return value.numerator.bit_length() + value.denominator.bit_length()
    return 1


def _context() -> decimal.Context:
    """The application's decimal context, copied: its flags are not ours to raise."""
    context = decimal.getcontext().copy()
    if context.prec > _PRECISION:
        raise over("the precision of the decimal context")
    return context


def _decimals(symbol: str, left: Any, right: Any) -> Any:
    for value in (left, right):
        if type(value) is not decimal.Decimal and type(value) is not int and type(value) is not bool:
            raise _mismatch(symbol, left, right)
    if symbol in _DIVISIONS and not right:
        raise EvaluationError("DIVISION_BY_ZERO", f"'{symbol}' by zero")
    context = _context()
    operation: Dict[str, Callable[[Any, Any], Any]] = {
        "+": context.add,
        "-": context.subtract,
        "*": context.multiply,
        "/": context.divide,
        "//": context.divide_int,
        "%": context.remainder,
    }
    try:
        return operation[symbol](left, right)
    except decimal.DecimalException:
        raise EvaluationError("TYPE_MISMATCH", f"'{symbol}' of these Decimals is not defined") from None


def _charge(size: int, base: Any, what: str, state: State) -> None:
    """For making a sequence of this size: a list's items are counted one by one, characters are not."""
    limit = _LIMITS[id(base)]
    if size > limit:
        raise over(what)
    spend(state, size >> (3 if limit == MAX_ITEMS else 7))


def _joined(left: Any, right: Any, base: Any, state: State) -> Any:
    _charge(base.__len__(left) + base.__len__(right), base, "the result of '+'", state)
    return base.__add__(_plain(left, base), _plain(right, base))


def _repeated(value: Any, base: Any, times: int, state: State) -> Any:
    _charge(base.__len__(value) * max(times, 0), base, "the result of '*'", state)
    times = min(times, MAX_STRING)  # of nothing: an int of any size may stand here
    return base.__mul__(_plain(value, base), max(times, 0))


def _difference(left: Any, base: Any, right: Any, other: Any, state: State) -> Any:
    ours, theirs = elements(left, base, state), elements(right, other, state)
    if not (lookup.all_simple(ours, state) and lookup.all_simple(theirs, state)):
        raise EvaluationError("UNSAFE_COMPARISON", "only sets of builtin values can be subtracted")
    return base(frozenset(ours) - frozenset(theirs))


def _is_calendar(base: Any) -> bool:
    return base is datetime.datetime or base is datetime.date or base is datetime.timedelta


def _calendar(symbol: str, left: Any, base: Any, right: Any, other: Any) -> Any:
    if not ((_is_calendar(base) or is_number(base)) and (_is_calendar(other) or is_number(other))):
        raise _mismatch(symbol, left, right)
    if base is datetime.datetime and other is datetime.datetime:
        check_timezones(left, right, base)
    try:
        return OPERATORS[symbol](_plain(left, base), _plain(right, other))
    except (TypeError, ValueError) as error:
        if is_for_application(error):
            raise
        raise _mismatch(symbol, left, right) from None


def _plain(value: Any, base: Any) -> Any:
    """A value of a subclass as the builtin type itself, whose operators call no subclass's constructor."""
    if type(value) is base:
        return value
    if base is list or base is tuple:
        return base.__getitem__(value, slice(None))
    if base is datetime.timedelta:
        parts: Tuple[str, ...] = ("days", "seconds", "microseconds")
    elif base is datetime.date:
        parts = ("year", "month", "day")
    elif base is datetime.datetime:
        parts = ("year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
        fields = [_getter(base, part)(value) for part in parts]
        return datetime.datetime(*fields, fold=_getter(base, "fold")(value))  # noqa: DTZ001 - tzinfo is among them
    else:
        return exact(value, base)
    return base(*[_getter(base, part)(value) for part in parts])


def _getter(base: Any, name: str) -> Callable[[Any], Any]:
    for each in base.__mro__:
        if name in each.__dict__:
            getter: Callable[[Any], Any] = each.__dict__[name].__get__
            return getter
    raise AttributeError(name)


def _mismatch(symbol: str, left: Any, right: Any) -> EvaluationError:
    return EvaluationError("TYPE_MISMATCH", f"'{symbol}' between {named(left)} and {named(right)}")
