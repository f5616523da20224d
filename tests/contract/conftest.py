"""A control API with a real agent behind it, shared by the tests of one file."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import Live, Target, forget_modules, ok, target_maker
from tests.support.otlp_receiver import OtlpReceiver

import otel_tracepoints

PROGRAM = """
    import threading

    # TAG: comment
    LIMIT = 3  # TAG: module

    class Cart:
        items = 0  # TAG: class
        def add(self, item, password="hunter2"):
            self.items += 1  # TAG: add
            return self.items  # TAG: added

    def outer(n):
        def inner(m):
            return m + n  # TAG: inner
        return inner

    def work(n):
        total = 0  # TAG: first
        for i in range(n):
            total += i  # TAG: body
        return total  # TAG: end
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One agent for a file's tests, started once."""
    with OtlpReceiver("http") as sink:
        try:
            yield Live(sink)
        finally:
            otel_tracepoints.stop()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A program that is imported, as `shop/<name>.py` below a folder of ``sys.path``."""
    folder = tmp_path_factory.mktemp("program")
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(folder))
    target = target_maker(folder)(PROGRAM)
    assert target.module
    yield target
    forget_modules(folder)
    patch.undo()


@pytest.fixture
def agent(shared: Live) -> Iterator[Live]:
    """The file's agent, awake and without probes."""
    yield shared
    ok(shared.api.delete("/points?all=true"))
    ok(shared.api.post("/wake"))


@pytest.fixture
def api(agent: Live) -> ApiClient:
    """The client of the file's agent."""
    return agent.api


@pytest.fixture
def body(program: Target) -> Dict[str, Any]:
    """The least that makes a tracepoint."""
    return {"file": str(program.path), "line": program.line("body")}
