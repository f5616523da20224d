"""Values shown to everything that the agent can do with a value."""

from __future__ import annotations

import contextlib
from typing import Any, ContextManager, Dict, List

from tests.support.live import Live, TargetMaker

HOLD = """
    def hold(value, other=None):
        return None  # TAG: hold
"""

#: Everything that an expression can do to a value.
EXPRESSIONS = [
    *("value", "not value", "value == 1", "value == other", "other == value", "value != other", "value < 1"),
    *("value in other", "other in value", "1 in value", "value is None", "value + 1 == 2", "-value == 1"),
    *("value.name == 'x'", "value.absent", "value[0]", "value['k']", "value[0:2]", "len(value) > 0"),
    *("isinstance(value, int)", "isinstance(value, mock.Mock)", "abs(value) > 1", "any(value)", "max(value)"),
    *("value.startswith('a')", "value.matches('a')", "'a'.contains(value)", "value.lower() == 'a'"),
]
FIELDS = "{value} {value!r} {value:>10} {value.name} {value[0]} {len(value)} {other} {value.absent}"


def look(
    live: Live,
    target: TargetMaker,
    *values: Any,
    during: ContextManager[Any] = contextlib.nullcontext(),  # noqa: B008 - has no state
) -> List[Dict[str, Any]]:
    """The snapshots of the values, after every kind of expression has seen them; what ``during`` watches."""
    program = target(HOLD)
    assert program.module
    shown = live.tracepoint(program, "hold")
    everything = [
        *(
            live.tracepoint(program, "hold", watch=EXPRESSIONS[n : n + 8])
            for n in range(0, len(EXPRESSIONS), 8)
        ),
        live.logpoint(program, "hold", FIELDS),
    ]
    conditions = [
        live.tracepoint(program, "hold", condition=each) for each in ("value", "value == 1", "!other")
    ]
    with during:
        for value in values:
            program.hold(value, [value, {"inside": value}])
    for point in everything:
        assert live.counts(point) == {"emitted": len(values)}
    for point in conditions:
        assert set(live.counts(point)) <= {"emitted", "conditionFalse", "conditionError"}
    return live.hits(shown)
