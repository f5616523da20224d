"""What becomes of a request once it is in memory: read, kept, shown, passed on, counted.

No networking and no asyncio here; one thread at a time calls `Intake.export` and `Intake.post`.
"""

from __future__ import annotations

import importlib.metadata
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from otel_tracepoints.sink.accept import accept_envelope
from otel_tracepoints.sink.envelope import events_of, is_event
from otel_tracepoints.sink.event import Event
from otel_tracepoints.sink.otlp import read_export
from otel_tracepoints.sink.store import EventStore

Headers = Sequence[Tuple[str, str]]


class ForwardedExport:
    """An OTLP request on its way to another sink: the message without content coding."""

    __slots__ = ("data", "headers", "is_json", "signal")

    def __init__(self, signal: str, data: bytes, is_json: bool, headers: Headers) -> None:
        self.signal = signal
        self.data = data
        self.is_json = is_json
        self.headers = tuple(headers)


class Forwarding(Protocol):
    """Where requests are passed on to; see `forward.Forwarder`."""

    def submit(self, export: ForwardedExport) -> None:
        """Take the request; never waits, never raises."""

    def status(self) -> Dict[str, Any]:
        """``url``, ``sent``, ``queued``, ``dropped`` and ``lastError``."""


class Intake:
    """The sink without its network."""

    def __init__(
        self,
        store: EventStore,
        forwarder: Optional[Forwarding] = None,
        on_events: Optional[Callable[[List[Event]], None]] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._forwarder = forwarder
        self._on_events = on_events
        self._clock = clock
        self._started = clock()
        self._received = {"spans": 0, "logs": 0, "events": 0}

    def export(self, export: ForwardedExport) -> None:
        """Take in one OTLP request.

        Raises:
            MalformedBody: it is not what it says; nothing of it was kept or passed on.
            StoreUnavailable: it could not be kept; the sender should try again.
        """
        read = read_export(export.signal, export.data, export.is_json, is_event)
        events = events_of(read.signals)
        self._keep(events)
        self._received["spans"] += read.spans
        self._received["logs"] += read.logs
        if self._forwarder is not None:
            self._forwarder.submit(export)

    def post(self, envelope: Mapping[str, Any]) -> Event:
        """Take in one envelope; raises `InvalidField` or `UnknownField` for a wrong one."""
        event = accept_envelope(envelope)
        self._keep([event])
        return event

    def health(self) -> Dict[str, Any]:
        """The body of ``GET /health``.

        ``received.events`` counts those delivered twice twice, ``stored`` does not. ``dropped``
        counts events pushed out of memory and requests that could not be passed on.
        """
        forward = None if self._forwarder is None else self._forwarder.status()
        health: Dict[str, Any] = {
            "status": "healthy",
            "version": version(),
            "uptime": round(self._clock() - self._started, 3),
            "received": dict(self._received),
            "stored": self._store.stored,
            "dropped": self._store.dropped + (forward["dropped"] if forward else 0),
        }
        if forward is not None:
            health["forward"] = forward
        return health

    def _keep(self, events: List[Event]) -> None:
        new = self._store.add(events) if events else []
        self._received["events"] += len(events)
        if new and self._on_events is not None:
            self._on_events(new)


def version() -> str:
    """This package's version; ``0.0.0`` in a source tree that was never installed."""
    try:
        return importlib.metadata.version("otel-tracepoints")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"
