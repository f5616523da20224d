"""What is in the language, what is not, and where an error points."""

from __future__ import annotations

import sys
import warnings

import pytest

from otel_tracepoints.errors import InvalidCondition, InvalidWatch
from otel_tracepoints.expression import parse_condition, parse_watch

#: (expression, text at which the error points)
REFUSED = [
    ("x = 1", "= 1"),
    ("x == 1 and (y := 2)", ":="),
    ("x += 1", "= 1"),
    ("a ** 2", "**"),
    ("a << 2", "<<"),
    ("a & b", "&"),
    ("a | b", "|"),
    ("a ^ b", "^"),
    ("~a", "~"),
    ("a @ b", "@"),
    ("1 + foo(2)", "foo"),
    ("x and open('f')", "open"),
    ("x and user.save()", "user.save"),
    ("getattr(x, 'y')", "getattr"),
    ("a && lambda: 0", "lambda"),
    ("a or [x for x in y]", "[x"),
    ("any(x for x in y)", "(x for"),
    ("a + {1: 2}", "{"),
    ("a + {1}", "{"),
    ("a + b'x'", "b'"),
    ("a + f'{x}'", "f'"),
    ("1 + await x", "await"),
    ("len(*a)", "*a"),
    ("x.__class__", "__class__"),
    ("1 + x.y.__dict__.z", "__dict__"),
    ("a + __name__", "__name__"),
    ("locals.__x", "__x"),
    ("x is y", "y"),
    ("x is 5", "5"),
    ("a[i:2]", "i:2"),
    ("a[::0]", "0]"),
    ("a[1:2, 3]", "a["),
    ("x in [y]", "y]"),
    ("x in (1, f(2))", "f(2)"),
    ("len()", "len"),
    ("len(a, b)", "len"),
    ("s.lower(1)", "s.lower"),
    ("s.startswith()", "s.startswith"),
    ("s.matches('(')", "'('"),
    ("s.matches('(a+)+$')", "'(a+)"),
    (r"s.matches(r'(a)\1')", "r'(a)"),
    ("s.matches('(?=a)')", "'(?=a)"),
    ("s.matches(5)", "5)"),
    ("isinstance(x, 5)", "5)"),
    ("isinstance(x, f())", "f()"),
    ("a; b", ";"),
    ("a # comment", "#"),
    ("a ? b : c", "?"),
    ("a + ...", "..."),
    ("'abc", "'abc"),
    ("(a", "(a"),
    ("a)", ")"),
    ("(a]", "]"),
    ("a and", ""),
    ("a &&  ", "  "),
    ("return x", "return"),
    ("import os", "import"),
    ("x.y z", "z"),
    ("é == 'é' and a ** b", "**"),
    ("!x && y ** 2", "**"),
    ("'&&&&' + x.__class__", "__class__"),
    ("len(x=1)", "=1"),
    ("", ""),
    ("   ", "   "),
    (str(1 << 5000), str(1 << 5000)),
]


@pytest.mark.parametrize(("text", "at"), REFUSED)
def test_refused_with_position(text: str, at: str) -> None:
    """What is outside the language is refused with the text, the position of the part, and what is allowed."""
    with pytest.raises(InvalidCondition) as caught:
        parse_condition(text)
    details = caught.value.details
    assert caught.value.code == "INVALID_CONDITION"
    assert details["expression"] == text
    assert text[details["position"] :].startswith(at)
    assert details["position"] == len(text) or at
    assert details["allowed"]
    assert all(isinstance(each, str) for each in details["allowed"])


def test_a_watch_has_its_own_code() -> None:
    """The same mistake in a watch is INVALID_WATCH."""
    with pytest.raises(InvalidWatch) as caught:
        parse_watch("x = 1")
    assert caught.value.code == "INVALID_WATCH"


def test_length_limit() -> None:
    """4 096 characters are accepted, one more is refused."""
    text = "'" + "a" * 4094 + "'"
    parse_condition(text)
    with pytest.raises(InvalidCondition) as caught:
        parse_condition(text + " ")
    assert caught.value.details["position"] == 4096


@pytest.mark.parametrize("first", ["a{}", "{}a", "(" * 1 + "{}a)"])
def test_level_limit(first: str) -> None:
    """32 levels of the tree are accepted, 33 are refused; brackets are no level."""
    step = ".b" if first == "a{}" else "not "
    parse_condition(first.format(step * 31))
    with pytest.raises(InvalidCondition):
        parse_condition(first.format(step * 32))


@pytest.mark.parametrize(
    "text",
    ["(" * 2000 + "a" + ")" * 2000, "[" * 4000, "not " * 1000 + "a", "-" * 4000 + "a", "!" * 4000, "a." * 2000 + "b",
     "a if b else " * 300 + "c", "a+" * 2000 + "a", "{" * 4000, "'" * 4001, "\0", "\ud800", "a\\\n", "x\x0c\x0c+"],
)  # fmt: skip
def test_monstrous_texts_are_refused_quietly(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is sent, the answer is a refusal: no crash, no other exception, nothing on stderr."""
    with pytest.raises(InvalidCondition) as caught:
        parse_condition(text)
    assert 0 <= caught.value.details["position"] <= len(text)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    ["a\n  and b", "\n a\t+ b", "a&&!b", "!(a||b)", "a!=b&&!c", "not(a)and(b)", "a if(b)else(c)", "1or 2" if sys.version_info < (3, 9) else "1 or 2",
     "x . y [ 0 ]", "''''a'''", "'''a\n b'''", r"'\d \& \''", "r'\\\\'", "a[-1:+2]", "(1, -2.5, 'x', None, [true])", "_x._y",
     "isinstance(x, __main__.User)", "isinstance(x, (int, a.B))", "null is x", "x is true", "'a' 'b'", "x[1,'a']",
     "min(a, b, c)", "_Cls__secret", "a < b <= c != d", "1.", "x == 1.", "a.matches(b)"],
)  # fmt: skip
def test_accepted(text: str) -> None:
    """All of this is in the language, with or without blanks, and no warning is given."""
    if text == "''''a'''":
        text = "'''a'''"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse_condition(text)


def test_source_is_kept() -> None:
    """An expression remembers the text as it was given."""
    assert parse_watch(" !a  &&b ").source == " !a  &&b "
