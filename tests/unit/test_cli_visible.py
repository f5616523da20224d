"""Text of others on a terminal: shown, never obeyed."""

from __future__ import annotations

import pytest

from otel_tracepoints.cli.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünicode and 日本語", "plain, ünicode and 日本語"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("\x07\x00", "\\x07\\x00"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("[bold]not markup[/bold] :smile:", "[bold]not markup[/bold] :smile:"),
    ],
)
def test_unprintable_characters_become_escapes(text, shown):
    """Controls, bidirectional overrides, separators and lone surrogates are shown as escapes."""
    assert visible(text) == shown


def test_every_character_comes_out_printable():
    """No character of the whole of Unicode survives unprintable, and each can be encoded."""
    for start in range(0, 0x110000, 0x1000):
        text = visible("".join(map(chr, range(start, start + 0x1000))))
        assert text.isprintable()
        text.encode("utf-8")


def test_doing_it_twice_changes_nothing():
    """Text that was made visible stays as it is."""
    once = visible("a\x1bb\n")
    assert visible(once) == once
