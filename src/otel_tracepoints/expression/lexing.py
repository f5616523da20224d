"""From the text as it was sent to the text that Python's parser reads, and back to positions.

The other spellings (``&&``, ``||``, ``!``) become Python's here, outside of string literals only;
every character remembers where it came from, so that errors point into the original.
"""

from __future__ import annotations

import keyword
import re
from typing import Final, List, NoReturn, Sequence, Tuple

MAX_CHARACTERS: Final = 4_096
#: Brackets, and prefix operators in a row, that Python 3.8's parser takes without complaint on stderr.
_MAX_NESTING = 60

_KEYWORDS = frozenset(("and", "or", "not", "in", "is", "if", "else", "None", "True", "False"))
#: Left to the tree, which shows the whole construct (a lambda, a comprehension, an await).
_IN_TREE = frozenset(("lambda", "for", "await", "async", "yield", "from"))
_OPENING = {"(": ")", "[": "]", "{": "}"}
_ESCAPES = frozenset("\n\\'\"abfnrtvxNuU01234567")
_UNFINISHED = re.compile(r"(?:[-+*/%<>=!&|,]|(?<![\d.])\.|\b(?:and|or|not|in|is|if|else))\s*\Z")
_OPERATORS = ("and", "or", "not", "==", "!=", "<", "<=", ">", ">=", "is", "in", "+", "-", "*", "/", "//", "%")


class SyntaxProblem(Exception):
    """Text outside the language: where (from 0), why, and what is allowed instead."""

    def __init__(self, position: int, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.position: Final = position
        self.message: Final = message
        self.allowed: Final = list(allowed)


class Translated:
    """Python text and the origin of each of its characters."""

    def __init__(self) -> None:
        self._parts: List[str] = []
        self._origins: List[int] = []
        self.end = 0

    def write(self, text: str, origin: int) -> None:
        """Add text that all comes from the character at ``origin``."""
        self._parts.append(text)
        self._origins.extend([origin] * len(text))

    @property
    def text(self) -> str:
        """What Python's parser reads."""
        return "".join(self._parts)

    def origin(self, index: int) -> int:
        """Where the character at ``index`` of the Python text came from."""
        return self._origins[index] if 0 <= index < len(self._origins) else self.end

    def position(self, line: int, column: int) -> int:
        """The origin of a place as `ast` gives it: a line from 1, a column in bytes of UTF-8."""
        lines = self.text.split("\n")
        if not 1 <= line <= len(lines):
            return self.end
        within = len(lines[line - 1].encode("utf-8")[: max(column, 0)].decode("utf-8", "ignore"))
        return self.origin(sum(len(each) + 1 for each in lines[: line - 1]) + within)


def string_end(source: str, start: int) -> int:
    """The index after the string literal whose quote is at ``start``; -1 when it does not end."""
    quote = source[start]
    if source.startswith(quote * 3, start):
        quote *= 3
    index = start + len(quote)
    while index < len(source):
        if source[index] == "\\":
            index += 2
        elif source.startswith(quote, index):
            return index + len(quote)
        elif len(quote) == 1 and source[index] == "\n":
            return -1
        else:
            index += 1
    return -1


def translate(source: str) -> Translated:
    """Rewrite ``source`` for Python's parser.

    Raises:
        SyntaxProblem: For what can be told without a tree.
    """
    if len(source) > MAX_CHARACTERS:
        raise SyntaxProblem(
            MAX_CHARACTERS, "the expression is too long", [f"at most {MAX_CHARACTERS} characters"]
        )
    if not source.strip():
        raise SyntaxProblem(0, "there is no expression", ["an expression"])
    return _Translation(source).run()


class _Translation:
    def __init__(self, source: str) -> None:
        self._source = source
        self._result = Translated()
        self._open: List[Tuple[str, int]] = []
        self._prefixes = 0

    def run(self) -> Translated:
        source, result = self._source, self._result
        # Leading blanks are an indentation to Python.
        index = len(source) - len(source.lstrip())
        while index < len(source):
            character = source[index]
            if character.isidentifier():
                index = self._word(index)
            elif character in "'\"":
                index = self._string(index, raw=False)
            elif character.isspace():
                result.write(" ", index)
                index += 1
            else:
                index = self._symbol(index)
        result.end = len(source)
        if _UNFINISHED.search(source):
            # Where Python's parser puts this differs from version to version.
            self._refuse(len(source.rstrip()), "the expression ends too early", ["an operand"])
        if self._open:
            bracket, position = self._open[-1]
            raise SyntaxProblem(position, f"'{bracket}' is never closed", [_OPENING[bracket]])
        return result

    def _copy(self, start: int, end: int) -> int:
        for index in range(start, end):
            self._result.write(self._source[index], index)
        return end

    def _word(self, start: int) -> int:
        source = self._source
        end = start + 1
        while end < len(source) and (source[start : end + 1].isidentifier()):
            end += 1
        word = source[start:end]
        if end < len(source) and source[end] in "'\"":
            prefix = word.lower()
            if prefix in ("r", "u"):
                self._copy(start, end)
                return self._string(end, raw=prefix == "r")
            if prefix in ("b", "br", "rb"):
                self._refuse(start, "bytes are not part of the language", ["a string"])
            if prefix in ("f", "fr", "rf", "t", "tr", "rt"):
                self._refuse(start, "f-strings are not part of the language", ["a string"])
        if keyword.iskeyword(word) and word not in _KEYWORDS and word not in _IN_TREE:
            self._refuse(start, f"'{word}' is not part of the language", ["an expression"])
        if word == "not":
            self._prefix(start)
        else:
            self._prefixes = 0
        return self._copy(start, end)

    def _string(self, start: int, raw: bool) -> int:
        source = self._source
        end = string_end(source, start)
        if end < 0:
            self._refuse(start, "the string never ends", [source[start]])
        self._prefixes = 0
        index = start
        while index < end:
            character = source[index]
            if character == "\\" and not raw:
                if source[index + 1] not in _ESCAPES:
                    # What Python warns about ('\d') means a backslash; say so.
                    self._result.write("\\\\", index)
                    index += 1
                    continue
                index = self._copy(index, index + 2)
            elif character == "\\":
                index = self._copy(index, index + 2)
            elif character == "\r":
                self._result.write("\n", index)
                index += 2 if source[index + 1] == "\n" else 1
            else:
                index = self._copy(index, index + 1)
        return end

    def _symbol(self, start: int) -> int:
        source = self._source
        character, pair = source[start], source[start : start + 2]
        if pair in ("&&", "||"):
            self._result.write(" and " if pair == "&&" else " or ", start)
            self._prefixes = 0
            return start + 2
        if pair in ("==", "!=", "<=", ">="):
            self._prefixes = 0
            return self._copy(start, start + 2)
        if character == "!":
            self._prefix(start)
            self._result.write(" not " if self._result.text else "not ", start)
            return start + 1
        if character in "-+~":
            self._prefix(start)
        elif character not in "([":
            self._prefixes = 0
        if character in _OPENING:
            self._open.append((character, start))
            if len(self._open) > _MAX_NESTING:
                self._refuse(start, "the brackets are nested too deeply", [f"at most {_MAX_NESTING} levels"])
        elif character in ")]}" and (not self._open or _OPENING[self._open.pop()[0]] != character):
            self._refuse(start, f"'{character}' closes nothing", ["an expression"])
        self._check(start, character, pair)
        return self._copy(start, start + 1)

    def _check(self, start: int, character: str, pair: str) -> None:
        if character == "=" or pair == ":=":
            self._refuse(start, "an assignment is not part of the language", ["=="])
        if character in "&|^~@" or pair in ("<<", ">>", "**"):
            shown = pair if pair in ("<<", ">>", "**") else character
            self._refuse(start, f"the operator '{shown}' is not part of the language", _OPERATORS)
        if character in "#;$?`\\" or ord(character) < 32:
            self._refuse(start, f"{character!r} is not part of the language", ["an expression"])

    def _prefix(self, start: int) -> None:
        self._prefixes += 1
        if self._prefixes > _MAX_NESTING:
            self._refuse(start, "too many operators in a row", [f"at most {_MAX_NESTING}"])

    def _refuse(self, position: int, message: str, allowed: Sequence[str]) -> NoReturn:
        raise SyntaxProblem(position, message, allowed)
