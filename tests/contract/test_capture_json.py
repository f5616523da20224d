"""The JSON of a value: every form of telemetry.md, as a hit shows it."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import socket
import uuid
from typing import Any, Dict, List, Tuple

from tests.support.live import Live, TargetMaker
from tests.support.looking import HOLD

HERE = __name__


@dataclasses.dataclass
class Order:
    number: int
    lines: List[int]


class Color(enum.Enum):
    RED = 1


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 - the untyped form is what is tested


def typed(name: str, **more: Any) -> Dict[str, Any]:
    """The form of what says its type; ``text`` is its ``__repr__``, other words are markers."""
    return {
        "__tpd_type__": name,
        **{"__repr__" if key == "text" else f"__tpd_{key}__": value for key, value in more.items()},
    }


FORMS: List[Tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (7, 7),
    (1.5, 1.5),
    ("text", "text"),
    ([1, [2]], [1, [2]]),
    ((1, (2,)), [1, [2]]),
    ({"a": 1, 2: "b", None: 3, (1, 2): 4}, {"a": 1, "2": "b", "None": 3, "[1, 2]": 4}),
    (Order(1, [2]), {**typed(f"{HERE}.Order"), "number": 1, "lines": [2]}),
    (Pair(1, 2), {**typed(f"{HERE}.Pair"), "left": 1, "right": 2}),
    ({1}, typed("set", items=[1])),
    (frozenset({1}), typed("frozenset", items=[1])),
    (collections.deque([1]), typed("collections.deque", items=[1])),
    (datetime.datetime(2026, 11, 20, 10), typed("datetime.datetime", text="2026-11-20T10:00:00")),
    (datetime.date(2026, 11, 20), typed("datetime.date", text="2026-11-20")),
    (decimal.Decimal("1.10"), typed("decimal.Decimal", text="1.10")),
    (fractions.Fraction(1, 3), typed("fractions.Fraction", text="1/3")),
    (uuid.UUID(int=5), typed("uuid.UUID", text="00000000-0000-0000-0000-000000000005")),
    (pathlib.PurePosixPath("/a/b"), typed(f"{pathlib.PurePosixPath.__module__}.PurePosixPath", text="/a/b")),
    (Color.RED, typed(f"{HERE}.Color", text="Color.RED")),
    (1 + 2j, typed("complex", text="(1+2j)")),
    (float("nan"), typed("float", text="nan")),
    (float("-inf"), typed("float", text="-inf")),
    (b"abc", typed("bytes", size=3, text="b'abc'")),
    (ValueError("wrong"), {**typed("ValueError"), "message": "wrong"}),
    (2**256 - 1, 2**256 - 1),
    (2**256, typed("int", bits=257)),
    ("x" * 20, typed("str", truncated=True, size=20, text="x" * 10)),
    (list(range(5)), [0, 1, 2, {"__tpd_truncated__": True, "__tpd_size__": 5}]),
    (
        {each: 1 for each in "abcde"},
        {"a": 1, "b": 1, "c": 1, "__tpd_truncated__": True, "__tpd_size__": 5},
    ),
]
#: Forms whose values are longer than the limits under which the cut ones are made.
_NARROW = {"maxProperties": 3, "maxStringLength": 10}


def test_every_form(live_with: Any, target: TargetMaker) -> None:
    """Each kind of value has its form; a cut string, list and dict say so and how large they were."""
    live: Live = live_with()
    program = target(HOLD)
    assert program.module
    wide = live.tracepoint(program, "hold")
    narrow = live.tracepoint(program, "hold", snapshot=_NARROW)
    for value, _ in FORMS:
        program.hold(value)
    shown = [hit["variables"]["value"] for hit in live.hits(wide)][:-3]
    shown += [hit["variables"]["value"] for hit in live.hits(narrow)][-3:]
    wrong = [(each, seen, form) for (each, form), seen in zip(FORMS, shown) if seen != form]
    assert wrong == []


def test_what_is_not_taken_apart(live_with: Any, target: TargetMaker) -> None:
    """A socket, a module, a function, a class and a generator are one line in the agent's own words."""
    live: Live = live_with()
    program = target(HOLD)
    assert program.module
    point = live.tracepoint(program, "hold")
    with socket.socket() as held:
        for value in (held, socket, typed, Order, (n for n in ())):
            program.hold(value)
    texts = [hit["variables"]["value"]["__repr__"] for hit in live.hits(point)]
    assert texts[0] == "<socket>"
    assert [text.split()[0] for text in texts[1:]] == ["<module", "<function", "<class", "<generator"]


TEXTS: List[Tuple[str, Any, str, Any]] = [
    ("{value}", "text", "text", "text"),
    ("{value!r}", "text", "'text'", "text"),
    ("{value:>6}", "text", "  text", "text"),
    ("{value}", 7, "7", 7),
    ("{value:05d}", 7, "00007", 7),
    ("{value:.2f}", 1.5, "1.50", 1.5),
    ("{value}", True, "True", True),
    ("{value}", None, "None", "null"),
    ("{value}", decimal.Decimal("1.10"), "1.10", "1.10"),
    ("{value}", uuid.UUID(int=5), str(uuid.UUID(int=5)), str(uuid.UUID(int=5))),
    ("{value}", datetime.date(2026, 11, 20), "2026-11-20", "2026-11-20"),
    ("{value:%Y}", datetime.date(2026, 11, 20), "2026", "2026-11-20"),
    ("{value}", pathlib.PurePosixPath("/a"), "/a", "/a"),
    ("{value}", [1, "a"], '[1, "a"]', '[1, "a"]'),
    ("{{{value}}}", 1, "{1}", 1),
    ("{value!r:>4}", 1, "   1", 1),
]


def test_every_text_of_a_field(live_with: Any, target: TargetMaker) -> None:
    """A field prints as f-strings do, containers as their JSON, and keeps its typed value for a back end."""
    live: Live = live_with()
    program = target(HOLD)
    assert program.module
    point = live.logpoint(program, "hold", "x")
    for message, value, _, _ in TEXTS:
        assert live.api.put(f"/points/{point['id']}", {"message": message}).status == 200
        program.hold(value)
    seen = [(hit["message"], hit["fields"]) for hit in live.hits(point)]
    assert seen == [(text, [field]) for _, _, text, field in TEXTS]


def test_fields_that_fail_or_are_secret(live_with: Any, target: TargetMaker) -> None:
    """A spec that does not fit is TYPE_MISMATCH; a redacted value is [REDACTED] whatever the spec; others render."""
    live: Live = live_with()
    program = target(
        """
        def hold(value, password):
            return None  # TAG: hold
        """
    )
    assert program.module
    message = "{value:d}|{gone}|{password:>40}|{password[0:2]}|{password.upper()!r}|{args[1]}|{value}"
    point = live.logpoint(program, "hold", message)
    program.hold("text", "hunter2")
    (hit,) = live.hits(point)
    fields = hit["message"].split("|")
    assert fields[0].startswith("<TYPE_MISMATCH: ")
    assert fields[1:] == ["<UNKNOWN_NAME: gone>", *["[REDACTED]"] * 4, "text"]


REFUSED: List[Tuple[str, str]] = [
    ("qty = 5", "="),
    ("qty > 1 and open('x')", "open"),
    ("qty == 1 or lambda: 1", "lambda"),
    ("[n for n in qty]", "["),
    ("qty == 1 and await qty", "await"),
    ("(qty := 1)", ":="),
    ("max(*qty)", "*"),
    ("qty == f'{qty}'", "f'"),
    ("qty.__class__", "__class__"),
    ("qty == 1 and __import__", "__import__"),
    ("qty ** 2", "**"),
    ("qty & 1", "&"),
    ("b'x' == qty", "b'"),
    ("{1: 2} == qty", "{"),
    ("qty ==", ""),
]


def test_what_is_refused_says_where(live_with: Any, target: TargetMaker) -> None:
    """What is outside the language is 422 for conditions, watches and messages alike, at the offending part."""
    live: Live = live_with()
    program = target(HOLD)
    where = {"file": str(program.path), "line": program.line("hold")}
    for text, part in REFUSED:
        for path, field, code, shift in (
            ("/tracepoints", {"condition": text}, "INVALID_CONDITION", 0),
            ("/tracepoints", {"watch": [text]}, "INVALID_WATCH", 0),
        ):
            reply = live.api.post(path, {**where, **field})
            assert (reply.status, reply.json["code"]) == (422, code), text
            details = reply.json["details"]
            assert details["expression"] == text
            assert details["position"] == (text.index(part) if part else len(text)) + shift, text
            assert details["allowed"] and all(type(each) is str for each in details["allowed"])
    reply = live.api.post("/logpoints", {**where, "message": "total: {qty} {qty = 5}"})
    assert (reply.status, reply.json["code"]) == (422, "INVALID_MESSAGE")
    assert reply.json["details"]["position"] == "total: {qty} {qty = 5}".index("=")
