"""What parsing gives: expressions and templates, checked and compiled, immutable, thread safe."""

from __future__ import annotations

from types import FrameType
from typing import Any, Callable, Final, NamedTuple, NoReturn, Optional, Tuple, Union

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import SENSITIVE, State, new_state
from otel_tracepoints.expression.values import truth
from otel_tracepoints.interrupts import is_for_application

#: Says whether a variable, attribute, key or parameter of this name must not be shown.
NamePredicate = Callable[[str], bool]

#: A compiled part of an expression.
Node = Callable[[FrameType, State], object]


def never(name: str) -> bool:
    """The predicate for which no name is sensitive."""
    return False


class Evaluated(NamedTuple):
    """What an expression gave.

    Attributes:
        value: A live object of the application: use it inside the hit only.
        sensitive: A sensitive name was read on the way, so the value must not be shown.
    """

    value: object
    sensitive: bool


class Expression:
    """A condition, watch or template field that was checked and compiled.

    Attributes:
        source: The text as it was given.
        lowered: What of it the compiled hit path may decide (see `lowering.lower`), or None.
    """

    __slots__ = ("_node", "_plain", "lowered", "source")

    def __init__(
        self, source: str, node: Node, plain: bool, lowered: Optional[Tuple[Any, ...]] = None
    ) -> None:
        self.source: Final = source
        self.lowered: Final = lowered
        self._node: Final = node
        #: The node gives a bool itself, so its truth need not be asked.
        self._plain: Final = plain

    def evaluate(self, frame: FrameType) -> Evaluated:
        """The value in this frame; no code of the application runs, and about 1 ms is the most it takes.

        Raises:
            EvaluationError: and nothing else but what a signal's handler raises.
        """
        state = new_state()
        try:
            value = self._node(frame, state)
        except EvaluationError:
            raise
        except Exception as error:
            _fail(error)
        # Half the time of its own constructor.
        return tuple.__new__(Evaluated, (value, state[SENSITIVE] != 0))

    def test(self, frame: FrameType) -> bool:
        """The truth of the value; as bounded, and with the same errors, as `evaluate`."""
        try:
            if self._plain:
                return self._node(frame, new_state())  # type: ignore[return-value]
            state = new_state()
            return truth(self._node(frame, state), state)
        except EvaluationError:
            raise
        except Exception as error:
            _fail(error)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def _fail(error: Exception) -> NoReturn:
    """What a builtin raised, in the language's own codes; its text may quote a value, so it is dropped."""
    if is_for_application(error):
        raise error
    if isinstance(error, (RecursionError, MemoryError, OverflowError)):
        raise EvaluationError("BUDGET", "the evaluation would take too much time or memory") from None
    if isinstance(error, ZeroDivisionError):
        raise EvaluationError("DIVISION_BY_ZERO", "division by zero") from None
    if isinstance(error, RuntimeError):
        raise EvaluationError("BUDGET", "a container changed while it was being read") from None
    raise EvaluationError("TYPE_MISMATCH", f"the operation failed with {type(error).__name__}") from None


class TemplateField(NamedTuple):
    """``{expression!conversion:spec}`` of a message template.

    Attributes:
        conversion: ``r``, ``s``, ``a`` or None.
        spec: Constant format spec; may be empty.
    """

    expression: Expression
    conversion: Optional[str]
    spec: str


class Template:
    """A message: literal texts (braces unescaped) and fields, in order.

    Attributes:
        source: The text as it was given.
    """

    __slots__ = ("parts", "source")

    def __init__(self, source: str, parts: Tuple[Union[str, TemplateField], ...]) -> None:
        self.source: Final = source
        self.parts: Final = parts
