"""The hit path: what happens between a line being reached and a snapshot being handed over.

`Gate.__call__` is the whole of it. It runs in the application's thread with the application's
frame, so: cheapest gate first, nothing built before the condition has said yes, no locks, no
logging, and nothing ever raised but what was raised *at* the application: what a signal's handler
raises in here passes on (`interrupts`).
"""

from __future__ import annotations

import dataclasses
import sys
import time
from types import CodeType, FrameType
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.capture.collector import Collector
from otel_tracepoints.capture.message import MessageRenderer
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.emission import Emitter
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression import Expression, Template
from otel_tracepoints.guard import BUSY, GUARDED
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.limits import Governor, HitBudget, PauseClock, TokenBucket
from otel_tracepoints.model import Snapshot
from otel_tracepoints.probes.registry import Counts, Entry, LastError
from otel_tracepoints.thread_names import get_ident, task_name, thread_name

_now = time.monotonic


@dataclasses.dataclass(eq=False)
class Plan:
    """Everything a gate needs, made once on the control path; replaced as a whole by an update.

    No tuple: on the hit path its attributes would take ten times as long.
    """

    __slots__ = (
        "bucket",
        "budget",
        "collector",
        "condition",
        "entry",
        "file",
        "line",
        "renderer",
        "shown_condition",
        "shown_tags",
        "shown_template",
        "template",
        "watches",
    )

    entry: Entry
    condition: Optional[Expression]
    bucket: TokenBucket
    budget: HitBudget
    collector: Collector
    renderer: MessageRenderer
    template: Optional[Template]
    watches: Sequence[Expression]
    file: str
    line: int
    #: Redacted once, so that a hit does not have to.
    shown_condition: Optional[str]
    shown_template: Optional[str]
    shown_tags: Tuple[str, ...]


class HitServices(NamedTuple):
    """What all gates share."""

    emitter: Emitter
    governor: Governor
    policy: RedactionPolicy
    function_name: Callable[[CodeType], str]
    max_pause_ns: int
    #: Tells the timekeeper that a probe wants something done off the hit path.
    poke: Callable[[str], None]
    #: Tells of a failed evaluation or capture: (plan, frame, kind, error).
    fail: Callable[[Plan, FrameType, str, BaseException], None]
    #: Seconds that a capture took, for the self metrics.
    observe: Callable[[float], None]


class Gate:
    """The handler that the engine calls for one probe.

    ``plan`` is None while the probe is off (disabled, asleep, expired, being removed): the
    engine takes the hook away too, but a thread may be on its way here at that moment.
    """

    __slots__ = ("_counts", "_services", "plan", "rate_limit_told")

    def __init__(self, counts: Counts, services: HitServices) -> None:
        self.plan: Optional[Plan] = None
        #: True from the first hit dropped by the rate limit until that has been reported.
        self.rate_limit_told = False
        self._counts = counts
        self._services = services

    def __call__(self, frame: FrameType) -> None:
        """One arrival at the line; ends in exactly one outcome, which is counted."""
        plan = self.plan
        if plan is None or plan.budget.exhausted:
            return
        counts = self._counts
        thread = get_ident()
        if thread in BUSY and (thread in GUARDED or _inside_a_hit()):
            next(counts.reentrant)
            return
        bucket = plan.bucket
        if plan.condition is None and bucket.dry_until > _now():
            # What `take` would say below, and of most arrivals at a hot line does.
            next(counts.rate_limited)
            if not self.rate_limit_told:
                self._drop(plan)
            return
        try:
            BUSY.add(thread)
            if plan.condition is not None and not self.holds(plan, frame):
                return
            if bucket.take():
                self.admit(plan, frame)
                return
            next(counts.rate_limited)
            if not self.rate_limit_told:
                self._drop(plan)
        except BaseException as error:
            if self.settle(plan, frame, error):
                raise
        finally:
            BUSY.discard(thread)

    def holds(self, plan: Plan, frame: FrameType) -> bool:
        """Whether the condition does; counts the arrival where it does not."""
        condition = plan.condition
        try:
            if condition is None or condition.test(frame):
                return True
            next(self._counts.condition_false)
        except EvaluationError as error:
            next(self._counts.condition_error)
            self._fail_quietly(plan, frame, "condition", error)
        return False

    def admit(self, plan: Plan, frame: FrameType) -> None:
        """All gates before are passed: what is left is whether there is time, and a hit to spend."""
        counts = self._counts
        if not self._services.governor.allows():
            counts.over_budget.take()
            return
        ticket: List[int] = []  # nothing is made before the condition has said yes
        try:
            if not plan.budget.take(ticket):
                return  # another thread had the last ticket: this arrival came after it
            self._capture(plan, frame, counts, ticket)
        except BaseException:
            if ticket:
                plan.budget.give_back(ticket)
            raise

    def settle(self, plan: Plan, frame: FrameType, error: BaseException) -> bool:
        """What came out of a hit: whether it is for the application; all else is counted, and ends here.

        What is left to happen is a RecursionError or MemoryError at the edge, before anything was counted.
        """
        if is_for_application(error):
            return True
        self._counts.capture_error.take()
        self._fail_quietly(plan, frame, "snapshot", error)
        return False

    def fail(self, plan: Plan, frame: FrameType, snapshot: Optional[Snapshot], error: BaseException) -> bool:
        """What came out of a hit in C++, which may have been emitted: whether it is for the application."""
        if snapshot is None or not snapshot.hit_count:
            self._counts.capture_error.take()
        if is_for_application(error):
            return True
        self._fail_quietly(plan, frame, "snapshot", error)
        return False

    def tell_rate_limit(self, plan: Plan) -> None:
        """Have it reported that hits are dropped."""
        self._services.poke(plan.entry.probe.id)

    def _drop(self, plan: Plan) -> None:
        self.rate_limit_told = True
        self.tell_rate_limit(plan)

    def _fail_quietly(self, plan: Plan, frame: FrameType, kind: str, error: BaseException) -> None:
        try:
            self._services.fail(plan, frame, kind, error)
        except Exception as failure:  # counted already; at the very edge no more can be done
            if is_for_application(failure):
                raise

    def _capture(self, plan: Plan, frame: FrameType, counts: Counts, ticket: List[int]) -> None:
        """Counts what becomes of it, and uses the ticket up if it was emitted; raises as the call does."""
        services = self._services
        # The rest is for the value that the capture is at when its time is up, and for the way out:
        # on a recording span, a tenth for the attributes and one for `add_event`, or twice that.
        clock = PauseClock(services.max_pause_ns * 3 // 5)
        snapshot: Optional[Snapshot] = None
        try:
            snapshot = self._snapshot(plan, frame, clock)
            taken = services.emitter.submit(snapshot, counts.emitted.take)
            if taken:
                ticket.clear()
        except BaseException as error:
            if snapshot is None or not snapshot.hit_count:
                plan.budget.give_back(ticket)
                counts.capture_error.take()
            else:
                ticket.clear()
            if is_for_application(error):
                raise
            self._fail_quietly(plan, frame, "snapshot", error)
            return
        finally:
            elapsed = clock.elapsed_ns()
            services.governor.spend(elapsed)
        if not taken:
            plan.budget.give_back(ticket)
            counts.dropped.take()
            return
        try:
            plan.entry.last_hit_ns = snapshot.timestamp_ns
            if snapshot.failure is not None:
                plan.entry.error = LastError(*snapshot.failure, snapshot.timestamp_ns)
            services.observe(elapsed / 1e9)
            if plan.budget.exhausted:
                services.poke(plan.entry.probe.id)
        except Exception as error:  # the edge of the stack; it is counted already
            if is_for_application(error):
                raise

    def _snapshot(self, plan: Plan, frame: FrameType, clock: PauseClock) -> Snapshot:
        services = self._services
        probe = plan.entry.probe
        function = services.function_name(frame.f_code)
        snapshot = Snapshot(probe.id, probe.type, plan.file, plan.line, function)
        snapshot.timestamp_ns = time.time_ns()
        snapshot.tags = plan.shown_tags
        snapshot.condition = plan.shown_condition
        snapshot.thread_id = get_ident()
        snapshot.thread_name = services.policy.label(thread_name(snapshot.thread_id))
        task = task_name()
        if task is not None:
            snapshot.task_name = services.policy.text(task)
        if plan.template is not None:
            snapshot.level = probe.level
            snapshot.template = plan.shown_template
            plan.renderer.render(frame, plan.template, snapshot, clock)
        else:
            plan.collector.variables(frame, snapshot, clock)
            if plan.watches:
                plan.collector.watches(frame, plan.watches, snapshot, clock)
            plan.collector.stack(frame, snapshot, clock)
        return snapshot


def _inside_a_hit() -> bool:
    """Whether this thread really is in a hit: a signal's exception can keep one from saying that it ends."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code is _HIT:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


_HIT = Gate.__call__.__code__
