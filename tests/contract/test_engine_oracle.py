"""Real packages with a probe on every line: each line is hit as often as the interpreter says it was reached.

A small part of ``python -m tests.oracle``, which does it with more packages, all of their lines.
"""

from __future__ import annotations

from typing import Tuple

import pytest
from tests.oracle.compare import judge


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("package", "only"),
    [("click", ("parser.py",)), ("rich", ("segment.py",))],
    ids=["click", "rich"],
)
def test_every_line_is_hit_as_often_as_it_is_reached(package: str, only: Tuple[str, ...], when: str) -> None:
    """With probes set before or after the import, what the package does is unchanged, and every line's hits are the interpreter's own count."""
    verdict = judge(package, when, only)
    assert verdict.unchanged
    assert verdict.differences == {}
    assert verdict.hits > 1_000
    assert verdict.lines > 50
