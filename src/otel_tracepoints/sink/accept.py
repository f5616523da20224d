"""Checks the envelopes that DebugIn's own agents post; strict, with the JSON path of what is wrong."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Mapping, NamedTuple, Tuple

from otel_tracepoints import semconv
from otel_tracepoints.errors import InvalidField, UnknownField
from otel_tracepoints.sink.event import EVENT_NAMES, Event, parse_timestamp

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FIELDS = ("name", "timestamp", "id", "client", "payload")
_CLIENT_FIELDS = (
    "hostname",
    "applicationName",
    "applicationInstanceId",
    "agentVersion",
    "runtime",
    "runtimeVersion",
)


class _Check(NamedTuple):
    expected: str
    passes: Callable[[Any], bool]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TEXT = _Check("a string", lambda value: isinstance(value, str))
_NON_EMPTY = _Check("a non-empty string", lambda value: isinstance(value, str) and bool(value))
_OPTIONAL_TEXT = _Check("a string or null", lambda value: value is None or isinstance(value, str))
_LINE = _Check("an integer of at least 1", lambda value: _is_integer(value) and value >= 1)
_COUNT = _Check("an integer of at least 0", lambda value: _is_integer(value) and value >= 0)
_NUMBER = _Check("a number", lambda value: _is_integer(value) or isinstance(value, float))
_OBJECT = _Check("an object", lambda value: isinstance(value, dict))
_LIST = _Check("an array", lambda value: isinstance(value, list))
_TEXTS = _Check(
    "an array of strings",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
)
_FRAMES = _Check(
    "an array of objects",
    lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
)
_ANYTHING = _Check("a value", lambda _: True)

#: What an event about a probe cannot do without.
_PROBE = {"probeId": _NON_EMPTY}
_ALSO_OF_PROBE = {
    "probeType": _Check("tracepoint or logpoint", lambda value: value in ("tracepoint", "logpoint")),
    "file": _NON_EMPTY,
    "line": _LINE,
}
_ALSO_OF_HIT = {
    **_ALSO_OF_PROBE,
    "method": _TEXT,
    "className": _TEXT,
    "condition": _TEXT,
    "stack": _FRAMES,
    "hitCount": _COUNT,
    "tags": _TEXTS,
    "traceId": _TEXT,
    "spanId": _TEXT,
}
_ALSO_OF_ERROR = {**_ALSO_OF_PROBE, "error": _TEXT, "errorType": _TEXT}
#: Payloads by event type: fields that must be there, and checks of those that may; these may be null.
_PAYLOADS: Dict[str, Tuple[Dict[str, _Check], Dict[str, _Check]]] = {
    semconv.EVENT_SNAPSHOT: (_PROBE, {**_ALSO_OF_HIT, "snapshot": _OBJECT}),
    semconv.EVENT_LOGPOINT: (
        _PROBE,
        {**_ALSO_OF_HIT, "message": _TEXT, "messageTemplate": _TEXT, "fields": _ANYTHING},
    ),
    semconv.EVENT_ERROR_CONDITION: (_PROBE, _ALSO_OF_ERROR),
    semconv.EVENT_ERROR_SNAPSHOT: (_PROBE, _ALSO_OF_ERROR),
    semconv.EVENT_ERROR_RATE_LIMIT: (
        _PROBE,
        {**_ALSO_OF_ERROR, "limit": _ANYTHING, "droppedCount": _COUNT, "message": _TEXT},
    ),
    semconv.EVENT_STARTED: ({}, {"message": _TEXT, "engine": _ANYTHING, "features": _ANYTHING}),
    semconv.EVENT_STOPPED: (
        {},
        {"message": _TEXT, "uptime": _NUMBER, "totalProbes": _COUNT, "totalEvents": _COUNT},
    ),
}
_CLIENT_FIELD = _OPTIONAL_TEXT


def accept_envelope(envelope: Mapping[str, Any]) -> Event:
    """The event of a posted envelope.

    A payload may have fields beyond its contract: agents for other languages have more to say.

    Raises:
        InvalidField: something is missing or wrong; ``field`` is its JSON path.
        UnknownField: a field that the envelope, or its ``client``, does not have.
    """
    _only(envelope, "$", _FIELDS)
    name = _checked(envelope, "$", "name", _Check("one of " + ", ".join(EVENT_NAMES), _is_event_name))
    moment = parse_timestamp(
        _checked(
            envelope, "$", "timestamp", _Check("an RFC 3339 timestamp in UTC with milliseconds", _is_utc)
        )
    )
    assert moment is not None
    identifier = _checked(envelope, "$", "id", _Check("a UUID", _is_uuid))
    client = _checked(envelope, "$", "client", _OBJECT)
    _only(client, "$.client", _CLIENT_FIELDS)
    for field in _CLIENT_FIELDS:
        _checked(client, "$.client", field, _CLIENT_FIELD)
    payload = _checked(envelope, "$", "payload", _OBJECT)
    required, optional = _PAYLOADS[name]
    for field, check in required.items():
        _checked(payload, "$.payload", field, check)
    for field, check in optional.items():
        if payload.get(field) is not None:
            _checked(payload, "$.payload", field, check)
    return Event(
        name, moment, identifier.lower(), {field: client[field] for field in _CLIENT_FIELDS}, payload
    )


def _is_event_name(value: Any) -> bool:
    return isinstance(value, str) and value in EVENT_NAMES


def _is_utc(value: Any) -> bool:
    return (
        isinstance(value, str)
        and value.upper().endswith(("Z", "+00:00"))
        and "." in value
        and parse_timestamp(value) is not None
    )


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _only(holder: Mapping[str, Any], path: str, allowed: Tuple[str, ...]) -> None:
    for field in holder:
        if field not in allowed:
            raise UnknownField(
                f"{path} has no field of this name.", {"field": f"{path}.{field}", "allowed": list(allowed)}
            )


def _checked(holder: Mapping[str, Any], path: str, field: str, check: _Check) -> Any:
    if field not in holder:
        raise InvalidField(
            f"{path}.{field} is missing; it must be {check.expected}.",
            {"field": f"{path}.{field}", "expected": check.expected},
        )
    if not check.passes(holder[field]):
        raise InvalidField(
            f"{path}.{field} must be {check.expected}.",
            {"field": f"{path}.{field}", "expected": check.expected},
        )
    return holder[field]
