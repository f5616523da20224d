"""The parts of an expression that are more than one call, as closures."""

from __future__ import annotations

import ast
import builtins
from types import FrameType
from typing import Any, Callable, List, Tuple

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import access, methods, regex, scope
from otel_tracepoints.expression.budget import SENSITIVE, State, spend
from otel_tracepoints.expression.model import NamePredicate, Node
from otel_tracepoints.expression.values import base_of, exact, named
from otel_tracepoints.introspect import MISSING, read_attribute

#: So much of a dynamic key is looked at as a name.
_NAME = 256

#: One comparison of two values.
Relation = Callable[[Any, Any, State], bool]


def local_of_that_name(name: str) -> Node:
    """``locals.name``, unless the frame has a local called ``locals``."""

    def read(frame: FrameType, state: State) -> object:
        shadow = scope.local(frame, "locals", state)
        if shadow is not MISSING:
            spend(state, 30)
            return read_attribute(shadow, name)
        return scope.own_local(frame, name, state)

    return read


def mark_key(key: Any, is_sensitive: NamePredicate, state: State) -> None:
    """Note that what stands under this key must not be shown, when the key is a sensitive name."""
    base = base_of(key)
    if base is str or base is bytes:
        start: Any = base.__getitem__(key, slice(0, _NAME))
    else:
        return
    if is_sensitive(start if base is str else start.decode("latin-1")):
        state[SENSITIVE] = 1


def argument(find: Node, is_sensitive: NamePredicate) -> Node:
    """``args[i]``: only that parameter is read, and its name says whether it is sensitive."""

    def read(frame: FrameType, state: State) -> object:
        index: Any = find(frame, state)
        shadow = scope.local(frame, "args", state)
        if shadow is not MISSING:
            if is_sensitive("args"):
                state[SENSITIVE] = 1
            mark_key(index, is_sensitive, state)
            return access.item(shadow, index, state)
        if base_of(index) not in (int, bool):
            raise EvaluationError("TYPE_MISMATCH", f"an index of args is an int, not {named(index)}")
        value, name = scope.argument(frame, int.__pos__(index), state)
        if is_sensitive(name):
            state[SENSITIVE] = 1
        return value

    return read


def chain(operands: List[Node], relations: List[Relation]) -> Node:
    """``a < b < c``: every operand once, and none after the first relation that does not hold."""
    first, rest = operands[0], list(zip(relations, operands[1:]))

    def hold(frame: FrameType, state: State) -> bool:
        left = first(frame, state)
        for relation, operand in rest:
            right = operand(frame, state)
            if not relation(left, right, state):
                return False
            left = right
        return True

    return hold


def against_constant(left: Node, compare: Callable[[Any, Any], bool], fixed: Any, relation: Relation) -> Node:
    """The commonest condition: on an exact builtin value the operator itself is safe, short and fast."""
    kind = type(fixed)
    other = float if kind is int else int if kind is float else kind

    def hold(frame: FrameType, state: State) -> bool:
        value = left(frame, state)
        if type(value) is kind or type(value) is other:
            return compare(value, fixed)
        return relation(value, fixed, state)

    return hold


def builtin_types(wanted: Tuple[str, ...]) -> Tuple[Tuple[type, ...], Tuple[str, ...]]:
    """The builtin types among what ``isinstance`` names, and the names of the others."""
    types: List[type] = []
    names: List[str] = []
    for name in wanted:
        bare = name[len("builtins.") :] if name.startswith("builtins.") else name
        found = getattr(builtins, bare, None)
        if isinstance(found, type):
            types.append(found)
        else:
            names.append(name)
    return tuple(types), tuple(names)


def instance_of(value: Node, wanted: Tuple[str, ...]) -> Node:
    """``isinstance(x, T)``: a name that no builtin type has is compared with the names of types."""
    types, others = builtin_types(wanted)
    type_ids, type_names = frozenset(map(id, types)), frozenset(others)
    return lambda frame, state: methods.is_instance(value(frame, state), type_ids, type_names, state)


def matches(receiver: Node, pattern: Node, node: ast.expr) -> Node:
    """``s.matches(r)``; a constant pattern is compiled here and now."""
    fixed = regex.Regex(str(node.value)).warm() if isinstance(node, ast.Constant) else None

    def search(frame: FrameType, state: State) -> bool:
        text = receiver(frame, state)
        if base_of(text) is not str:
            raise EvaluationError("TYPE_MISMATCH", f"{named(text)} has no method 'matches' here")
        compiled = fixed
        if compiled is None:
            wanted = pattern(frame, state)
            if base_of(wanted) is not str:
                raise EvaluationError("TYPE_MISMATCH", f"a pattern is a str, not {named(wanted)}")
            compiled = regex.dynamic(exact(wanted, str, state), state)
        return compiled.search(exact(text, str, state), state)

    return search
