"""Where events are kept until somebody asks for them: memory, or a file (`sqlite`)."""

from __future__ import annotations

import collections
import threading
from typing import List, Optional, OrderedDict, Protocol, Sequence

from otel_tracepoints.sink.event import Event, EventFilter, EventPage

#: What memory keeps: the contract's "last 10 000 events".
MEMORY_EVENTS = 10_000


class StoreUnavailable(Exception):
    """The store cannot take or give events just now (a full disk); the message says why."""


class EventStore(Protocol):
    """Keeps events. Any thread may call it; every method may raise `StoreUnavailable`."""

    def add(self, events: Sequence[Event]) -> List[Event]:
        """Keep the events; returns those whose id was not there yet."""

    def find(self, wanted: EventFilter) -> EventPage:
        """The newest matching events, newest first; of the same millisecond, the last to come."""

    def get(self, event_id: str) -> Optional[Event]:
        """The event of this id, if it is here."""

    def clear(self) -> int:
        """Remove all events; returns how many there were."""

    def close(self) -> None:
        """Let go of everything; what was added before is safe. May be called twice."""

    @property
    def stored(self) -> int:
        """How many events are here."""

    @property
    def dropped(self) -> int:
        """How many were pushed out by newer ones."""


class MemoryStore:
    """The last ``capacity`` events to arrive."""

    def __init__(self, capacity: int = MEMORY_EVENTS) -> None:
        self._capacity = capacity
        self._events: OrderedDict[str, Event] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._dropped = 0

    def add(self, events: Sequence[Event]) -> List[Event]:
        """See `EventStore`."""
        new = []
        with self._lock:
            for event in events:
                if event.id not in self._events:
                    self._events[event.id] = event
                    new.append(event)
            while len(self._events) > self._capacity:
                self._events.popitem(last=False)
                self._dropped += 1
        return new

    def find(self, wanted: EventFilter) -> EventPage:
        """See `EventStore`."""
        with self._lock:
            events = list(self._events.values())
        events.reverse()
        matching = [event for event in events if wanted.matches(event)]
        # Stable, so that of one millisecond the last to arrive stays first.
        matching.sort(key=lambda event: -event.timestamp_ms)
        return EventPage(matching[: wanted.limit], len(matching))

    def get(self, event_id: str) -> Optional[Event]:
        """See `EventStore`."""
        with self._lock:
            return self._events.get(event_id)

    def clear(self) -> int:
        """See `EventStore`."""
        with self._lock:
            removed = len(self._events)
            self._events.clear()
        return removed

    def close(self) -> None:
        """See `EventStore`."""

    @property
    def stored(self) -> int:
        """See `EventStore`."""
        return len(self._events)

    @property
    def dropped(self) -> int:
        """See `EventStore`."""
        return self._dropped
