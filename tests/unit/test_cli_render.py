"""Captured values and documents as text for a person."""

from __future__ import annotations

import pytest

from otel_tracepoints.cli.hits import hit_lines
from otel_tracepoints.cli.render import counts_text, duration_text, point_facts, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        ("it's", '"it\'s"'),
        ("[REDACTED]", "[REDACTED]"),
        ([1, [2]], "[1, [2]]"),
        ({"a": 1}, "{'a': 1}"),
        ({"__tpd_type__": "shop.catalog.Customer", "name": "bob"}, "Customer(name='bob')"),
        ({"__tpd_type__": "decimal.Decimal", "__repr__": "1.10"}, "decimal.Decimal 1.10"),
        ({"__tpd_type__": "set", "__tpd_items__": [1, 2]}, "set{1, 2}"),
        ({"__tpd_type__": "int", "__tpd_bits__": 300}, "<int of 300 bits>"),
        ({"__tpd_unbound__": True}, "<unbound>"),
        ({"__tpd_type__": "shop.Node", "__tpd_circular__": True}, "<shop.Node, seen above>"),
        (
            {"__tpd_type__": "str", "__tpd_truncated__": True, "__tpd_size__": 9, "__repr__": "abc"},
            "'abc'… (9 in all)",
        ),
        ([1, {"__tpd_truncated__": True, "__tpd_size__": 50}], "[1, … (50 in all)]"),
        ({"a": 1, "__tpd_truncated__": True, "__tpd_size__": 3}, "{'a': 1, … (3 in all)}"),
        ("\x1b[2J", "'\\x1b[2J'"),
    ],
)
def test_value_text(value, text):
    """Each form of docs/telemetry.md has a short one-line form."""
    assert value_text(value) == text


def test_value_text_of_a_bottomless_value_ends():
    """A server that is not an agent cannot make us recurse without end."""
    value = []
    for _ in range(900):
        value = [value]
    assert "…" in value_text(value)


def test_hit_lines_show_everything_and_obey_nothing():
    """A hit shows place, message, variables, watches, stack, trace and thread, all of it harmless."""
    hit = {
        "sequence": 3,
        "timestamp": "2026-11-20T10:00:01.123Z",
        "point": "p\x1b[1m",
        "type": "tracepoint",
        "file": "/srv/sh\nop.py",
        "line": 7,
        "function": "shop.f",
        "message": "hello\x1b]0;title\x07",
        "variables": {"na\x1bme": "v\nw", "n": 1},
        "watches": [{"expression": "a.b", "value": [1]}],
        "stack": [{"file": "a.py", "line": 1, "function": "f"}, {"file": "b.py", "line": 2, "function": "g"}],
        "truncated": True,
        "trace": {"traceId": "t1", "spanId": "s1"},
        "thread": {"id": 1, "name": "worker\r"},
    }
    lines = hit_lines(hit)
    assert lines[0] == "10:00:01.123 tracepoint p\\x1b[1m  /srv/sh\\nop.py:7 in shop.f"
    assert lines[1:] == [
        "    hello\\x1b]0;title\\x07",
        "    na\\x1bme = 'v\\nw'",
        "    n = 1",
        "    watch a.b = [1]",
        "    at a.py:1 in f",
        "    by b.py:2 in g",
        "    trace t1 span s1, thread worker\\r, cut by the point's limits",
    ]


@pytest.mark.parametrize(
    "hit", [{}, {"variables": 3, "stack": [1], "watches": {}, "trace": [], "thread": None}]
)
def test_hit_lines_bear_what_is_not_a_hit(hit):
    """A document that is not what it should be is shown as far as it goes."""
    assert hit_lines(hit)


def test_point_facts_bear_an_empty_point():
    """A point without fields is no reason to fail."""
    assert dict(point_facts({}))["expires"] == "never"


def test_counts_text_names_what_happened():
    """Outcomes that never happened are left out."""
    assert counts_text({"emitted": 2, "dropped": 0, "conditionFalse": 97}) == "2 emitted, 97 conditionFalse"
    assert counts_text({"emitted": 0}) == "no arrival yet"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (12.9, "12 s"),
        (250, "4 min 10 s"),
        (7200, "2 h"),
        (200_000, "2 d 7 h"),
        (None, ""),
        ("x", ""),
        (-1, ""),
    ],
)
def test_duration_text(seconds, text):
    """Durations are told in their two largest units."""
    assert duration_text(seconds) == text
