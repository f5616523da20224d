"""Every event, attribute and metric name that leaves the process, in one place.

``code.*``, ``thread.*``, ``exception.*``, ``client.*``, ``server.*`` and ``http.*`` are
OpenTelemetry's semantic conventions (the stable names where there are any); ``probe.*`` is ours.
The names are constants here because the semantic-conventions package exists only as a
pre-release and other distributions pin it exactly.
"""

from __future__ import annotations

from typing import Final

SCOPE_NAME: Final = "otel_tracepoints"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.34.0"

# Events.
EVENT_SNAPSHOT: Final = "probe.hit.snapshot"
EVENT_LOGPOINT: Final = "probe.hit.logpoint"
EVENT_ERROR_CONDITION: Final = "probe.error.condition"
EVENT_ERROR_SNAPSHOT: Final = "probe.error.snapshot"
EVENT_ERROR_RATE_LIMIT: Final = "probe.error.rateLimit"
EVENT_STARTED: Final = "agent.status.started"
EVENT_STOPPED: Final = "agent.status.stopped"
EVENT_AUDIT: Final = "probe.audit"
#: Where log records have no event_name of their own (OpenTelemetry before 1.35).
EVENT_NAME_ATTRIBUTE: Final = "event.name"

# Hits and errors.
PROBE_ID: Final = "probe.id"
PROBE_TYPE: Final = "probe.type"
PROBE_TAGS: Final = "probe.tags"
PROBE_CONDITION: Final = "probe.condition"
PROBE_HIT_COUNT: Final = "probe.hit.count"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_STACKTRACE: Final = "code.stacktrace"
THREAD_ID: Final = "thread.id"
THREAD_NAME: Final = "thread.name"
ASYNCIO_TASK_NAME: Final = "asyncio.task.name"
PROBE_ARGUMENTS: Final = "probe.arguments"
PROBE_VARIABLE_PREFIX: Final = "probe.variable."
PROBE_WATCH_PREFIX: Final = "probe.watch."
PROBE_WATCH_EXPRESSION_SUFFIX: Final = ".expression"
PROBE_VARIABLES_OMITTED: Final = "probe.variables.omitted"
PROBE_MESSAGE_TEMPLATE: Final = "probe.message.template"
PROBE_FIELD_PREFIX: Final = "probe.field."
PROBE_MESSAGE: Final = "probe.message"
PROBE_TRUNCATED: Final = "probe.truncated"
PROBE_DROPPED_COUNT: Final = "probe.dropped.count"
#: Hits a second that the probe may emit, on `probe.error.rateLimit`.
PROBE_RATE_LIMIT: Final = "probe.rate_limit"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

# Audit.
PROBE_AUDIT_ACTION: Final = "probe.audit.action"
PROBE_AUDIT_OUTCOME: Final = "probe.audit.outcome"
PROBE_AUDIT_COUNT: Final = "probe.audit.count"
CLIENT_ADDRESS: Final = "client.address"

# Agent.
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
PROBE_ENGINE: Final = "probe.engine"
PROBE_ENGINE_MECHANISM: Final = "probe.engine.mechanism"
PROBE_AGENT_TAGS: Final = "probe.agent.tags"
PROBE_AGENT_UPTIME: Final = "probe.agent.uptime"
PROBE_AGENT_PROBES: Final = "probe.agent.probes"
PROBE_AGENT_EVENTS: Final = "probe.agent.events"
PROBE_AGENT_FEATURES: Final = "probe.agent.features"

# The control API's SERVER spans.
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_QUERY: Final = "url.query"
URL_SCHEME: Final = "url.scheme"
ERROR_TYPE: Final = "error.type"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
USER_AGENT_ORIGINAL: Final = "user_agent.original"

# Self metrics.
METRIC_HITS: Final = "otel_tracepoints.hits"
METRIC_CAPTURE_DURATION: Final = "otel_tracepoints.capture.duration"
METRIC_ACTIVE: Final = "otel_tracepoints.active"
METRIC_QUEUE_SIZE: Final = "otel_tracepoints.queue.size"
METRIC_QUEUE_DROPPED: Final = "otel_tracepoints.queue.dropped"
OUTCOME: Final = "outcome"

# Keys inside the JSON text of a captured value. "__tpd_" is what DebugIn clients know.
JSON_TYPE: Final = "__tpd_type__"
JSON_REPR: Final = "__repr__"
JSON_ITEMS: Final = "__tpd_items__"
JSON_SIZE: Final = "__tpd_size__"
JSON_BITS: Final = "__tpd_bits__"
JSON_TRUNCATED: Final = "__tpd_truncated__"
JSON_CIRCULAR: Final = "__tpd_circular__"
JSON_UNBOUND: Final = "__tpd_unbound__"
JSON_MESSAGE: Final = "message"
REDACTED: Final = "[REDACTED]"
