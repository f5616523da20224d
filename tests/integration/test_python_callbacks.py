"""The Python API: redaction callbacks, and the last metrics."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import Live, TargetMaker
from tests.support.otlp_receiver import OtlpReceiver

import otel_tracepoints
from otel_tracepoints import Agent

WORK = """
def work(n):
    return n + 1  # TAG: work
"""


pytestmark = pytest.mark.usefixtures("_stopped")


def client_of(agent: Agent) -> ApiClient:
    address = agent.control_api_address
    assert address is not None
    return ApiClient(f"http://127.0.0.1:{address[1]}")


# -- The surface -------------------------------------------------------------------------------


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
