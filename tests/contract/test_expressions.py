"""The expression language through the real agent: values as watches and fields, truth as conditions."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from tests.support.captures import value_of
from tests.support.live import Live, TargetMaker, ok
from tests.unit.vectors.expressions import VECTORS, Code


class Row:
    """Two probes on one line that holds a function for every set of parameters."""

    def __init__(self, live: Live, target: TargetMaker, parameters: List[Tuple[str, ...]]) -> None:
        self._live = live
        lambdas = ", ".join(f"{names!r}: (lambda {', '.join(names)}: None)" for names in parameters)
        self._program = target(f"FUNCTIONS = {{{lambdas}}}  # TAG: line")
        assert self._program.module
        self._watch = live.tracepoint(self._program, "line")
        self._condition = self._last = live.tracepoint(self._program, "line")

    def ask(self, text: str, names: Dict[str, Any]) -> Tuple[str, Any]:
        """The outcome of a condition and the code of its error; a watch is shown to the same values."""
        self._update(self._watch, watch=[text])
        self._update(self._condition, condition=text)
        before = self._last["counts"]
        self._program.FUNCTIONS[tuple(names)](**names)
        self._last = self._live.point(self._condition)
        (outcome,) = [name for name, n in self._last["counts"].items() if n != before[name]]
        return outcome, self._last["error"] and self._last["error"]["code"]

    def watched(self) -> List[Any]:
        """What the watch has shown, each time."""
        return [hit["watches"][0]["value"] for hit in self._live.hits(self._watch)]

    def _update(self, point: Dict[str, Any], **fields: Any) -> None:
        ok(self._live.api.put(f"/points/{point['id']}", fields))


def test_every_row_of_the_table(live_with: Any, target: TargetMaker) -> None:
    """Each gives, as a watch, the value or error of the table, and as a condition its truth or error."""
    row = Row(live_with(), target, sorted({tuple(names) for _, names, _ in VECTORS}))
    outcomes = [row.ask(text, names) for text, names, _ in VECTORS]
    wrong: List[Any] = []
    for (text, names, expected), (outcome, code), shown in zip(VECTORS, outcomes, row.watched()):
        if isinstance(expected, Code):
            fits = shown.startswith(f"<{expected.code}: ") and (outcome, code) == (
                "conditionError",
                expected.code,
            )
        else:
            fits = shown == value_of(expected) and outcome == ("emitted" if expected else "conditionFalse")
        if not fits:
            wrong.append((text, names, expected, shown, outcome, code))
    assert wrong == []
