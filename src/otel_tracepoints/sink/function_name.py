"""Takes ``code.function.name`` apart again: module, class, method.

OpenTelemetry has one fully qualified name where the envelope has ``className`` and ``method``.
Nothing in ``shop.cart.Cart.add`` says where the module ends; the file path does.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional


class FunctionName(NamedTuple):
    """``method`` is the bare name; ``class_name`` (``Outer.Inner``) is None outside of classes."""

    class_name: Optional[str]
    method: Optional[str]


def split_function_name(function: str, file: str) -> FunctionName:
    """The class and method of a ``code.function.name`` such as ``pkg.mod.Class.method``.

    A module's own body, which is its bare module name, is the method ``<module>``, as in a
    traceback. A function inside a function belongs to no class, except by a class of its own.
    """
    if not function:
        return FunctionName(None, None)
    segments = function.split(".")
    within_module = segments[_module_length(segments, file) :]
    if not within_module:
        return FunctionName(None, "<module>")
    # Only what follows the innermost function: the scope that "self" would belong to.
    if "<locals>" in within_module:
        last = len(within_module) - 1 - within_module[::-1].index("<locals>")
        within_module = within_module[last + 1 :]
    if not within_module:
        return FunctionName(None, segments[-1])
    return FunctionName(".".join(within_module[:-1]) or None, within_module[-1])


def _module_length(segments: List[str], file: str) -> int:
    path = [part for part in re.split(r"[/\\]", file) if part]
    if path:
        stem = path.pop()
        stem = stem[:-3] if stem.endswith(".py") else stem
        if stem not in ("__init__", "__main__"):
            path.append(stem)
    for length in range(min(len(segments), len(path)), 0, -1):
        if path[-length:] == segments[:length]:
            return length
    if segments[0] == "__main__" or segments[0] == "__mp_main__":
        return 1
    return _guess_module_length(segments)


def _guess_module_length(segments: List[str]) -> int:
    # A file that was moved, or is run under another name: classes are written in capitals.
    for index, segment in enumerate(segments):
        if segment == "<locals>":
            return max(0, index - 1)
        if segment.lstrip("_")[:1].isupper():
            return index
    return len(segments) - 1
