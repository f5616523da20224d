"""Hits and reports → somewhere that takes them: the sink, or the application's own providers."""

from __future__ import annotations

import logging
import time
from typing import Callable, List, NamedTuple, Optional, Protocol, Sequence, Tuple, Union

from otel_tracepoints import semconv
from otel_tracepoints.emission import bridge
from otel_tracepoints.emission.encode import body_text, event_name, hit_attributes, report_attributes
from otel_tracepoints.emission.fit import fit_text
from otel_tracepoints.emission.link import Link
from otel_tracepoints.emission.resource import current_resource
from otel_tracepoints.emission.transport import Answer, Verdict
from otel_tracepoints.model import ProbeType, Report, Snapshot

logger = logging.getLogger("otel_tracepoints")

#: Seconds after which a sink that took no logs is asked again: it may have been set up anew.
_ASK_FOR_LOGS_AGAIN = 600.0

Source = Union[Snapshot, Report]


class Item:
    """A hit or report on its way out; what it becomes is made once, so that a retry is the same span."""

    __slots__ = ("record", "signal", "source")

    def __init__(self, source: Source, signal: str, record: object) -> None:
        self.source = source
        self.signal = signal
        self.record = record

    @property
    def is_hit(self) -> bool:
        """Whether it counts in the accounts of ``/health``."""
        return isinstance(self.source, Snapshot)


class Delivered(NamedTuple):
    """What became of some items.

    Attributes:
        sent: Taken by the other side.
        dropped: Given up.
        left: Worth another try.
        error: The last thing that went wrong.
        reached: Whether the other side answered; None if it was not tried.
        retry_after: Seconds that it asked to be left alone.
    """

    sent: List[Item]
    dropped: List[Item]
    left: List[Item]
    error: Optional[str] = None
    reached: Optional[bool] = None
    retry_after: float = 0.0

    def plus(self, other: Delivered) -> Delivered:
        """Both together."""
        reached = self.reached if other.reached is None else other.reached and self.reached is not False
        return Delivered(
            self.sent + other.sent,
            self.dropped + other.dropped,
            self.left + other.left,
            other.error or self.error,
            reached,
            max(self.retry_after, other.retry_after),
        )


NOTHING = Delivered([], [], [])


class Delivery(Protocol):
    """Where hits go."""

    #: Logpoints have to become span events, because nothing takes log records.
    events_only: bool

    def item(self, source: Source) -> Item:
        """What this hit or report becomes."""

    def deliver(self, items: Sequence[Item], timeout: Callable[[], float]) -> Delivered:
        """Try once to deliver these; ``timeout`` gives the seconds that a request may take now."""


class SinkDelivery:
    """OTLP to the sink of the settings."""

    def __init__(self, link: Link, attribute_limit: int) -> None:
        self.events_only = False
        self._link = link
        self._limit = attribute_limit
        self._told = False
        self._ask_again_at = 0.0

    def item(self, source: Source) -> Item:
        """Tracepoints become spans; logpoints (unless the sink takes none) and reports log records."""
        resource = current_resource()
        if isinstance(source, Report):
            if self.events_only and time.monotonic() < self._ask_again_at:
                return Item(source, "", None)
            return Item(source, "logs", _report_record(source, self._limit, resource))
        if source.probe_type is ProbeType.LOGPOINT and not self.events_only:
            return Item(source, "logs", _log_record(source, self._limit, resource))
        return self._as_span(source)

    def deliver(self, items: Sequence[Item], timeout: Callable[[], float]) -> Delivered:
        """One request a signal, more where one would be too large."""
        total = Delivered([], [item for item in items if not item.signal], [])
        for signal in ("traces", "logs"):
            group = [item for item in items if item.signal == signal]
            if not group:
                continue
            if total.reached is False:
                # The sink is not there: a second attempt would only cost its timeout again.
                total = total.plus(Delivered([], [], group))
            else:
                total = total.plus(self._send(signal, group, timeout))
        return total

    def _send(self, signal: str, items: List[Item], timeout: Callable[[], float]) -> Delivered:
        try:
            answer = self._export(signal, items, timeout())
        except Exception as error:
            # One record that the encoder refuses would take the whole batch with it.
            answer = Answer(Verdict.TOO_LARGE, f"could not be encoded: {type(error).__name__}", reached=False)
        verdict = answer.verdict
        if verdict is Verdict.ACCEPTED:
            if signal == "logs":
                self.events_only = False
            sent, dropped = _split_rejected(items, answer.rejected)
            return Delivered(sent, dropped, [], answer.error, reached=True)
        if verdict is Verdict.TOO_LARGE and len(items) > 1:
            half = len(items) // 2
            first = self._send(signal, items[:half], timeout)
            return first.plus(self._send(signal, items[half:], timeout))
        if verdict is Verdict.RETRY:
            return Delivered([], [], items, answer.error, answer.reached, answer.retry_after)
        if verdict is Verdict.UNKNOWN_SIGNAL and signal == "logs":
            return self._send_as_spans(items, answer, timeout)
        reached = verdict is not Verdict.UNKNOWN_SIGNAL
        return Delivered([], items, [], answer.error, reached)

    def _export(self, signal: str, items: List[Item], timeout: float) -> Answer:
        return self._link.export(signal, [item.record for item in items], timeout)

    def _send_as_spans(self, items: List[Item], refusal: Answer, timeout: Callable[[], float]) -> Delivered:
        """The sink takes no logs: hits become span events, also those to come; reports have no other form."""
        self.events_only = True
        self._ask_again_at = time.monotonic() + _ASK_FOR_LOGS_AGAIN
        if not self._told:
            self._told = True
            logger.warning(
                "The event sink %s takes no log records (%s): logpoints are sent as span events.",
                self._link.url,
                refusal.error,
            )
        reports = [item for item in items if isinstance(item.source, Report)]
        spans = [self._as_span(item.source) for item in items if isinstance(item.source, Snapshot)]
        result = Delivered([], reports, [], reached=True)
        return result.plus(self._send("traces", spans, timeout)) if spans else result

    def _as_span(self, snapshot: Snapshot) -> Item:
        span = bridge.own_span(
            span_name(snapshot),
            event_name(snapshot),
            hit_attributes(snapshot, self._limit, with_message=True),
            snapshot.timestamp_ns,
            snapshot.trace,
            current_resource(),
        )
        return Item(snapshot, "traces", span)


class ApplicationDelivery:
    """``DEBUGIN_EVENT_SINK_URL=none``: the application's own providers, and nothing else."""

    def __init__(self, attribute_limit: int) -> None:
        self._limit = attribute_limit
        self.events_only = bridge.application_logger() is None

    def item(self, source: Source) -> Item:
        """Decided at delivery: the application may set its providers at any time."""
        return Item(source, "", None)

    def deliver(self, items: Sequence[Item], timeout: Callable[[], float]) -> Delivered:  # noqa: ARG002
        """Hand each to the tracer or logger of the application."""
        log = bridge.application_logger()
        self.events_only = log is None
        sent: List[Item] = []
        dropped: List[Item] = []
        error: Optional[str] = None
        for item in items:
            try:
                taken = self._hand_over(item.source, log)
            except Exception as failure:
                # A processor of the application that raises costs this hit, not the others.
                taken, error = False, f"the application's provider failed: {type(failure).__name__}"
            if taken:
                sent.append(item)
            else:
                dropped.append(item)
                if item.is_hit:  # a report that nobody wants to have is no failure
                    error = error or "the application has no OpenTelemetry provider that records this"
        return Delivered(sent, dropped, [], error)

    def _hand_over(self, source: Source, log: Optional[object]) -> bool:
        resource = current_resource()
        if isinstance(source, Report):
            if log is None:
                return False
            bridge.emit_log(log, _report_record(source, self._limit, resource))
            return True
        if source.probe_type is ProbeType.LOGPOINT and log is not None:
            bridge.emit_log(log, _log_record(source, self._limit, resource))
            return True
        attributes = hit_attributes(source, self._limit, with_message=True)
        return bridge.emit_span(
            span_name(source), event_name(source), attributes, source.timestamp_ns, source.trace
        )


def span_name(snapshot: Snapshot) -> str:
    """Name of the agent's own span for a hit: ``tracepoint shop.cart.total``."""
    return fit_text(f"{snapshot.probe_type.value} {snapshot.function}", 512)[0]


def _log_record(snapshot: Snapshot, limit: int, resource: object) -> bridge.LogItem:
    attributes = hit_attributes(snapshot, limit)
    body = body_text(snapshot.message if snapshot.message is not None else "")
    name, time_ns = semconv.EVENT_LOGPOINT, snapshot.timestamp_ns
    return bridge.LogItem(name, body, snapshot.level, attributes, time_ns, snapshot.trace, resource)


def _report_record(report: Report, limit: int, resource: object) -> bridge.LogItem:
    attributes = report_attributes(report, limit)
    body = body_text(report.body)
    name, time_ns = report.event_name, report.timestamp_ns
    return bridge.LogItem(name, body, report.level, attributes, time_ns, report.trace, resource)


def _split_rejected(items: List[Item], rejected: int) -> Tuple[List[Item], List[Item]]:
    """Which ones a sink rejected it does not say: the number is what the accounts need."""
    kept = len(items) - min(rejected, len(items))
    return items[:kept], items[kept:]
