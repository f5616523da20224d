"""Why hits of a point do or do not arrive, in words."""

from __future__ import annotations

import os
from typing import Any, Mapping, Tuple

from otel_tracepoints.model import Outcome, ProbeState
from otel_tracepoints.probes.registry import Entry

#: Outcomes other than a hit, each as a clause of a sentence.
_CLAUSES: Tuple[Tuple[Outcome, str], ...] = (
    (Outcome.CONDITION_FALSE, "the condition was false"),
    (Outcome.CONDITION_ERROR, "the condition failed"),
    (Outcome.RATE_LIMITED, "the rate limit dropped the hit"),
    (Outcome.OVER_BUDGET, "the overhead limit left the capture out"),
    (Outcome.CAPTURE_ERROR, "the capture failed"),
    (Outcome.DROPPED, "the queue was full"),
    (Outcome.REENTRANT, "the line was reached inside a hit"),
)


def summarise(entry: Entry, facts: Mapping[str, Any], *, awake: bool) -> str:
    """One sentence for a person: why hits do or do not arrive."""
    counts, state, sink = facts["counts"], facts["state"], facts["eventSink"]
    arrivals = sum(counts.values())
    if state == ProbeState.EXPIRED.value:
        why = "its hits are used up" if entry.budget.exhausted else "its time is over"
        return f"The point has expired: {why}. Raise maxHits or set expireSeconds to revive it."
    if state == ProbeState.DISABLED.value:
        return "The point is disabled. Enable it to get hits."
    if not awake:
        return "The agent sleeps, so no probe fires. Wake it to get hits."
    if state == ProbeState.ERROR.value and entry.error is not None:
        return f"The point could not be placed: {entry.error.message}"
    if state == ProbeState.PENDING.value:
        return (
            f"The module of {entry.path} is not imported yet in this process ({os.getpid()}); the point is "
            "placed when it is. A reloader or a pool of workers serves from other processes."
        )
    if not arrivals:
        return (
            f"The point is placed in {', '.join(facts['functions']) or entry.path}, but line "
            f"{entry.probe.line} has not been reached since in this process ({os.getpid()}). A reloader or "
            "a pool of workers serves from other processes, and code that is exec-ed by hand later is taken "
            "at the next placing of any probe."
        )
    reasons = [f"{counts[o.value]} × {clause}" for o, clause in _CLAUSES if counts[o.value]]
    text = f"The line was reached {_times(arrivals, 'time')}: {_times(counts[Outcome.EMITTED.value], 'hit')}"
    text += f", {', '.join(reasons)}." if reasons else "."
    if counts[Outcome.EMITTED.value] and sink.get("connected") is False:
        text += f" The event sink {sink.get('url')} cannot be reached: {sink.get('lastError')}"
    return text


def _times(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
