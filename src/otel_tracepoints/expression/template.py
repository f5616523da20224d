"""Split a message template into literal texts and fields, as f-strings are split."""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional, Tuple, Union

from otel_tracepoints.expression.budget import MAX_STRING
from otel_tracepoints.expression.lexing import SyntaxProblem, string_end

_CONVERSION = re.compile(r"!([A-Za-z]*)\s*(?=[:}])")
_NUMBER = re.compile(r"\d+")
#: After one of these an exclamation mark is the operator.
_AFTER_OPERATOR = re.compile(r"(?:^|[&|!(\[,<>=+\-*/%]|\b(?:and|or|not|in|is|if|else))\s*\Z")


class FieldText(NamedTuple):
    """The texts of one field, and where its expression begins in the message."""

    expression: str
    conversion: Optional[str]
    spec: str
    position: int


def split(message: str) -> Tuple[Union[str, FieldText], ...]:
    """Literal texts (``{{`` and ``}}`` unescaped) and fields, in order.

    Raises:
        SyntaxProblem: With a position in the message.
    """
    parts: List[Union[str, FieldText]] = []
    literal: List[str] = []
    index = 0
    while index < len(message):
        start = index
        while index < len(message) and message[index] not in "{}":
            index += 1
        literal.append(message[start:index])
        if index == len(message):
            break
        if message[index] * 2 == message[index : index + 2]:
            literal.append(message[index])
            index += 2
        elif message[index] == "}":
            raise SyntaxProblem(index, "a single '}' closes nothing", ["}}", "{expression}"])
        else:
            text = "".join(literal)
            if text:
                parts.append(text)
            literal = []
            field, index = _field(message, index)
            parts.append(field)
    text = "".join(literal)
    if text:
        parts.append(text)
    return tuple(parts)


def _field(message: str, opening: int) -> Tuple[FieldText, int]:
    """The field that begins at ``opening``, and the index after it."""
    start = index = opening + 1
    depth = 0
    while index < len(message):
        character = message[index]
        if character in "'\"":
            index = string_end(message, index)
            if index < 0:
                break
            continue
        if character in "([{":
            depth += 1
        elif character in ")]}" and depth:
            depth -= 1
        elif character == "}":
            return _checked(message, start, index, None, ""), index + 1
        elif depth == 0 and character == ":" and message[index + 1 : index + 2] != "=":
            return _with_spec(message, start, index, None, index)
        elif depth == 0 and character == "!" and message[index + 1 : index + 2] != "=":
            found = _CONVERSION.match(message, index)
            if found and not _AFTER_OPERATOR.search(message[start:index]):
                conversion = found.group(1)
                if conversion not in ("r", "s", "a"):
                    raise SyntaxProblem(index, "this conversion does not exist", ["!r", "!s", "!a"])
                if message[found.end()] == "}":
                    return _checked(message, start, index, conversion, ""), found.end() + 1
                return _with_spec(message, start, index, conversion, found.end())
        index += 1
    raise SyntaxProblem(opening, "'{' is never closed", ["{{", "{expression}"])


def _with_spec(
    message: str, start: int, end: int, conversion: Optional[str], colon: int
) -> Tuple[FieldText, int]:
    closing = message.find("}", colon)
    nested = message.find("{", colon, closing if closing >= 0 else len(message))
    if nested >= 0:
        raise SyntaxProblem(nested, "a format spec is constant", ["a format spec without braces"])
    if closing < 0:
        raise SyntaxProblem(start - 1, "'{' is never closed", ["{{", "{expression}"])
    spec = message[colon + 1 : closing]
    for number in _NUMBER.finditer(spec):
        # A width or a precision is a promise of that many characters.
        if len(number.group()) > 5 or int(number.group()) > MAX_STRING:
            raise SyntaxProblem(colon + 1 + number.start(), "this is too wide", [f"at most {MAX_STRING}"])
    return _checked(message, start, end, conversion, spec), closing + 1


def _checked(message: str, start: int, end: int, conversion: Optional[str], spec: str) -> FieldText:
    return FieldText(message[start:end], conversion, spec, start)
