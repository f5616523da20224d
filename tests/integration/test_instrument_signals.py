"""Under ``opentelemetry-instrument`` the SDK has a provider for each signal, exported or not."""

from __future__ import annotations

from tests.support.instrumented import LaunchApp
from tests.support.live import ok
from tests.support.otlp_receiver import OtlpReceiver


def test_metrics_about_the_agent_reach_the_sink(launch: LaunchApp) -> None:
    """The agent sends its own metrics where the SDK was set up without any exporter for metrics."""
    with OtlpReceiver("http") as sink:
        app = launch(sink.url, {"OTEL_METRIC_EXPORT_INTERVAL": "200"})
        app.wait_for_api()
        ok(app.api.post("/tracepoints", {"file": "app.py", "line": 7}))
        app.say("21")
        app.wait_for_line("answer 42")

        def emitted() -> float:
            points = [
                point
                for metric in sink.metrics()
                if metric["name"] == "otel_tracepoints.hits"
                for point in metric["points"]
                if point["attributes"] == {"probe.type": "tracepoint", "outcome": "emitted"}
            ]
            return points[-1]["value"] if points else 0

        sink.wait_for(lambda: emitted() == 1)


def test_logpoints_are_span_events_without_a_sink_and_without_an_exporter_for_logs(launch: LaunchApp) -> None:
    """With the sink ``none`` a log provider that the SDK set up without an exporter is not one to use."""
    with OtlpReceiver("http") as receiver:
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        app = launch("none", environment)
        app.wait_for_api()
        ok(app.api.post("/logpoints", {"file": "app.py", "line": 7, "message": "double={double}"}))
        app.say("21")
        app.wait_for_line("answer 42")
        receiver.wait_for(lambda: receiver.events("probe.hit.logpoint"))
        (event,) = receiver.events("probe.hit.logpoint")
        assert event["attributes"]["probe.message"] == "double=42"
