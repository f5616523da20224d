"""The book of watches: the same answers however many there are."""

from __future__ import annotations

from typing import Any

import pytest

from otel_tracepoints.engine.ledger import Ledger


def watched() -> None: ...


CODE = watched.__code__


class Text(str):
    """Counts how often one is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Text.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def handler(number: int) -> Any:
    return number


@pytest.mark.parametrize("many", [3, 100])
def test_handlers_stay_in_order(many: int) -> None:
    """A line's handlers are called in the order of installation, also after some have gone."""
    ledger = Ledger()
    for number in range(many):
        assert ledger.add(f"k{number}", CODE, 1, handler(number)) is not None
        assert ledger.add(f"k{number}", CODE, 1, handler(-1)) is None
    found = ledger.get(CODE)
    assert found is not None
    assert found.handlers() == {1: tuple(range(many))}
    ledger.withdraw("k1", found, 1)
    assert found.handlers() == {1: (0, *range(2, many))}
    assert ledger.remove(*(f"k{number}" for number in range(2, many))) == [found]
    assert found.handlers() == {1: (0,)}
    assert ledger.every_key() == ["k0"]
    ledger.remove("k0")
    assert len(ledger) == 0


def test_another_watch_does_not_look_through_all() -> None:
    """What a watch takes to be entered does not grow with those that the code object has."""
    ledger = Ledger()
    for number in range(500):
        ledger.add(Text(number), CODE, 1, handler(number))
    Text.compared = 0
    ledger.add(Text(500), CODE, 1, handler(500))
    assert Text.compared < 50
