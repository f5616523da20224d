"""The patterns of ``DEBUGIN_REDACT_PATTERNS``: any regular expression, and yet no hit is held up for long."""

from __future__ import annotations

import re
import time
from typing import Optional

from otel_tracepoints.errors import InvalidRedaction
from otel_tracepoints.expression.ambiguity import may_explode
from otel_tracepoints.expression.regex import Regex
from otel_tracepoints.semconv import REDACTED

#: Up to so many characters Python's engine is never slow: the square of it in single steps is 1 ms.
_SHORT = 512
#: A pattern that once took longer is slow.
_LONG_NS = 2_000_000


class GivenPattern:
    r"""One pattern; safe from any thread.

    Python's engine tries a pattern like ``\w+@`` from every letter of a long word again, so that
    5,000 letters take 50 ms. A pattern that was seen to be slow is from then on looked for in long
    texts by the engine of `expression.regex`, in linear time: where it does not occur the text is
    as it was, and else it is redacted whole.

    Args:
        source: The pattern.
        number: Its number in the list, from 1, for errors.

    Raises:
        InvalidRedaction: It does not compile, matches the empty string (and so everything), or
            could take exponential time.
    """

    __slots__ = ("_linear", "_pattern", "_slow")

    def __init__(self, source: str, number: int) -> None:
        try:
            self._pattern = re.compile(source)
            empty = self._pattern.match("") is not None
            explosive = may_explode(source)
        except (re.error, OverflowError, RecursionError, TypeError, Warning) as error:
            raise _invalid(number, f"is not a regular expression: {error}") from None
        if empty:
            raise _invalid(number, "matches the empty string")
        if explosive:
            raise _invalid(
                number,
                "could take for ever: in a repeat, two of its parts can take the same character, as in (a+)+",
            )
        self._slow = False
        try:
            self._linear: Optional[Regex] = Regex(source)
        except ValueError:  # with lookaround, for instance
            self._linear = None

    def redact(self, text: str) -> str:
        """``text`` without what matches."""
        if len(text) <= _SHORT:
            return self._pattern.sub(REDACTED, text)
        if self._slow:
            absent = self._linear is not None and self._linear.is_absent(text)
            return text if absent else REDACTED
        begun = time.thread_time_ns()
        clean = self._pattern.sub(REDACTED, text)
        self._slow = time.thread_time_ns() - begun > _LONG_NS
        return clean


def _invalid(number: int, why: str) -> InvalidRedaction:
    return InvalidRedaction(f"Redaction pattern {number} {why}", {"pattern": number})
