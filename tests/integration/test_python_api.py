"""The Python API, sentence by sentence, against a running agent."""

from __future__ import annotations

import inspect
import logging
import pathlib
import socket
import threading
import time
import types
from typing import Any, Callable, Dict, Iterator, List

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import WIDE_OPEN, Live, TargetMaker, ok
from tests.support.otlp_receiver import OtlpReceiver, closed_port

import otel_tracepoints
from otel_tracepoints import Agent, CaptureLimits, Probe, ProbeType, RateLimit, Settings

WORK = """
def work(n):
    return n + 1  # TAG: work
"""


@pytest.fixture(autouse=True)
def _stopped_afterwards() -> Iterator[None]:
    yield
    otel_tracepoints.stop()


def client_of(agent: Agent) -> ApiClient:
    address = agent.control_api_address
    assert address is not None
    return ApiClient(f"http://127.0.0.1:{address[1]}")


# -- The surface -------------------------------------------------------------------------------


def test_the_exported_surface_is_exactly_all() -> None:
    """What the package shows is what ``__all__`` names, and each of it can be had."""
    shown = {
        name
        for name, value in vars(otel_tracepoints).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert shown - set(otel_tracepoints.__all__) == set()
    assert set(dir(otel_tracepoints)) == set(otel_tracepoints.__all__)
    assert all(hasattr(otel_tracepoints, name) for name in otel_tracepoints.__all__)
    assert not hasattr(otel_tracepoints, "nothing")


def test_the_signature_of_start() -> None:
    """``start`` takes these arguments, with these defaults, in this order."""
    parameters = inspect.signature(otel_tracepoints.start).parameters
    defaults = {name: each.default for name, each in parameters.items()}
    assert list(defaults.items())[:4] == [
        ("tracepoint_data_redaction_callback", None),
        ("log_data_redaction_callback", None),
        ("enable_control_api", True),
        ("control_api_port", 5001),
    ]
    assert defaults["enable_control_api"] is True
    keyword_only = [name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY]
    assert keyword_only == ["control_api_host", "event_sink_url", "engine", "start_state", "settings"]
    assert all(defaults[name] is None for name in keyword_only)
    with pytest.raises(TypeError):
        otel_tracepoints.start(no_such_argument=1)  # type: ignore[call-arg]


# -- Start and stop ----------------------------------------------------------------------------


def test_start_twice_returns_the_running_agent(caplog: pytest.LogCaptureFixture) -> None:
    """A second start changes nothing, and says so when the arguments differ."""
    first = otel_tracepoints.start(event_sink_url="none", control_api_port=0)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "otel_tracepoints"):
        assert otel_tracepoints.start(event_sink_url="none", control_api_port=0) is first
        assert caplog.records == []
        assert (
            otel_tracepoints.start(event_sink_url="none", control_api_port=0, start_state="sleeping") is first
        )
    assert "runs already" in caplog.text
    assert otel_tracepoints.status()["state"] == "awake"


def test_probes_do_not_outlive_stop(target: TargetMaker) -> None:
    """After stop nothing fires, nothing can be set, the port is closed; a new start begins with nothing."""
    program = target(WORK)
    code = program.work.__code__
    agent = otel_tracepoints.start(event_sink_url="none", control_api_port=0)
    address = agent.control_api_address
    assert address is not None
    agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    otel_tracepoints.stop()
    otel_tracepoints.stop()
    assert program.work.__code__ is code
    assert program.work(1) == 2
    assert agent.points() == []
    assert otel_tracepoints.status() == agent.status() == {"status": "stopped"}
    with pytest.raises(otel_tracepoints.TracepointsError, match="stopped"):
        agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    with pytest.raises(OSError):
        socket.create_connection(address, 2).close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")] == []
    again = otel_tracepoints.start(event_sink_url="none", control_api_port=address[1])
    assert again is not agent
    assert again.control_api_address == address
    assert again.points() == []


def test_sleep_and_wake_without_an_agent_are_errors() -> None:
    """There is nothing to switch off, and that is said; stop and status are always fine."""
    for switch in (otel_tracepoints.sleep, otel_tracepoints.wake):
        with pytest.raises(otel_tracepoints.TracepointsError, match="start"):
            switch()
    otel_tracepoints.stop()
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_start_and_stop_from_any_thread_in_any_order(target: TargetMaker) -> None:
    """Many threads that start, stop and ask while hits are on their way harm nothing."""
    program = target(WORK)
    file, line = str(program.path), program.line("work")
    program.work(0)
    done = threading.Event()
    failures: List[BaseException] = []

    def guarded(body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not done.is_set():
                    body()
            except BaseException as error:
                failures.append(error)

        return run

    def start_and_set() -> None:
        agent = otel_tracepoints.start(event_sink_url="none", enable_control_api=False)
        try:
            agent.set_logpoint(file, line, "{n}", rate_limit=WIDE_OPEN)
        except otel_tracepoints.TracepointsError as error:
            assert "stopped" in str(error)

    def hit() -> None:
        assert program.work(1) == 2

    bodies = [start_and_set, start_and_set, otel_tracepoints.stop, hit, hit]
    bodies.append(lambda: bool(otel_tracepoints.status()))
    threads = [threading.Thread(target=guarded(body)) for body in bodies]
    for thread in threads:
        thread.start()
    done.wait(1.0)
    done.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []
    otel_tracepoints.stop()
    assert program.work(1) == 2
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")] == []


def test_a_failed_start_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """Whatever it fails at, no thread, port or tool id is left, and the next start works."""
    wrong = [
        Settings(control_api_port=0, control_api_token_file=str(tmp_path / "missing"), event_sink_url="none"),
        Settings(event_sink_url="https://127.0.0.1:1", event_sink_certificate=str(tmp_path / "missing")),
        Settings(control_api_port=0, redact_patterns=("(",)),
    ]
    for settings in wrong * 3:
        with pytest.raises(otel_tracepoints.ConfigError):
            otel_tracepoints.start(settings=settings)
    assert otel_tracepoints.status() == {"status": "stopped"}
    assert [t.name for t in threading.enumerate() if t.name.startswith("otel-tracepoints")] == []
    otel_tracepoints.start(event_sink_url="none", control_api_port=0)
    assert otel_tracepoints.status()["engine"]["mechanism"] in ("monitoring", "injection")


# -- Settings ----------------------------------------------------------------------------------


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument that equals the default is given all the same, and wins."""
    port = closed_port()
    monkeypatch.setenv("DEBUGIN_CONTROL_API_ENABLED", "0")
    monkeypatch.setenv("DEBUGIN_START_STATE", "sleeping")
    monkeypatch.setenv("DEBUGIN_EVENT_SINK_URL", f"http://127.0.0.1:{closed_port()}")
    agent = otel_tracepoints.start(
        None, None, True, port, control_api_host="127.0.0.1", event_sink_url="none", start_state="awake"
    )
    assert agent.control_api_address == ("127.0.0.1", port)
    status = otel_tracepoints.status()
    assert (status["state"], status["eventSink"]["url"]) == ("awake", "none")


def test_the_environment_wins_over_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not given by argument comes from the environment."""
    for name, value in {
        "DEBUGIN_CONTROL_API_ENABLED": "0",
        "DEBUGIN_START_STATE": "sleeping",
        "DEBUGIN_EVENT_SINK_URL": "none",
        "DEBUGIN_AGENT_TAGS": "blue, canary",
        "TRACEPOINTDEBUG_ENGINE": "pytrace",
        "DEBUGIN_BROKER_URL": "wss://broker.example:443",
    }.items():
        monkeypatch.setenv(name, value)
    agent = otel_tracepoints.start()
    assert agent.control_api_address is None
    status = otel_tracepoints.status()
    assert status["state"] == "sleeping"
    assert status["tags"] == ["blue", "canary"]
    assert status["engine"]["reason"].startswith("pytrace: as asked")
    assert status["broker"]["connected"] is False
    assert "not supported yet" in " ".join(status["problems"])


def test_settings_take_the_environments_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``settings`` the environment is not asked; an argument still wins."""
    monkeypatch.setenv("DEBUGIN_START_STATE", "sleeping")
    monkeypatch.setenv("DEBUGIN_QUEUE_SIZE", "not a number")
    settings = Settings(event_sink_url="none", control_api_port=0, agent_tags=("a",))
    agent = otel_tracepoints.start(enable_control_api=False, settings=settings)
    assert agent.control_api_address is None
    assert otel_tracepoints.status()["state"] == "awake"
    assert otel_tracepoints.status()["tags"] == ["a"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"control_api_port": 65536}, "DEBUGIN_CONTROL_API_PORT"),
        ({"control_api_port": True}, "control_api_port"),
        ({"control_api_port": 5001.5}, "control_api_port"),
        ({"event_sink_url": "localhost:4317"}, "DEBUGIN_EVENT_SINK_URL"),
        ({"event_sink_url": "http://localhost:port"}, "DEBUGIN_EVENT_SINK_URL"),
        ({"event_sink_url": ""}, "DEBUGIN_EVENT_SINK_URL"),
        ({"engine": "rust"}, "TRACEPOINTDEBUG_ENGINE"),
        ({"start_state": "dozing"}, "DEBUGIN_START_STATE"),
        ({"control_api_host": 7}, "DEBUGIN_CONTROL_API_HOST"),
        ({"control_api_host": "no such host.invalid"}, "DEBUGIN_CONTROL_API_HOST"),
        ({"enable_control_api": "perhaps"}, "DEBUGIN_CONTROL_API_ENABLED"),
        ({"tracepoint_data_redaction_callback": 7}, "tracepoint_data_redaction_callback"),
        ({"log_data_redaction_callback": "x"}, "log_data_redaction_callback"),
        ({"settings": Settings(queue_size=0)}, "DEBUGIN_QUEUE_SIZE"),
        ({"settings": Settings(max_pause_ms=-1)}, "DEBUGIN_MAX_PAUSE_MS"),
        ({"settings": Settings(redact_patterns=("(",))}, "DEBUGIN_REDACT_PATTERNS"),
        ({"settings": Settings(redact_names=(1,))}, "DEBUGIN_REDACT_NAMES"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_value_is_a_config_error_that_names_it(arguments: Dict[str, Any], named: str) -> None:
    """``start`` refuses what cannot be used, and says which setting and what is allowed."""
    with pytest.raises(otel_tracepoints.ConfigError) as caught:
        otel_tracepoints.start(**{"control_api_port": 0, **arguments})
    assert named in str(caught.value)
    assert caught.value.code == "INVALID_CONFIG"
    assert caught.value.details["allowed"]
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_a_bad_variable_is_a_config_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that cannot be used is refused too, unless an argument takes its place."""
    monkeypatch.setenv("DEBUGIN_CONTROL_API_PORT", "many")
    monkeypatch.setenv("DEBUGIN_EVENT_SINK_URL", "none")
    with pytest.raises(otel_tracepoints.ConfigError, match="DEBUGIN_CONTROL_API_PORT.*0 to 65535"):
        otel_tracepoints.start()
    assert otel_tracepoints.start(control_api_port=0).control_api_address is not None


def test_the_native_engine_says_what_to_do() -> None:
    """Asking for the compiled engine where there is none is refused with the way out."""
    with pytest.raises(otel_tracepoints.EngineUnavailable, match="auto or pytrace") as caught:
        otel_tracepoints.start(engine="native", event_sink_url="none")
    assert caught.value.code == "ENGINE_UNAVAILABLE"
    assert otel_tracepoints.status() == {"status": "stopped"}


def test_unknown_variables_are_named_in_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All slips of the pen under DEBUGIN_ stand in one warning; a .env file is not read."""
    monkeypatch.setenv("DEBUGIN_CONTROL_PORT", "1")
    monkeypatch.setenv("DEBUGIN_SINK", "")
    monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DEBUGIN_PURE_PYTHON", "1")
    with caplog.at_level(logging.WARNING, "otel_tracepoints"):
        otel_tracepoints.start(event_sink_url="none", enable_control_api=False)
    (record,) = caplog.records
    assert "DEBUGIN_CONTROL_PORT, DEBUGIN_SINK" in record.getMessage()
    assert "DEBUGIN_CONTROL_API_URL" not in record.getMessage()


def test_a_taken_port_is_never_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Another free port is taken instead, which log and start event name."""
    with socket.socket() as taken, OtlpReceiver("http") as sink:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        agent = otel_tracepoints.start(control_api_port=port, event_sink_url=sink.url)
        address = agent.control_api_address
        assert address is not None and address[1] not in (0, port)
        assert str(port) in caplog.text and str(address[1]) in caplog.text
        (started,) = sink.wait_for(lambda: sink.events("agent.status.started"))
        assert started["attributes"]["server.port"] == address[1]
        assert started["attributes"]["server.address"] == "127.0.0.1"


def test_agent_tags_are_on_health_and_on_the_agents_events(live_with: Callable[..., Live]) -> None:
    """DEBUGIN_AGENT_TAGS are told with the start, the stop and the health."""
    live = live_with(agent_tags=("blue", "canary"))
    assert ok(live.api.get("/health"))["tags"] == ["blue", "canary"]
    otel_tracepoints.stop()
    for name in ("agent.status.started", "agent.status.stopped"):
        (event,) = live.logs(name)
        assert event["attributes"]["probe.agent.tags"] == ["blue", "canary"]


# -- Probes ------------------------------------------------------------------------------------


def test_probes_by_every_way(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """A Probe, a mapping and snake_case keywords make the same point as the API does."""
    live = live_with()
    agent, program = live.agent, target(WORK)
    file, line = str(program.path), program.line("work")
    common = {"condition": "n > 1", "tags": ["a"], "max_hits": 3, "expire_seconds": None, "enabled": False}
    limits = {"maxDepth": 2, "maxProperties": 3, "maxStringLength": 4, "maxFrames": 5}
    ids = [
        agent.set_tracepoint(
            file, line, rate_limit={"limitPerSecond": 5}, snapshot=limits, watch=["n"], **common
        ),
        agent.add(
            Probe(
                file,
                line,
                condition="n > 1",
                tags=("a",),
                max_hits=3,
                expire_seconds=None,
                enabled=False,
                rate_limit=RateLimit(5.0, 1),
                snapshot=CaptureLimits(2, 3, 4, 5),
                watch=("n",),
            )
        ),
        agent.add(
            {
                "type": "tracepoint",
                "file": file,
                "line": line,
                "condition": "n > 1",
                "tags": ["a"],
                "maxHits": 3,
                "expireSeconds": None,
                "enabled": False,
                "rateLimit": {"limitPerSecond": 5},
                "snapshot": limits,
                "watch": ["n"],
            }
        ),
    ]
    points = [{**ok(live.api.get(f"/points/{id}")), "id": "", "created": ""} for id in ids]
    assert points[0] == points[1] == points[2]
    assert points[0]["rateLimit"] == {"limitPerSecond": 5, "burst": 1}
    assert agent.points() == ok(live.api.get("/points"))["points"]


def test_logpoints_by_every_way(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """A Probe with a message is a logpoint; a Path is a file; ids may be chosen."""
    live = live_with()
    agent, program = live.agent, target(WORK)
    line = program.line("work")
    first = agent.set_logpoint(str(program.path), line, "n={n}", level="WARN", id="chosen")
    second = agent.add(Probe(file=str(program.path), line=line, message="n={n}", level="WARN"))
    third = agent.set_logpoint(program.path, line, "n={n}", level="WARN")
    fourth = agent.add(
        Probe(
            id="p", type=ProbeType.LOGPOINT, file=str(program.path), line=line, message="n={n}", level="WARN"
        )
    )
    assert (first, fourth) == ("chosen", "p")
    shown = [
        {**ok(live.api.get(f"/points/{id}")), "id": "", "created": ""}
        for id in (first, second, third, fourth)
    ]
    assert shown[0] == shown[1] == shown[2] == shown[3]
    assert (shown[0]["type"], shown[0]["level"]) == ("logpoint", "WARN")
    assert program.work(1) == 2
    assert [hit["message"] for hit in live.hits()] == ["n=1"] * 4


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/tracepoints", {"maxHit": 3}, "UnknownField"),
        ("/tracepoints", {"message": "x"}, "UnknownField"),
        ("/tracepoints", {"rateLimit": {"limit_per_second": 5}}, "UnknownField"),
        ("/tracepoints", {"snapshot": {"maxDepth": 11}}, "InvalidField"),
        ("/tracepoints", {"line": 0}, "InvalidLine"),
        ("/tracepoints", {"line": 999}, "LineNotExecutable"),
        ("/tracepoints", {"line": "2"}, "InvalidField"),
        ("/tracepoints", {"file": "no/such/file.py"}, "FileNotFound"),
        ("/tracepoints", {"condition": "n = 1"}, "InvalidCondition"),
        ("/tracepoints", {"watch": ["("]}, "InvalidWatch"),
        ("/tracepoints", {"id": "taken"}, "DuplicateId"),
        ("/tracepoints", {"type": "logpoint"}, "InvalidField"),
        ("/logpoints", {"message": "{"}, "InvalidMessage"),
        ("/logpoints", {"message": "x", "snapshot": {}}, "UnknownField"),
        ("/logpoints", {"message": "x", "level": "warn"}, "InvalidField"),
        ("/tracepoints", {"file": threading.__file__, "line": 1}, "ForbiddenFile"),
    ],
)
def test_errors_are_the_apis(
    live_with: Callable[..., Live], target: TargetMaker, path: str, body: Dict[str, Any], error: str
) -> None:
    """Each refusal has the API's code, details and sentence, as an exception of its own class."""
    live, program = live_with(), target(WORK)
    agent = live.agent
    agent.set_tracepoint(str(program.path), program.line("work"), id="taken")
    sent = {"file": str(program.path), "line": program.line("work"), **body}
    answer = live.api.post(path, sent)
    snake = {"maxHit": "max_hit", "rateLimit": "rate_limit"}
    keywords = {snake.get(name, name): value for name, value in sent.items()}
    call: Callable[..., str] = agent.set_tracepoint if path == "/tracepoints" else agent.set_logpoint
    with pytest.raises(getattr(otel_tracepoints, error)) as caught:
        call(**keywords)
    assert isinstance(caught.value, otel_tracepoints.TracepointsError)
    assert isinstance(caught.value, otel_tracepoints.InvalidProbe) or error == "DuplicateId"
    refusal = {"error": caught.value.message, "code": caught.value.code, "details": caught.value.details}
    assert refusal == answer.json


def test_a_probe_object_is_validated_too(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """What a Probe holds wrongly is refused with the API's errors, never lost in silence."""
    agent, program = live_with().agent, target(WORK)
    file, line = str(program.path), program.line("work")
    wrong: List[Any] = [
        (Probe(file, line, type=ProbeType.TRACEPOINT, message="x"), "UNKNOWN_FIELD"),
        (Probe(file, line, type=ProbeType.LOGPOINT), "INVALID_FIELD"),
        (Probe(file, line, message="x", watch=("n",)), "UNKNOWN_FIELD"),
        (Probe(file, 0), "INVALID_LINE"),
        (Probe(file, line, max_hits=0), "INVALID_FIELD"),
        (Probe(file, line, rate_limit="fast"), "INVALID_FIELD"),  # type: ignore[arg-type]
        (Probe(file, line, condition="("), "INVALID_CONDITION"),
        (Probe(file, line, id="not a good id"), "INVALID_FIELD"),
        ({"file": file}, "INVALID_FIELD"),
        ("no mapping", "INVALID_FIELD"),
    ]
    for probe, code in wrong:
        with pytest.raises(otel_tracepoints.InvalidProbe) as caught:
            agent.add(probe)
        assert caught.value.code == code, probe
    assert agent.points() == []


def test_enable_disable_and_remove(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """Points are switched and removed by id; an unknown id is PointNotFound."""
    live, program = live_with(), target(WORK)
    agent = live.agent
    id = agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    agent.disable(id)
    agent.disable(id)
    program.work(1)
    assert agent.points()[0]["state"] == "disabled"
    agent.enable(id)
    program.work(2)
    assert [hit["message"] for hit in live.hits()] == ["2"]
    agent.remove(id)
    for call in (agent.remove, agent.enable, agent.disable):
        with pytest.raises(otel_tracepoints.PointNotFound) as caught:
            call(id)
        answer = live.api.get(f"/points/{id}").json
        assert (caught.value.code, caught.value.details) == (answer["code"], answer["details"])


# -- Status, sleep, wake -----------------------------------------------------------------------


def test_status_is_what_health_answers(live_with: Callable[..., Live]) -> None:
    """``status()`` and ``GET /health`` are one answer (but for the seconds between them)."""
    live = live_with()
    live.sink.wait_for(lambda: otel_tracepoints.status()["eventSink"]["connected"])
    shown = ok(live.api.get("/health"))
    assert {**otel_tracepoints.status(), "uptime": 0} == {**shown, "uptime": 0}
    assert {**live.agent.status(), "uptime": 0} == {**shown, "uptime": 0}


def test_sleep_and_wake(live: Live, target: TargetMaker) -> None:
    """Asleep nothing fires and counts stay; points set meanwhile are placed on waking; both are idempotent."""
    program = target(WORK)
    file, line = str(program.path), program.line("work")
    early = live.agent.set_logpoint(file, line, "early {n}", rate_limit=WIDE_OPEN)
    program.work(1)
    begin = time.monotonic()
    otel_tracepoints.sleep()
    assert time.monotonic() - begin < 1.0
    otel_tracepoints.sleep()
    assert ok(live.api.get("/health"))["state"] == otel_tracepoints.status()["state"] == "sleeping"
    program.work(2)
    late = live.agent.set_logpoint(file, line, "late {n}", rate_limit=WIDE_OPEN)
    program.work(3)
    assert [point["hitCount"] for point in live.agent.points()] == [1, 0]
    otel_tracepoints.wake()
    otel_tracepoints.wake()
    program.work(4)
    assert [hit["message"] for hit in live.hits()] == ["early 1", "early 4", "late 4"]
    assert {point["id"]: point["hitCount"] for point in live.agent.points()} == {early: 2, late: 1}
    assert ok(live.api.post("/sleep")) == {"state": "sleeping"}
    assert otel_tracepoints.status()["state"] == "sleeping"


def test_a_start_asleep(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """DEBUGIN_START_STATE=sleeping: probes are kept, and placed on waking."""
    live, program = live_with(start_state="sleeping"), target(WORK)
    live.agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    program.work(1)
    assert otel_tracepoints.status()["state"] == "sleeping"
    otel_tracepoints.wake()
    program.work(2)
    assert [hit["message"] for hit in live.hits()] == ["2"]


# -- Redaction ---------------------------------------------------------------------------------


def test_callbacks_with_one_and_with_two_arguments(target: TargetMaker, sink: OtlpReceiver) -> None:
    """They get detached data, once per variable, message and field, after the built-in redaction."""
    program = target(
        """
        class Order:
            def __init__(self):
                self.id = 7

        def work(order, password, n):
            return n  # TAG: work
        """
    )
    seen: List[Any] = []

    def one(value: Any) -> Any:
        seen.append(value)
        return value

    def two(message: str, probe_id: str) -> str:
        seen.append((message, probe_id))
        return message.replace("7", "seven")

    agent = otel_tracepoints.start(one, two, control_api_port=0, event_sink_url=sink.url)
    line = program.line("work")
    agent.set_tracepoint(str(program.path), line, id="t")
    program.work(program.Order(), "hunter2", 3)
    name = f"{program.name}.Order"
    assert seen == [{"__tpd_type__": name, "id": 7}, "[REDACTED]", 3]
    agent.remove("t")
    del seen[:]
    agent.set_logpoint(str(program.path), line, "{order.id} {password} {n}", id="l")
    program.work(program.Order(), "hunter2", 3)
    assert sorted(seen) == sorted([("7", "l"), ("[REDACTED]", "l"), ("3", "l"), ("7 [REDACTED] 3", "l")])
    hits = client_of(agent).get("/hits").json["hits"]
    assert hits[-1]["message"] == "seven [REDACTED] 3"


@pytest.mark.parametrize("answer", [object(), {1: 2}, float("nan"), {"a": object()}, b"bytes", "raise"])
def test_a_callback_that_raises_or_answers_nonsense_redacts(
    target: TargetMaker, sink: OtlpReceiver, answer: Any
) -> None:
    """What cannot be shown, and an exception, redact the value; the application sees nothing of it."""

    def bad(value: Any, *_: Any) -> Any:
        if answer == "raise":
            raise RuntimeError("from the callback")
        return answer

    program = target(WORK)
    agent = otel_tracepoints.start(bad, bad, control_api_port=0, event_sink_url=sink.url)
    file, line = str(program.path), program.line("work")
    agent.set_tracepoint(file, line)
    agent.set_logpoint(file, line, "n={n}")
    assert program.work(1) == 2
    snapshot, log = client_of(agent).get("/hits").json["hits"]
    assert snapshot["variables"] == {"n": "[REDACTED]"}
    assert (log["message"], log["fields"]) == ("[REDACTED]", ["[REDACTED]"])


def test_the_last_self_metrics_have_all_hits(live_with: Callable[..., Live], target: TargetMaker) -> None:
    """What stop sends last still counts the hits of the probes that it removed."""
    live, program = live_with(), target(WORK)
    live.agent.set_logpoint(str(program.path), program.line("work"), "{n}")
    program.work(1)
    program.work(2)
    otel_tracepoints.stop()
    points = [
        p
        for metric in live.sink.metrics()
        if metric["name"] == "otel_tracepoints.hits"
        for p in metric["points"]
    ]
    emitted = [
        p["value"] for p in points if p["attributes"] == {"probe.type": "logpoint", "outcome": "emitted"}
    ]
    assert emitted[-1] == 2
