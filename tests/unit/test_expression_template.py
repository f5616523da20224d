"""Message templates: texts, fields, conversions, format specs, and where errors point."""

from __future__ import annotations

from typing import Any, List, Tuple

import pytest

from otel_tracepoints.errors import InvalidMessage
from otel_tracepoints.expression import TemplateField, parse_template


def parts(message: str) -> List[Any]:
    """The parts, a field as (source, conversion, spec)."""
    return [
        (part.expression.source, part.conversion, part.spec) if isinstance(part, TemplateField) else part
        for part in parse_template(message).parts
    ]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("plain", ["plain"]),
        ("", []),
        ("{{}}", ["{}"]),
        ("a {{b}} {c}!", ["a {b} ", ("c", None, ""), "!"]),
        ("{{{x}}}", ["{", ("x", None, ""), "}"]),
        ("{a}{b}", [("a", None, ""), ("b", None, "")]),
        ("{price:.2f}", [("price", None, ".2f")]),
        ("{name!r}", [("name", "r", "")]),
        ("{name!s:>10}", [("name", "s", ">10")]),
        ("{name !a }", [("name ", "a", "")]),
        ("{a != b}", [("a != b", None, "")]),
        ("{!a}", [("!a", None, "")]),
        ("{a && !r}", [("a && !r", None, "")]),
        ("{'}'}{\"{:!r}\"}", [("'}'", None, ""), ('"{:!r}"', None, "")]),
        ("{x[1:2]}", [("x[1:2]", None, "")]),
        ("{d['a:b']!r:x}", [("d['a:b']", "r", "x")]),
        ("{when:%H:%M}", [("when", None, "%H:%M")]),
        ("{x: }", [("x", None, " ")]),
    ],
)
def test_parts(message: str, expected: List[Any]) -> None:
    """A message splits into its literal texts, braces unescaped, and its fields."""
    assert parts(message) == expected
    assert parse_template(message).source == message


REFUSED: List[Tuple[str, int]] = [
    ("ab } c", 3),
    ("ab {c", 3),
    ("{", 0),
    ("a {}", 3),
    ("{  }", 1),
    ("{a!x}", 2),
    ("{a!}", 2),
    ("{a:{b}}", 3),
    ("{a:", 0),
    ("{a=}", 2),
    ("hi {user} {x ** 2}", 13),
    ("é {x.__class__}", 5),
    ("{a:99999999}", 3),
    ("{a:.70000f}", 4),
    ("{'abc}", 0),
    ("{{{", 2),
    ("}", 0),
]


@pytest.mark.parametrize(("message", "position"), REFUSED)
def test_refused(message: str, position: int) -> None:
    """A broken template is INVALID_MESSAGE with the position in the whole message."""
    with pytest.raises(InvalidMessage) as caught:
        parse_template(message)
    assert caught.value.code == "INVALID_MESSAGE"
    assert caught.value.details["position"] == position
    assert isinstance(caught.value.details["expression"], str)
    assert caught.value.details["allowed"]
