"""The callbacks of ``sys.monitoring`` for interpreters without the GIL: no line is switched off by mistake."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, Callable, Dict, List, Set

import pytest

from otel_tracepoints.engine.callbacks import line_callback_without_gil, start_callback_without_gil

DISABLE = object()
CODE = compile("", "x", "exec")
LINE = 7

Make = Callable[[Any, object, Set[object]], Callable[[CodeType, int], object]]
MAKERS = [line_callback_without_gil, start_callback_without_gil]


class Table(Dict[int, Any]):
    """A table that another thread publishes a probe in while the callback makes its first look."""

    def __init__(self, deciding: Set[object], lines: Any) -> None:
        super().__init__()
        self.deciding = deciding
        self.lines = lines
        #: Whether the callback had said that it decides, at each look.
        self.said: List[bool] = []

    def look(self) -> None:
        self.said.append(bool(self.deciding))
        if len(self.said) == 2 and self.lines:
            self[id(CODE)] = self.lines

    def __contains__(self, key: object) -> bool:
        self.look()
        return super().__contains__(key)

    def __getitem__(self, key: int) -> Any:
        self.look()
        return super().__getitem__(key)


@pytest.mark.parametrize("make", MAKERS)
def test_a_probe_that_comes_between_the_looks_is_not_switched_off(make: Make) -> None:
    """The second look, made after the callback has said that it decides, sees it; and it is hit."""
    deciding: Set[object] = set()
    hits: List[Any] = []
    table = Table(deciding, {LINE: (hits.append,)})
    assert make(table, DISABLE, deciding)(CODE, LINE) is None
    assert table.said == [False, True]
    assert deciding == set()
    if make is line_callback_without_gil:
        assert hits == [sys._getframe()]


@pytest.mark.parametrize("make", MAKERS)
def test_what_nobody_watches_is_switched_off(make: Make) -> None:
    """After two looks; and the callback no longer says that it decides."""
    deciding: Set[object] = set()
    table = Table(deciding, None)
    assert make(table, DISABLE, deciding)(CODE, LINE) is DISABLE
    assert table.said == [False, True]
    assert deciding == set()
