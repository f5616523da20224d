"""Whose an exception is that comes out of the hit path."""

from __future__ import annotations

import functools
import signal
import sys
import threading
from typing import Any, Callable

import pytest

from otel_tracepoints import introspect
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.interrupts import is_for_application, is_from_signal


class TimeIsUp(Exception):
    pass


class Hostile(type):
    """A metaclass that would tell of any look at its classes."""

    def __getattribute__(cls, name: str) -> Any:
        raise AssertionError(name)

    __instancecheck__ = __subclasscheck__ = __hash__ = __eq__ = None  # type: ignore[assignment]


class HostileError(Exception, metaclass=Hostile):
    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


def raised(action: Callable[[], Any]) -> BaseException:
    try:
        action()
    except BaseException as error:
        # Without the frame of this test, which no hit has beneath it.
        assert error.__traceback__ is not None
        return error.with_traceback(error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "action",
    [
        lambda: introspect.read_attribute(1, "nothing"),
        lambda: introspect.class_attribute(None, "x"),  # type: ignore[arg-type]
        lambda: threading.Thread(group=1),  # type: ignore[call-overload]
        lambda: __import__("json").loads("{"),
    ],
)
def test_what_our_code_raises_is_ours(action: Callable[[], Any]) -> None:
    """Errors of ours, of builtins and of the standard library, raised beneath our frames, do not pass."""
    error = raised(action)
    error = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    assert not is_for_application(error)


@pytest.mark.parametrize(
    "error", [EvaluationError("BUDGET", "x"), KeyError(), RecursionError(), MemoryError()]
)
def test_what_has_no_frame_is_told_by_its_class(error: BaseException) -> None:
    """A builtin's error without any frame of the application is ours."""
    assert not is_for_application(error)


@pytest.mark.parametrize("error", [TimeIsUp(), TimeoutError(), KeyboardInterrupt(), SystemExit()])
def test_what_is_put_into_the_thread_is_the_applications(error: BaseException) -> None:
    """`PyThreadState_SetAsyncExc` leaves no frame: a class of the application, or one that a hit cannot raise, passes."""
    assert is_for_application(error)


def test_what_code_of_the_application_raises_here_is_ours() -> None:
    """Code of the application that runs in a hit by a fault of ours is not to be noticed; asking runs none of it."""

    def special_method(*_: Any) -> None:
        raise ValueError

    def hostile(*_: Any) -> None:
        raise HostileError

    for action in (special_method, hostile):
        assert not is_for_application(raised(action))
        assert not is_from_signal(raised(action))


@pytest.mark.parametrize("given", [("self", 14, sys._getframe()), (14, sys._getframe())])
def test_a_handler_that_is_no_longer_set_is_known_by_what_it_was_given(given: Any) -> None:
    """A handler may set the old one again before it raises: it was called with a number and a frame all the same."""

    def handler(*arguments: Any) -> None:
        raise ValueError

    def named(first: Any, second: Any, third: Any = None) -> None:
        raise TimeIsUp

    for function in (handler, named):
        assert is_for_application(raised(lambda function=function: function(*given)))  # type: ignore[misc]


class Handlers:
    def method(self, *_: Any) -> None:
        raise TimeIsUp

    __call__ = method


@pytest.mark.parametrize("kind", ["function", "method", "partial", "object"])
def test_a_signals_handler_is_known_by_its_code(kind: str) -> None:
    """Where the application's code runs anyway (a callback, a span of its own), only what a handler raised passes."""

    def function(*_: Any) -> None:
        raise TimeIsUp

    handler: Any = {
        "function": function,
        "method": Handlers().method,
        "partial": functools.partial(function, 1),
        "object": Handlers(),
    }[kind]
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert is_from_signal(raised(lambda: signal.raise_signal(signal.SIGUSR1)))
        assert not is_from_signal(raised(lambda: 1 / 0))
        assert is_for_application(raised(lambda: signal.raise_signal(signal.SIGUSR1)))
    finally:
        signal.signal(signal.SIGUSR1, before)
