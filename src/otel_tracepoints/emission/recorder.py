"""Between the hit path and the rest: what was taken is numbered, remembered, and passed on.

The application's thread only appends. Whoever drains holds the lock of the accounts, so the
sequence has no gaps and no hit is seen twice; readers drain before they answer, so a hit is in
``GET /hits`` as soon as it has been submitted.
"""

from __future__ import annotations

import contextlib
import enum
from _queue import Empty, SimpleQueue  # not queue.SimpleQueue, which gevent replaces
from collections import deque
from typing import Any, Callable, Deque, List, Tuple, Union

from otel_tracepoints.emission.accounts import Accounts
from otel_tracepoints.emission.hitlog import HitLog
from otel_tracepoints.emission.worker import Tick
from otel_tracepoints.model import Report, Snapshot

_NUMBERED_SOON = -1


class Way(enum.Enum):
    """How something that was taken leaves."""

    QUEUED = "queued"
    ON_SPAN = "on a span"
    #: It has had its ordinal, but there was no way out.
    LOST = "lost"
    REPORT = "report"


class Recorder:
    """Takes hits on the hit path; `run` is the work of one thread."""

    def __init__(self, accounts: Accounts, log: HitLog, outbox: Any) -> None:
        self._accounts = accounts
        self._log = log
        self._outbox = outbox
        self._arrived: Deque[Tuple[Union[Snapshot, Report], Way]] = deque()
        self._marks: Any = SimpleQueue()
        #: The two halves of `add`, for compiled hits.
        self.arrived = self._arrived.append
        self.mark: Callable[[None], None] = self._marks.put
        self._ticked = False
        self._sealed = False
        self._listeners: List[Callable[[], None]] = []

    def add(self, what: Union[Snapshot, Report], way: Way) -> None:
        """Hit path: neither blocks nor raises."""
        self.arrived((what, way))
        # Always, though once would do for many: a flag that says so would be wrong for ever if a
        # signal's exception came between it and the mark.
        self.mark(None)

    def run(self) -> None:
        """Until `seal`."""
        while not self._sealed:
            self._marks.get()
            with contextlib.suppress(Empty):
                while True:
                    self._marks.get_nowait()
            self.drain()

    def seal(self) -> None:
        """Pass on what has arrived, and nothing that arrives later."""
        self.drain()
        with self._accounts.changed:
            self._sealed = True
        self._marks.put(None)

    def drain(self) -> None:
        """Number what has arrived and pass it on. Not for the hit path: it locks."""
        snapshots: List[Snapshot] = []
        with self._accounts.changed:
            while True:
                try:
                    what, way = self._arrived.popleft()
                except IndexError:
                    break
                if isinstance(what, Snapshot):
                    if what.sequence:
                        continue  # known already: `Emitter.submit` was interrupted
                    what.sequence = _NUMBERED_SOON
                    snapshots.append(what)
                self._pass_on(what, way)
            if snapshots:
                self._log.record(snapshots)
        if snapshots:
            for callback in tuple(self._listeners):
                # A listener that fails must not end this thread, nor a reader's answer.
                with contextlib.suppress(Exception):
                    callback()

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have this called after new hits; call the answer to end that."""
        self._listeners.append(callback)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(callback)

        return end

    def tick_taken(self) -> None:
        """The export thread has noticed: put the next tick when there is a reason."""
        self._ticked = False

    def _pass_on(self, what: Union[Snapshot, Report], way: Way) -> None:
        accounts = self._accounts
        if way is Way.ON_SPAN:
            accounts.count_on_span()
            if not self._ticked:
                self._ticked = True
                self._outbox.put(Tick())
        elif way is Way.LOST:
            accounts.count_lost(place_taken=False)
        elif not self._sealed:
            accounts.count_forwarded()
            self._outbox.put(what)
        elif way is Way.QUEUED:
            # It was on its way while the emitter stopped.
            accounts.count_lost(place_taken=True)
