"""Parse an expression with Python's parser and check that all of it is in the language."""

from __future__ import annotations

import ast
from typing import Any, Callable, Final, List, NoReturn, Optional, Sequence, Tuple

from otel_tracepoints.expression.budget import MAX_BITS
from otel_tracepoints.expression.lexing import SyntaxProblem, Translated, translate
from otel_tracepoints.expression.methods import FUNCTIONS, METHODS
from otel_tracepoints.expression.regex import Regex

MAX_LEVELS: Final = 32

_COMPARISONS = "== != < <= > >= in not in, is and is not with None, True or False"
_SINGLETONS = ("null", "true", "false")
_CALLS = [
    *(f"{name}(x)" for name in ("len", "abs", "min", "max", "any", "all")),
    "isinstance(x, T)",
    *(f"s.{name}(x)" for name in ("startswith", "startsWith", "endswith", "endsWith", "contains", "matches")),
    *(f"s.{name}()" for name in ("lower", "upper", "strip")),
]
_CONSTRUCTS = {
    "Lambda": "a lambda",
    "ListComp": "a comprehension",
    "SetComp": "a comprehension",
    "DictComp": "a comprehension",
    "GeneratorExp": "a comprehension",
    "Await": "await",
    "Yield": "yield",
    "YieldFrom": "yield",
    "NamedExpr": "an assignment",
    "Starred": "a star",
    "JoinedStr": "an f-string",
    "TemplateStr": "a t-string",
    "Dict": "a dict",
    "Set": "a set",
}
_ALLOWED = [
    "names",
    "literals",
    "and or not",
    _COMPARISONS,
    "+ - * / // %",
    "a.b",
    "a[0]",
    "x if c else y",
    *_CALLS,
]


class Checked:
    """A tree of which every node is in the language, and where its nodes stood in the source."""

    def __init__(self, root: ast.expr, translated: Translated) -> None:
        self.root: Final = root
        self._translated: Final = translated

    def position(self, node: ast.AST) -> int:
        """Where the node begins in the source."""
        return self._translated.position(getattr(node, "lineno", 1), getattr(node, "col_offset", 0))


def parse(source: str) -> Checked:
    """The checked tree of an expression.

    Raises:
        SyntaxProblem: With the position of the offending part and what is allowed instead.
    """
    translated = translate(source)
    try:
        root = ast.parse(translated.text, "<expression>", "eval").body
    except SyntaxError as error:
        # The offset counts characters from 1; 0 or none is how some versions say "at the end".
        column = error.offset - 1 if error.offset else len(translated.text)
        position = translated.origin(_index(translated.text, error.lineno or 1, column))
        raise SyntaxProblem(position, "this is not an expression", _ALLOWED) from None
    except (ValueError, MemoryError, RecursionError, UnicodeError):
        raise SyntaxProblem(0, "this is not an expression", _ALLOWED) from None
    checker = _Checker(translated)
    checker.check(root, 1)
    return Checked(root, translated)


def _index(text: str, line: int, column: int) -> int:
    return sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + max(column, 0)


class _Checker:
    """Walks the tree from the root; each kind of node that may stand there has a method."""

    def __init__(self, translated: Translated) -> None:
        self._translated = translated

    def check(self, node: ast.expr, level: int) -> None:
        if level > MAX_LEVELS:
            self._refuse(node, "the expression is nested too deeply", [f"at most {MAX_LEVELS} levels"])
        name = type(node).__name__
        method: Optional[Callable[[Any, int], None]] = getattr(self, f"_{name.lower()}", None)
        if method is None:
            what = _CONSTRUCTS.get(name, "this")
            self._refuse(node, f"{what} is not part of the language", _ALLOWED)
        method(node, level)

    def _refuse(self, node: ast.AST, message: str, allowed: Sequence[str]) -> NoReturn:
        raise SyntaxProblem(self._at(node), message, allowed)

    def _at(self, node: Any) -> int:
        return self._translated.position(node.lineno, node.col_offset)

    def _end(self, node: Any, back: int = 0) -> int:
        return self._translated.position(node.end_lineno, node.end_col_offset - back)

    def _all(self, nodes: Sequence[ast.expr], level: int) -> None:
        for node in nodes:
            self.check(node, level + 1)

    def _name(self, node: ast.Name, level: int) -> None:
        if node.id.startswith("__"):
            self._refuse(node, "names with a double underscore are not part of the language", ["other names"])

    def _constant(self, node: ast.Constant, level: int) -> None:
        value = node.value
        if value is Ellipsis or type(value) is bytes:
            self._refuse(
                node, "this literal is not part of the language", ["numbers, strings, True, False, None"]
            )
        if type(value) is int and value.bit_length() > MAX_BITS:
            self._refuse(node, "the number is too large", [f"at most {MAX_BITS} bits"])

    def _attribute(self, node: ast.Attribute, level: int) -> None:
        if node.attr.startswith("__"):
            position = self._end(node, len(node.attr.encode()))
            raise SyntaxProblem(
                position, "names with a double underscore are not part of the language", ["other names"]
            )
        self.check(node.value, level + 1)

    def _boolop(self, node: ast.BoolOp, level: int) -> None:
        self._all(node.values, level)

    def _unaryop(self, node: ast.UnaryOp, level: int) -> None:
        self.check(node.operand, level + 1)

    def _binop(self, node: ast.BinOp, level: int) -> None:
        self._all([node.left, node.right], level)

    def _ifexp(self, node: ast.IfExp, level: int) -> None:
        self._all([node.test, node.body, node.orelse], level)

    def _compare(self, node: ast.Compare, level: int) -> None:
        operands = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            pair = operands[index : index + 2]
            if isinstance(operator, (ast.Is, ast.IsNot)) and not any(map(_is_singleton, pair)):
                self._refuse(pair[1], "'is' only compares with None, True and False", ["==", "!="])
        self._all(operands, level)

    def _subscript(self, node: ast.Subscript, level: int) -> None:
        self.check(node.value, level + 1)
        key: Any = node.slice
        if type(key).__name__ == "Index":  # 3.8
            key = key.value
        if isinstance(key, ast.Slice):
            for bound in (key.lower, key.upper, key.step):
                if bound is not None and type(constant(bound)) not in (int, type(None)):
                    self._refuse(bound, "the bounds of a slice are constants", ["integers"])
            if key.step is not None and constant(key.step) == 0:
                self._refuse(key.step, "the step of a slice cannot be 0", ["other integers"])
        elif isinstance(key, ast.Tuple):
            if any(isinstance(each, (ast.Slice, ast.Starred)) for each in key.elts):
                self._refuse(node, "this slice is not part of the language", ["a[1:2]"])
            self._tuple(key, level + 1)
        elif not isinstance(key, ast.expr):
            self._refuse(node, "this slice is not part of the language", ["a[1:2]"])
        else:
            self.check(key, level + 1)

    def _tuple(self, node: Any, level: int) -> None:
        for each in node.elts:
            if isinstance(each, (ast.Tuple, ast.List)):
                self.check(each, level + 1)
            elif isinstance(each, (ast.Constant, ast.UnaryOp)) or _is_singleton(each):
                self.check(each, level + 1)
                if isinstance(each, ast.UnaryOp) and constant(each) is NOT_CONSTANT:
                    self._refuse(
                        each,
                        "only literals may stand in a tuple or list",
                        ["numbers, strings, True, False, None"],
                    )
            else:
                if type(each).__name__ in _CONSTRUCTS:
                    self.check(each, level + 1)
                self._refuse(
                    each,
                    "only literals may stand in a tuple or list",
                    ["numbers, strings, True, False, None"],
                )

    _list = _tuple

    def _call(self, node: ast.Call, level: int) -> None:
        function = node.func
        if node.keywords:
            self._refuse(node, "a call takes no keyword arguments here", _CALLS)
        if isinstance(function, ast.Name) and function.id == "isinstance":
            self._count(node, 2, 2)
            self.check(node.args[0], level + 1)
            if isinstance_types(node.args[1]) is None:
                self._refuse(node.args[1], "this names no type", ["a builtin type", "module.Qualname"])
            return
        if isinstance(function, ast.Name) and function.id in FUNCTIONS:
            fewest, most, _ = FUNCTIONS[function.id]
            self._count(node, fewest, most)
        elif isinstance(function, ast.Attribute) and (function.attr in METHODS or function.attr == "matches"):
            expected = METHODS[function.attr][0] if function.attr in METHODS else 1
            self._count(node, expected, expected)
            self.check(function.value, level + 1)
            if function.attr == "matches":
                self._pattern(node.args[0])
        else:
            self._refuse(node, "only these functions and methods can be called", _CALLS)
        self._all(node.args, level)

    def _count(self, node: ast.Call, fewest: int, most: int) -> None:
        for each in node.args:
            if isinstance(each, ast.Starred):
                self._refuse(each, "a star is not part of the language", _CALLS)
        if not fewest <= len(node.args) <= most:
            self._refuse(node, f"this takes {fewest} argument{'s' if fewest != 1 else ''}", _CALLS)

    def _pattern(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant):
            if not isinstance(node.value, str):
                self._refuse(node, "the pattern is not a string", ["a regular expression"])
            try:
                Regex(node.value)
            except ValueError as error:
                self._refuse(
                    node,
                    f"the regular expression cannot be used: {error}",
                    ["no backreference", "no lookaround", "no nested or adjoining unbounded repeats"],
                )


def _is_singleton(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None or node.value is True or node.value is False
    return isinstance(node, ast.Name) and node.id in _SINGLETONS


NOT_CONSTANT: Final = object()


def constant(node: ast.expr) -> object:
    """The value of a literal number (signs included), string, True, False or None; else `NOT_CONSTANT`."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = constant(node.operand)
        if type(value) in (int, float, complex):
            return -value if isinstance(node.op, ast.USub) else value  # type: ignore[operator]
    return NOT_CONSTANT


def isinstance_types(node: ast.expr) -> Optional[Tuple[str, ...]]:
    """The names in the second argument of isinstance: ``int``, ``module.Qualname``, or a tuple of them."""
    if isinstance(node, ast.Tuple):
        names: List[str] = []
        for each in node.elts:
            inner = isinstance_types(each)
            if inner is None or isinstance(each, ast.Tuple):
                return None
            names.extend(inner)
        return tuple(names)
    parts: List[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return (".".join([node.id, *reversed(parts)]),)
