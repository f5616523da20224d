"""How much one evaluation may do, and the account that is charged before anything is done.

The limits are those of the expression language (rule 2 of its safety rules): work is bounded
before it is done, so that no accepted expression stalls a thread for more than about 1 ms.
"""

from __future__ import annotations

from typing import Any, Final, List

from otel_tracepoints.errors import EvaluationError

#: Longest string or bytes that an operation may make: characters.
MAX_STRING: Final = 65_536
#: Longest list or tuple that an operation may make, and that `args` may hold.
MAX_ITEMS: Final = 10_000
#: Largest integer that arithmetic may take or make.
MAX_BITS: Final = 4_096
#: Deepest nesting that a comparison follows; Python's own limit is the application's to use.
MAX_DEPTH: Final = 50
#: Units of work an evaluation has. A unit is about what the cheapest look at one element costs
#: (20-60 ns on the interpreters supported), so that 10 000 elements can be looked at and the
#: whole stays under 1 ms.
WORK: Final = 12_000

#: One evaluation's account, ``[units of work left, a sensitive name was read, f_locals]``. A list,
#: because making one costs a fifth of making an object with three attributes, once a hit. The
#: frame's f_locals is kept for the evaluation, as up to 3.12 each reading of it copies all locals.
State = List[Any]
LEFT: Final = 0
SENSITIVE: Final = 1
NAMESPACE: Final = 2


def new_state() -> State:
    """A full account."""
    return [WORK, 0, None]


def spend(state: State, units: int) -> None:
    """Charge ``units``.

    Raises:
        EvaluationError: ``BUDGET`` when there are not that many left.
    """
    state[LEFT] -= units
    if state[LEFT] < 0:
        raise EvaluationError("BUDGET", "the evaluation would take too long")


def over(what: str) -> EvaluationError:
    """The error for a value or a result that is larger than the limits allow."""
    return EvaluationError("BUDGET", f"{what} is larger than an expression may handle")
