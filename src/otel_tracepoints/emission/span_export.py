"""The application's own spans → the event sink, by the way that the hits take.

A snapshot is an event of the span of its request, so that span has to arrive wherever the hits
do: over the protocol that the sink turns out to speak. And it must leave as the hits leave: the
SDK's exporters retry for up to a minute at exit, and with grpcio's channel open a fork may abort.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Optional, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_tracepoints.config import Settings
from otel_tracepoints.emission.link import Link
from otel_tracepoints.emission.resource import in_this_process
from otel_tracepoints.emission.transport import Answer, Verdict

logger = logging.getLogger("otel_tracepoints")

#: Seconds that one request may take, for which a batch is tried again, and between two tries.
REQUEST_TIMEOUT, GIVE_UP_AFTER, PAUSE = 10.0, 10.0, 1.0


class SinkSpanExporter(SpanExporter):  # type: ignore[misc]
    """A span exporter for the SDK's processors.

    Raises:
        ConfigError: the sink's URL or certificate cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._link = Link(settings)
        self._failing = False
        self._deadline: Optional[float] = None
        self._renew()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)

            def after_fork_in_child() -> None:
                exporter = this()
                if exporter is not None:
                    exporter._after_fork_in_child()

            os.register_at_fork(after_in_child=after_fork_in_child)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send these; tries again for some seconds while the sink is not there."""
        try:
            with self._lock:  # the processor's thread, or whoever flushes
                delivered = self._deliver(in_this_process(spans), time.monotonic() + GIVE_UP_AFTER)
        except Exception as error:
            self._note(type(error).__name__)
            delivered = False
        return SpanExportResult.SUCCESS if delivered else SpanExportResult.FAILURE

    def hurry(self, seconds: float) -> None:
        """From now on no second tries, and nothing takes longer than this; waits for what is in flight."""
        self._deadline = time.monotonic() + seconds
        self._hurried.set()
        if self._lock.acquire(timeout=seconds):
            self._lock.release()
        else:
            self._link.close()

    def shutdown(self) -> None:
        """Let go of the connection; a request in flight ends."""
        self._deadline = time.monotonic()
        self._hurried.set()
        self._link.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - OpenTelemetry's signature
        """There is nothing to flush here: `export` holds nothing back."""
        return True

    def _deliver(self, spans: Sequence[ReadableSpan], give_up: float) -> bool:
        while True:
            timeout = self._timeout()
            if timeout <= 0:
                return False
            answer = self._link.export("traces", spans, timeout)
            if answer.verdict is Verdict.TOO_LARGE and len(spans) > 1:
                half = len(spans) // 2
                first = self._deliver(spans[:half], give_up)
                return self._deliver(spans[half:], give_up) and first
            self._judge(answer)
            if answer.verdict is not Verdict.RETRY:
                return answer.verdict is Verdict.ACCEPTED
            if self._hurried.is_set() or time.monotonic() >= give_up:
                return False
            self._hurried.wait(max(PAUSE, min(answer.retry_after, GIVE_UP_AFTER)))

    def _timeout(self) -> float:
        if self._deadline is None:
            return REQUEST_TIMEOUT
        return min(REQUEST_TIMEOUT, self._deadline - time.monotonic())

    def _judge(self, answer: Answer) -> None:
        if answer.verdict is Verdict.ACCEPTED:
            if self._failing:
                self._failing = False
                logger.warning("The application's spans reach the event sink %s again.", self._link.url)
        else:
            self._note(answer.error or answer.verdict.value)

    def _note(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            logger.warning(
                "The application's spans do not reach the event sink %s: %s.", self._link.url, reason
            )

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._hurried = threading.Event()

    def _after_fork_in_child(self) -> None:
        self._link.abandon()
        self._renew()
