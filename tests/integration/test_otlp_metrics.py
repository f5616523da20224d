"""Self metrics: to the sink by ourselves, or through the application's MeterProvider, each in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.otlp_receiver import OtlpReceiver

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import json, time
from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter
from tests.support.snapshots import logpoint, ordinals, tracepoint

running = Emitter(Settings.load(), lambda text: text)
running.attach_counters(lambda: {("tracepoint", "emitted"): 3, ("logpoint", "conditionFalse"): 5}, lambda: 2)
"""


def run(url, body, interval=100):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    environ.update(DEBUGIN_EVENT_SINK_URL=url, OTEL_METRIC_EXPORT_INTERVAL=str(interval))
    script = PRELUDE + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environ,
        timeout=40,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_metrics_come_at_the_interval_of_the_environment():
    """OTEL_METRIC_EXPORT_INTERVAL holds, and every metric has its name, unit and attributes."""
    with OtlpReceiver("http") as sink:
        run(sink.url, """
            running.start()
            for _ in range(3):
                running.submit(tracepoint(), ordinals())
                running.observe(0.002)
            time.sleep(0.6)
            running.stop()
        """)  # fmt: skip
        assert len([request for request in sink.requests if request.signal == "metrics"]) >= 3
        last = {metric["name"]: metric for metric in sink.metrics()}
    assert {name: metric["unit"] for name, metric in last.items()} == {
        "otel_tracepoints.hits": "{hit}",
        "otel_tracepoints.active": "{probe}",
        "otel_tracepoints.capture.duration": "s",
        "otel_tracepoints.queue.size": "{hit}",
        "otel_tracepoints.queue.dropped": "{hit}",
    }
    assert {
        tuple(sorted(p["attributes"].items())): p["value"] for p in last["otel_tracepoints.hits"]["points"]
    } == {
        (("outcome", "emitted"), ("probe.type", "tracepoint")): 3,
        (("outcome", "conditionFalse"), ("probe.type", "logpoint")): 5,
    }
    assert last["otel_tracepoints.active"]["points"][0]["value"] == 2
    assert last["otel_tracepoints.capture.duration"]["points"][0]["value"] == 3
    assert last["otel_tracepoints.hits"]["scope"]["name"] == "otel_tracepoints"


def test_a_short_process_sends_its_metrics_at_the_end():
    """Metrics that no interval has sent yet are sent by stop."""
    with OtlpReceiver("http") as sink:
        run(sink.url, "running.start(); running.submit(tracepoint(), ordinals()); running.stop()", 60_000)
        assert {metric["name"] for metric in sink.metrics()} >= {"otel_tracepoints.hits"}


def test_a_sink_without_metrics_is_left_alone():
    """A sink that answers 404 to metrics is asked once, and nothing else suffers."""
    with OtlpReceiver("http") as sink:
        sink.refuse(404, signals=("metrics",))
        run(sink.url, """
            running.start()
            running.submit(tracepoint(), ordinals())
            time.sleep(0.5)
            running.submit(tracepoint(), ordinals())
            running.stop()
            status = running.status()
            assert (status["sent"], status["lastError"], status["connected"]) == (2, None, True), status
        """)  # fmt: skip
        assert len([request for request in sink.requests if request.signal == "metrics"]) == 1


def test_the_meter_provider_of_the_application_is_used_where_there_is_one():
    """With a MeterProvider set, before or after the agent's start, metrics go there and not to the sink."""
    with OtlpReceiver("http") as sink:
        run(sink.url, """
            from opentelemetry import metrics
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import InMemoryMetricReader
            running.start()
            reader = InMemoryMetricReader()
            metrics.set_meter_provider(MeterProvider([reader]))
            running.submit(tracepoint(), ordinals())
            running.observe(0.002)
            assert running.flush(10)
            time.sleep(0.4)

            def names():
                data = reader.get_metrics_data()
                scopes = [s for r in (data.resource_metrics if data else []) for s in r.scope_metrics]
                return {m.name for s in scopes for m in s.metrics if m.data.data_points}

            assert names() == {
                "otel_tracepoints.hits", "otel_tracepoints.active", "otel_tracepoints.capture.duration",
                "otel_tracepoints.queue.size", "otel_tracepoints.queue.dropped",
            }, names()
            running.stop()
            reader.get_metrics_data()
            again = Emitter(Settings.load(), lambda text: text)
            again.attach_counters(lambda: {("logpoint", "emitted"): 9}, lambda: 1)
            again.start()
            data = reader.get_metrics_data()
            points = [p for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
                      if m.name == "otel_tracepoints.hits" for p in m.data.data_points]
            assert ({"probe.type": "logpoint", "outcome": "emitted"}, 9) in [(dict(p.attributes), p.value) for p in points]
            again.stop()
        """)  # fmt: skip
        assert sink.metrics() == []
