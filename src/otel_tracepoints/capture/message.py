"""A logpoint's template and a live frame → the message and its typed fields (expressions.md)."""

from __future__ import annotations

from types import FrameType
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from otel_tracepoints.capture.callbacks import Callback, adapt
from otel_tracepoints.capture.collector import Collector
from otel_tracepoints.capture.fields import FIELD_LIMIT, Field, print_field
from otel_tracepoints.capture.redaction import LOOK_BEYOND, RedactionPolicy
from otel_tracepoints.capture.values import Clock
from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.lowering import reads_openly
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.model import FieldValue, Snapshot
from otel_tracepoints.semconv import REDACTED

if TYPE_CHECKING:
    from otel_tracepoints.expression import Template, TemplateField

_SHORT = 256
#: Characters of a message.
MESSAGE_LIMIT = FIELD_LIMIT


class MessageRenderer:
    """Renders the messages of one logpoint; safe from any thread.

    Args:
        callback: ``log_data_redaction_callback``: called once for the message and once for each
            field (as text), after everything else.
        compiled: The same message for the compiled engine (`compiled_parts`), if it can have one.
    """

    __slots__ = ("_callback", "_policy", "_probe_id", "compiled")

    def __init__(
        self,
        policy: RedactionPolicy,
        collector: Optional[Collector] = None,  # noqa: ARG002 - a message has limits of its own
        callback: Optional[Callback] = None,
        probe_id: str = "",
        compiled: Optional[Any] = None,
    ) -> None:
        self._policy = policy
        #: Renders what is short and plain (``_native.Message``), and answers None to all else.
        self.compiled = compiled if callback is None else None
        self._callback = adapt(callback)
        self._probe_id = probe_id

    def render(self, frame: FrameType, template: Template, snapshot: Snapshot, clock: Clock) -> None:
        """Fills ``message`` and ``fields``; a field that fails reads ``<CODE: text>``."""
        if self.compiled is not None:
            rendered = self.compiled.render(frame)
            if rendered is not None:
                snapshot.message, snapshot.fields = rendered
                return
        pieces: List[str] = []
        fields = snapshot.fields
        length = 0
        value: FieldValue
        for part in template.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            # Two short fields are less work than a look at the clock is worth.
            if (len(fields) >= 2 or length > _SHORT) and clock.expired():
                text = value = "<BUDGET: the time for this hit was used up>"
                truncated = True
            else:
                text, value, truncated = self._field(frame, part, snapshot, clock)
            if truncated:
                snapshot.truncated = True
            length += len(text)
            pieces.append(text)
            fields.append(value)
        message = "".join(pieces)
        if len(message) > MESSAGE_LIMIT:
            snapshot.truncated = True
            more = len(message) > MESSAGE_LIMIT + LOOK_BEYOND
            message = self._policy.cut(message[: MESSAGE_LIMIT + LOOK_BEYOND], MESSAGE_LIMIT, more)
        elif len(pieces) > 1 or not fields:
            # Once more as a whole: a secret may be put together from parts.
            message = self._policy.text(message)
        if self._callback is not None:
            message = self._called_back(message)
            snapshot.fields = [self._field_called_back(value) for value in fields]
        snapshot.message = message

    def _field(self, frame: FrameType, part: TemplateField, snapshot: Snapshot, clock: Clock) -> Field:
        try:
            # Taken apart at once: an attribute of a tuple takes ten times as long.
            expression, conversion, spec = part
            value, sensitive = expression.evaluate(frame)
            if sensitive:
                return Field(REDACTED, REDACTED)
            return print_field(value, conversion, spec, self._policy, clock)
        except EvaluationError as error:
            snapshot.failure = (error.code, self._policy.text(error.message))
            text = self._policy.text(error.mark)
        except Exception as error:
            if is_for_application(error):
                raise
            # This field alone is lost; nothing of the value is told.
            text = "<TYPE_MISMATCH: the value cannot be shown>"
        return Field(text, text)

    def _called_back(self, text: str) -> str:
        if self._callback is None:
            return text
        answer = self._callback(text, self._probe_id)
        return answer if type(answer) is str else REDACTED

    def _field_called_back(self, value: FieldValue) -> FieldValue:
        text = value if isinstance(value, str) else repr(value)
        answer = self._called_back(text)
        # A number that the callback leaves as it is stays a number.
        return value if answer == text else answer


def compiled_parts(template: Template, policy: RedactionPolicy) -> Optional[Tuple[Any, ...]]:
    """The template as data for ``_native.Message``; None where a field has to be Python's.

    That is one with a conversion or a format, and one that may read something under a sensitive name.
    """
    parts: List[Any] = []
    for part in template.parts:
        if isinstance(part, str):
            parts.append(part)
            continue
        expression, conversion, spec = part
        lowered = expression.lowered
        if conversion or spec or lowered is None or not reads_openly(lowered, policy.is_sensitive):
            return None
        parts.append(lowered)
    return tuple(parts)
