"""Shortcuts for tests of capture: a clock that stands still, a policy, one value or one frame read."""

from __future__ import annotations

import json
from types import CodeType, FrameType
from typing import Any, Callable, Optional

from otel_tracepoints.capture.collector import Collector
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.model import CaptureLimits, ProbeType, Snapshot

POLICY = RedactionPolicy.build()


class Clock:
    """Expires after so many looks; never by default."""

    def __init__(self, looks: Optional[int] = None) -> None:
        self.looks = looks

    def expired(self) -> bool:
        """One look."""
        if self.looks is None:
            return False
        self.looks -= 1
        return self.looks < 0

    def left_ns(self) -> Optional[int]:
        """For ever, or not at all."""
        return None if self.looks is None else 0


def function_name(code: CodeType) -> str:
    """Stands in for the resolver's."""
    return f"here.{code.co_name}"


def collector(
    policy: RedactionPolicy = POLICY,
    limits: CaptureLimits = CaptureLimits(),  # noqa: B008 - immutable
    callback: Optional[Callable[..., Any]] = None,
) -> Collector:
    """A collector with these parts."""
    return Collector(policy, limits, function_name, callback)


def new_snapshot() -> Snapshot:
    """An empty one."""
    return Snapshot("probe", ProbeType.TRACEPOINT, "/srv/app/here.py", 42, "here.f")


def variables_of(frame: FrameType, clock: Optional[Clock] = None, **parts: Any) -> Snapshot:
    """A snapshot with its variables collected."""
    snapshot = new_snapshot()
    collector(**parts).variables(frame, snapshot, clock or Clock())
    return snapshot


def value_of(value: Any, clock: Optional[Clock] = None, **limits: int) -> Any:
    """The JSON of one value, after a trip through JSON text: finite, acyclic, encodable."""
    given = CaptureLimits(**limits)
    shown = collector(limits=given).value(value, given, clock or Clock()).json
    text = json.dumps(shown, allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    return json.loads(text)
