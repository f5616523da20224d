"""Only type-checked: the public API as a typed program uses it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import otel_tracepoints
from otel_tracepoints import Agent, ConfigError, Probe, ProbeType, Settings, TracepointsError


def hide(value: Any, name: str) -> Any:
    return value if name != "secret" else None


def use() -> None:
    agent: Agent = otel_tracepoints.start(
        tracepoint_data_redaction_callback=hide,
        log_data_redaction_callback=lambda message: message,
        enable_control_api=False,
        control_api_port=0,
        control_api_host="127.0.0.1",
        event_sink_url="none",
        engine="auto",
        start_state="awake",
        settings=Settings(queue_size=10),
    )
    first: str = agent.set_tracepoint("shop/cart.py", 3, condition="x > 1", max_hits=3)
    second: str = agent.set_logpoint("shop/cart.py", 3, "{x}", level="WARN", rate_limit={"limitPerSecond": 5})
    third: str = agent.add(Probe(id="p", type=ProbeType.TRACEPOINT, file="shop/cart.py", line=3))
    points: List[Dict[str, Any]] = agent.points()
    agent.enable(first)
    agent.disable(second)
    agent.remove(third)
    status: Dict[str, Any] = otel_tracepoints.status()
    otel_tracepoints.sleep()
    otel_tracepoints.wake()
    otel_tracepoints.stop()
    try:
        Settings.load({"DEBUGIN_QUEUE_SIZE": "x"})
    except ConfigError as error:
        code: str = error.code
        details: Dict[str, Any] = error.details
        base: TracepointsError = error
        nothing: Optional[str] = None
        print(points, status, code, details, base, nothing)
