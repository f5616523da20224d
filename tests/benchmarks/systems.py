"""The systems that are compared. Each sets one probe on the workload, and verifies its hits."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any, Dict, List, Optional

from tests.benchmarks import workload

WIDE_OPEN = {"limitPerSecond": 1e9, "burst": 10**9}
SHUT = {"limitPerSecond": 1e-6, "burst": 1}


class Plain:
    """No debugger at all."""

    name = "plain"

    def set(self, tag: str, condition: Optional[str], message: Optional[str], shut: bool) -> None:
        """One probe on a tagged line of the workload."""
        self.place(workload.__file__, workload.line_of(tag), condition, message, shut)

    def place(
        self, file: str, line: int, condition: Optional[str], message: Optional[str], shut: bool
    ) -> None:
        """Nothing to place."""

    def unset(self) -> None:
        """Nothing to remove."""

    def hits(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to undo."""


class Ours(Plain):
    """otel-tracepoints, hits drained by its own threads into a sink that takes all."""

    name = "pytrace"

    def __init__(self) -> None:
        import otel_tracepoints
        from tests.support.otlp_receiver import OtlpReceiver

        logging.getLogger("otel_tracepoints").setLevel(logging.ERROR)
        self._sink = OtlpReceiver("http")
        settings = otel_tracepoints.Settings(
            control_api_port=0,
            engine=self.name,
            event_sink_url=self._sink.url,
            max_overhead_percent=100,
            queue_size=1_000_000,
        )
        self._agent = otel_tracepoints.start(settings=settings)
        self._id = ""

    def place(
        self, file: str, line: int, condition: Optional[str], message: Optional[str], shut: bool
    ) -> None:
        fields: Dict[str, Any] = {"condition": condition, "rate_limit": SHUT if shut else WIDE_OPEN}
        if message is None:
            fields["snapshot"] = {"maxFrames": 15}
            self._id = self._agent.set_tracepoint(file, line, **fields)
        else:
            self._id = self._agent.set_logpoint(file, line, message, **fields)

    def unset(self) -> None:
        """Remove the last probe."""
        self._agent.remove(self._id)

    def hits(self) -> int:
        return int(next(p["hitCount"] for p in self._agent.points() if p["id"] == self._id))

    def close(self) -> None:
        import otel_tracepoints

        otel_tracepoints.stop()
        self._sink.close()


class Native(Ours):
    """The same with the compiled engine."""

    name = "native"


class Datadog(Plain):
    """ddtrace's Dynamic Instrumentation, driven in process; its uploads go nowhere."""

    name = "ddtrace"

    def __init__(self) -> None:
        os.environ.update(
            {
                "DD_TRACE_ENABLED": "false",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
                "DD_DYNAMIC_INSTRUMENTATION_METRICS_ENABLED": "false",
            }
        )
        logging.getLogger("ddtrace").setLevel(logging.CRITICAL)
        from ddtrace.debugging._config import di_config
        from ddtrace.debugging._debugger import Debugger
        from ddtrace.debugging._probe.remoteconfig import ProbePollerEvent, build_probe

        di_config.global_rate_limit = 1e9
        Debugger.enable()
        self._debugger = Debugger._instance
        self._events, self._build = ProbePollerEvent, build_probe
        self._probes: List[Any] = []
        self._signals = 0
        self._over = threading.Event()
        collector = self._debugger.__uploader__.get_collector()
        push = collector.push

        def counting(signal: Any) -> Any:
            self._signals += 1
            return push(signal)

        collector.push = counting
        # There is no agent to upload to: another thread empties the queues, as the uploader would.
        queues = list(collector._tracks.values())

        def drain() -> None:
            while not self._over.wait(0.005):
                for queue in queues:
                    queue.flush()

        threading.Thread(target=drain, daemon=True).start()

    def place(
        self, file: str, line: int, condition: Optional[str], message: Optional[str], shut: bool
    ) -> None:
        conditions = {
            "qty > 100": {"gt": [{"ref": "qty"}, 100]},
            "total < 0": {"lt": [{"ref": "total"}, 0]},
            "user.status == 'active' and len(items) > 5": {
                "and": [
                    {"eq": [{"getmember": [{"ref": "user"}, "status"]}, "active"]},
                    {"gt": [{"len": {"ref": "items"}}, 5]},
                ]
            },
        }
        probe: Dict[str, Any] = {
            "id": f"p{len(self._probes)}",
            "version": 1,
            "type": "LOG_PROBE",
            "language": "python",
            "where": {"sourceFile": file, "lines": [str(line)]},
            "tags": [],
            "template": "",
            "segments": [],
            "captureSnapshot": message is None,
            "capture": {
                "maxReferenceDepth": 3,
                "maxCollectionSize": 100,
                "maxLength": 1024,
                "maxFieldCount": 100,
            },
            "sampling": {"snapshotsPerSecond": 1e-6 if shut else 1e9},
        }
        if condition is not None:
            probe["when"] = {"dsl": condition, "json": conditions[condition]}
        if message is not None:
            probe["template"] = message
            probe["segments"] = [
                {"str": "qty="},
                {"dsl": "qty", "json": {"ref": "qty"}},
                {"str": " total="},
                {"dsl": "total", "json": {"ref": "total"}},
            ]
        self._probes.append(self._build(probe))
        self._debugger._on_configuration(self._events.NEW_PROBES, self._probes[-1:])

    def unset(self) -> None:
        """Remove the last probe."""
        self._debugger._on_configuration(self._events.DELETED_PROBES, self._probes[-1:])

    def hits(self) -> int:
        """Signals that reached the collector, those of false conditions included."""
        return self._signals

    def close(self) -> None:
        self._over.set()
        type(self._debugger).disable()


SYSTEMS = {system.name: system for system in (Plain, Native, Ours, Datadog)}
