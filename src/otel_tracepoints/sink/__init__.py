"""The embedded sink: an OTLP receiver on one port that keeps and shows what probes sent.

It runs in its own process (``otel-tracepoints sink``) or, for tests and the demo, in threads.
The way through it: ``listening`` (hypercorn) → ``app`` (routes) → ``grpc`` or ``body`` → ``intake``
→ ``otlp`` (with ``wire``) → ``envelope`` → ``store`` or ``sqlite``, ``printing``, ``forward``.
"""

from __future__ import annotations

from otel_tracepoints.sink.event import Event, EventFilter
from otel_tracepoints.sink.server import SinkServer

__all__ = ["Event", "EventFilter", "SinkServer"]
