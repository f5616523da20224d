"""Text of others, made safe for a terminal.

A captured value may hold anything: escape sequences that retitle the window, bidirectional
overrides that reorder what is read, newlines that fake a line of ours. Whatever is not
printable is shown as its escape and so never obeyed.
"""

from __future__ import annotations


def visible(value: object) -> str:
    r"""This text with every unprintable character as a Python escape (``\x1b``, ``\n``, ``\u202e``)."""
    text = value if isinstance(value, str) else str(value)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
