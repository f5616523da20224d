"""An event as the sink keeps it, and the DebugIn envelope in which it is handed out.

DebugIn's agents for other languages post this envelope themselves (``POST /api/events``); what
arrives as OpenTelemetry is turned into it by `envelope`, so that there is one form to read.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from otel_tracepoints import semconv

#: The seven event types of DebugIn. ``probe.audit`` is not among them: an audit record is
#: counted as a log record and passed on, and makes no event.
EVENT_NAMES = (
    semconv.EVENT_SNAPSHOT,
    semconv.EVENT_LOGPOINT,
    semconv.EVENT_ERROR_CONDITION,
    semconv.EVENT_ERROR_SNAPSHOT,
    semconv.EVENT_ERROR_RATE_LIMIT,
    semconv.EVENT_STARTED,
    semconv.EVENT_STOPPED,
)

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_MILLISECOND = dt.timedelta(milliseconds=1)
#: 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
_LAST_MS = 253_402_300_799_999


class Event(NamedTuple):
    """One event, detached from how it arrived.

    Attributes:
        timestamp_ms: Milliseconds since the epoch.
        id: A UUID; the same OTLP data always gives the same one.
        client: Who sent it; the six keys of the envelope's ``client``.
        payload: What it says, by event type.
    """

    name: str
    timestamp_ms: int
    id: str
    client: Mapping[str, Any]
    payload: Mapping[str, Any]

    @property
    def probe(self) -> Optional[str]:
        """The probe's id; None for events that are not about one."""
        return _text(self.payload.get("probeId"))

    @property
    def service(self) -> Optional[str]:
        """The application's name."""
        return _text(self.client.get("applicationName"))

    @property
    def trace(self) -> Optional[str]:
        """The trace id in lower case."""
        trace = _text(self.payload.get("traceId"))
        return None if trace is None else trace.lower()

    def envelope(self) -> Dict[str, Any]:
        """The event as JSON-like data, in the order in which the contract names the fields."""
        return {
            "name": self.name,
            "timestamp": format_timestamp(self.timestamp_ms),
            "id": self.id,
            "client": dict(self.client),
            "payload": dict(self.payload),
        }

    @classmethod
    def of_envelope(cls, envelope: Mapping[str, Any]) -> Event:
        """The event of an envelope that is known to be right (see `accept` for others)."""
        moment = parse_timestamp(envelope["timestamp"])
        if moment is None:
            raise ValueError("not an RFC 3339 timestamp")
        return cls(envelope["name"], moment, envelope["id"], envelope["client"], envelope["payload"])


class EventFilter(NamedTuple):
    """Which events to hand out; None is no restriction, ``since_ms`` is inclusive."""

    name: Optional[str] = None
    probe: Optional[str] = None
    service: Optional[str] = None
    trace: Optional[str] = None
    since_ms: Optional[int] = None
    limit: int = 100

    def matches(self, event: Event) -> bool:
        """Whether the event is one of those asked for, the limit aside."""
        return (
            (self.name is None or event.name == self.name)
            and (self.probe is None or event.probe == self.probe)
            and (self.service is None or event.service == self.service)
            and (self.trace is None or event.trace == self.trace)
            and (self.since_ms is None or event.timestamp_ms >= self.since_ms)
        )


class EventPage(NamedTuple):
    """The newest of the matching events, newest first, and how many match in all."""

    events: List[Event]
    total: int


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def format_timestamp(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds and ``Z``; moments beyond its range are brought into it."""
    moment = _EPOCH + _MILLISECOND * max(0, min(milliseconds, _LAST_MS))
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_timestamp(text: str) -> Optional[int]:
    """Milliseconds since the epoch of an RFC 3339 timestamp (any offset), or None if it is none."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.group(1, 2, 3, 4, 5, 6))
    fraction, zone = match.group(7, 8)
    offset = 0
    if zone not in "Zz":
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
    leap = second == 60  # RFC 3339 allows a leap second, datetime does not.
    try:
        moment = dt.datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=dt.timezone.utc)
    except ValueError:
        return None
    milliseconds = (moment - _EPOCH) // _MILLISECOND + int(((fraction or "") + "000")[:3])
    return milliseconds + (1000 if leap else 0) - offset * 60_000
