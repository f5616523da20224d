"""Snapshots as the pipeline would make them, and an emitter that sends them."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import Any, Iterator

from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter
from otel_tracepoints.model import ProbeType, Report, Snapshot


def tracepoint(probe_id: str = "tp", **fields: Any) -> Snapshot:
    """A tracepoint's hit; fields of `Snapshot` by name."""
    return _snapshot(
        Snapshot(probe_id, ProbeType.TRACEPOINT, "/srv/shop/cart.py", 42, "shop.cart.total"), fields
    )


def logpoint(probe_id: str = "lp", message: str = "hello", **fields: Any) -> Snapshot:
    """A logpoint's hit; fields of `Snapshot` by name."""
    hit = Snapshot(probe_id, ProbeType.LOGPOINT, "/srv/shop/cart.py", 43, "shop.cart.total")
    hit.message = message
    hit.template = message
    return _snapshot(hit, fields)


def report(name: str = "probe.audit", **attributes: Any) -> Report:
    """A report with these attributes (``_`` in a name stands for a dot)."""
    named = {key.replace("_", "."): value for key, value in attributes.items()}
    return Report(name, "said", "INFO", named, time.time_ns())


def ordinals() -> Any:
    """What the pipeline gives as ``emitted_before``: 0, 1, 2, …"""
    return itertools.count().__next__


@contextlib.contextmanager
def emitter(url: str, *, stop_timeout: float = 2.0, **settings: Any) -> Iterator[Emitter]:
    """A running emitter that sends to this URL; stopped at the end."""
    running = Emitter(Settings(event_sink_url=url, **settings), lambda text: text)
    running.start()
    try:
        yield running
    finally:
        running.stop(stop_timeout)


def settled(status: Any) -> int:
    """All hits that the accounts know of."""
    return int(status["sent"] + status["queued"] + status["dropped"] + status["onSpans"])


def _snapshot(hit: Snapshot, fields: Any) -> Snapshot:
    hit.timestamp_ns = time.time_ns()
    hit.thread_id, hit.thread_name = 7, "worker-7"
    for name, value in fields.items():
        assert hasattr(hit, name), name
        setattr(hit, name, value)
    return hit
