"""What must not leave: sensitive names, and secrets inside values.

Fails closed: a rule that cannot be used is an error before anything is captured, and a text that
cannot be checked is redacted whole.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Match, Tuple

from otel_tracepoints.capture import patterns
from otel_tracepoints.capture.given import GivenPattern
from otel_tracepoints.capture.names import SensitiveNames
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.semconv import REDACTED

#: Names whose sensitivity is remembered; then all are forgotten, so that generated names cannot
#: fill the memory.
_REMEMBERED = 4096
#: A longer name is not remembered: it may be data.
_LONGEST_REMEMBERED = 64
#: Patterns see this much beyond what is kept, so that a secret at the cut is still whole (telemetry.md).
LOOK_BEYOND = 4096
#: 13 to 19 digits.
_SMALLEST_CARD, _LARGEST_CARD = 10**12, 10**19
#: No text that leaves is longer: the longest string of a watch, and what patterns see beyond it.
_LONGEST_TEXT = 2 * 65_536 + LOOK_BEYOND


class RedactionPolicy:
    """All rules of one process, built in and given; immutable and safe from any thread."""

    def __init__(self, names: SensitiveNames, given: Tuple[GivenPattern, ...] = ()) -> None:
        self._names = names
        self._given = given
        #: Names that were asked about; the compiled engine looks here, too.
        self.known: Dict[str, bool] = {}
        self.labels: Dict[str, str] = {}

    @classmethod
    def build(
        cls, names: Iterable[str] = (), exclude: Iterable[str] = (), patterns: Iterable[str] = ()
    ) -> RedactionPolicy:
        """A policy of the built-in rules and these.

        Args:
            names: More sensitive names, in any spelling; also looked for as parts of names.
            exclude: Names that are not sensitive after all.
            patterns: Regular expressions; what they match in any outgoing string is redacted.

        Raises:
            InvalidRedaction: A pattern cannot be used; see `GivenPattern`.
        """
        given = tuple(GivenPattern(source, number) for number, source in enumerate(patterns, 1))
        return cls(SensitiveNames(names, exclude), given)

    @property
    def has_patterns(self) -> bool:
        """Whether patterns were given, which any text may match."""
        return bool(self._given)

    def is_sensitive(self, name: str) -> bool:
        """True when a value under this name must not leave."""
        known = self.known.get(name)
        if known is None:
            known = name in self._names
            if len(name) <= _LONGEST_REMEMBERED:
                if len(self.known) >= _REMEMBERED:
                    self.known.clear()
                self.known[name] = known
        return known

    def text(self, text: str) -> str:
        """``text`` with every secret in it replaced by ``[REDACTED]``; always encodable, never raises.

        At most 135,168 characters of it: nothing that leaves is longer.
        """
        try:
            if len(text) > _LONGEST_TEXT:
                text = text[:_LONGEST_TEXT]
            if not text.isascii():
                text = _encodable(text)
            if self._given:
                for each in self._given:
                    text = each.redact(text)
            # No secret without a name is shorter ("Basic " and six characters).
            if len(text) >= 12 and patterns.suspicious(text):
                for needle, pattern, replacement in patterns.RULES:
                    if needle in text:
                        text = pattern.sub(replacement, text)
            # Only then by name: ``password=4111 1111 …`` would leave half a card number.
            if "=" in text or ":" in text or "%3" in text:
                text = self._named(text)
        except Exception as error:
            if is_for_application(error):
                raise
            return REDACTED
        return text

    def label(self, name: str) -> str:
        """`text` for names of types, fields, functions and files, which come again and again."""
        label = self.labels.get(name)
        if label is None:
            label = self.text(name)
            if len(name) <= 4 * _LONGEST_REMEMBERED:
                if len(self.labels) >= _REMEMBERED:
                    self.labels.clear()
                self.labels[name] = label
        return label

    def hides_number(self, number: float) -> bool:
        """True when the digits of an int or float are a card number, or match a given pattern."""
        if self._given:
            digits = repr(number)
            return self.text(digits) != digits
        return _SMALLEST_CARD <= number < _LARGEST_CARD and patterns.is_card_number(str(number))

    def cut(self, text: str, limit: int, more: bool = False) -> str:
        """The first ``limit`` characters of ``text`` after redaction.

        Give it `LOOK_BEYOND` characters more than ``limit`` where there are so many; ``more``
        says that the text went on even after that.
        """
        clean = self.text(text)
        if more and len(clean) < limit + LOOK_BEYOND // 2 and not clean.endswith(REDACTED):
            # Redaction has shortened it, so that the end, where half a secret may stand
            # unrecognised, would come within what is kept.
            clean = clean[: max(0, len(clean) - LOOK_BEYOND // 2)]
        return clean[:limit]

    def _named(self, text: str) -> str:
        """Values that stand behind a sensitive name: ``token=…``, ``"password": "…"``, ``Cookie: …``."""
        if ":" in text and patterns.has_header(text):
            text = patterns.HEADER.sub(self._header, text)
        known = self.known
        for name in patterns.NAME.findall(text):
            if known.get(name) is not False and self.is_sensitive(name):
                break
        else:
            return text  # in half the time that the search for the values takes
        pieces: List[str] = []
        done = 0
        for match in patterns.NAME.finditer(text):
            if match.start() < done or not self.is_sensitive(match.group(1)):
                continue
            value = patterns.VALUE.match(text, match.end())
            if value is None:
                continue
            found = value.group()
            quote = found[0] if found[0] in "\"'" else ""
            closing = quote if quote and len(found) > 1 and found.endswith(quote) else ""
            pieces += (text[done : match.end()], quote, REDACTED, closing)
            done = value.end()
        if not pieces:
            return text
        pieces.append(text[done:])
        return "".join(pieces)

    def _header(self, match: Match[str]) -> str:
        name, between = match.groups()
        return f"{name}{between}{REDACTED}" if self.is_sensitive(name) else match.group()


def _encodable(text: str) -> str:
    """Lone surrogates (undecodable file names, broken JSON) written out: they are no Unicode text."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text
