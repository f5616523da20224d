"""Definitions of probes as a client sends them, for tests of the schema."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from otel_tracepoints import schema
from otel_tracepoints.model import Probe, ProbeType

TRACEPOINT, LOGPOINT = ProbeType.TRACEPOINT, ProbeType.LOGPOINT


def plain(text: str) -> str:
    """Redacts nothing."""
    return text


def hide(text: str) -> str:
    """Redacts one secret."""
    return text.replace("hunter2", "[REDACTED]")


def create(type_: ProbeType = TRACEPOINT, /, **fields: Any) -> Probe:
    """The probe that the least body with these fields makes."""
    return schema.parse_create({"file": "a.py", "line": 1, **fields}, type_)


def refused(error: type, type_: ProbeType = TRACEPOINT, /, **fields: Any) -> Dict[str, Any]:
    """The details of exactly this error, with which such a body is refused."""
    with pytest.raises(error) as caught:
        create(type_, **fields)
    assert type(caught.value) is error
    return caught.value.details
