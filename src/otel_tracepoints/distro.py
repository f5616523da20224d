"""OpenTelemetry's distro and configurator: thin, because only one of each is used in a process.

They send the application's own spans where the hits go, so that a snapshot is seen inside its
request's trace. What makes the agent run is `otel_tracepoints.instrumentor`, which OpenTelemetry
loads whichever distro it chose.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
from typing import Any, Dict, Tuple
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_tracepoints import allowance, config
from otel_tracepoints.config import Settings
from otel_tracepoints.version import NAME, VERSION

_LOGGER = logging.getLogger("otel_tracepoints")

EXPORTER = "OTEL_TRACES_EXPORTER"

#: Between two exports of spans; the SDK's 5 s are long for somebody who waits for a snapshot on one.
SCHEDULE_DELAY_MS = "1000"


class TracepointsDistro(BaseDistro):
    """Sets defaults for what the user left unset; never raises."""

    def _configure(self, **_: Any) -> None:
        try:
            config.set_defaults(defaults())
            config.append_resource_attributes(
                {"telemetry.distro.name": NAME, "telemetry.distro.version": VERSION}
            )
        except Exception:
            _LOGGER.exception("The distro's defaults could not be set")


class TracepointsConfigurator(_OTelSDKConfigurator):
    """The SDK's own configuration, with spans that leave as the hits do; never raises."""

    def _configure(self, **kwargs: Any) -> None:
        try:
            if not config.has_sdk_file():
                kwargs["resource_attributes"] = {
                    **_resource_attributes(),
                    **kwargs.get("resource_attributes", {}),
                }
            if not spans_go_to_sink():
                super()._configure(**kwargs)
                return
            with config.replaced(EXPORTER, "none"):
                super()._configure(**kwargs)
            _send_spans()
        except Exception:
            _LOGGER.exception("OpenTelemetry's SDK could not be configured")


def defaults() -> Dict[str, str]:
    """Exporters and endpoint for the application's own telemetry.

    Spans go to the event sink. Metrics and logs stay off unless asked for: the usual sink
    (Jaeger) takes traces only, and would answer each of them with an error. Where the user has
    set up OTLP it is as with OpenTelemetry's own distro.
    """
    settings, _ = Settings.load_leniently()
    if _users_own(settings):
        chosen = dict.fromkeys((EXPORTER, "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "otlp")
        over_grpc = _importable("opentelemetry.exporter.otlp.proto.grpc")
        chosen["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc" if over_grpc else "http/protobuf"
        return chosen
    off = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    if settings.event_sink_url == config.NO_SINK:
        return {**off, EXPORTER: "none"}
    return {**off, **_to_sink(settings), "OTEL_BSP_SCHEDULE_DELAY": SCHEDULE_DELAY_MS}


def spans_go_to_sink() -> bool:
    """Whether what is set now for spans is what our defaults would be."""
    settings, _ = Settings.load_leniently()
    if settings.event_sink_url == config.NO_SINK or _users_own(settings) or config.has_sdk_file():
        return False
    wanted = _to_sink(settings)
    return wanted == {name: config.given(name).get(name) for name in wanted}


def _users_own(settings: Settings) -> Dict[str, str]:
    """What the user set up for OTLP; not what a parent process of ours has set and we inherit."""
    ours = {} if settings.event_sink_url == config.NO_SINK else _to_sink(settings)
    found = config.given("OTEL_EXPORTER_OTLP_")
    return {name: value for name, value in found.items() if ours.get(name) != value}


def _to_sink(settings: Settings) -> Dict[str, str]:
    """What makes the SDK's exporters send spans to the event sink, as well as they can.

    Our own configurator does it better (`_send_spans`); another distribution's has only this.
    """
    exporter, protocol, endpoint = _exporter(settings.event_sink_protocol, settings.event_sink_url)
    chosen = {EXPORTER: exporter, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}
    if protocol:
        chosen["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = protocol
    if settings.event_sink_headers:
        pairs = (f"{name}={value}" for name, value in settings.event_sink_headers.items())
        chosen["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] = ",".join(pairs)
    if settings.event_sink_certificate is not None:
        chosen["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] = settings.event_sink_certificate
    return chosen


def _exporter(protocol: str, url: str) -> Tuple[str, str, str]:
    """Which exporter of the SDK, its protocol, and the endpoint in the form that it wants."""
    parts = urlsplit(url)
    over_http = protocol.startswith("http") or (
        protocol == "auto" and (parts.port == 4318 or parts.path not in ("", "/"))
    )
    if not over_http and _importable("opentelemetry.exporter.otlp.proto.grpc"):
        return "otlp_proto_grpc", "grpc", url
    endpoint = url.rstrip("/") + "/v1/traces"
    wants_json = protocol == "http/json" or not _importable("grpc")
    if wants_json and _importable("opentelemetry.exporter.otlp.json.http"):
        return "otlp_json_http", "", endpoint
    return "otlp_proto_http", "http/protobuf", endpoint


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _resource_attributes() -> Dict[str, Any]:
    """Host, process and runtime, where the user says nothing of them."""
    from otel_tracepoints.emission.resource import environment_attributes, missing_attributes

    return missing_attributes(environment_attributes())


def _send_spans() -> None:
    """Have the application's provider send to the event sink."""
    provider: Any = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        return  # the application has a provider of its own already
    # Here, not above: what fails in it is told by the caller.
    from otel_tracepoints.emission.span_export import SinkSpanExporter

    settings, _ = Settings.load_leniently()
    exporter = SinkSpanExporter(settings)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    handler = getattr(provider, "_atexit_handler", None)
    if handler is not None:
        atexit.unregister(handler)
        provider._atexit_handler = None

    def shut_down(seconds: float) -> None:
        exporter.hurry(seconds)
        provider.shutdown()

    allowance.at_exit(shut_down)
    atexit.register(allowance.flush_others)
