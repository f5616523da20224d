"""The systems that are compared. Each sets one probe on the workload, and verifies its hits."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any, ClassVar, Dict, List, Optional

from tests.benchmarks import workload
from tests.benchmarks.dap_client import LAST, FrontEnd

WIDE_OPEN = {"limitPerSecond": 1e9, "burst": 10**9}
SHUT = {"limitPerSecond": 1e-6, "burst": 1}
#: What a hit is called when it arrives.
HITS = (b"probe.hit.snapshot", b"probe.hit.logpoint")
#: Seconds until what was handed over has to have arrived.
CONSUMED = 60.0


class Plain:
    """No debugger at all."""

    name = "plain"
    #: The module that it cannot be without.
    needs = "sys"
    #: Figures that it has not, and why.
    cannot: ClassVar[Dict[str, str]] = {}
    #: By how much its calls are fewer where threads are compared, that it does not take minutes.
    fewer = 1

    def set(self, tag: str, condition: Optional[str], message: Optional[str], shut: bool) -> None:
        """One probe on a tagged line of the workload."""
        self.place(workload.__file__, workload.line_of(tag), condition, message, shut)

    def place(
        self, file: str, line: int, condition: Optional[str], message: Optional[str], shut: bool
    ) -> None:
        """Nothing to place."""

    def place_all(self, file: str, lines: List[int]) -> None:
        """A probe on each of the lines, as fast as it can be."""
        for line in lines:
            self.place(file, line, None, None, False)

    def unset(self) -> None:
        """Nothing to remove."""

    def hits(self) -> int:
        """Hits up to now."""
        return 0

    def arrived(self) -> int:
        """Hits that have reached whoever consumes them, after all on their way have."""
        return self.hits()

    def close(self) -> None:
        """Nothing to undo."""


class Ours(Plain):
    """otel-tracepoints, hits drained by its own threads into a sink that takes all."""

    name = "pytrace"
    needs = "otel_tracepoints"

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
        #: How many of the sink's requests were looked at, and the hits in them.
        self._requests = self._arrived = 0

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

    def arrived(self) -> int:
        """Events that the sink has taken, which is a server of this process."""
        expected, deadline = self.hits(), time.monotonic() + CONSUMED
        while self._arrived < expected and time.monotonic() < deadline:
            requests = self._sink.requests[self._requests :]
            self._requests += len(requests)
            # In protobuf the name of an event stands as it is: to decode it would take longer than all else.
            self._arrived += sum(request.body.count(name) for request in requests for name in HITS)
            time.sleep(0.02)
        return self._arrived

    def close(self) -> None:
        import otel_tracepoints

        otel_tracepoints.stop()
        self._sink.close()


class Native(Ours):
    """The same with the compiled engine."""

    name = "native"
    needs = "otel_tracepoints.engine._native"


class Datadog(Plain):
    """ddtrace's Dynamic Instrumentation, driven in process; its uploads go nowhere."""

    name = "ddtrace"
    needs = "ddtrace"
    fewer = 8

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


class Debugpy(Plain):
    """debugpy's logpoints, and its breakpoints whose condition never holds; the front end is another process."""

    name = "debugpy"
    needs = "debugpy"
    fewer = 8
    cannot: ClassVar[Dict[str, str]] = {
        "e rate-limited": "no rate limit",
        "f snapshot": "none without a stop",
        "scaling snapshot": "none without a stop",
    }

    def __init__(self) -> None:
        os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # it warns of modules that are frozen
        import debugpy  # noqa: T100 - it is what is measured

        debugpy.configure(subProcess=False)
        _, port = debugpy.listen(("127.0.0.1", 0))  # noqa: T100 - the same
        self._front_end = FrontEnd(port)
        self._set: Dict[str, List[Dict[str, Any]]] = {}
        self._last = ""

    def place(
        self, file: str, line: int, condition: Optional[str], message: Optional[str], shut: bool
    ) -> None:
        self._add(file, line, condition, message)
        self._send(file)

    def place_all(self, file: str, lines: List[int]) -> None:
        # One by one, with all others sent again each time, it would take minutes.
        for line in lines:
            self._add(file, line, None, None)
        self._send(file)

    def unset(self) -> None:
        """Remove the last breakpoint."""
        self._set[self._last].pop()
        self._send(self._last)

    def hits(self) -> int:
        """Lines that the front end was told, all that were on their way included."""
        self._set[__file__] = [{"line": _last.__code__.co_firstlineno + 1, "logMessage": LAST}]
        self._send(__file__)
        _last()
        told = int(self._front_end.call("told"))
        self._set[__file__] = []
        self._send(__file__)
        return told

    def close(self) -> None:
        self._front_end.close()

    def _add(self, file: str, line: int, condition: Optional[str], message: Optional[str]) -> None:
        # One that would stop if it were reached is a logpoint here: so it can be tried whether it is.
        point: Dict[str, Any] = {"line": line, "logMessage": message or "reached"}
        if condition is not None:
            point["condition"] = condition
        self._last = file
        self._set.setdefault(file, []).append(point)

    def _send(self, file: str) -> None:
        # The protocol knows all breakpoints of a file, not one.
        points = self._set[file]
        answer = self._front_end.call("setBreakpoints", source={"path": file}, breakpoints=points)
        if not all(each["verified"] for each in answer["breakpoints"]):
            raise SystemExit(f"debugpy does not take the breakpoint: {answer}")


def _last() -> bool:
    return True


SYSTEMS = {system.name: system for system in (Plain, Native, Ours, Datadog, Debugpy)}
