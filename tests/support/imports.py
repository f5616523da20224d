"""Modules to be imported, and what an import hook sees of them."""

from __future__ import annotations

from types import CodeType
from typing import List, Tuple

SOURCE = "VALUE = 'original'\ndef f():\n    return VALUE\n"
REPLACED = SOURCE.replace("original", "replaced")


class Recorder:
    """An on_code that notes what it saw, and may replace it."""

    def __init__(self, replace: bool = False) -> None:
        self.seen: List[Tuple[str, str]] = []
        self.replace = replace

    def __call__(self, code: CodeType, path: str) -> CodeType:
        self.seen.append((code.co_name, path))
        return compile(REPLACED, code.co_filename, "exec") if self.replace else code
