"""Modules to be imported, and what an import hook sees of them."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import sys
from types import CodeType
from typing import Callable, Iterator, List, Tuple

import pytest

#: Writes a module of this name, with this text or a usual one; answers its path.
Writer = Callable[..., str]

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


@contextlib.contextmanager
def written_modules(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, usual: str) -> Iterator[Writer]:
    """A directory on sys.path; modules imported from it are forgotten afterwards."""
    before = set(sys.modules)
    root = os.path.realpath(str(folder))
    monkeypatch.syspath_prepend(root)

    def write(name: str, text: str = usual) -> str:
        path = os.path.join(root, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        importlib.invalidate_caches()
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(root):
            del sys.modules[name]
