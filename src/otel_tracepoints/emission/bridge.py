"""Everything that differs between OpenTelemetry 1.33 and 1.45, and nothing else.

The classes of the logs SDK were renamed, merged and removed between those versions, but every
version's encoder reads the same few attributes. `LogItem` has them all, so no class of the logs
SDK is needed to make OTLP.
"""

from __future__ import annotations

import inspect
import os
from importlib import metadata
from operator import attrgetter
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from opentelemetry import _logs as logs_api
from opentelemetry import context as context_api
from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from otel_tracepoints import semconv
from otel_tracepoints.model import LEVELS, TraceContext

Attributes = Dict[str, Any]
Encode = Callable[[Sequence[Any]], bytes]

#: Log records have a name of their own since 1.35; before, the name is an attribute.
EVENT_NAMES = "event_name" in inspect.signature(logs_api.LogRecord.__init__).parameters


def _version() -> str:
    try:
        return metadata.version("otel-tracepoints")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "0.0.0"


_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SCOPE_VERSION = _version()
SCOPE = InstrumentationScope(semconv.SCOPE_NAME, SCOPE_VERSION, semconv.SCHEMA_URL)


class LogItem:
    """A log record in the shape that the OTLP encoders of every version read."""

    __slots__ = (
        "attributes",
        "body",
        "event_name",
        "observed_timestamp",
        "resource",
        "severity_number",
        "severity_text",
        "span_id",
        "timestamp",
        "trace_flags",
        "trace_id",
    )

    instrumentation_scope = SCOPE
    dropped_attributes = 0

    def __init__(
        self,
        name: str,
        body: str,
        level: str,
        attributes: Attributes,
        timestamp_ns: int,
        trace: Optional[TraceContext],
        resource: Any,
    ) -> None:
        self.event_name = name
        self.body = body
        self.severity_text = level
        self.severity_number = SeverityNumber(LEVELS.get(level, 9))
        self.attributes = attributes if EVENT_NAMES else {**attributes, semconv.EVENT_NAME_ATTRIBUTE: name}
        self.timestamp = timestamp_ns
        self.observed_timestamp = timestamp_ns
        self.trace_id = trace.trace_id if trace is not None else 0
        self.span_id = trace.span_id if trace is not None else 0
        self.trace_flags = TraceFlags(trace.trace_flags if trace is not None else 0)
        self.resource = resource

    @property
    def log_record(self) -> LogItem:
        """The record itself: up to 1.38 it is wrapped in LogData, since in ReadableLogRecord."""
        return self


def own_span(
    name: str,
    event: str,
    attributes: Attributes,
    timestamp_ns: int,
    parent: Optional[TraceContext],
    resource: Any,
) -> ReadableSpan:
    """A finished INTERNAL span of no length that carries one event; child of ``parent``."""
    trace_id = parent.trace_id if parent is not None else _random_id(16)
    context = SpanContext(trace_id, _random_id(8), is_remote=False, trace_flags=_SAMPLED)
    return ReadableSpan(
        name=name,
        context=context,
        parent=_span_context(parent),
        resource=resource,
        attributes={},
        events=(Event(event, attributes, timestamp_ns),),
        links=(),
        kind=SpanKind.INTERNAL,
        start_time=timestamp_ns,
        end_time=timestamp_ns,
        instrumentation_scope=SCOPE,
    )


def suppress_instrumentation() -> None:
    """Mark this thread so that no instrumentation traces what it does."""
    context = context_api.get_current()
    for name in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY"):
        key = getattr(context_api, name, None)
        if key is not None:
            context = context_api.set_value(key, True, context)
    # Before 1.35 the instrumentations looked for this name too.
    context_api.attach(context_api.set_value("suppress_instrumentation", True, context))


def protobuf_encoders() -> Dict[str, Encode]:
    """Signal → encoder into OTLP protobuf. Raises ImportError."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    return {
        "traces": lambda spans: bytes(encode_spans(spans).SerializeToString()),
        "logs": lambda records: bytes(encode_logs(records).SerializeToString()),
        "metrics": lambda data: bytes(encode_metrics(data[0]).SerializeToString()),
    }


def json_encoders() -> Dict[str, Encode]:
    """Signal → encoder into OTLP JSON. Raises ImportError (there is none before Python 3.10)."""
    from opentelemetry.exporter.otlp.json.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.json.common.metrics_encoder import encode_metrics
    from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans

    return {
        "traces": lambda spans: bytes(encode_spans(spans).to_json().encode()),
        "logs": lambda records: bytes(encode_logs(records).to_json().encode()),
        "metrics": lambda data: bytes(encode_metrics(data[0]).to_json().encode()),
    }


def protobuf_is_fast() -> bool:
    """Whether protobuf is compiled here; in pure Python (free-threaded builds) it is 36 times slower."""
    try:
        from google.protobuf.internal import api_implementation
    except ImportError:
        return False
    return bool(api_implementation.Type() != "python")


def application_meter_provider() -> Optional[Any]:
    """The application's MeterProvider, or None if it has none that somebody reads."""
    return _at_work(metrics_api.get_meter_provider(), "_metric_readers", "_sdk_config.metric_readers")


def application_logger() -> Optional[Any]:
    """A logger of the application's LoggerProvider, or None if it has none that anything leaves."""
    provider = _at_work(logs_api.get_logger_provider(), "_multi_log_record_processor._log_record_processors")
    if provider is None:
        return None
    return provider.get_logger(semconv.SCOPE_NAME, SCOPE_VERSION, schema_url=semconv.SCHEMA_URL)


def application_spans_leave() -> bool:
    """False if the application's TracerProvider has nobody to give its spans to."""
    provider = trace_api.get_tracer_provider()
    known = type(provider).__name__ == "TracerProvider"
    return not known or _at_work(provider, "_active_span_processor._span_processors") is not None


def _at_work(provider: Any, *outlets: str) -> Optional[Any]:
    """The provider, or None where all that it is given is lost.

    The SDK's configurator sets a provider for each signal, also where its exporter is ``none``:
    that one has an empty list at one of the paths in ``outlets``.
    """
    if type(provider).__name__.lstrip("_").startswith(("Proxy", "NoOp")):
        return None
    for path in outlets:
        try:
            found = attrgetter(path)(provider)
        except AttributeError:  # another version's, or no SDK's at all
            continue
        return provider if len(found) else None
    return provider


def emit_log(logger: Any, item: LogItem) -> None:
    """Hand the record to a logger of the application, in the way that its version wants."""
    common: Dict[str, Any] = {
        "timestamp": item.timestamp,
        "observed_timestamp": item.observed_timestamp,
        "severity_number": item.severity_number,
        "severity_text": item.severity_text,
        "body": item.body,
        "attributes": item.attributes,
    }
    context = _context(item)
    if "body" in inspect.signature(logger.emit).parameters:
        logger.emit(context=context, event_name=item.event_name, **common)
        return
    from opentelemetry.sdk._logs import LogRecord

    parameters: Mapping[str, Any] = inspect.signature(LogRecord.__init__).parameters
    if "event_name" in parameters:
        common.update(context=context, event_name=item.event_name)
    else:
        common.update(trace_id=item.trace_id, span_id=item.span_id, trace_flags=item.trace_flags)
    if "resource" in parameters:
        common["resource"] = getattr(logger, "resource", None) or item.resource
    logger.emit(LogRecord(**common))


def emit_span(
    name: str, event: str, attributes: Attributes, timestamp_ns: int, parent: Optional[TraceContext]
) -> bool:
    """The same span as `own_span`, through the application's provider; False if it records nothing."""
    tracer = trace_api.get_tracer(semconv.SCOPE_NAME, SCOPE_VERSION, schema_url=semconv.SCHEMA_URL)
    context = context_api.Context()
    if parent is not None:
        # Said to be sampled, because a hit is wanted even where its request was not.
        context = trace_api.set_span_in_context(NonRecordingSpan(_span_context(parent)), context)
    span = tracer.start_span(name, context=context, kind=SpanKind.INTERNAL, start_time=timestamp_ns)
    if not span.is_recording():
        return False
    span.add_event(event, attributes, timestamp_ns)
    span.end(timestamp_ns)
    return True


def _context(item: LogItem) -> Any:
    context = context_api.Context()
    if not item.trace_id:
        return context
    span = SpanContext(item.trace_id, item.span_id, is_remote=False, trace_flags=item.trace_flags)
    return trace_api.set_span_in_context(NonRecordingSpan(span), context)


def _span_context(trace: Optional[TraceContext]) -> Optional[SpanContext]:
    if trace is None:
        return None
    return SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED)


def _random_id(size: int) -> int:
    # Not the random module: its state is the application's, which may have seeded it.
    return int.from_bytes(os.urandom(size), "big") or 1


def load_context() -> None:
    """Have OpenTelemetry load its context implementation now, so that no hit has to."""
    context_api.get_current()
