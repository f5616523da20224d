"""From a checked tree to closures: all that can be decided beforehand is decided here."""

from __future__ import annotations

import ast
import operator
from types import FrameType
from typing import Any, Callable, Dict, Tuple

from otel_tracepoints.expression import access, arithmetic, comparison, methods, scope, syntax
from otel_tracepoints.expression.budget import SENSITIVE, State, spend
from otel_tracepoints.expression.closures import (
    Relation,
    against_constant,
    argument,
    chain,
    instance_of,
    local_of_that_name,
    mark_key,
    matches,
)
from otel_tracepoints.expression.model import NamePredicate, Node
from otel_tracepoints.expression.values import truth
from otel_tracepoints.introspect import MISSING, read_attribute

_COMPARERS: Dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
}
_ARITHMETIC = {"Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%"}
_KEYWORDS = {"true": True, "false": False, "null": None}
#: Longest constant that is compared without being charged.
_SHORT = 256


def compile_tree(checked: syntax.Checked, is_sensitive: NamePredicate) -> Tuple[Node, bool]:
    """The closure of an expression, and whether it always gives a bool."""
    return _Compiler(is_sensitive).compile(checked.root), _gives_bool(checked.root)


def _gives_bool(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))


def _relation(name: str) -> Relation:
    """The relation of a comparison operator (the name of its `ast` node)."""
    if name == "Eq":
        return comparison.equal
    if name == "NotEq":
        return lambda left, right, state: not comparison.equal(left, right, state)
    if name == "In":
        return comparison.contains
    if name == "NotIn":
        return lambda left, right, state: not comparison.contains(left, right, state)
    if name == "Is":
        return lambda left, right, state: left is right
    if name == "IsNot":
        return lambda left, right, state: left is not right
    compare = _COMPARERS[name]
    return lambda left, right, state: comparison.less(left, right, compare, state)


class _Compiler:
    def __init__(self, is_sensitive: NamePredicate) -> None:
        self._is_sensitive = is_sensitive

    def compile(self, node: ast.expr) -> Node:
        node_method: Callable[[Any], Node] = getattr(self, f"_{type(node).__name__.lower()}")
        return node_method(node)

    def _condition(self, node: ast.expr) -> Callable[[FrameType, State], bool]:
        """The truth of a part."""
        part = self.compile(node)
        if _gives_bool(node):
            return part  # type: ignore[return-value]
        return lambda frame, state: truth(part(frame, state), state)

    def _marked(self, read: Node, *names: str) -> Node:
        """``read``, noting that what it reads must not be shown when one of the names is sensitive."""
        if not any(self._is_sensitive(name) for name in names):
            return read

        def marked(frame: FrameType, state: State) -> object:
            state[SENSITIVE] = 1
            return read(frame, state)

        return marked

    def _constant(self, node: ast.Constant) -> Node:
        value = node.value
        return lambda frame, state: value

    def _tuple(self, node: ast.Tuple) -> Node:
        items = [self.compile(each) for each in node.elts]
        return lambda frame, state: tuple([each(frame, state) for each in items])

    def _list(self, node: ast.List) -> Node:
        items = [self.compile(each) for each in node.elts]
        return lambda frame, state: [each(frame, state) for each in items]

    def _name(self, node: ast.Name) -> Node:
        name = node.id
        if name in _KEYWORDS:
            value = _KEYWORDS[name]
            reader = scope.shadowable(name, lambda frame, state: value)
        elif name == "this":
            return self._marked(scope.shadowable(name, scope.this), name, "self")
        elif name == "args":
            return self._arguments()
        else:
            # A bare `locals` is a variable like any other: only `locals.x` means something.
            reader = scope.name_reader(name)
        return self._marked(reader, name)

    def _arguments(self) -> Node:
        sensitive = self._is_sensitive

        def read(frame: FrameType, state: State) -> object:
            shadow = scope.local(frame, "args", state)
            if shadow is not MISSING:
                if sensitive("args"):
                    state[SENSITIVE] = 1
                return shadow
            names, rest = scope.parameters(frame.f_code)
            if any(map(sensitive, names)) or (rest is not None and sensitive(rest)):
                state[SENSITIVE] = 1
            return scope.arguments(frame, state)

        return self._marked(read, "args")

    def _attribute(self, node: ast.Attribute) -> Node:
        name = node.attr
        if isinstance(node.value, ast.Name) and node.value.id == "locals":
            return self._marked(local_of_that_name(name), name)
        owner = self.compile(node.value)

        def read(frame: FrameType, state: State) -> object:
            spend(state, 30)
            return read_attribute(owner(frame, state), name)

        return self._marked(read, name)

    def _subscript(self, node: ast.Subscript) -> Node:
        key: Any = node.slice
        if type(key).__name__ == "Index":  # 3.8
            key = key.value
        if isinstance(key, ast.Slice):
            owner = self.compile(node.value)
            bounds = slice(
                *[
                    None if each is None else syntax.constant(each)
                    for each in (key.lower, key.upper, key.step)
                ]
            )
            return lambda frame, state: access.section(owner(frame, state), bounds, state)
        find = self.compile(key)
        sensitive = self._is_sensitive
        if isinstance(node.value, ast.Name) and node.value.id == "args":
            return argument(find, sensitive)
        owner = self.compile(node.value)
        fixed = syntax.constant(key)
        if fixed is not syntax.NOT_CONSTANT:
            shown = f" {fixed!r}"

            def read(frame: FrameType, state: State) -> object:
                return access.item(owner(frame, state), fixed, state, shown)

            return self._marked(read, fixed) if isinstance(fixed, str) else read

        def read_dynamic(frame: FrameType, state: State) -> object:
            container, wanted = owner(frame, state), find(frame, state)
            mark_key(wanted, sensitive, state)
            return access.item(container, wanted, state)

        return read_dynamic

    def _boolop(self, node: ast.BoolOp) -> Node:
        *parts, last = [self.compile(each) for each in node.values]
        stop = isinstance(node.op, ast.Or)

        def choose(frame: FrameType, state: State) -> object:
            for part in parts:
                value = part(frame, state)
                if value is stop:
                    return value
                if value is not (not stop) and truth(value, state) is stop:
                    return value
            return last(frame, state)  # its truth is not asked

        return choose

    def _unaryop(self, node: ast.UnaryOp) -> Node:
        if isinstance(node.op, ast.Not):
            condition = self._condition(node.operand)
            return lambda frame, state: not condition(frame, state)
        fixed = syntax.constant(node)
        if fixed is not syntax.NOT_CONSTANT:
            return lambda frame, state: fixed
        operand = self.compile(node.operand)
        symbol = "-" if isinstance(node.op, ast.USub) else "+"
        return lambda frame, state: arithmetic.unary(symbol, operand(frame, state))

    def _binop(self, node: ast.BinOp) -> Node:
        left, right = self.compile(node.left), self.compile(node.right)
        symbol = _ARITHMETIC[type(node.op).__name__]
        return lambda frame, state: arithmetic.binary(symbol, left(frame, state), right(frame, state), state)

    def _ifexp(self, node: ast.IfExp) -> Node:
        condition = self._condition(node.test)
        body, otherwise = self.compile(node.body), self.compile(node.orelse)
        return lambda frame, state: body(frame, state) if condition(frame, state) else otherwise(frame, state)

    def _compare(self, node: ast.Compare) -> Node:
        operands = [self.compile(each) for each in (node.left, *node.comparators)]
        names = [type(each).__name__ for each in node.ops]
        relations = [_relation(name) for name in names]
        if len(relations) > 1:
            return chain(operands, relations)
        fixed = syntax.constant(node.comparators[0])
        short = isinstance(fixed, str) and len(fixed) <= _SHORT
        if names[0] in _COMPARERS and (short or type(fixed) in (int, float)):
            return against_constant(operands[0], _COMPARERS[names[0]], fixed, relations[0])
        left, right, relation = operands[0], operands[1], relations[0]
        return lambda frame, state: relation(left(frame, state), right(frame, state), state)

    def _call(self, node: ast.Call) -> Node:
        function: Any = node.func
        if isinstance(function, ast.Name):
            if function.id == "isinstance":
                value = self.compile(node.args[0])
                return instance_of(value, syntax.isinstance_types(node.args[1]) or ())
            call = methods.FUNCTIONS[function.id][2]
            arguments = [self.compile(each) for each in node.args]
            if len(arguments) == 1:
                only = arguments[0]
                return lambda frame, state: call((only(frame, state),), state)
            return lambda frame, state: call(tuple([each(frame, state) for each in arguments]), state)
        receiver, name = self.compile(function.value), function.attr
        arguments = [self.compile(each) for each in node.args]
        if name == "matches":
            return matches(receiver, arguments[0], node.args[0])
        method = methods.METHODS[name][1]
        return lambda frame, state: method(
            name, receiver(frame, state), tuple([each(frame, state) for each in arguments]), state
        )
