"""The query string of ``GET /api/events``."""

from __future__ import annotations

import urllib.parse
from typing import Dict

from otel_tracepoints.errors import InvalidField
from otel_tracepoints.sink.event import EVENT_NAMES, EventFilter, parse_timestamp

MAX_EVENTS = 1000
_PARAMETERS = ("name", "probe", "service", "trace", "since", "limit")


def read_filter(query: str) -> EventFilter:
    """The filter that a query string describes.

    Raises:
        InvalidField: an unknown, repeated or bad parameter; ``field`` is its name.
    """
    given: Dict[str, str] = {}
    for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in _PARAMETERS:
            raise _invalid(name, "one of " + ", ".join(_PARAMETERS))
        if name in given:
            raise _invalid(name, "given once")
        given[name] = value
    name_filter = given.get("name") or None
    if name_filter is not None and name_filter not in EVENT_NAMES:
        raise _invalid("name", "one of " + ", ".join(EVENT_NAMES))
    return EventFilter(
        name=name_filter,
        probe=given.get("probe") or None,
        service=given.get("service") or None,
        trace=given["trace"].lower() if given.get("trace") else None,
        since_ms=_since(given["since"]) if given.get("since") else None,
        limit=_limit(given["limit"]) if "limit" in given else 100,
    )


def _since(text: str) -> int:
    # "+02:00" that was not percent-encoded arrives as " 02:00".
    moment = parse_timestamp(text.replace(" ", "+"))
    if moment is None:
        raise _invalid("since", "an RFC 3339 timestamp")
    return moment


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MAX_EVENTS:
        return int(text)
    raise _invalid("limit", f"an integer from 1 to {MAX_EVENTS}")


def _invalid(field: str, expected: str) -> InvalidField:
    return InvalidField(
        f"The query parameter {field} must be {expected}.", {"field": field, "expected": expected}
    )
