"""A hit, written out for a person."""

from __future__ import annotations

from typing import Any, Dict, List

from otel_tracepoints.cli.render import mapping, sequence, value_text
from otel_tracepoints.cli.visible import visible

#: Frames of a stack that are written out: beyond these it is mostly the framework's.
_FRAMES = 8


def hit_lines(hit: Dict[str, Any]) -> List[str]:
    """A hit of ``GET /hits``: a head line, then what it captured, indented.

    Every line is harmless to a terminal already: names and values are escaped one by one, so
    that a newline in a value cannot begin a line of its own.
    """
    trace, thread = mapping(hit, "trace"), mapping(hit, "thread")
    where = f"{hit.get('file')}:{hit.get('line')} in {hit.get('function')}"
    head = f"{_clock(hit.get('timestamp'))} {hit.get('type')} {hit.get('point')}  {where}"
    lines = [visible(head)]
    if hit.get("message") is not None:
        lines.append("    " + visible(hit["message"]))
    lines.extend(
        f"    {visible(name)} = {visible(value_text(value))}"
        for name, value in mapping(hit, "variables").items()
    )
    lines.extend(
        f"    watch {visible(watch.get('expression'))} = {visible(value_text(watch.get('value')))}"
        for watch in sequence(hit, "watches")
        if isinstance(watch, dict)
    )
    stack = [frame for frame in sequence(hit, "stack") if isinstance(frame, dict)]
    for number, frame in enumerate(stack[:_FRAMES]):
        title = "at" if number == 0 else "by"
        place = f"{frame.get('file')}:{frame.get('line')} in {frame.get('function')}"
        lines.append(visible(f"    {title} {place}"))
    if len(stack) > _FRAMES:
        lines.append(f"    by {len(stack) - _FRAMES} more (--json has them all)")
    tail = []
    if trace:
        tail.append(f"trace {trace.get('traceId')} span {trace.get('spanId')}")
    if thread:
        tail.append(f"thread {thread.get('name')}")
    if hit.get("truncated"):
        tail.append("cut by the point's limits")
    if tail:
        lines.append("    " + visible(", ".join(tail)))
    return lines


def _clock(timestamp: object) -> str:
    # RFC 3339: the time of day is enough beside the line before it.
    return str(timestamp)[11:23] if isinstance(timestamp, str) and len(timestamp) >= 23 else str(timestamp)
