"""What of a checked tree can be decided without Python, as data for the compiled hit path.

The data are nested tuples: a word, and what belongs to it. None stands for a part that only the
closures can tell. The evaluator (``cpp/expression``) may always answer "ask Python", so a part is
left out here only where it is never worth a look. Watches and the parts of messages are evaluated
in the same way, where their value may be shown whatever it is: `reads_openly` says so beforehand.
"""

from __future__ import annotations

import ast
import sys
from typing import Any, Callable, Dict, Optional, Tuple

from otel_tracepoints.expression import syntax
from otel_tracepoints.expression.closures import builtin_types
from otel_tracepoints.expression.model import NamePredicate

_UNNAMED = (("argument",), ("arguments",))

#: ``(word, part, ...)``
Lowered = Tuple[Any, ...]

_COMPARISONS = {
    "Eq": "==",
    "NotEq": "!=",
    "Lt": "<",
    "LtE": "<=",
    "Gt": ">",
    "GtE": ">=",
    "In": "in",
    "NotIn": "not in",
    "Is": "is",
    "IsNot": "is not",
}
_ARITHMETIC = {"Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%"}
_UNARY = {"Not": "not", "USub": "negative", "UAdd": "positive"}
_KEYWORDS = {"true": True, "false": False, "null": None}
_METHODS = {
    "startswith": "startswith",
    "startsWith": "startswith",
    "endswith": "endswith",
    "endsWith": "endswith",
    "contains": "contains",
}
#: Functions and methods of one part, and functions of several.
_SINGLE = frozenset(("len", "abs", "any", "all", "lower", "upper", "strip"))
_SEVERAL = frozenset(("min", "max"))


def lower(checked: syntax.Checked) -> Optional[Lowered]:
    """The tree as data, or None where what decides it cannot be told without Python.

    ======================================  ====================================================
    ``("constant", value)``                 a number, str, bool or None; a list or tuple of those
    ``("name", name, otherwise)``           a local, else ``otherwise``, else (None) a global
    ``("attribute", owner, name)``          ``owner.name``
    ``("item", owner, key)``                ``owner[key]``
    ``("section", owner, slice)``           ``owner[a:b:c]``
    ``("local", name)``                     ``locals.name``
    ``("argument", index)``                 ``args[index]``
    ``("arguments",)``                      ``args``
    ``("compare", left, ((op, right), …))`` a chain
    ``("and", parts)``, ``("or", parts)``   the value of the part that decides
    ``("not", part)``
    ``("if", test, body, otherwise)``
    ``(word, part)``                        len, abs, any, all; lower, upper, strip of a str
    ``("min", parts)``, ``("max", parts)``
    ``(op, left, right)``                   ``+ - * / // %``
    ``("negative", part)``                  ``-part``; ``("positive", part)``
    ``("isinstance", part, types, all)``    builtin types; ``all``: there are no others to look at
    ``(method, receiver, argument)``        startswith, endswith, contains
    ``("python",)``                         nothing: only the closures can tell
    ======================================  ====================================================
    """
    return _lower(checked.root)


def reads_openly(lowered: Any, is_sensitive: NamePredicate) -> bool:
    """Whether all that it reads is named in it, and no name is sensitive: then its value may be shown."""
    if type(lowered) is str:
        return not is_sensitive(lowered)
    if type(lowered) is not tuple:
        return True
    word = lowered[:1]
    if word == ("constant",):  # a str may be the key of an item; any other value is no part of the tree
        return type(lowered[1]) is not str or not is_sensitive(lowered[1])
    # A key that is computed is looked at when it is known, and parameters have names that code gives them.
    # (What only Python can tell, Python marks.)
    if word in _UNNAMED or (word == ("item",) and lowered[2][:1] != ("constant",)):
        return False
    return all(reads_openly(each, is_sensitive) for each in lowered)


def _lower(node: Any) -> Optional[Lowered]:
    fixed = _constant(node)
    if fixed is not syntax.NOT_CONSTANT:
        return ("constant", fixed)
    method = _LOWERED.get(type(node).__name__)
    return None if method is None else method(node)


def _constant(node: Any) -> Any:
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_constant(each) for each in node.elts]
        if any(each is syntax.NOT_CONSTANT for each in items):
            return syntax.NOT_CONSTANT
        return items if isinstance(node, ast.List) else tuple(items)
    return syntax.constant(node)


def _name(node: ast.Name) -> Optional[Lowered]:
    otherwise: Optional[Lowered] = None
    if node.id in _KEYWORDS:
        otherwise = ("constant", _KEYWORDS[node.id])
    elif node.id == "this":
        otherwise = ("name", "self", ("python",))
    elif node.id == "args":
        otherwise = ("arguments",)
    return ("name", sys.intern(node.id), otherwise)


def _attribute(node: ast.Attribute) -> Optional[Lowered]:
    if isinstance(node.value, ast.Name) and node.value.id == "locals":
        return ("local", sys.intern(node.attr))
    owner = _lower(node.value)
    return owner and ("attribute", owner, sys.intern(node.attr))


def _subscript(node: ast.Subscript) -> Optional[Lowered]:
    key: Any = node.slice
    if type(key).__name__ == "Index":  # 3.8
        key = key.value
    if isinstance(key, ast.Slice):
        owner = _lower(node.value)
        bounds = [
            None if each is None else syntax.constant(each) for each in (key.lower, key.upper, key.step)
        ]
        return owner and ("section", owner, slice(*bounds))
    if isinstance(node.value, ast.Name) and node.value.id == "args":
        index = _lower(key)
        return index and ("argument", index)
    return _both("item", node.value, key)


def _both(word: str, left: Any, right: Any) -> Optional[Lowered]:
    one, two = _lower(left), _lower(right)
    return (word, one, two) if one and two else None


def _compare(node: ast.Compare) -> Optional[Lowered]:
    left = _lower(node.left)
    rest = tuple(
        (_COMPARISONS[type(each).__name__], _lower(operand))
        for each, operand in zip(node.ops, node.comparators)
    )
    return ("compare", left, rest) if left and rest[0][1] else None


def _boolop(node: ast.BoolOp) -> Optional[Lowered]:
    parts = tuple(map(_lower, node.values))
    return ("or" if isinstance(node.op, ast.Or) else "and", parts) if parts[0] else None


def _unaryop(node: ast.UnaryOp) -> Optional[Lowered]:
    operand = _lower(node.operand)
    return operand and (_UNARY[type(node.op).__name__], operand)


def _ifexp(node: ast.IfExp) -> Optional[Lowered]:
    test, body, otherwise = _lower(node.test), _lower(node.body), _lower(node.orelse)
    return ("if", test, body, otherwise) if test and (body or otherwise) else None


def _binop(node: ast.BinOp) -> Optional[Lowered]:
    symbol = _ARITHMETIC.get(type(node.op).__name__)
    return (symbol and _both(symbol, node.left, node.right)) or None


def _call(node: ast.Call) -> Optional[Lowered]:
    function: Any = node.func
    if isinstance(function, ast.Attribute):
        if function.attr in _SINGLE:
            return _single(function.attr, function.value)
        word = _METHODS.get(function.attr)
        return (word and _both(word, function.value, node.args[0])) or None
    if function.id in _SEVERAL:
        parts = tuple(map(_lower, node.args))
        return (function.id, parts) if all(parts) else None
    if function.id in _SINGLE:
        return _single(function.id, node.args[0])
    part = _lower(node.args[0])
    types, names = builtin_types(syntax.isinstance_types(node.args[1]) or ())
    return part and ("isinstance", part, types, not names)


def _single(word: str, node: Any) -> Optional[Lowered]:
    part = _lower(node)
    return part and (word, part)


_LOWERED: Dict[str, Callable[[Any], Optional[Lowered]]] = {
    "Name": _name,
    "Attribute": _attribute,
    "Subscript": _subscript,
    "Compare": _compare,
    "BoolOp": _boolop,
    "UnaryOp": _unaryop,
    "IfExp": _ifexp,
    "BinOp": _binop,
    "Call": _call,
}
