"""A value that was read from, or derived from, a sensitive name says so."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from otel_tracepoints.expression import parse_condition, parse_template, parse_watch


class User:
    def __init__(self) -> None:
        self.password = "hunter2"
        self.name = "ann"
        self.data = {"password": "x", "name": "y", b"password": "z"}


def frame(
    user: Any, password: str, key: str = "password", plain: str = "name", *rest: Any, token: str = "t"
) -> FrameType:
    index = 1
    assert index
    return sys._getframe()


def is_sensitive(name: str) -> bool:
    return name in ("password", "token", "secret_rest")


FRAME = frame(User(), "hunter2", "password", "name", "extra")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password", True),
        ("password[0:3]", True),
        ("password.upper()", True),
        ("password + plain", True),
        ("len(password) > 3", True),
        ("plain if password else 0", True),
        ("user.password", True),
        ("user.password.lower()", True),
        ("user.data['password']", True),
        ("user.data[key]", True),
        ("user.data[plain]", False),
        ("user.data['name']", False),
        ("user.name", False),
        ("locals.password", True),
        ("locals.plain", False),
        ("args[1]", True),
        ("args[index]", True),
        ("args[0]", False),
        ("args[4]", False),
        ("args[-1]", False),
        ("args", True),
        ("args[2:3]", True),
        ("token", True),
        ("plain", False),
        ("plain or password", False),
        ("'password'", False),
        ("password in ('a', 'b')", True),
        ("any(args)", True),
        ("isinstance(password, str)", True),
        ("!password", True),
    ],
)
def test_sensitivity(text: str, expected: bool) -> None:
    """Reading a sensitive variable, attribute, key or parameter marks the value, however it is derived."""
    assert parse_watch(text, is_sensitive).evaluate(FRAME).sensitive is expected


def test_template_fields_carry_it() -> None:
    """The fields of a template know what is sensitive."""
    (field,) = parse_template("{password!r:>10}", is_sensitive).parts
    assert field.expression.evaluate(FRAME).sensitive is True


def test_conditions_see_the_value() -> None:
    """A condition on a sensitive name is decided by its real value."""
    assert parse_condition("password == 'hunter2'", is_sensitive).test(FRAME) is True
    assert parse_condition("password == 'x'", is_sensitive).test(FRAME) is False


def test_rest_and_shadowed_args() -> None:
    """Items of *rest have its name; a local named args is judged by that name."""

    def function(a: int, *secret_rest: int) -> FrameType:
        return sys._getframe()

    assert parse_watch("args[1]", is_sensitive).evaluate(function(1, 2)).sensitive is True
    assert parse_watch("args[0]", is_sensitive).evaluate(function(1, 2)).sensitive is False

    def shadowing(args: Any, password: int) -> FrameType:
        return sys._getframe()

    assert parse_watch("args[0]", is_sensitive).evaluate(shadowing([1], 2)).sensitive is False
    assert (
        parse_watch("args['password']", is_sensitive).evaluate(shadowing({"password": 1}, 2)).sensitive
        is True
    )


def test_an_evaluation_does_not_mark_the_next() -> None:
    """Each evaluation is judged by what it read itself."""
    expression = parse_watch("user.data[key]", is_sensitive)
    assert expression.evaluate(FRAME).sensitive is True
    assert expression.evaluate(frame(User(), "p", "name")).sensitive is False
