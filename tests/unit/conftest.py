"""Fixtures of several files of tests."""

from __future__ import annotations

from typing import Iterator

import pytest
from tests.support.fake_control_api import FakeControlApi, fake_control_api
from tests.support.otlp_receiver import closed_port

from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeControlApi]:
    """A fake control API, named to the commands by the environment."""
    for name in ("URL", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"DEBUGIN_CONTROL_API_{name}", raising=False)
    with fake_control_api() as server:
        monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", server.url)
        yield server


@pytest.fixture
def idle() -> Iterator[Emitter]:
    """An emitter without threads, whose sink does not exist: everything stays where it was put."""
    emitter = Emitter(
        Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}", queue_size=5), lambda text: text
    )
    yield emitter
    emitter.stop(0.5)
