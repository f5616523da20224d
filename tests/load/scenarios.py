"""What is asked of the agent at once, and what it must still do meanwhile."""

from __future__ import annotations

import contextlib
import pathlib
import time
from typing import List, NamedTuple

from tests.load.crowd import line_of
from tests.load.figures import Figures, Sampler, resident_mib, share_of, switched_off, timed
from tests.load.processes import Clients, nothing_else, own_sink, service, sink_url
from tests.support.api_client import ApiClient
from tests.support.live import WIDE_OPEN, ok
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.processes import Process

#: What is promised of a health check and of the operator's switch, in milliseconds.
HEALTH_MS, SWITCH_MS = 50.0, 100.0
#: MiB that a process may grow by while nothing but traffic happens.
GROWTH_MIB = 16.0
#: Seconds before memory is looked at: caches and pools fill up first.
WARM_UP = 10.0
#: The last part of the time, in which all probes are switched off and on again and again.
SWITCHING = 0.25
#: Events that our sink keeps without a file.
SINK_EVENTS = 10_000


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
    with own_sink() as (sink, sink_pid), nothing_else() as bare, service(scene.folder, sink_url(sink)) as app:
        points = set_points(app)
        app.say(f"traffic {scene.rate / len(points)} {seconds}")
        memory = Sampler(lambda: resident_mib(app.process.pid), 1.0)
        sink_memory = Sampler(lambda: resident_mib(sink_pid), 1.0)
        health = Sampler(lambda: timed(app.api, "GET", "/health"), 0.1)
        switch = Sampler(lambda: switched_off(app.api), 0.5)
        beside = Sampler(lambda: timed(bare, "GET", "/"), 0.1)
        with contextlib.ExitStack() as stack:
            crowds = {
                manner: stack.enter_context(Clients(app, seconds - 2, manner))
                for manner in ("mixed", "polls", "follow", "slow")
            }
            for sampler in (memory, sink_memory, health, beside):
                stack.enter_context(sampler)
            time.sleep(seconds * (1 - SWITCHING))
            figures.tell("hits a second", emitted_by(app, points) / seconds / (1 - SWITCHING), "/s")
            at_first = hits_in(sink)
            stack.enter_context(switch)
            calls, wrong = map(int, app.wait_for_line("calls", seconds + 60).split()[1:])
        figures.tell("calls of the application a second", calls / seconds, "/s")
        figures.tell("its wrong results", wrong, "", 0)
        account(figures, app, points)
        figures.tell("hits that the sink did not get", abs(emitted_by(app, points) - hits_in(sink)), "", 0)
        figures.tell("a server that does nothing, 95 %", share_of(beside.seen, 95), "ms")
        figures.latency("GET /health", health.seen, HEALTH_MS, beside.seen)
        figures.latency("POST /sleep", switch.seen, SWITCH_MS, beside.seen)
        figures.tell("errors of these two", len(health.errors) + len(switch.errors), "", 0)
        for manner, clients in crowds.items():
            clients.tell(figures, manner)
        figures.tell("hits that followers missed", crowds["follow"].found["missed"], "", 0)
        warm = min(int(WARM_UP), len(memory.seen) // 2)
        filled = int(len(sink_memory.seen) * (1 - SWITCHING))
        figures.tell("memory of the application", memory.seen[-1], "MiB")
        figures.tell("its growth", memory.seen[-1] - memory.seen[warm], "MiB", GROWTH_MIB)
        figures.tell("memory of the sink", sink_memory.seen[-1], "MiB")
        growth = sink_memory.seen[-1] - sink_memory.seen[filled]
        figures.tell("its growth", growth, "MiB", GROWTH_MIB if at_first > SINK_EVENTS else None)
        end(figures, app)


def receiver_agrees(scene: Scene) -> None:
    """As many hits again for ten seconds, into a receiver that is not ours: each arrives, and once."""
    figures, seconds = scene.figures, min(scene.seconds, 10.0)
    for protocol in ("http", "grpc"):
        with OtlpReceiver(protocol) as receiver, service(scene.folder, receiver.url) as app:
            points = set_points(app)
            app.say(f"traffic {scene.rate / len(points)} {seconds}")
            app.wait_for_line("calls", seconds + 30)
            figures.tell("hits a second", emitted_by(app, points) / seconds, "/s")
            account(figures, app, points)
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
    with OtlpReceiver("http") as receiver, nothing_else() as bare, service(scene.folder, receiver.url) as app:
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


def set_points(app: Process) -> List[str]:
    """A tracepoint and a logpoint on what the traffic runs through; their ids."""
    common = {"file": "service.py", "rateLimit": WIDE_OPEN}
    ok(app.api.post("/tracepoints", {**common, "id": "snapshot", "line": line_of("snapshot")}))
    message = "{number} of {customer.name}"
    ok(app.api.post("/logpoints", {**common, "id": "log", "line": line_of("log"), "message": message}))
    return ["snapshot", "log"]


def emitted_by(app: Process, points: List[str]) -> int:
    """Hits of these points so far."""
    return sum(ok(app.api.get(f"/points/{id}"))["hitCount"] for id in points)


def account(figures: Figures, app: Process, points: List[str]) -> None:
    """Every arrival was emitted, and every hit left."""
    deadline = time.monotonic() + 10
    while ok(app.api.get("/health"))["eventSink"]["queued"] and time.monotonic() < deadline:
        time.sleep(0.05)
    sums = ok(app.api.get("/health"))["eventSink"]
    counts = [ok(app.api.get(f"/points/{id}"))["counts"] for id in points]
    emitted = sum(each["emitted"] for each in counts)
    others = {name: n for each in counts for name, n in each.items() if n and name != "emitted"}
    figures.tell("arrivals that were not emitted", sum(others.values()), "", 0)
    if others:
        print(others)
    figures.tell("hits not sent", emitted - sums["sent"], "", 0)
    if sums["lastError"]:
        print(sums["lastError"])


def hits_in(sink: ApiClient) -> int:
    """Hits that our sink received: its events without the one that tells of the agent's start."""
    return int(ok(sink.get("/health"))["received"]["events"]) - 1


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


def end(figures: Figures, app: Process) -> None:
    """It ends as without us."""
    app.say("end")
    figures.tell("exit status", app.end(), "", 0)
