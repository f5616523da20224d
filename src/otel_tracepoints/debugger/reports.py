"""What is told about a probe besides its hits: failures, dropped hits, changes asked for.

Each becomes one log record. How often is limited here (``docs/telemetry.md``): a failure once
per probe and 5 minutes, dropped hits once per probe and second, changes always.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import starmap
from types import CodeType, FrameType
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional

from otel_tracepoints import semconv
from otel_tracepoints.emission import Emitter
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.limits import Clock
from otel_tracepoints.model import Report
from otel_tracepoints.pipeline import Plan
from otel_tracepoints.probes.registry import Entry, LastError

#: Seconds between two reports of failures of one probe.
FAILURE_INTERVAL = 300.0
#: Seconds between two reports of hits that the rate limit dropped.
RATE_LIMIT_INTERVAL = 1.0

_FAILURES = {
    "condition": (semconv.EVENT_ERROR_CONDITION, "The condition could not be evaluated"),
    "snapshot": (semconv.EVENT_ERROR_SNAPSHOT, "The hit could not be captured"),
}


#: Makes ``starmap`` call once, without arguments.
_ONCE = ((),)


#: On any clock.
_LONG_AGO = float("-inf")


class _Throttle:
    """Lets one caller through per interval, whichever thread it is on, without a lock."""

    __slots__ = ("_free", "_until")

    def __init__(self) -> None:
        self._free: List[None] = [None]
        self._until = _LONG_AGO

    def passes(self, now: float, interval: float) -> bool:
        if now < self._until:
            return False
        taken: List[None] = []
        try:
            # By one call in C: what a signal's handler raises must not leave it taken.
            taken.extend(starmap(self._free.pop, _ONCE))
            passes = now >= self._until
            if passes:
                self._until = now + interval
        except IndexError:
            return False  # another thread is telling it at this moment
        else:
            return passes
        finally:
            self._free.extend(starmap(taken.pop, _ONCE if taken else ()))


class _Failure(NamedTuple):
    """A failure, as far as it is told."""

    entry: Entry
    file: str
    line: int
    code: CodeType
    kind: str
    error: LastError


class _RateLimited:
    """How many dropped hits of a probe have been told, and when the next may be."""

    __slots__ = ("next_at", "told")

    def __init__(self) -> None:
        self.told = 0
        self.next_at = _LONG_AGO


class Reporter:
    """Writes the reports of all probes."""

    def __init__(
        self,
        emitter: Emitter,
        redact: Callable[[str], str],
        function_name: Callable[[CodeType], str],
        clock: Clock = time.monotonic,
        poke: Callable[[str], None] = lambda _id: None,
    ) -> None:
        self._emitter = emitter
        self._redact = redact
        self._function_name = function_name
        self._clock = clock
        self._poke = poke
        #: Reports of failures that there was no stack left for.
        self._owed: Deque[_Failure] = deque()
        #: Id → kind → what holds its reports back, once there was one: most probes never fail.
        self._failures: Dict[str, Dict[str, _Throttle]] = {}
        self._rate_limited: Dict[str, _RateLimited] = {}

    def watch(self, id: str) -> None:
        """Tell of this probe from now on."""
        self._failures[id] = {}
        self._rate_limited[id] = _RateLimited()

    def forget(self, entry: Entry) -> None:
        """The probe is gone. What it dropped since the last report is told now: there is no later."""
        self._failures.pop(entry.probe.id, None)
        state = self._rate_limited.pop(entry.probe.id, None)
        if state is not None:
            self._tell_dropped(state, entry)

    def condition_changed(self, id: str) -> None:
        """Its failures are told anew."""
        self._failures[id] = {}

    def fail(self, plan: Plan, frame: FrameType, kind: str, error: BaseException) -> None:
        """A condition or a capture failed. Called on the hit path; keeps nothing of the error."""
        if isinstance(error, EvaluationError):
            code, message = error.code, self._redact(error.message)
        else:  # its text may hold a value, so only its type is told
            code, message = "INTERNAL", type(error).__name__
        entry = plan.entry
        entry.error = told = LastError(code, message, time.time_ns())
        # Made before the throttle is spent: at the edge of the stack even this may fail.
        failure = _Failure(entry, plan.file, plan.line, frame.f_code, kind, told)
        throttles = self._failures.get(entry.probe.id)
        if throttles is None:
            return
        throttle = throttles.get(kind)
        if throttle is None:
            throttle = throttles.setdefault(kind, _Throttle())  # of two threads, one's is kept
        if not throttle.passes(self._clock(), FAILURE_INTERVAL):
            return
        try:
            self._tell(failure, trace=True)
        except Exception:
            # At the edge of the stack the thread of `tell_owed` has more room.
            self._owed.append(failure)
            self._poke(entry.probe.id)

    def tell_owed(self) -> None:
        """Tell of the failures that could not be told where they happened."""
        while self._owed:
            self._tell(self._owed.popleft(), trace=False)

    def _tell(self, failure: _Failure, *, trace: bool) -> None:
        event, sentence = _FAILURES[failure.kind]
        attributes = self._about(failure.entry)
        attributes[semconv.CODE_FILE_PATH] = failure.file
        attributes[semconv.CODE_LINE_NUMBER] = failure.line
        attributes[semconv.CODE_FUNCTION_NAME] = self._function_name(failure.code)
        attributes[semconv.EXCEPTION_TYPE] = failure.error.code
        attributes[semconv.EXCEPTION_MESSAGE] = failure.error.message
        self._emit(event, f"{sentence}: {failure.error.message}", "WARN", attributes, trace=trace)

    def rate_limited(self, entry: Entry) -> Optional[float]:
        """Tell how many hits were dropped since this was last told.

        Answers in how many seconds to ask again, or None when all is told.
        """
        state = self._rate_limited.get(entry.probe.id)
        if state is None:
            return None
        now = self._clock()
        if now < state.next_at:
            return state.next_at - now
        if not self._tell_dropped(state, entry):
            return None
        state.next_at = now + RATE_LIMIT_INTERVAL
        return RATE_LIMIT_INTERVAL

    def _tell_dropped(self, state: _RateLimited, entry: Entry) -> bool:
        total = entry.counts.rate_limited.value
        dropped = total - state.told
        if not dropped:
            return False
        state.told = total
        limit = entry.probe.rate_limit.limit_per_second
        attributes = self._about(entry)
        if entry.location is not None:
            attributes[semconv.CODE_FILE_PATH] = entry.location.file
            attributes[semconv.CODE_LINE_NUMBER] = entry.location.line
            if entry.location.functions:
                attributes[semconv.CODE_FUNCTION_NAME] = entry.location.functions[0]
        message = f"Rate limit of {limit:g} per second exceeded: {dropped} hits dropped"
        attributes[semconv.PROBE_DROPPED_COUNT] = dropped
        attributes[semconv.PROBE_RATE_LIMIT] = limit
        attributes[semconv.EXCEPTION_TYPE] = "RATE_LIMIT"
        attributes[semconv.EXCEPTION_MESSAGE] = message
        self._emit(semconv.EVENT_ERROR_RATE_LIMIT, message, "WARN", attributes)
        return True

    def audit(
        self,
        action: str,
        outcome: str,
        probe_id: Optional[str] = None,
        count: Optional[int] = None,
        client: Optional[str] = None,
    ) -> None:
        """A change was asked for: what, by whom, and what came of it."""
        attributes: Dict[str, Any] = {
            semconv.PROBE_AUDIT_ACTION: action,
            semconv.PROBE_AUDIT_OUTCOME: outcome,
        }
        if count is not None:
            attributes[semconv.PROBE_AUDIT_COUNT] = count
        if probe_id is not None:
            attributes[semconv.PROBE_ID] = self._redact(probe_id)
        if client is not None:
            attributes[semconv.CLIENT_ADDRESS] = client
        self._emit(semconv.EVENT_AUDIT, f"{action}: {outcome}", "INFO", attributes)

    def status(self, event: str, message: str, attributes: Dict[str, Any]) -> None:
        """The agent started or stopped."""
        self._emit(event, message, "INFO", attributes)

    def _about(self, entry: Entry) -> Dict[str, Any]:
        probe = entry.probe
        attributes: Dict[str, Any] = {
            semconv.PROBE_ID: self._redact(probe.id),
            semconv.PROBE_TYPE: probe.type.value,
            # How many were emitted so far: an error has no number of its own.
            semconv.PROBE_HIT_COUNT: entry.counts.emitted.value,
        }
        if probe.tags:
            attributes[semconv.PROBE_TAGS] = [self._redact(tag) for tag in probe.tags]
        if probe.condition is not None:
            attributes[semconv.PROBE_CONDITION] = self._redact(probe.condition)
        return attributes

    def _emit(
        self, event: str, body: str, level: str, attributes: Dict[str, Any], *, trace: bool = False
    ) -> None:
        context = self._emitter.current_trace() if trace else None
        self._emitter.report(Report(event, body, level, attributes, time.time_ns(), context))
