"""From a probe's definition to what its hits need: parsed, limited, redacted once, on the control path."""

from __future__ import annotations

import weakref
from types import CodeType
from typing import Any, Callable, MutableMapping, Optional, Sequence

from otel_tracepoints.capture.collector import Collector
from otel_tracepoints.capture.message import MessageRenderer, compiled_parts
from otel_tracepoints.capture.redaction import RedactionPolicy
from otel_tracepoints.expression import Expression, Template, parse_condition, parse_template, parse_watch
from otel_tracepoints.limits import TokenBucket
from otel_tracepoints.model import CaptureLimits
from otel_tracepoints.pipeline import Plan
from otel_tracepoints.probes.registry import Entry


class Planner:
    """Makes the plan of each probe, with the process's redaction."""

    def __init__(
        self,
        policy: RedactionPolicy,
        function_name: Callable[[CodeType], str],
        value_callback: Optional[Callable[..., Any]] = None,
        message_callback: Optional[Callable[..., Any]] = None,
        native: Optional[Any] = None,
    ) -> None:
        self._policy = policy
        self._function_name = function_name
        self._value_callback = value_callback
        self._message_callback = message_callback
        self._native = native
        #: One for all probes of the same limits without watches: it keeps nothing of a probe or of a hit.
        self._collectors: MutableMapping[CaptureLimits, Collector] = weakref.WeakValueDictionary()
        #: Of all that have no message.
        self._no_message = MessageRenderer(policy, None, message_callback)

    def plan(self, entry: Entry, bucket: TokenBucket) -> Plan:
        """The plan of an entry as it is defined now."""
        probe, policy = entry.probe, self._policy
        sensitive, redact = policy.is_sensitive, policy.text
        template = None if probe.message is None else parse_template(probe.message, sensitive)
        watches = tuple(parse_watch(text, sensitive) for text in probe.watch)
        return Plan(
            entry=entry,
            condition=None if probe.condition is None else parse_condition(probe.condition, sensitive),
            bucket=bucket,
            budget=entry.budget,
            collector=self._collector(probe.snapshot, watches),
            renderer=self._no_message if template is None else self._renderer(template, probe.id),
            template=template,
            watches=watches,
            file=entry.path,
            line=probe.line,
            shown_condition=None if probe.condition is None else redact(probe.condition),
            shown_template=None if probe.message is None else redact(probe.message),
            shown_tags=tuple(redact(tag) for tag in probe.tags),
        )

    def _collector(self, limits: CaptureLimits, watches: Sequence[Expression]) -> Collector:
        collector = None if watches else self._collectors.get(limits)
        if collector is None:
            walker = None if self._native is None else self._native.Walker
            collector = Collector(self._policy, limits, self._function_name, self._value_callback, walker)
            if watches:
                collector.prepare(watches)
            else:
                self._collectors[limits] = collector
        return collector

    def _renderer(self, template: Template, id: str) -> MessageRenderer:
        compiled = self._compiled(template)
        return MessageRenderer(self._policy, None, self._message_callback, id, compiled)

    def _compiled(self, template: Template) -> Optional[Any]:
        native = self._native
        parts = None if native is None else compiled_parts(template, self._policy)
        if native is None or parts is None:
            return None
        try:
            return native.Message(parts, self._policy)
        except ValueError:  # some part of it is Python's
            return None
