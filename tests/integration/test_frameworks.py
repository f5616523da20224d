"""Applications that know nothing of the agent, on the frameworks that people use, each in a process of its own.

Started by ``opentelemetry-instrument`` alone; probes are set while it serves, and every hit must
stand in the trace of the request that caused it.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import sys
import textwrap
import time
import urllib.error
import urllib.request
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import pytest
from tests.support.framework_programs import DJANGO, FASTAPI, FLASK
from tests.support.live import ok
from tests.support.otlp_receiver import OtlpReceiver, closed_port
from tests.support.processes import Process, instrument_command

SERVER_SPAN = 2


class Served(NamedTuple):
    """A served application: its process, its sink, its folder, where it answers."""

    process: Process
    sink: OtlpReceiver
    folder: pathlib.Path
    port: int

    def get(self, path: str, trace_id: str = "") -> Any:
        """One request as part of this trace; the JSON of the answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if trace_id:
            request.add_header("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return json.load(answer)

    def wait_until_served(self, path: str) -> None:
        """Wait until the application answers."""
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get(path)
            except urllib.error.URLError:
                gone = self.process.process.poll() is not None
                if gone or time.monotonic() > deadline:
                    raise AssertionError("".join(self.process.output)) from None
                time.sleep(0.05)
            else:
                return

    def set(self, kind: str, file: str, tag: str, **fields: Any) -> Dict[str, Any]:
        """Set a probe on the line with this tag."""
        lines = (self.folder / file).read_text("utf-8").splitlines()
        line = next(number for number, text in enumerate(lines, 1) if text.endswith(f"# TAG: {tag}"))
        point: Dict[str, Any] = ok(self.process.api.post(f"/{kind}s", {"file": file, "line": line, **fields}))
        assert point["state"] == "active", point
        return point

    def hits(self, name: str, count: int) -> List[Dict[str, Any]]:
        """The events of this name, once there are so many in the sink."""
        found: List[Dict[str, Any]] = self.sink.wait_for(
            lambda: len(self.sink.events(name)) >= count and self.sink.events(name)
        )
        assert len(found) == count
        return found


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: pathlib.Path) -> Iterator[Serve]:
    """Writes files and starts a command over them under opentelemetry-instrument."""
    started: List[Served] = []

    def start(files: Dict[str, str], *command: str, ready: str) -> Served:
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source), "utf-8")
        port = closed_port()
        sink = OtlpReceiver("http")
        environment = {
            "OTEL_PYTHON_DISTRO": "otel_tracepoints",
            "OTEL_PYTHON_CONFIGURATOR": "otel_tracepoints",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "DEBUGIN_EVENT_SINK_PROTOCOL": "http/protobuf",
            # OpenTelemetry's instrumentation reads Django's settings before any program runs.
            "DJANGO_SETTINGS_MODULE": "config",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "DEBUGIN_MAX_PAUSE_MS": "200",  # not what is looked at here, and the machine may be busy
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        arguments = [part.format(port=port) for part in command]
        process = Process(instrument_command(sys.executable, *arguments), tmp_path, environment, sink.url)
        served = Served(process, sink, tmp_path, port)
        started.append(served)
        process.wait_for_api()
        served.wait_until_served(ready)
        return served

    yield start
    for each in started:
        each.process.kill()
        each.sink.close()


def test_flask(serve: Serve) -> None:
    """A view of ``__main__`` and a method below it: variables, condition and message inside the request's trace."""
    pytest.importorskip("opentelemetry.instrumentation.flask")
    served = serve(FLASK, "app.py", "{port}", ready="/basket/warm/up")
    snapshot = served.set("tracepoint", "app.py", "filled", condition="count == 2", watch=["basket.total"])
    served.set("logpoint", "app.py", "added", message="{self.owner} has {item.price} of {item.sku!r}")
    traces = [f"{number:032x}" for number in (0xA1, 0xA2, 0xA3)]
    assert [served.get(f"/basket/bob/tea{trace[-1]}", trace)["count"] for trace in traces] == [1, 2, 3]

    logs = served.hits("probe.hit.logpoint", 3)
    assert [log["trace_id"] for log in logs] == traces
    assert [log["body"] for log in logs] == [f"bob has 9.50 of 'tea{number}'" for number in (1, 2, 3)]
    (hit,) = served.hits("probe.hit.snapshot", 1)
    span, attributes = hit["span"], hit["attributes"]
    assert (span["trace_id"], span["kind"]) == (traces[1], SERVER_SPAN)
    assert span["name"] == "GET /basket/<owner>/<sku>"
    assert logs[1]["span_id"] == span["span_id"]
    assert attributes["code.function.name"] == "__main__.fill"
    assert attributes["probe.variable.count"] == "2"
    basket = json.loads(attributes["probe.variable.basket"])
    assert (basket["owner"], basket["api_key"]) == ("bob", "[REDACTED]")
    assert [item["sku"] for item in basket["items"]] == ["tea1", "tea2"]
    assert "UNSAFE_ATTRIBUTE" in attributes["probe.watch.0"]
    assert span["resource"]["service.name"] == logs[0]["resource"]["service.name"] == "shop"

    assert served.process.api.delete(f"/points/{snapshot['id']}").status == 204
    assert ok(served.process.api.delete("/points", {"all": "true"})) == {"removed": 1}
    assert served.get("/basket/eve/tea")["count"] == 1
    assert ok(served.process.api.get("/points"))["points"] == []
    assert len(ok(served.process.api.get("/hits"))["hits"]) == 4


def test_django(serve: Serve) -> None:
    """A view with the ORM and an async one: a row is read as it is loaded, and a lazy query is not run."""
    pytest.importorskip("django")
    pytest.importorskip("opentelemetry.instrumentation.django")
    served = serve(DJANGO, "manage.py", "runserver", "--noreload", "{port}", ready="/later/warm")
    served.set("tracepoint", "polls/views.py", "voted", condition="row.votes > 1", watch=["row.name"])
    served.set("logpoint", "polls/views.py", "voted", message="{row.name}: {row.votes} {request.method}")
    served.set("logpoint", "polls/views.py", "awaited", message="later {choice}")
    traces = [f"{number:032x}" for number in (0xB1, 0xB2, 0xB3)]
    assert served.get("/vote/yes", traces[0]) == {"votes": 1}
    assert served.get("/vote/yes", traces[1]) == {"votes": 2}
    assert served.get("/later/no", traces[2]) == {"choice": "no"}

    logs = served.hits("probe.hit.logpoint", 3)
    assert [log["body"] for log in logs] == ["yes: 1 GET", "yes: 2 GET", "later no"]
    assert [log["trace_id"] for log in logs] == traces
    (hit,) = served.hits("probe.hit.snapshot", 1)
    assert (hit["span"]["trace_id"], hit["span"]["kind"]) == (traces[1], SERVER_SPAN)
    assert hit["attributes"]["code.function.name"] == "polls.views.vote"
    assert hit["attributes"]["probe.watch.0"] == '"yes"'
    assert '"_result_cache": null' in hit["attributes"]["probe.variable.others"]


def test_fastapi(serve: Serve) -> None:
    """Coroutines of three requests at once: each hit has its own locals, task and trace; and a pool's thread."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    pytest.importorskip("opentelemetry.instrumentation.fastapi")
    served = serve(FASTAPI, "-m", "uvicorn", "main:app", "--port", "{port}", ready="/ready")
    served.set("tracepoint", "main.py", "met")
    served.set("logpoint", "main.py", "halved", message="{n}/2={result}")
    traces = {name: f"{number:032x}" for number, name in enumerate(("ann", "ben", "cat"), 0xC1)}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda name: served.get(f"/meet/{name}", traces[name]), traces))
    assert [answer["name"] for answer in answers] == ["ANN", "BEN", "CAT"]
    assert served.get("/half/9", f"{0xC9:032x}") == {"half": 4}

    hits = served.hits("probe.hit.snapshot", 3)
    seen = {json.loads(hit["attributes"]["probe.variable.name"]): hit for hit in hits}
    assert {name: hit["span"]["trace_id"] for name, hit in seen.items()} == traces
    assert len({hit["attributes"]["asyncio.task.name"] for hit in hits}) == 3
    assert {hit["span"]["name"] for hit in hits} == {"GET /meet/{name}"}
    (log,) = served.hits("probe.hit.logpoint", 1)
    assert (log["body"], log["trace_id"]) == ("9/2=4", f"{0xC9:032x}")
