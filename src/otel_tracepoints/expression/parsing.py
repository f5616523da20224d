"""Conditions, watches and templates from their texts."""

from __future__ import annotations

from typing import NoReturn, Type

from otel_tracepoints.errors import InvalidCondition, InvalidExpression, InvalidMessage, InvalidWatch
from otel_tracepoints.expression.compiling import compile_tree
from otel_tracepoints.expression.lexing import SyntaxProblem
from otel_tracepoints.expression.lowering import lower
from otel_tracepoints.expression.model import Expression, NamePredicate, Template, TemplateField, never
from otel_tracepoints.expression.syntax import parse
from otel_tracepoints.expression.template import FieldText, split


def parse_condition(text: str, is_sensitive: NamePredicate = never) -> Expression:
    """A condition, ready to `Expression.test`.

    Args:
        text: The source.
        is_sensitive: Asked for every name in the expression now, for dynamic keys and for
            parameters in ``args`` during hits.

    Raises:
        InvalidCondition: ``expression``, ``position`` (characters from 0) and ``allowed`` in its details.
    """
    return _expression(text, is_sensitive, InvalidCondition)


def parse_watch(text: str, is_sensitive: NamePredicate = never) -> Expression:
    """A watch; as `parse_condition`.

    Raises:
        InvalidWatch: ``expression``, ``position`` and ``allowed`` in its details.
    """
    return _expression(text, is_sensitive, InvalidWatch)


def parse_template(text: str, is_sensitive: NamePredicate = never) -> Template:
    """A message template.

    Raises:
        InvalidMessage: ``expression``, ``position`` (in the whole message) and ``allowed`` in its details.
    """
    try:
        pieces = split(text)
    except SyntaxProblem as problem:
        _refuse(InvalidMessage, text, problem, 0)
    return Template(
        text, tuple(piece if isinstance(piece, str) else _field(piece, is_sensitive) for piece in pieces)
    )


def _field(piece: FieldText, is_sensitive: NamePredicate) -> TemplateField:
    expression = _expression(piece.expression, is_sensitive, InvalidMessage, piece.position)
    return TemplateField(expression, piece.conversion, piece.spec)


def _expression(
    text: str, is_sensitive: NamePredicate, error: Type[InvalidExpression], offset: int = 0
) -> Expression:
    try:
        checked = parse(text)
        node, plain = compile_tree(checked, is_sensitive)
    except SyntaxProblem as problem:
        _refuse(error, text, problem, offset)
    return Expression(text, node, plain, lower(checked))


def _refuse(error: Type[InvalidExpression], text: str, problem: SyntaxProblem, offset: int) -> NoReturn:
    position = problem.position + offset
    raise error(
        f"{problem.message} (position {position})",
        {"expression": text, "position": position, "allowed": problem.allowed},
    ) from None
