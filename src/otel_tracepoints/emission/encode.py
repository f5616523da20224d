"""Snapshot and Report → the flat, primitive attributes of ``docs/telemetry.md``.

Everything is made finite, acyclic and valid UTF-8 here, before any OpenTelemetry call: one bad
value in a log's body loses the whole export batch, and ``add_event`` may call ``str()`` of what
it is given, or raise into the application.

Attributes are ordered so that what identifies the hit comes last: where a limit of the
application's SDK is lower than ours, it drops the oldest.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, List, Sequence, Tuple, Union

from otel_tracepoints import semconv
from otel_tracepoints.emission.fit import fit, fit_text
from otel_tracepoints.model import (
    JsonText,
    ProbeType,
    Report,
    Snapshot,
    StackFrame,
    WatchValue,
    json_value,
)

#: Loki refuses a record with more than 128 entries, and a span event holds 128 attributes.
MAX_VARIABLES = 90
#: Bytes of a hit: its attributes, names and values, and its message. Loki refuses 64 KiB, and
#: 64 hits stay below the 4 MiB that a gRPC server takes.
MAX_HIT_BYTES = 32 * 1024
#: Bytes of a log record's body, of those that a hit may have.
MAX_BODY_BYTES = 16 * 1024
#: Bytes that the name of a watch may take, with its number and suffix.
_WATCH_NAME_BYTES = 32
#: Bytes of an attribute's name; longer ones are names that no back end shows.
_MAX_NAME_BYTES = 256

Attributes = Dict[str, Any]


def event_name(snapshot: Snapshot) -> str:
    """The name under which the hit leaves."""
    if snapshot.probe_type is ProbeType.LOGPOINT:
        return semconv.EVENT_LOGPOINT
    return semconv.EVENT_SNAPSHOT


def hit_attributes(snapshot: Snapshot, limit: int, *, with_message: bool = False) -> Attributes:
    """All attributes of a hit.

    Args:
        snapshot: The hit; not changed.
        limit: Bytes of UTF-8 that a value may have (``DEBUGIN_MAX_ATTRIBUTE_BYTES``).
        with_message: A logpoint goes out as a span event, which has no body for its message.
    """
    builder = _Builder(limit, snapshot.truncated)
    identity = _identity(snapshot, builder)
    builder.spend_all({**identity, semconv.PROBE_TRUNCATED: True, semconv.PROBE_VARIABLES_OMITTED: 1})
    if snapshot.probe_type is ProbeType.LOGPOINT:
        values = _logpoint(snapshot, builder, with_message)
    else:
        values = _tracepoint(snapshot, builder)
    if builder.truncated:
        identity[semconv.PROBE_TRUNCATED] = True
    values.update(identity)
    return values


def report_attributes(report: Report, limit: int) -> Attributes:
    """Attributes of a report: as given, made safe and bounded."""
    builder = _Builder(limit, truncated=False)
    return {builder.name(name): builder.plain(value) for name, value in report.attributes.items()}


def body_text(text: str) -> str:
    """A log record's body: the message, within its limit."""
    return fit_text(text, MAX_BODY_BYTES)[0]


def stack_text(stack: Sequence[StackFrame], limit: int) -> Tuple[str, bool]:
    """The stack as a Python traceback prints it, most recent call last, and whether it was cut.

    ``stack`` is innermost first. What does not fit is left out at the outer end, a whole frame
    at a time, because the innermost frames are what is looked for.
    """
    lines: List[str] = []
    left = limit
    for file, line, function, name in stack:
        text = f'  File "{file}", line {line}, in {name or function}\n'
        if len(text) > left or not text.isascii():
            text = fit_text(text, limit)[0]
        left -= weight(text)
        if left < 0:
            break
        lines.append(text)
    lines.reverse()
    return "".join(lines), len(lines) < len(stack)


class _Builder:
    """Cuts values, and keeps account of a hit's bytes."""

    def __init__(self, limit: int, truncated: bool) -> None:
        self.limit = limit
        self.truncated = truncated
        # A user who raised the limit of one attribute wants that attribute whole.
        self._left = max(MAX_HIT_BYTES, limit)

    def name(self, name: str) -> str:
        return fit_text(name, _MAX_NAME_BYTES)[0]

    def text(self, text: str, most: int = sys.maxsize) -> str:
        limit = min(self.limit, most)
        if len(text) <= limit and text.isascii():
            return text
        text, cut = fit_text(text, limit)
        self.truncated = self.truncated or cut
        return text

    def json(self, value: Any, most: int = sys.maxsize) -> str:
        limit = min(self.limit, most)
        if type(value) is JsonText:
            text = str.__str__(value)
            if weight(text) <= limit:
                return text
            value = json_value(value)
        text, cut = fit(value, limit)
        self.truncated = self.truncated or cut
        return text

    def share(self, parts: int) -> int:
        """Bytes for one of so many that are still to come."""
        return self._left // parts

    def names(self, names: Sequence[str]) -> Tuple[str, ...]:
        """A string[] whose strings together keep the limit."""
        kept: List[str] = []
        left = self.limit
        for name in names:
            text = self.name(name)
            left -= weight(text)
            if left < 0:
                self.truncated = True
                break
            kept.append(text)
        return tuple(kept)

    def plain(self, value: Any) -> Union[str, int, float, bool, Tuple[str, ...]]:
        """A typed value: numbers that OTLP cannot hold become text."""
        kind = type(value)
        if kind is bool:
            return bool(value)
        if kind is str:
            return self.text(value)
        if kind is int:
            return int(value) if -(2**63) <= value < 2**63 else self.text(str(value))
        if kind is float:
            return float(value) if value - value == 0.0 else self.text(str(value))
        if kind in (list, tuple) and all(type(item) is str for item in value):
            return self.names(value)
        return self.json(value)

    def spend(self, needed: int) -> bool:
        """Take these bytes from what the hit may have; False if there are too few."""
        if needed > self._left:
            self.truncated = True
            return False
        self._left -= needed
        return True

    def spend_all(self, attributes: Attributes) -> None:
        """Take what these weigh; they are in any case."""
        self._left = max(0, self._left - sum(len(name) + weight(value) for name, value in attributes.items()))


def weight(value: Any) -> int:
    """About how many bytes an attribute's value takes."""
    kind = type(value)
    if kind is str:
        return len(value) if value.isascii() else len(value.encode("utf-8"))
    if kind is tuple:
        return sum(weight(item) for item in value)
    return 8


def _identity(snapshot: Snapshot, builder: _Builder) -> Attributes:
    attributes: Attributes = {}
    if snapshot.task_name is not None:
        attributes[semconv.ASYNCIO_TASK_NAME] = builder.text(snapshot.task_name)
    attributes[semconv.THREAD_NAME] = builder.text(snapshot.thread_name)
    attributes[semconv.THREAD_ID] = builder.plain(snapshot.thread_id)
    if snapshot.tags:
        attributes[semconv.PROBE_TAGS] = builder.names(snapshot.tags)
    if snapshot.condition is not None:
        attributes[semconv.PROBE_CONDITION] = builder.text(snapshot.condition)
    attributes[semconv.CODE_FUNCTION_NAME] = builder.text(snapshot.function)
    attributes[semconv.CODE_FILE_PATH] = builder.text(snapshot.file)
    attributes[semconv.CODE_LINE_NUMBER] = builder.plain(snapshot.line)
    attributes[semconv.PROBE_HIT_COUNT] = snapshot.hit_count
    attributes[semconv.PROBE_TYPE] = snapshot.probe_type.value
    attributes[semconv.PROBE_ID] = builder.text(snapshot.probe_id)
    return attributes


def _logpoint(snapshot: Snapshot, builder: _Builder, with_message: bool) -> Attributes:
    attributes: Attributes = {}
    message = snapshot.message
    if message is not None:
        if with_message:
            attributes[semconv.PROBE_MESSAGE] = builder.text(message)
        else:
            body, cut = fit_text(message, MAX_BODY_BYTES)
            builder.truncated = builder.truncated or cut
            builder.spend(weight(body))
    if snapshot.template is not None:
        attributes[semconv.PROBE_MESSAGE_TEMPLATE] = builder.text(snapshot.template)
    builder.spend_all(attributes)
    for index, item in enumerate(snapshot.fields):
        name = f"{semconv.PROBE_FIELD_PREFIX}{index}"
        value = builder.plain(item)
        if index >= MAX_VARIABLES or not builder.spend(len(name) + weight(value)):
            builder.truncated = True
            break
        attributes[name] = value
    return attributes


def _tracepoint(snapshot: Snapshot, builder: _Builder) -> Attributes:
    asked: Attributes = {}
    if snapshot.arguments:
        asked[semconv.PROBE_ARGUMENTS] = builder.names(snapshot.arguments)
    stack, cut = stack_text(snapshot.stack, builder.limit)
    builder.truncated = builder.truncated or cut
    if stack:
        asked[semconv.CODE_STACKTRACE] = stack
    builder.spend_all(asked)
    if snapshot.watches:
        asked.update(_watches(snapshot.watches, builder))
    attributes: Attributes = {}
    omitted = snapshot.omitted
    for local, value in snapshot.variables.items():
        if len(attributes) >= MAX_VARIABLES:
            omitted += 1
            continue
        name = builder.name(semconv.PROBE_VARIABLE_PREFIX + local)
        text = builder.json(value)
        if builder.spend(weight(name) + weight(text)):
            attributes[name] = text
        else:
            omitted += 1
    if omitted:
        builder.truncated = True
        asked[semconv.PROBE_VARIABLES_OMITTED] = omitted
    attributes.update(asked)
    return attributes


def _watches(watches: Sequence[WatchValue], builder: _Builder) -> Attributes:
    """All of them, because each was asked for: where they are many and large, each in its share."""
    attributes: Attributes = {}
    for index, (expression, value) in enumerate(watches):
        name = f"{semconv.PROBE_WATCH_PREFIX}{index}"
        share = builder.share(len(watches) - index) - 2 * _WATCH_NAME_BYTES
        entry = {
            name: builder.json(value, share // 2),
            name + semconv.PROBE_WATCH_EXPRESSION_SUFFIX: builder.text(expression, share // 2),
        }
        builder.spend_all(entry)
        attributes.update(entry)
    return attributes
