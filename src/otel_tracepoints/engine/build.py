"""Stand-in until packaging lands."""

from typing import Optional


def why_not_compiled() -> Optional[str]:
    return "it was not built"
