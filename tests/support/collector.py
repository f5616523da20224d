"""A real OpenTelemetry Collector in front of an `OtlpReceiver`, so that a test reads what came through it."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import time
from typing import Optional, Sequence

from tests.support.otlp_receiver import OtlpReceiver, closed_port

#: The variable that names the program; any distribution of the Collector will do.
VARIABLE = "OTEL_COLLECTOR"
#: The Collector to test against, if one is named; read before tests take such variables away.
PROGRAM: Optional[str] = os.environ.get(VARIABLE) or None


class Collector:
    """Takes OTLP by gRPC and HTTP and passes these signals on to ``behind``; refuses the others.

    Attributes:
        grpc_url: Where it takes OTLP/gRPC.
        http_url: Where it takes OTLP/HTTP.
        behind: What came through.
    """

    def __init__(
        self, program: str, folder: pathlib.Path, signals: Sequence[str] = ("traces", "logs", "metrics")
    ) -> None:
        self.behind = OtlpReceiver("http")
        grpc, http = closed_port(), closed_port()
        self.grpc_url, self.http_url = f"http://127.0.0.1:{grpc}", f"http://127.0.0.1:{http}"
        exporter = _http_exporter(program)
        lines = [
            "receivers:",
            "  otlp:",
            "    protocols:",
            f"      grpc: {{endpoint: '127.0.0.1:{grpc}'}}",
            f"      http: {{endpoint: '127.0.0.1:{http}'}}",
            "exporters:",
            f"  {exporter}: {{endpoint: '{self.behind.url}'}}",
            "service:",
            "  telemetry: {metrics: {level: none}}",
            "  pipelines:",
            *(f"    {name}: {{receivers: [otlp], exporters: [{exporter}]}}" for name in signals),
        ]
        config = folder / "collector.yaml"
        config.write_text("\n".join(lines) + "\n", "utf-8")
        self._log = folder / "collector.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "--config", str(config)], stdout=output, stderr=subprocess.STDOUT
            )
        try:
            for port in (grpc, http):
                self._wait_for(port)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.behind.close()

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(self._log.read_text("utf-8", "replace")) from None
                time.sleep(0.05)
            else:
                return


def _http_exporter(program: str) -> str:
    # Renamed from otlphttp to otlp_http in 2026; each distribution knows one or both.
    said = subprocess.run(
        [program, "components"], stdout=subprocess.PIPE, check=True, encoding="utf-8"
    ).stdout
    return "otlp_http" if re.search(r"\botlp_http\b", said) else "otlphttp"
