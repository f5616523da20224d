"""What is asked of the agent at once, and what it must still do meanwhile."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, NamedTuple

from tests.load.crowd import SERVICE, line_of
from tests.load.figures import Figures, Sampler, resident_mib, share_of, switched_off, timed
from tests.support.api_client import ApiClient
from tests.support.live import WIDE_OPEN, ok
from tests.support.otlp_receiver import OtlpReceiver, closed_port
from tests.support.processes import Process, instrument_command

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: What is promised of a health check and of the operator's switch, in milliseconds.
HEALTH_MS, SWITCH_MS = 50.0, 100.0
#: MiB that a process may grow by while nothing but traffic happens.
GROWTH_MIB = 16.0
#: Seconds before memory is looked at: caches and pools fill up first.
WARM_UP = 10.0


class Scene(NamedTuple):
    """What a scenario gets."""

    figures: Figures
    folder: pathlib.Path
    seconds: float
    points: int
    rate: float


def everything_at_once(scene: Scene) -> None:
    """Hits for a minute, into our sink, while pollers wait and a hundred clients and slow ones ask."""
    figures, seconds = scene.figures, scene.seconds
    with own_sink() as (sink, sink_pid), nothing_else() as bare, service(scene, sink_url(sink)) as app:
        points = set_points(app)
        app.say(f"traffic {scene.rate / len(points)} {seconds}")
        memory = Sampler(lambda: resident_mib(app.process.pid), 1.0)
        sink_memory = Sampler(lambda: resident_mib(sink_pid), 1.0)
        health = Sampler(lambda: timed(app.api, "GET", "/health"), 0.1)
        switch = Sampler(lambda: switched_off(app.api), 5.0)
        beside = Sampler(lambda: timed(bare, "GET", "/"), 0.1)
        with contextlib.ExitStack() as stack:
            crowds = {
                manner: stack.enter_context(Clients(app, seconds - 2, manner))
                for manner in ("mixed", "polls", "follow", "slow")
            }
            for sampler in (memory, sink_memory, health, switch, beside):
                stack.enter_context(sampler)
            calls, wrong = map(int, app.wait_for_line("calls", seconds + 30).split()[1:])
        figures.tell("calls of the application a second", calls / seconds, "/s")
        figures.tell("its wrong results", wrong, "", 0)
        account(figures, app, points, seconds)
        report = ok(sink.get("/health"))
        emitted = sum(ok(app.api.get(f"/points/{id}"))["hitCount"] for id in points)
        figures.tell("hits that the sink did not get", abs(emitted - hits_in(sink, report)), "", 0)
        figures.tell("a server that does nothing, 95 %", share_of(beside.seen, 95), "ms")
        figures.latency("GET /health", health.seen, HEALTH_MS, beside.seen)
        figures.latency("POST /sleep", switch.seen, SWITCH_MS, beside.seen)
        figures.tell("errors of these two", len(health.errors) + len(switch.errors), "", 0)
        for manner, clients in crowds.items():
            clients.tell(figures, manner)
        figures.tell("hits that followers missed", crowds["follow"].found["missed"], "", 0)
        warm = min(int(WARM_UP), len(memory.seen) // 2)
        half = len(sink_memory.seen) // 2  # its memory holds 10 000 events, which come first
        figures.tell("memory of the application", memory.seen[-1], "MiB")
        figures.tell("its growth", memory.seen[-1] - memory.seen[warm], "MiB", GROWTH_MIB)
        figures.tell("memory of the sink", sink_memory.seen[-1], "MiB")
        figures.tell("its growth", sink_memory.seen[-1] - sink_memory.seen[half], "MiB", GROWTH_MIB)
        end(figures, app)


def receiver_agrees(scene: Scene) -> None:
    """As many hits again for ten seconds, into a receiver that is not ours: each arrives, and once."""
    figures, seconds = scene.figures, min(scene.seconds, 10.0)
    for protocol in ("http", "grpc"):
        with OtlpReceiver(protocol) as receiver, service(scene, receiver.url) as app:
            points = set_points(app)
            app.say(f"traffic {scene.rate / len(points)} {seconds}")
            app.wait_for_line("calls", seconds + 30)
            account(figures, app, points, seconds)
            for id in points:
                emitted = ok(app.api.get(f"/points/{id}"))["hitCount"]
                counts = sorted(
                    event["attributes"]["probe.hit.count"]
                    for event in receiver.events()
                    if event["attributes"].get("probe.id") == id and event["name"].startswith("probe.hit.")
                )
                same = counts == list(range(1, emitted + 1))
                figures.tell(f"{id}: hits lost or doubled over {protocol}", not same, "", 0)
            end(figures, app)


def many_points(scene: Scene) -> None:
    """A hundred clients set thousands of points at once; then all of them are listed, switched, removed."""
    figures, count = scene.figures, scene.points
    program = scene.folder / "many.py"
    program.write_text(
        "".join(f"def f{n}(n):\n" + "    n += 1\n" * 8 + "    return n\n" for n in range(-(-count // 10)))
    )
    with OtlpReceiver("http") as receiver, nothing_else() as bare, service(scene, receiver.url) as app:
        app.say(f"many {program}")
        app.wait_for_line("many")
        before = resident_mib(app.process.pid)
        health = Sampler(lambda: timed(app.api, "GET", "/health"), 0.1)
        switch = Sampler(lambda: timed(app.api, "POST", "/sleep"), 0.5)
        beside = Sampler(lambda: timed(bare, "GET", "/"), 0.1)
        stalls(app)
        begin = time.monotonic()
        with health, beside, Clients(app, 0, "create", str(program), str(count), patience=1800) as creating:
            pass
        figures.tell(f"{count} points set by 100 clients", time.monotonic() - begin, "s")
        creating.tell(figures, "create")
        figures.tell("the application's longest stall meanwhile", 1000 * stalls(app), "ms")
        figures.latency("GET /health while they are set", health.seen, HEALTH_MS, beside.seen)
        with Clients(app, 12, "polls") as waiting:
            time.sleep(1.0)
            figures.tell("points listed", timed_list(app.api, count), "s")
            figures.tell("the application's longest stall meanwhile", 1000 * stalls(app), "ms")
            listed = Sampler(lambda: timed_list(app.api, count), 0.0)
            health = Sampler(lambda: timed(app.api, "GET", "/health"), 0.1)
            beside = Sampler(lambda: timed(bare, "GET", "/"), 0.1)
            with listed, health, switch, beside:
                time.sleep(5.0)
            figures.latency("GET /health while they are listed", health.seen, HEALTH_MS, beside.seen)
            figures.latency("POST /sleep with all of them", switch.seen, SWITCH_MS, beside.seen)
            errors = health.errors + listed.errors + switch.errors
            figures.tell("errors of these", len(errors), "", 0)
            print(*errors[:3], sep="\n", end="\n" if errors else "")
        waiting.tell(figures, "polls")
        patient = ApiClient(f"http://127.0.0.1:{app.port}", timeout=900)
        figures.tell("all awake again", timed(patient, "POST", "/wake"), "s")
        figures.tell("memory for a point", 1024 * (resident_mib(app.process.pid) - before) / count, "KiB")
        figures.tell("all removed", timed(patient, "DELETE", "/points?all=true"), "s")
        figures.tell("points left", len(ok(app.api.get("/points"))["points"]), "", 0)
        figures.tell("the application's longest stall meanwhile", 1000 * stalls(app), "ms")
        audited = {
            log["attributes"].get("probe.id") for log in receiver.logs() if log["event_name"] == "probe.audit"
        }
        figures.tell("creations without an audit record", count - len(audited - {None}), "", 0)
        end(figures, app)


@contextlib.contextmanager
def own_sink() -> Iterator[Any]:
    """``otel-tracepoints sink`` as a process: its client, and its process id."""
    port = closed_port()
    code = "from otel_tracepoints.cli.sink import command; command()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--port", str(port)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            client = ApiClient(f"http://127.0.0.1:{port}")
            until_answered(client)
            yield client, process.pid
        finally:
            process.terminate()


def sink_url(sink: ApiClient) -> str:
    """Where it takes OTLP."""
    return f"http://{sink.host}:{sink.port}"


NOTHING = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""


@contextlib.contextmanager
def nothing_else() -> Iterator[ApiClient]:
    """A server in a process of its own that does nothing: how long an answer takes on this machine now."""
    port = closed_port()
    with subprocess.Popen([sys.executable, "-c", NOTHING.replace("PORT", str(port))]) as process:
        try:
            client = ApiClient(f"http://127.0.0.1:{port}")
            until_answered(client)
            yield client
        finally:
            process.terminate()


@contextlib.contextmanager
def service(scene: Scene, sink_url: str) -> Iterator[Process]:
    """The application, under the agent."""
    environment = {
        "OTEL_PYTHON_DISTRO": "otel_tracepoints",
        "OTEL_PYTHON_CONFIGURATOR": "otel_tracepoints",
        # The share of CPU time that hits may take would hold them back, which is not the question here.
        "DEBUGIN_MAX_OVERHEAD_PERCENT": "100",
    }
    app = Process(instrument_command(sys.executable, str(SERVICE)), scene.folder, environment, sink_url)
    try:
        app.wait_for_line("the service is up")
        app.wait_for_api()
        yield app
    finally:
        app.kill()


class Clients:
    """A crowd in a process of its own. At the end of the block it has said what it found."""

    def __init__(
        self, app: Process, seconds: float, manner: str, *more: str, patience: float = 120.0
    ) -> None:
        url = f"http://127.0.0.1:{app.port}"
        self._command = [sys.executable, "-m", "tests.load.crowd", url, str(seconds), manner, *more]
        self._patience = seconds + patience
        self.found: Dict[str, Any] = {}

    def __enter__(self) -> Clients:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.PIPE, universal_newlines=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            said = self._process.communicate(timeout=self._patience)[0]
            self.found = json.loads(said)
        finally:
            self._process.kill()

    def tell(self, figures: Figures, manner: str) -> None:
        """How many requests there were, and that none failed."""
        figures.tell(f"requests of the clients ({manner})", self.found["requests"])
        figures.tell(f"errors of the clients ({manner})", self.found["wrong"], "", 0)
        if self.found["first"]:
            print(*self.found["first"], sep="\n")


def set_points(app: Process) -> List[str]:
    """A tracepoint and a logpoint on what the traffic runs through; their ids."""
    common = {"file": "service.py", "rateLimit": WIDE_OPEN}
    ok(app.api.post("/tracepoints", {**common, "id": "snapshot", "line": line_of("snapshot")}))
    message = "{number} of {customer.name}"
    ok(app.api.post("/logpoints", {**common, "id": "log", "line": line_of("log"), "message": message}))
    return ["snapshot", "log"]


def account(figures: Figures, app: Process, points: List[str], seconds: float) -> None:
    """Every arrival was emitted, and every hit left."""
    deadline = time.monotonic() + 10
    while ok(app.api.get("/health"))["eventSink"]["queued"] and time.monotonic() < deadline:
        time.sleep(0.05)
    sums = ok(app.api.get("/health"))["eventSink"]
    counts = [ok(app.api.get(f"/points/{id}"))["counts"] for id in points]
    emitted = sum(each["emitted"] for each in counts)
    figures.tell("hits a second", emitted / seconds, "/s")
    others = {name: n for each in counts for name, n in each.items() if n and name != "emitted"}
    figures.tell("arrivals that were not emitted", sum(others.values()), "", 0)
    if others:
        print(others)
    figures.tell("hits not sent", emitted - sums["sent"], "", 0)
    if sums["lastError"]:
        print(sums["lastError"])


def hits_in(sink: ApiClient, health: Dict[str, Any]) -> int:
    """Hits that our sink received: its events without those that tell of the agent itself."""
    others = ok(sink.get("/api/events?name=agent.status.started"))["total"]
    # The start may have been pushed out of its memory by now; it was received all the same.
    return int(health["received"]["events"]) - max(1, others)


def stalls(app: Process) -> float:
    """The longest time since the last question in which no thread of the application ran."""
    app.output.clear()
    app.say("stalls")
    return float(app.wait_for_line("longest").split()[1])


def timed_list(api: ApiClient, count: int) -> float:
    """Seconds of a list of all points."""
    begin = time.perf_counter()
    assert len(ok(api.get("/points"))["points"]) == count
    return time.perf_counter() - begin


def until_answered(client: ApiClient) -> None:
    """Wait until a server is up."""
    deadline = time.monotonic() + 20
    while True:
        try:
            client.get("/")
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def end(figures: Figures, app: Process) -> None:
    """It ends as without us."""
    app.say("end")
    figures.tell("exit status", app.end(), "", 0)
