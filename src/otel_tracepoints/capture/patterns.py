"""Which values are secrets, whatever they are called.

Every pattern here is anchored on characters that ordinary text seldom has, so that one cheap
look (`suspicious`) settles most strings, and has bounded or non-overlapping repeats, so that no
text makes it slow. Prefixes of tokens are those that their issuers document for secret scanning.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Callable, List, Match, Pattern, Tuple, Union

from otel_tracepoints.semconv import REDACTED

Replacement = Union[str, Callable[[Match[str]], str]]

#: Must occur for any of RULES to match. Each alternative begins with a literal that ordinary text
#: seldom has: only then does the regex engine skip to the next candidate without trying them all.
_TRIGGER = re.compile(
    r"://|J(?<=eyJ)|-----B|A(?:KIA|SIA|BIA|CCA|Iza|GE-S)|_(?<=gh[pousr]_)|_(?<=(?:sk|rk|pk)_)|_(?<=github_)|"
    r"_(?<=whsec_)|_(?<=(?:npm|pul|tfp|api)_)|_(?<=(?:hf|r8)_)|_(?<=do[por]_)|_(?<=shp(?:at|ca|pa|ss)_)|"
    r"-(?<=sk-)|-(?<=gl[a-z][a-z]-)|-(?<=gl[a-z]{3}-)|-(?<=gl[a-z]{4}-)|-(?<=gl[a-z]{5}-)|-(?<=pypi-)|"
    r"xox|xapp|GOCSPX|SG\.|SK[0-9a-f]{8}|\.(?<=ya29\.)|\.(?<=hv[sbr]\.)|\.(?<=hooks\.)|dapi|"
    r"b(?i:earer\s|asic\s)|B(?i:earer\s|asic\s)|:(?<=\d{8}:)|"
    r"2(?:[ -]?\d){12}|3(?:[ -]?\d){12}|4(?:[ -]?\d){12}|5(?:[ -]?\d){12}|6(?:[ -]?\d){12}"
)

_SHORTEST_HEADER = 9
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_GROUP = re.compile(r"\d+")
_CODE_OF_0 = ord("0")
_LUHN_DOUBLED = str.maketrans("0123456789", "0246813579")

#: ISO/IEC 7812 number ranges of the common card networks, by length; a bare Luhn check would
#: take one in ten of all long numbers.
_CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[0-8]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}|6\d{15,18}"
)


def suspicious(text: str) -> bool:
    """False when none of RULES can match: the answer for most strings, in well under 1 µs."""
    return _TRIGGER.search(text) is not None


def is_card_number(digits: str) -> bool:
    """A card network's range and a valid Luhn checksum (ISO/IEC 7812-1, annex B)."""
    if _CARD.fullmatch(digits) is None:
        return False
    backwards = digits[::-1]
    codes = sum(map(ord, backwards[::2])) + sum(map(ord, backwards[1::2].translate(_LUHN_DOUBLED)))
    return (codes - _CODE_OF_0 * len(digits)) % 10 == 0


def _cards(match: Match[str]) -> str:
    """Groups of digits, some of which in a row may be a card number (4-4-4-4, 4-6-5, all in one)."""
    text = match.group()
    if len(text) < _SHORTEST_CARD:
        return text
    groups = [(group.start(), group.end()) for group in _GROUP.finditer(text)]
    found: List[Tuple[int, int]] = []
    done = 0
    for first, (start, end) in enumerate(groups):
        if start < done or text[start] not in "23456":
            continue
        # Of several groups the first has four digits (six of UnionPay's long ones, eight by hand).
        several = end - start in (4, 6, 8)
        for _, last in groups[first : first + 5 if several else first + 1]:
            if last - start >= _SHORTEST_CARD:
                digits = text[start:last].replace(" ", "").replace("-", "")
                if len(digits) > _LONGEST_CARD:
                    break
                if is_card_number(digits):
                    found.append((start, last))
                    done = last
                    break
    for start, last in reversed(found):
        text = text[:start] + REDACTED + text[last:]
    return text


def _jwt(match: Match[str]) -> str:
    """From ``eyJ`` with six characters and a dot behind them to the end of the dotted word."""
    text = match.group()
    start = text.find("eyJ")
    while start >= 0:
        dot = text.find(".", start)
        if dot - start >= _SHORTEST_HEADER:
            return text[:start] + REDACTED
        start = text.find("eyJ", dot) if dot >= 0 else -1
    return text


def _basic(match: Match[str]) -> str:
    """RFC 7617: base64 of ``user:password``; "Basic information" is not."""
    word = match.group(2)
    try:
        decoded = base64.b64decode(word + "=" * (-len(word) % 4))
    except (binascii.Error, ValueError):
        return match.group()
    return match.group(1) + REDACTED if b":" in decoded else match.group()


def _token(start: str, rest: str) -> Tuple[str, str, Replacement]:
    """A token that begins so, at the start of a word.

    The literal comes first and what must not stand before it second: then the regex engine goes from
    one literal to the next, which is ten times as fast.
    """
    literal = re.escape(start)
    return start, f"{literal}(?<![A-Za-z0-9]{literal}){rest}", REDACTED


def _compile(*rules: Tuple[str, str, Replacement]) -> List[Tuple[str, Pattern[str], Replacement]]:
    return [(needle, re.compile(pattern, re.ASCII), replacement) for needle, pattern, replacement in rules]


#: (a literal that must occur, the pattern, what to put for it).
RULES: List[Tuple[str, Pattern[str], Replacement]] = _compile(
    # A block that is cut off, or never closed, goes to the end of the text.
    ("-----B", r"(?s)-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", REDACTED),
    # RFC 7519: the header begins with `{"`, which is eyJ in base64url.
    # Whole dotted words, each begun once: a text of nothing but "eyJeyJ…" would be gone through
    # from every "eyJ" again.
    ("eyJ", r"(?<![\w-])[\w-]{9,}(?:\.[\w-]*)+", _jwt),
    ("", r"(?i)\b(bearer\s+)[\w.~+/=-]{6,}", r"\1" + REDACTED),
    ("", r"(?i)\b(basic\s+)([A-Za-z0-9+/_-]{6,1024}={0,2})", _basic),
    _token("gh", r"[pousr]_[A-Za-z0-9]{16,}"),
    _token("github_", r"pat_\w{16,}"),
    _token("gl", r"[a-z]{2,5}-[\w-]{16,}"),
    _token("A", r"(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Z0-9])"),
    _token("xox", r"[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}"),
    _token("xapp", r"-\d-[A-Za-z0-9-]{8,}"),
    ("slack", r"(hooks\.slack\.com/(?:services|workflows)/)[\w/]{8,}", r"\1" + REDACTED),
    ("k_", r"(?<![A-Za-z0-9])(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}", REDACTED),
    _token("whsec_", r"[A-Za-z0-9+/=]{8,}"),
    _token("AIza", r"[\w-]{30,}"),
    _token("ya29.", r"[\w-]{16,}"),
    _token("GOCSPX-", r"[\w-]{16,}"),
    _token("sk-", r"[\w-]{20,}"),
    ("_", r"(?<![A-Za-z0-9])(?:npm|hf|do[por]_v1|pul|tfp|nvapi|r8|lin_api)_[A-Za-z0-9]{24,}", REDACTED),
    _token("pypi-", r"[\w-]{32,}"),
    _token("SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    _token("SK", r"[0-9a-f]{32}(?![0-9a-f])"),
    _token("hv", r"[sbr]\.[\w-]{20,}"),
    _token("dapi", r"[0-9a-f]{32}"),
    _token("shp", r"(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    (":", r"\d(?<!\d\d)\d{7,9}:[\w-]{35}(?![\w-])", REDACTED),
    ("AGE-S", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}", REDACTED),
    ("", r"\d(?<!\d\d)(?<!\d\.\d)\d{2,}(?:[ -]\d{3,})*", _cards),
    # RFC 3986 user information; a password may hold an unescaped slash, a port may not be one.
    ("@", r"(://)[^\s/?#@\"'<>]{1,512}@(?:[^\s/?#@\"'<>]{1,128}@)*", r"\1" + REDACTED + "@"),
    ("@", r"(://)[^\s/:@\"'<>]{0,128}:(?!\d{1,5}[/?#])[^\s@\"'<>]{1,128}@", r"\1" + REDACTED + "@"),
)

#: ``name = `` in query strings, connection strings, headers, JSON and reprs inside of text. Whether
#: the value behind it is a secret depends on the name.
NAME = re.compile(
    r"([A-Za-z_](?<![\w.-].)[\w.-]{1,127}(?: [Kk]ey)?)\\?[\"']?\]?\s{0,4}(?:=>|[=:]|%3[DdAa])\s{0,4}"
)
#: A value, in quotes of whatever kind, in brackets, or up to the next separator; in a connection
#: string (``;``) it may hold spaces.
VALUE = re.compile(
    r"(?:(?:[Bb]earer|[Bb]asic|[Tt]oken|[Dd]igest|[Nn]egotiate|[Aa]pi[Kk]ey|AWS4-HMAC-SHA256)\s+)?"
    r"(?:[brfu]{0,2}\\?\"(?:[^\"\\]|\\.)*\\?\"?|[brfu]{0,2}\\?'(?:[^'\\]|\\.)*\\?'?|\{[^}]*\}?"
    r"|\[[^\]]*\]?|[^\s;&\"'<>]+(?:(?: [^\s;=&\"']{1,64}){1,6}(?=;))?)"
)

#: Headers whose value is the rest of the line.
HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\s{0,4}:\s{0,4})[^\r\n\"']+")


def has_header(text: str) -> bool:
    """False when `HEADER` cannot match; much faster than to ask it."""
    lower = text.lower()
    return "cookie" in lower or "authorization" in lower
