"""The answer of ``GET /health``, which is also what ``status()`` returns."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from otel_tracepoints.engine.base import Engine
from otel_tracepoints.version import NAME, VERSION


def free_threaded() -> bool:
    """Whether this interpreter runs without the GIL now."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is not None and not enabled()


class Facts(NamedTuple):
    """What the agent knows of itself."""

    engine: Engine
    state: str
    event_sink: Mapping[str, Any]
    service_name: Optional[str]
    broker_url: Optional[str]
    tags: Sequence[str]
    uptime_seconds: float
    #: Sentences about what is configured wrongly and was left out or switched off.
    problems: Sequence[str]


def health(facts: Facts) -> Dict[str, Any]:
    """The health of the agent, in the form of control-api.md."""
    engine = facts.engine
    broker: Dict[str, Any] = {"connected": False, "url": facts.broker_url}
    if facts.broker_url is not None:
        broker["message"] = "not supported yet"
    answer: Dict[str, Any] = {
        "status": "healthy",
        "state": facts.state,
        "agent": {
            "name": NAME,
            "version": VERSION,
            "runtime": "python",
            "runtimeVersion": platform.python_version(),
        },
        "features": {
            "tracepoints": True,
            "logpoints": True,
            "conditions": True,
            "rateLimit": True,
            "freeThreaded": free_threaded(),
        },
        "engine": {
            "name": engine.name,
            "mechanism": engine.mechanism,
            "reason": engine.reason,
            "toolId": engine.tool_id,
        },
        "eventSink": dict(facts.event_sink),
        "broker": broker,
        "process": {"pid": os.getpid(), "serviceName": facts.service_name},
        "uptime": round(facts.uptime_seconds, 3),
        "tags": list(facts.tags),
    }
    if facts.problems:
        answer["problems"] = list(facts.problems)
    return answer
