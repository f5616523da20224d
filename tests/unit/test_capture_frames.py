"""Which variables, watches and frames a snapshot has."""

from __future__ import annotations

import json
import sys
import types
from typing import Any, Dict, List

import pytest
from tests.support.captures import POLICY, Clock, collector, new_snapshot, variables_of

from otel_tracepoints.expression import parse_watch
from otel_tracepoints.model import CaptureLimits, Snapshot
from otel_tracepoints.semconv import REDACTED

UNBOUND = {"__tpd_unbound__": True}


class TestVariables:
    """Collector.variables."""

    def test_parameters_in_order(self) -> None:
        """Parameters stand in the order of the signature, `*rest` and `**more` by their bare names."""
        namespace: Dict[str, Any] = {"variables_of": variables_of, "sys": sys}
        exec(
            "def f(a, b=2, *rest, c=3, **more):\n    local = 4\n    return variables_of(sys._getframe())",
            namespace,
        )
        snapshot: Snapshot = namespace["f"](1, 2, 9, d=5)
        assert snapshot.arguments == ("a", "b", "rest", "c", "more")
        assert snapshot.variables == {"a": 1, "b": 2, "c": 3, "rest": [9], "more": {"d": 5}, "local": 4}
        assert snapshot.truncated is False
        assert snapshot.omitted == 0

    def test_self_and_cells(self) -> None:
        """`self`, cell and free variables are there; the compiler's `__class__` cell is not."""

        class Base:
            pass

        outer = 1

        class Thing(Base):
            def method(self, kept: int) -> Snapshot:
                super().__init__()
                inner = lambda: kept + outer  # noqa: E731
                inner()
                return variables_of(sys._getframe())

        shown = Thing().method(2).variables
        assert set(shown) == {"self", "kept", "inner", "outer"}
        assert shown["kept"] == 2
        assert shown["outer"] == 1

    def test_unbound_is_not_none(self) -> None:
        """A local not assigned yet, deleted, or an empty cell is unbound; None is None."""

        def target(flag: bool) -> Snapshot:
            nothing = None
            gone = 1
            cell = 2
            read = lambda: cell  # noqa: F821
            del gone, cell
            if flag:
                never = 1
            return variables_of(sys._getframe())

        shown = target(False).variables
        assert shown["nothing"] is None
        assert shown["gone"] == shown["cell"] == shown["never"] == UNBOUND

    def test_generator_expression(self) -> None:
        """The hidden iterator of a generator expression is no variable."""
        (snapshot,) = (variables_of(sys._getframe()) for each in [5])
        assert snapshot.variables == {"each": 5}
        assert snapshot.arguments in ((), (".0",)) and ".0" not in snapshot.variables

    def test_comprehension(self) -> None:
        """The variable of a comprehension is no local of the function around it."""

        def target(items: List[int]) -> Any:
            never = None
            del never
            doubled = [2 * each for each in items]
            return variables_of(sys._getframe()), doubled

        shown = target([1])[0].variables
        assert shown == {"items": [1], "never": UNBOUND, "doubled": [2]}

    def test_class_body(self) -> None:
        """A class body shows what it has defined so far, without the compiler's names."""
        seen: List[Snapshot] = []

        class Body:
            first = 1
            seen.append(variables_of(sys._getframe()))
            second = 2

        assert seen[0].variables == {"first": 1}

    def test_module_body(self) -> None:
        """A module's body shows its data before its imports and functions."""
        namespace = {"__name__": "m", "variables_of": variables_of, "sys": sys}
        exec("def f(): pass\nvalue = 1\nshown = variables_of(sys._getframe())", namespace)
        snapshot: Any = namespace["shown"]
        assert list(snapshot.variables)[0] == "value"
        assert "__name__" not in snapshot.variables
        assert snapshot.variables["f"]["__repr__"] == "<function m.f>"

    def test_at_most_ninety(self) -> None:
        """More than 90 variables are counted as omitted, parameters being kept first."""
        lines = "\n".join(f"    v{number} = {number}" for number in range(100))
        namespace: Dict[str, Any] = {"variables_of": variables_of, "sys": sys}
        exec(f"def f(argument):\n{lines}\n    return variables_of(sys._getframe())", namespace)
        snapshot: Snapshot = namespace["f"](1)
        assert len(snapshot.variables) == 90
        assert snapshot.omitted == 11
        assert snapshot.truncated is True
        assert snapshot.variables["argument"] == 1

    def test_sensitive_names(self) -> None:
        """A sensitive variable, attribute, key or field is redacted wherever it stands."""

        def target() -> Snapshot:
            user_password = "hunter2"
            settings = {"db": {"apiKey": "hunter2"}, b"secret": "hunter2", "list": [{"token": "hunter2"}]}
            box = types.SimpleNamespace(access_token="hunter2", url="postgres://u:hunter2@db/x")
            header = ("Authorization", "hunter2")
            text = "password=hunter2"
            error = ValueError("token=hunter2")
            table = {"password=hunter2": 1}
            data = b"password=hunter2"
            return variables_of(sys._getframe())

        snapshot = target()
        text = json.dumps(snapshot.variables)
        assert "hunter2" not in text
        assert snapshot.variables["user_password"] == REDACTED
        assert text.count(REDACTED) == 12

    def test_reading_a_frame_changes_nothing(self) -> None:
        """Locals and closures keep their values and identity."""

        def target() -> Any:
            items = [1]
            count = 1
            bump = lambda: count  # noqa: E731
            before = id(items)
            variables_of(sys._getframe())
            count += 1
            items.append(2)
            variables_of(sys._getframe())
            return before == id(items), items, count, bump()

        assert target() == (True, [1, 2], 2, 2)


class TestWatches:
    """Collector.watches."""

    def watch(self, *sources: str, **parts: Any) -> Snapshot:
        password = "hunter2"
        items = list(range(150))
        frame = sys._getframe()
        snapshot = new_snapshot()
        parsed = [parse_watch(source, POLICY.is_sensitive) for source in sources]
        collector(**parts).watches(frame, parsed, snapshot, Clock())
        assert password
        assert items
        return snapshot

    def test_values(self) -> None:
        """Each has its expression and its value, with the limits doubled."""
        snapshot = self.watch("len(items)", "items")
        assert snapshot.watches[0] == ("len(items)", 150)
        assert len(snapshot.watches[1].value) == 150

    def test_failed(self) -> None:
        """One that fails reads as its code and text; the others are there."""
        snapshot = self.watch("missing", "items[0]")
        assert snapshot.watches[0].value.startswith("<UNKNOWN_NAME: ")
        assert snapshot.watches[1].value == 0

    def test_sensitive(self) -> None:
        """One that reads a sensitive name, or is derived from one, is redacted."""
        assert [each.value for each in self.watch("password", "password[0:3]").watches] == [REDACTED] * 2

    def test_callback(self) -> None:
        """The callback sees a watch under its expression."""
        snapshot = self.watch("items[0]", callback=lambda value, name: f"{name}={value}")
        assert snapshot.watches[0].value == "items[0]=0"


class TestStack:
    """Collector.stack."""

    def stack(self, frame: Any, most: int = 200) -> Snapshot:
        snapshot = new_snapshot()
        collector(limits=CaptureLimits(max_frames=most)).stack(frame, snapshot, Clock())
        return snapshot

    def test_innermost_first(self) -> None:
        """The probe's own frame comes first, as the snapshot says, then its callers."""

        def inner() -> Snapshot:
            return self.stack(sys._getframe())

        stack = inner().stack
        assert stack[0] == ("/srv/app/here.py", 42, "here.f", "inner")
        assert stack[1].function == "here.test_innermost_first"
        assert stack[1].file == __file__

    def test_limit(self) -> None:
        """At most maxFrames, which is marked; 0 is none."""
        snapshot = self.stack(sys._getframe(), 2)
        assert len(snapshot.stack) == 2
        assert snapshot.truncated is True
        assert self.stack(sys._getframe(), 0).stack == []

    def test_foreign_frames_are_left_out(self) -> None:
        """Frames of the agent and of OpenTelemetry are no part of the application's stack."""
        namespace = {"__name__": "opentelemetry.trace"}
        exec("def through(call):\n    return call()", namespace)
        agent = {"__name__": "otel_tracepoints.engine.base"}
        exec("def handler(call):\n    return call()", agent)
        through: Any = namespace["through"]
        handler: Any = agent["handler"]
        stack = through(lambda: handler(lambda: self.stack(sys._getframe()))).stack
        functions = [each.function for each in stack]
        assert "here.through" not in functions
        assert "here.handler" not in functions
        assert functions[2] == "here.test_foreign_frames_are_left_out"

    def test_secrets_in_file_names(self) -> None:
        """File names are text like any other."""
        code = compile("def f(call):\n    return call()", "https://u:hunter2@host/x.py", "exec")
        namespace: Dict[str, Any] = {}
        exec(code, namespace)
        stack = namespace["f"](lambda: self.stack(sys._getframe())).stack
        assert "hunter2" not in str(stack)


class TestCallback:
    """tracepoint_data_redaction_callback."""

    def run(self, callback: Any) -> Any:
        def target() -> Snapshot:
            name = "bob"
            password = "hunter2"
            return variables_of(sys._getframe(), callback=callback)

        return target().variables

    def test_once_per_variable_after_redaction(self) -> None:
        """It gets each detached value once, with its name, after the built-in redaction."""
        calls: List[Any] = []

        def callback(value: Any, name: str) -> Any:
            calls.append((name, value))
            return value

        self.run(callback)
        assert ("name", "bob") in calls
        assert ("password", REDACTED) in calls
        assert len(calls) == len(set(name for name, _ in calls))

    def test_one_parameter(self) -> None:
        """It may take the value alone."""
        assert self.run(lambda value: "***" if value == "bob" else value)["name"] == "***"

    @pytest.mark.parametrize(
        "answer",
        [
            object(),
            {1: 2},
            float("nan"),
            "\udc80",
            1 << 300,
            "x" * 300_000,
            {1, 2},
            [object()],
            [[[1]] * 99_999],
        ],
    )
    def test_what_cannot_be_shown(self, answer: Any) -> None:
        """What is no plain JSON, or too much of it, redacts the value."""
        assert self.run(lambda value: answer)["name"] == REDACTED

    def test_raising(self) -> None:
        """One that raises redacts the value."""

        def callback(value: Any) -> Any:
            raise KeyError(value)

        assert self.run(callback)["name"] == REDACTED

    def test_answer_is_detached(self) -> None:
        """What it hands back is copied: changing it later changes nothing."""
        kept: Dict[str, Any] = {"a": [1]}
        shown = self.run(lambda value: kept)
        kept["a"].append(2)
        assert shown["name"] == {"a": [1]}
