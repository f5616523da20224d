"""The shared table of expressions and their answers, on real frames."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Dict

import pytest
from tests.unit.vectors.expressions import VECTORS, Code

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import parse_condition, parse_watch


def frame_with(names: Dict[str, Any]) -> FrameType:
    """A frame of a function whose locals are these."""
    parameters = ", ".join(names)
    namespace: Dict[str, Any] = {"sys": sys}
    exec(f"def function({parameters}):\n    return sys._getframe()", namespace)
    return namespace["function"](**names)


@pytest.mark.parametrize(
    ("text", "names", "expected"), VECTORS, ids=[f"{n}: {v[0]}" for n, v in enumerate(VECTORS)]
)
def test_value(text: str, names: Dict[str, Any], expected: Any) -> None:
    """An expression gives exactly the value, or fails with exactly the code, of the table."""
    expression = parse_watch(text)
    if isinstance(expected, Code):
        with pytest.raises(EvaluationError) as caught:
            expression.evaluate(frame_with(names))
        assert caught.value.code == expected.code
        assert caught.value.message
    else:
        value = expression.evaluate(frame_with(names)).value
        assert type(value) is type(expected)
        assert value == expected


@pytest.mark.parametrize(
    ("text", "names", "expected"), VECTORS, ids=[f"{n}: {v[0]}" for n, v in enumerate(VECTORS)]
)
def test_truth(text: str, names: Dict[str, Any], expected: Any) -> None:
    """A condition holds exactly when the value is true, and fails exactly when the value cannot be had."""
    condition = parse_condition(text)
    if isinstance(expected, Code):
        with pytest.raises(EvaluationError) as caught:
            condition.test(frame_with(names))
        assert caught.value.code == expected.code
    else:
        assert condition.test(frame_with(names)) is bool(expected)
