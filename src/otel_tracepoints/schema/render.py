"""`Probe` and its run-time state → the point as every endpoint shows it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from otel_tracepoints.model import Location, Outcome, Probe, ProbeState, ProbeType
from otel_tracepoints.schema.fields import FIELDS


class PointRuntime(NamedTuple):
    """What the agent knows of a point beside its definition.

    Attributes:
        error: In the error form (``error``, ``code``, ``details``, ``at``), redacted.
        created_ns: Nanoseconds since the epoch.
        last_hit_ns: The same; None before the first hit.
        counts: By the outcome's name; those that are not in it count 0.
    """

    state: ProbeState
    resolved: Optional[Location]
    error: Optional[Mapping[str, Any]]
    created_ns: int
    last_hit_ns: Optional[int]
    counts: Mapping[str, int]


def render_point(probe: Probe, runtime: PointRuntime, redact: Callable[[str], str]) -> Dict[str, Any]:
    """All fields that a probe of this type has, in the documented order.

    ``redact`` is applied to condition, message, watches and tags.
    """
    agent = _agent_fields(runtime)
    point: Dict[str, Any] = {}
    for field in FIELDS:
        if not field.belongs_to(probe.type):
            continue
        if field.kind is None:
            point[field.name] = agent[field.name]
        else:
            value = getattr(probe, field.attribute)
            plain = value.value if isinstance(value, ProbeType) else value
            point[field.name] = field.kind.render(plain, redact)
    return point


def definition(probe: Probe) -> Dict[str, Any]:
    """The body of a create call, with ``type``, that makes this probe again.

    What the program put into it is not checked here, so that what is wrong gets the same error
    as from any other caller.
    """
    type_ = ProbeType.LOGPOINT if probe.type == ProbeType.LOGPOINT else ProbeType.TRACEPOINT
    body: Dict[str, Any] = {}
    for field in FIELDS:
        value = getattr(probe, field.attribute, None)
        if field.kind is None or (not field.belongs_to(type_) and value == field.default()):
            continue
        if value in ("", None) and field.attribute in ("id", "message"):
            continue  # not given
        try:
            plain = value.value if isinstance(value, ProbeType) else value
            body[field.name] = field.kind.render(plain, str)
        except (AttributeError, TypeError):
            body[field.name] = value
    return body


def timestamp(timestamp_ns: int) -> str:
    """A time as RFC 3339 in UTC with milliseconds: ``2026-11-20T10:00:00.000Z``."""
    seconds, rest = divmod(timestamp_ns, 1_000_000_000)
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def _agent_fields(runtime: PointRuntime) -> Dict[str, Any]:
    resolved = runtime.resolved
    last_hit = runtime.last_hit_ns
    return {
        "resolved": None
        if resolved is None
        else {
            "file": resolved.file,
            "line": resolved.line,
            "functions": list(resolved.functions),
        },
        "state": runtime.state.value,
        "error": None if runtime.error is None else dict(runtime.error),
        "created": timestamp(runtime.created_ns),
        "lastHit": None if last_hit is None else timestamp(last_hit),
        "hitCount": runtime.counts.get(Outcome.EMITTED.value, 0),
        "counts": {outcome.value: runtime.counts.get(outcome.value, 0) for outcome in Outcome},
    }
