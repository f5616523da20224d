"""The last hits of this process, for ``GET /hits`` and whoever watches it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Deque, Dict, Iterable, List, NamedTuple, Optional

from otel_tracepoints import unpatched
from otel_tracepoints.model import ProbeType, Snapshot, json_value

#: Hits that are remembered (control-api: "the bounded memory").
CAPACITY = 1000


class HitPage(NamedTuple):
    """What ``GET /hits`` answers.

    Attributes:
        hits: Ascending by ``sequence``.
        next: The last sequence given, or what was asked for when there was none.
        missed: Hits after ``after`` that had been forgotten already.
    """

    hits: List[Dict[str, Any]]
    next: int
    missed: int


class HitLog:
    """A bounded memory of hits, numbered in the order in which they are recorded.

    Never touched on the hit path: `record` takes a lock that readers hold too.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._hits: Deque[Snapshot] = deque(maxlen=capacity)
        self._last = 0
        self._changed = unpatched.Condition()
        self._closed = False

    @property
    def last(self) -> int:
        """The sequence of the newest hit, 0 before the first."""
        return self._last

    def record(self, snapshots: Iterable[Snapshot]) -> None:
        """Number these hits, remember them, and wake whoever waits for them."""
        with self._changed:
            for snapshot in snapshots:
                self._last += 1
                snapshot.sequence = self._last
                self._hits.append(snapshot)
            self._changed.notify_all()

    def read(self, after: Optional[int], limit: int, wait: float, point: Optional[str]) -> HitPage:
        """The last ``limit`` hits, or the first ``limit`` after ``after``.

        Args:
            after: A sequence, or None for "from the newest backwards".
            limit: From 1.
            wait: Seconds to wait for a hit if there is none yet.
            point: Only hits of this probe; None: of all.
        """
        deadline = time.monotonic() + wait
        with self._changed:
            while True:
                found = self._select(after, limit, point)
                left = deadline - time.monotonic()
                if found or left <= 0 or self._closed:
                    break
                self._changed.wait(left)
            oldest = self._hits[0].sequence if self._hits else self._last + 1
            missed = max(0, oldest - 1 - (after or 0))
        shown = [describe(snapshot) for snapshot in found]
        return HitPage(shown, found[-1].sequence if found else after or 0, missed)

    def close(self) -> None:
        """Send every waiting reader home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _select(self, after: Optional[int], limit: int, point: Optional[str]) -> List[Snapshot]:
        found: List[Snapshot] = []
        for snapshot in reversed(self._hits):
            if (after is None and len(found) == limit) or snapshot.sequence <= (after or 0):
                break
            if point is None or snapshot.probe_id == point:
                found.append(snapshot)
        found.reverse()
        return found[:limit]


def describe(snapshot: Snapshot) -> Dict[str, Any]:
    """The hit as the control API shows it."""
    hit: Dict[str, Any] = {
        "sequence": snapshot.sequence,
        "timestamp": rfc3339(snapshot.timestamp_ns),
        "point": snapshot.probe_id,
        "type": snapshot.probe_type.value,
        "file": snapshot.file,
        "line": snapshot.line,
        "function": snapshot.function,
    }
    if snapshot.probe_type is ProbeType.LOGPOINT:
        hit["message"] = snapshot.message if snapshot.message is not None else ""
        hit["fields"] = list(snapshot.fields)
    else:
        hit["variables"] = {name: json_value(value) for name, value in snapshot.variables.items()}
        hit["watches"] = [
            {"expression": text, "value": json_value(value)} for text, value in snapshot.watches
        ]
        hit["stack"] = [
            {"file": frame.file, "line": frame.line, "function": frame.function} for frame in snapshot.stack
        ]
    hit["truncated"] = snapshot.truncated
    trace = snapshot.trace
    hit["trace"] = (
        None
        if trace is None
        else {"traceId": format(trace.trace_id, "032x"), "spanId": format(trace.span_id, "016x")}
    )
    hit["thread"] = {"id": snapshot.thread_id, "name": snapshot.thread_name}
    return hit


def rfc3339(timestamp_ns: int) -> str:
    """Nanoseconds since the epoch as UTC with milliseconds: ``2026-11-20T10:00:00.000Z``."""
    seconds, rest = divmod(timestamp_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1_000_000:03d}Z"
