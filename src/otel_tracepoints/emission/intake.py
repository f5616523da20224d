"""Where a hit is taken, in the application's thread: onto its span, or into the queue, or not at all."""

from __future__ import annotations

import sys
from itertools import starmap
from typing import Any, Callable, List, NamedTuple, Tuple

from otel_tracepoints.emission.accounts import Accounts
from otel_tracepoints.emission.delivery import Delivery
from otel_tracepoints.emission.encode import event_name, hit_attributes
from otel_tracepoints.emission.recorder import Recorder, Way
from otel_tracepoints.emission.spans import SpanBudget, context_of, current_span, inside_telemetry
from otel_tracepoints.interrupts import is_from_signal
from otel_tracepoints.model import ProbeType, Report, Snapshot

#: Makes ``starmap`` call once, without arguments.
_ONCE = ((),)


class WayIn(NamedTuple):
    """What a compiled hit needs to put itself into the queue, as `Intake.submit` does.

    All are functions in C, and a compiled hit calls nothing else in between: so nothing that a signal's
    handler raises can come there, and `submit`'s care is not needed.
    """

    #: Takes a free place, or raises IndexError.
    take_place: Callable[[], None]
    give_place_back: Callable[[None], None]
    #: Takes a hit and its `Way`.
    arrived: Callable[[Tuple[Any, Way]], None]
    #: Wakes the recorder.
    mark: Callable[[None], None]
    queued: Way
    delivery: Delivery
    #: Remembers how many seconds a hit took.
    observe: Callable[[float], None]


class Intake:
    """The hit path's side of the emitter. No locks, and exact whatever interrupts it."""

    def __init__(self, accounts: Accounts, recorder: Recorder, delivery: Delivery, limit: int) -> None:
        self._places = accounts.places
        self._take_place = accounts.places.pop
        self._take_report_place = accounts.report_places.pop
        self._recorder = recorder
        self._delivery = delivery
        self._limit = limit
        self._span_budget = SpanBudget()

    def submit(self, snapshot: Snapshot, emitted_before: Callable[[], int]) -> bool:
        """Take a hit: False if the queue is full.

        What a signal's handler raises at the application may come between any two instructions
        here, but not within a call in C. So a place and a number are noted by the very call that
        takes them, and ``emitted_before`` has to be a function in C too. Whoever catches such an
        exception sees by ``hit_count`` whether the hit was emitted: while it is 0, nothing was
        taken.
        """
        place: List[None] = []
        number: List[int] = []
        way = Way.LOST
        try:
            span = self._span_for(snapshot)
            if span is None:
                try:
                    place.extend(starmap(self._take_place, _ONCE))
                except IndexError:
                    return False
                way = Way.QUEUED
            number.extend(starmap(emitted_before, _ONCE))
            snapshot.hit_count = number[0] + 1
            if span is not None:
                way = self._put_on(span, snapshot, place)
            self._recorder.add(snapshot, way)
        except BaseException:
            if number:
                snapshot.hit_count = number[0] + 1
                # Twice is as good as once, to the recorder.
                self._recorder.add(snapshot, Way.QUEUED if place else way)
            else:
                self._places.extend(place)
            raise
        return True

    def way_in(self, observe: Callable[[float], None]) -> WayIn:
        """For hits in C++."""
        places, recorder = self._places, self._recorder
        return WayIn(
            self._take_place,
            places.append,
            recorder.arrived,
            recorder.mark,
            Way.QUEUED,
            self._delivery,
            observe,
        )

    def report(self, report: Report) -> None:
        """Take a report, unless too many wait."""
        try:
            self._take_report_place()
        except IndexError:
            return
        self._recorder.add(report, Way.REPORT)

    def _span_for(self, snapshot: Snapshot) -> Any:
        """The recording span that this hit goes on, with one of its events taken; else None."""
        try:
            span = current_span()
            snapshot.trace = context_of(span)
            as_event = snapshot.probe_type is ProbeType.TRACEPOINT or self._delivery.events_only
            if (
                as_event
                and span.is_recording()
                and not inside_telemetry(sys._getframe())
                and self._span_budget.take(span)
            ):
                return span
        except Exception as error:  # a span class that is not OpenTelemetry's; or the edge of the stack
            if is_from_signal(error):
                raise
        return None

    def _put_on(self, span: Any, snapshot: Snapshot, place: List[None]) -> Way:
        """Make it an event of the span. A span that refuses costs a place in the queue."""
        try:
            attributes = hit_attributes(snapshot, self._limit, with_message=True)
            span.add_event(event_name(snapshot), attributes, snapshot.timestamp_ns)
        except Exception as error:
            if is_from_signal(error):
                raise
            # It has its ordinal, so it was emitted: by the queue, or it is counted as lost.
            try:
                place.extend(starmap(self._take_place, _ONCE))
            except IndexError:
                return Way.LOST
            return Way.QUEUED
        return Way.ON_SPAN
