"""What goes wrong in an evaluation: an error of the language, with nothing of the values, or what a signal raised."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import parse_watch


def frame(x: Any, y: Any = None) -> FrameType:
    return sys._getframe()


def test_error_texts_hold_no_values() -> None:
    """Messages name names and types, never what a value is."""
    secret = "s3cr3t"
    for text in (
        "x + 1",
        "x < 1",
        "x.y",
        "y[x]",
        "x[0].z",
        "x.matches(x)",
        "-x",
        "x.lower() - 1",
        "[1][x]",
        "args[x]",
    ):
        with pytest.raises(EvaluationError) as caught:
            parse_watch(text).evaluate(frame(secret + "(", {}))
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_constant_key_is_named() -> None:
    """A key that stands in the expression helps the reader, so it is in the message."""
    with pytest.raises(EvaluationError, match="'nokey'"):
        parse_watch("x['nokey']").evaluate(frame({}))


def raising(error: BaseException) -> Any:
    """A predicate that fails during the evaluation, for the dynamic key."""

    def predicate(name: str) -> bool:
        if name == "key":
            raise error
        return False

    return predicate


def test_keyboard_interrupt_passes() -> None:
    """What is not an Exception passes through untouched."""
    expression = parse_watch("x[y]", raising(KeyboardInterrupt()))
    for run in (expression.evaluate, expression.test):
        with pytest.raises(KeyboardInterrupt):
            run(frame({}, "key"))


def test_anything_else_becomes_an_evaluation_error() -> None:
    """Whatever a builtin raises is told in the language's own codes."""
    for raised, expected in (
        (RecursionError(), "BUDGET"), (MemoryError(), "BUDGET"), (OverflowError(), "BUDGET"), (RuntimeError(), "BUDGET"),
        (ZeroDivisionError(), "DIVISION_BY_ZERO"), (TypeError(), "TYPE_MISMATCH"), (ValueError(), "TYPE_MISMATCH"),
    ):  # fmt: skip
        expression = parse_watch("x[y]", raising(raised))
        for run in (expression.evaluate, expression.test):
            with pytest.raises(EvaluationError) as caught:
                run(frame({}, "key"))
            assert caught.value.code == expected
