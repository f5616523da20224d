"""OpenTelemetry's distro and configurator: thin, because only one of each is used in a process.

They send the application's own spans where the hits go, so that a snapshot is seen inside its
request's trace. What makes the agent run is `otel_tracepoints.instrumentor`, which OpenTelemetry
loads whichever distro it chose.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
import threading
from typing import Any, Dict, Tuple
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

from otel_tracepoints import config
from otel_tracepoints.version import NAME, VERSION

_LOGGER = logging.getLogger("otel_tracepoints")

#: Seconds that the exit of the process may wait for the application's own last spans, when
#: they go where our defaults send them. The SDK alone waits up to 30 s, or without bound.
EXIT_TIMEOUT = 2.0

SPANS_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


class _Chosen:
    """Whether this process's spans go where our defaults send them."""

    sink = False


class TracepointsDistro(BaseDistro):
    """Sets defaults for what the user left unset; never raises."""

    def _configure(self, **_: Any) -> None:
        try:
            chosen = defaults()
            _Chosen.sink = SPANS_ENDPOINT in chosen
            config.set_defaults(chosen)
            config.append_resource_attributes(
                {"telemetry.distro.name": NAME, "telemetry.distro.version": VERSION}
            )
        except Exception:
            _LOGGER.exception("The distro's defaults could not be set")


class TracepointsConfigurator(_OTelSDKConfigurator):
    """The SDK's own configuration, with an exit that a dead sink cannot hold up; never raises."""

    def _configure(self, **kwargs: Any) -> None:
        try:
            super()._configure(**kwargs)
            if _Chosen.sink:
                _bound_exit(trace.get_tracer_provider())
        except Exception:
            _LOGGER.exception("OpenTelemetry's SDK could not be configured")


def defaults() -> Dict[str, str]:
    """Exporters and endpoint for the application's own spans: the event sink, and nothing else.

    Metrics and logs of the application stay off unless asked for: the usual sink (Jaeger) takes
    traces only, and would answer each of them with an error.
    """
    settings, _ = config.Settings.load_leniently()
    url = settings.event_sink_url
    chosen = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    if config.is_set("OTEL_EXPORTER_OTLP_"):
        return {}  # the user has an OTLP back end: the SDK's own defaults stand
    if url == config.NO_SINK:
        return {**chosen, "OTEL_TRACES_EXPORTER": "none"}
    exporter, endpoint = _exporter(settings.event_sink_protocol, url)
    chosen.update({"OTEL_TRACES_EXPORTER": exporter, SPANS_ENDPOINT: endpoint})
    if settings.event_sink_headers:
        pairs = (f"{name}={value}" for name, value in settings.event_sink_headers.items())
        chosen["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] = ",".join(pairs)
    if settings.event_sink_certificate is not None:
        chosen["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] = settings.event_sink_certificate
    return chosen


def _exporter(protocol: str, url: str) -> Tuple[str, str]:
    """Which exporter of the SDK to use, and the endpoint in the form that it wants."""
    parts = urlsplit(url)
    over_http = protocol.startswith("http") or (
        protocol == "auto" and (parts.port == 4318 or parts.path not in ("", "/"))
    )
    if not over_http and _importable("opentelemetry.exporter.otlp.proto.grpc"):
        return "otlp_proto_grpc", url
    endpoint = url.rstrip("/") + "/v1/traces"
    wants_json = protocol == "http/json" or not _importable("grpc")
    if wants_json and _importable("opentelemetry.exporter.otlp.json.http"):
        return "otlp_json_http", endpoint
    return "otlp_proto_http", endpoint


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _bound_exit(provider: Any) -> None:
    """Give the provider's own shutdown at exit a time limit.

    The thread is started now: at exit 3.12.0 and 3.12.1 cannot start one.
    """
    handler = getattr(provider, "_atexit_handler", None)
    if handler is None:
        return
    atexit.unregister(handler)
    provider._atexit_handler = None
    wanted, done = threading.Event(), threading.Event()

    def shut_down() -> None:
        wanted.wait()
        try:
            provider.shutdown()
        finally:
            done.set()

    threading.Thread(target=shut_down, name="otel-tracepoints-exit", daemon=True).start()

    def at_exit() -> None:
        wanted.set()
        done.wait(EXIT_TIMEOUT)

    atexit.register(at_exit)
