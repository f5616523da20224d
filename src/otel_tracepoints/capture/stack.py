"""The stack of a hit: where the application was, without the agent's and OpenTelemetry's own frames."""

from __future__ import annotations

from types import CodeType, FrameType
from typing import Any, Callable, Optional

from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.capture.values import Clock
from otel_tracepoints.model import Snapshot, StackFrame

#: Frames walked over and left out at most: a stack may be a hundred thousand frames deep.
_MOST_LEFT_OUT = 200
#: Frames between two looks at the clock.
_STEPS = 8


def collect_stack(
    frame: FrameType,
    snapshot: Snapshot,
    most: int,
    policy: RedactionPolicy,
    function_name: Callable[[CodeType], str],
    clock: Clock,
    walker: Any = None,
) -> None:
    """Fills ``snapshot.stack``, innermost first, with at most ``most`` frames.

    With a compiled walker (`Collector`) that reads the callers.

    The first is where the probe is, as the snapshot says: an engine's frame has an ``f_lineno``
    that may be trusted for nothing.
    """
    stack = snapshot.stack
    current: Optional[FrameType] = frame
    left_out = 0
    while current is not None:
        if len(stack) >= most or left_out >= _MOST_LEFT_OUT:
            snapshot.truncated = True
            return
        if current is frame:
            stack.append(
                StackFrame(
                    policy.label(snapshot.file),
                    snapshot.line,
                    policy.label(snapshot.function),
                    policy.label(frame.f_code.co_name),
                )
            )
            cut = walker.stack(frame, stack, most, function_name, clock) if walker is not None else None
            if cut is not None:
                snapshot.truncated = snapshot.truncated or cut
                return
        elif _is_ours(current):
            left_out += 1
        else:
            code = current.f_code
            file, function = policy.label(code.co_filename), policy.label(function_name(code))
            name = policy.label(code.co_name)
            stack.append(StackFrame(file, current.f_lineno or 0, function, name))
            if len(stack) % _STEPS == 0 and clock.expired():
                most = len(stack)
        current = current.f_back


def _is_ours(frame: FrameType) -> bool:
    name = dict.get(frame.f_globals, "__name__")
    if type(name) is not str or not name.startswith(("otel_tracepoints", "opentelemetry.")):
        return False
    if name.startswith("otel_tracepoints"):
        # The demo is an application, though it comes with the agent.
        return name == "otel_tracepoints" or (name.startswith("otel_tracepoints.") and ".demo" not in name)
    return True
