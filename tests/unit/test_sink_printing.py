"""Events as text: safe on any terminal, short, and never in the way of the sink."""

from __future__ import annotations

import threading
import unicodedata
from typing import Any, List

from hypothesis import given
from hypothesis import strategies as st

from otel_tracepoints.sink.event import Event
from otel_tracepoints.sink.printing import Printer, pieces, visible


def event(name: str = "probe.hit.snapshot", service: Any = "shop", **payload: Any) -> Event:
    return Event(name, 36_000_123, "i", {"applicationName": service}, payload)


def text(shown: Event) -> str:
    return "".join(piece for piece, _ in pieces(shown))


def test_a_hit_says_what_where_and_with_which_values() -> None:
    """Name, time, service, place, function, arguments first, watches, the stack's top, the trace."""
    shown = event(
        probeId="p1",
        file="/srv/cart.py",
        line=12,
        method="add",
        className="Cart",
        snapshot={
            "arguments": {"n": 2},
            "locals": {"total": {"__tpd_type__": "decimal.Decimal", "__repr__": "1.5"}, "name": 'a"b'},
        },
        watches=[{"expression": "n + 1", "value": 3}],
        stack=[{"file": "/srv/cart.py", "line": 12, "method": "add"}],
        traceId="ab" * 16,
    )
    assert text(shown).split("\n") == [
        "10:00:00.123Z  tracepoint  shop  /srv/cart.py:12  Cart.add  [p1]",
        "    n = 2",
        "    total = 1.5",
        '    name = "a\\"b"',
        "    n + 1 = 3",
        "    at /srv/cart.py:12 in add",
        f"    trace {'ab' * 16}",
        "",
    ]


def test_messages_and_errors_are_shown() -> None:
    """A logpoint shows its message, an error its sentence, a start what started."""
    assert "    n=1\n" in text(event("probe.hit.logpoint", message="n=1"))
    assert "condition failed" in text(event("probe.error.condition", error="no x"))
    assert "    no x\n" in text(event("probe.error.condition", error="no x"))
    assert "agent started" in text(event("agent.status.started", message="up", engine="pytrace"))


def test_long_things_are_cut() -> None:
    """One hit cannot flood the terminal."""
    shown = event(
        snapshot={"locals": {f"v{n}": "x" * 10_000 for n in range(500)}},
        stack=[{"file": "f", "line": n, "method": "m"} for n in range(200)],
    )
    lines = text(shown).split("\n")
    assert len(lines) < 50
    assert max(map(len, lines)) < 230
    assert "    and 470 more" in lines


@given(st.text(st.characters(), max_size=30))
def test_no_character_acts_on_the_terminal(hostile: str) -> None:
    """Whatever is in names, values, messages and places: nothing but printable characters and our line ends."""
    shown = event(
        service=hostile,
        probeId=hostile,
        file=hostile,
        line=hostile,
        method=hostile,
        className=hostile,
        message=hostile,
        snapshot={"locals": {hostile: hostile, "deep": {hostile: [hostile]}, "r": {"__repr__": hostile}}},
        watches=[{"expression": hostile, "value": hostile}],
        stack=[{"file": hostile, "line": hostile, "method": hostile}],
        traceId=hostile,
    )
    for character in text(shown).replace("\n", ""):
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def test_escapes_name_the_character() -> None:
    """What is hidden is shown by its number; what is visible stays."""
    assert (
        visible("é\x1b[2J\n\u202e\x9b\U000e0001\ud800 日") == "é\\x1b[2J\\n\\u202e\\x9b\\U000e0001\\ud800 日"
    )


def test_payloads_of_any_shape_are_shown() -> None:
    """Other agents' payloads may have anything anywhere."""
    for odd in (None, 1, "x", [], [1], {}, {"a": 1}):
        assert text(
            event(
                snapshot=odd,
                watches=odd,
                stack=odd,
                message=odd,
                file=odd,
                probeId=odd,
                traceId=odd,
                service=odd,
            )
        )
        assert text(event(snapshot={"locals": odd, "arguments": odd}, stack=[odd], watches=[odd]))


def test_the_printer_keeps_order_and_ends() -> None:
    """Everything submitted before the stop is written, in order."""
    written: List[str] = []
    printer = Printer(lambda shown: str(shown.timestamp_ms), written.append)
    printer.start()
    printer.submit([event()._replace(timestamp_ms=n) for n in range(100)])
    printer.stop(10)
    assert written == [str(n) for n in range(100)]


def test_a_terminal_that_is_held_up_holds_up_nothing() -> None:
    """While nobody reads, submitting returns at once and what is too much is counted."""
    held, release = threading.Event(), threading.Event()

    def write(text: str) -> None:
        held.set()
        release.wait(10)

    printer = Printer(lambda shown: "", write)
    printer.start()
    printer.submit([event()])
    assert held.wait(10)
    printer.submit([event()] * 10_007)
    assert printer.left_out == 7
    release.set()
    printer.stop(10)


def test_nobody_reads_any_more() -> None:
    """A closed pipe is told once, and printing ends."""
    broken = threading.Event()

    def write(text: str) -> None:
        raise BrokenPipeError

    printer = Printer(lambda shown: "", write, broken.set)
    printer.start()
    printer.submit([event(), event()])
    assert broken.wait(10)
    printer.stop(10)
