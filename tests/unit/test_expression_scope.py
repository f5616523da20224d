"""Which names an expression sees in which frame."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Dict, List

import pytest

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import parse_watch

some_global = "global"
shadowed = "global"
user = "global user"


def here() -> FrameType:
    """The caller's frame."""
    return sys._getframe(1)


def value(text: str, frame: FrameType) -> Any:
    return parse_watch(text).evaluate(frame).value


def code(text: str, frame: FrameType) -> str:
    with pytest.raises(EvaluationError) as caught:
        parse_watch(text).evaluate(frame)
    return caught.value.code


def test_locals_cells_free_variables_and_globals() -> None:
    """Locals, cell and free variables come first, then globals, and then nothing."""
    cell = 1

    def inner(shadowed: str) -> FrameType:
        own = cell
        assert own
        return here()

    frame = inner("local")
    assert value("own", frame) == 1
    assert value("cell", frame) == 1
    assert value("shadowed", frame) == "local"
    assert value("some_global", frame) == "global"
    assert value("cell", here()) == 1
    assert code("cell_of_nobody", frame) == "UNKNOWN_NAME"
    assert code("print", frame) == "UNKNOWN_NAME"


def test_unbound_local_is_unknown_even_with_a_global() -> None:
    """An unbound or deleted local is UNKNOWN_NAME, although a global of that name exists."""

    def function(parameter: int) -> FrameType:
        del parameter
        frame = here()
        if frame is None:
            shadowed = 1  # noqa: F841
        return frame

    frame = function(1)
    assert code("shadowed", frame) == "UNKNOWN_NAME"
    assert code("parameter", frame) == "UNKNOWN_NAME"
    assert code("locals.shadowed", frame) == "UNKNOWN_NAME"
    assert code("args", frame) == "UNKNOWN_NAME"


def test_a_comprehensions_variable_does_not_hide_a_global() -> None:
    """A name that is local to a comprehension only is the global's outside of it."""

    def function() -> FrameType:
        assert [user for user in (1, 2)]
        return here()

    assert value("user", function()) == "global user"


def test_args() -> None:
    """Args is the current values of the positional parameters, self included, and the items of *rest."""

    class Thing:
        def method(self, a: int, b: int = 2, *rest: int, only: int = 5, **more: int) -> FrameType:
            a = 10
            assert a
            return here()

    thing = Thing()
    frame = thing.method(1, 2, 3, 4, only=6, more=7)
    assert value("args", frame) == (thing, 10, 2, 3, 4)
    assert value("args[0]", frame) is thing
    assert value("args[1] + args[-1]", frame) == 14
    assert value("args[1:3]", frame) == (10, 2)
    assert value("len(args)", frame) == 5
    assert value("args[a - 8]", frame) == 2
    assert code("args[5]", frame) == "INDEX_OUT_OF_RANGE"
    assert code("args[-6]", frame) == "INDEX_OUT_OF_RANGE"
    assert code("args['a']", frame) == "TYPE_MISMATCH"
    assert value("this", frame) is thing


def test_shadowing_of_special_names() -> None:
    """A local of the same name comes before args, this, locals, true, false and null."""

    def function(args: List[int], this: int, locals: Dict[str, int], true: int, null: int) -> FrameType:
        return here()

    frame = function([7], 2, {"x": 3}, 4, 5)
    assert value("args", frame) == [7]
    assert value("args[0]", frame) == 7
    assert value("this + true + null", frame) == 11
    assert value("locals['x']", frame) == 3
    assert code("locals.x", frame) == "UNKNOWN_ATTRIBUTE"
    assert value("false", frame) is False


def test_this_and_locals_need_what_they_name() -> None:
    """This without a local self, and locals.x without a local x, are UNKNOWN_NAME."""
    frame = here()
    assert code("this", frame) == "UNKNOWN_NAME"
    assert code("locals.some_global", frame) == "UNKNOWN_NAME"
    assert code("locals", frame) == "UNKNOWN_NAME"
    assert value("locals.frame", frame) is frame


def test_class_body() -> None:
    """In a class body its own names are seen, the variables of the function around it, and globals."""
    around = 5

    class Body:
        own = 1
        borrowed = around
        frame = here()

    frame = Body.frame
    assert value("own", frame) == 1
    assert value("around", frame) == 5
    assert value("some_global", frame) == "global"


def test_namespace_made_by_the_application_is_not_run() -> None:
    """A class body's namespace that is no dict is not asked: UNSAFE_ATTRIBUTE; a dict subclass is read as a dict."""
    touched: List[str] = []
    frames: List[FrameType] = []

    class Mapping:
        def __init__(self) -> None:
            self.items: Dict[str, Any] = {}

        def __getitem__(self, key: str) -> Any:
            touched.append(key)
            return self.items[key]

        def __setitem__(self, key: str, item: Any) -> None:
            self.items[key] = item

    class Subclass(dict):
        def __getitem__(self, key: str) -> Any:
            touched.append(key)
            return dict.__getitem__(self, key)

        def __missing__(self, key: str) -> Any:
            touched.append(key)
            raise KeyError(key)

        get = __contains__ = __getitem__  # type: ignore[assignment]

    class Meta(type):
        @classmethod
        def __prepare__(cls, name: str, bases: Any, kind: Any = Mapping) -> Any:
            return kind()

        def __new__(cls, name: str, bases: Any, namespace: Any, kind: Any = Mapping) -> Any:
            return object

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

    class One(metaclass=Meta):
        own = 1
        frames.append(here())

    class Two(metaclass=Meta, kind=Subclass):
        own = 2
        frames.append(here())

    del touched[:]
    assert code("own", frames[0]) == "UNSAFE_ATTRIBUTE"
    assert value("own", frames[1]) == 2
    assert code("nothing", frames[1]) == "UNKNOWN_NAME"
    assert touched == []


def test_module_frame() -> None:
    """In a module's body its names are seen, and args is empty."""
    namespace: Dict[str, Any] = {"here": here}
    exec("name = [1]\nsquares = [i for i in (1, 2)]\nframe = here()", namespace)
    assert value("name[0]", namespace["frame"]) == 1
    assert value("args", namespace["frame"]) == ()
    assert code("i", namespace["frame"]) == "UNKNOWN_NAME" or sys.version_info < (3, 0)


def test_generator_and_lambda_frames() -> None:
    """A suspended generator and a lambda have their locals too."""

    def numbers(limit: int):
        for number in range(limit):
            yield number

    generator = numbers(3)
    next(generator)
    assert value("number + limit", generator.gi_frame) == 3
    assert value("x", (lambda x: here())(9)) == 9


def test_reading_does_not_disturb_the_frame() -> None:
    """Variables changed by the running function after an evaluation keep their values."""
    expression = parse_watch("count + len(text)")
    count, text = 0, "abc"
    for _ in range(3):
        count += 1
        assert expression.evaluate(here()).value == count + 3
    assert (count, text) == (3, "abc")
