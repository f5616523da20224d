"""A logpoint's hit, the agent's start and stop, and what was asked for: log records."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest
from tests.support.live import Live, TargetMaker
from tests.support.telemetry import tracer_and_spans

from otel_tracepoints.emission import bridge

LiveWith = Callable[..., Live]
LEVELS = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}

WORK = """
    class Order:
        def __init__(self, total):
            self.total = total

    def work(n):
        order, ratio, yes, none, text = Order(n), n / 2, True, None, "t"
        return n  # TAG: work
"""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_logpoint_is_a_log_record_in_its_trace(
    live_over: Callable[[str], Live], target: TargetMaker, protocol: str
) -> None:
    """Name, body, severity and trace context; each field is there with its type."""
    live = live_over(protocol)
    program = target(WORK)
    assert program.module
    template = "{n} {text} {ratio} {yes} {none} {order} {missing} {{}} {ratio:.1f}"
    point = live.logpoint(program, "work", template, level="WARN", tags=["a"], condition="n > 1")
    tracer, finished = tracer_and_spans()
    with tracer.start_as_current_span("request") as span:
        program.work(3)
    live.sink.wait_for(lambda: live.logs("probe.hit.logpoint"))
    (log,) = live.logs("probe.hit.logpoint")
    assert log["body"].startswith("3 t 1.5 True None ")
    assert log["body"].endswith(" {} 1.5")
    assert (log["severity"], log["severity_text"]) == (13, "WARN")
    context = span.get_span_context()
    assert (log["trace_id"], log["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert not finished()[0].events
    seen = log["attributes"]
    fields = [seen[f"probe.field.{n}"] for n in range(8)]
    assert fields[:5] == [3, "t", 1.5, True, "null"]
    assert [type(field) for field in fields[:5]] == [int, str, float, bool, str]
    assert fields[5] == f'{{"__tpd_type__": "{program.name}.Order", "total": 3}}'
    assert fields[6].startswith("<UNKNOWN_NAME: ")
    assert fields[6] in log["body"]
    assert seen["probe.message.template"] == template
    assert (seen["probe.id"], seen["probe.type"], seen["probe.tags"]) == (point["id"], "logpoint", ["a"])
    assert (seen["probe.condition"], seen["probe.hit.count"]) == ("n > 1", 1)
    assert seen["code.file.path"] == str(program.path)
    assert seen["code.line.number"] == program.line("work")
    assert seen["code.function.name"] == f"{program.name}.work"
    assert "probe.message" not in seen
    assert "probe.truncated" not in seen


def test_severity_is_the_level_of_the_probe(live_with: LiveWith, target: TargetMaker) -> None:
    """Each level has OpenTelemetry's number; without one it is INFO."""
    live = live_with()
    program = target(WORK)
    assert program.module
    for level in LEVELS:
        live.logpoint(program, "work", level, level=level)
    live.logpoint(program, "work", "none")
    program.work(1)
    live.sink.wait_for(lambda: len(live.logs("probe.hit.logpoint")) == 7)
    found = {log["body"]: (log["severity"], log["severity_text"]) for log in live.logs("probe.hit.logpoint")}
    assert found == {**{level: (n, level) for level, n in LEVELS.items()}, "none": (9, "INFO")}


def test_event_name_is_an_attribute_where_records_have_none(live_with: LiveWith, target: TargetMaker) -> None:
    """Before 1.35 the name is the attribute event.name, on every record; after, it is not."""
    live = live_with()
    program = target(WORK)
    assert program.module
    live.logpoint(program, "work", "m")
    program.work(1)
    names = ["agent.status.started", "probe.audit", "probe.hit.logpoint"]
    live.sink.wait_for(lambda: all(map(live.logs, names)))
    for name in names:
        for log in live.logs(name):
            expected = None if bridge.EVENT_NAMES else name
            assert log["attributes"].get("event.name") == expected


def test_agent_tells_its_start_and_stop(live_with: LiveWith) -> None:
    """Start and stop are log records; the start names the API's address and the engine."""
    live = live_with(agent_tags=("blue", "eu"))
    port = live.agent.control_api_address[1]  # type: ignore[index]
    engine = live.api.get("/health").json["engine"]
    live.agent._stop()
    live.sink.wait_for(lambda: live.logs("agent.status.stopped"))
    (started,) = live.logs("agent.status.started")
    (stopped,) = live.logs("agent.status.stopped")
    seen = started["attributes"]
    assert (seen["server.address"], seen["server.port"]) == ("127.0.0.1", port)
    assert (seen["probe.engine"], seen["probe.engine.mechanism"]) == (engine["name"], engine["mechanism"])
    assert started["time"] < stopped["time"]
    assert started["severity_text"] == stopped["severity_text"] == "INFO"


def test_every_change_is_audited(live_with: LiveWith, target: TargetMaker) -> None:
    """Each change asked for is one record, the refused ones with their code; validate is not one."""
    live = live_with()
    program = target(WORK)
    point = live.tracepoint(program, "work", tags=["t"])
    path = f"/points/{point['id']}"
    live.api.post("/tracepoints", {"id": point["id"], "file": point["file"], "line": point["line"]})
    live.api.put(path, {"tags": ["t", "u"]})
    live.api.put(path, {"line": 1})
    live.api.post(f"{path}/disable")
    live.api.post("/tags/enable", {"tags": ["t"]})
    live.api.post("/points/validate", {"file": str(program.path), "line": 1})
    live.api.post("/sleep")
    live.api.post("/wake")
    live.api.delete(path)
    live.api.delete(path)
    live.sink.wait_for(lambda: len(live.logs("probe.audit")) >= 10)
    attributes = [log["attributes"] for log in live.logs("probe.audit")]
    records: List[Any] = [
        (each["probe.audit.action"], each["probe.audit.outcome"], each.get("probe.id")) for each in attributes
    ]
    assert records == [
        ("create", "ok", point["id"]),
        ("create", "DUPLICATE_ID", point["id"]),
        ("update", "ok", point["id"]),
        ("update", "IMMUTABLE_FIELD", point["id"]),
        ("disable", "ok", point["id"]),
        ("enable", "ok", None),
        ("sleep", "ok", None),
        ("wake", "ok", None),
        ("delete", "ok", point["id"]),
        ("delete", "POINT_NOT_FOUND", point["id"]),
    ]
    assert {each["client.address"] for each in attributes} == {"127.0.0.1"}
    (by_tag,) = [each for each in attributes if each["probe.audit.action"] == "enable"]
    assert by_tag["probe.audit.count"] == 1


def test_requests_of_the_api_are_no_hits(live_with: LiveWith) -> None:
    """The agent's own threads are never traced into a loop: with a sink and no probe nothing is sent."""
    live = live_with()
    for _ in range(5):
        live.api.get("/health")
    assert live.sink.spans() == []
