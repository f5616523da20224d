"""Fixtures: a running agent on every mechanism that this interpreter has, a sink, target programs."""

from __future__ import annotations

import os
import pathlib
import signal
from typing import Any, Callable, Dict, Iterator

import pytest

# Read when grpcio starts. Its handlers of fork abort, now and then, a child of this process that is
# about to become another program; the tests' children themselves are without this setting.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Run in the background by a shell; the processes that tests start and interrupt inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis

import otel_tracepoints
from otel_tracepoints import foundation
from otel_tracepoints.emission import resource
from otel_tracepoints.probes import census
from tests.support.engines import MECHANISMS, engine_of, name_of
from tests.support.live import Live, TargetMaker, forget_modules, target_maker
from tests.support.otlp_receiver import OtlpReceiver

# How long an example takes is the machine's business.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see none of the settings of whoever runs them."""
    for name in list(os.environ):
        if name.startswith(("DEBUGIN_", "OTEL_", "SIDEKICK_", "TRACEPOINTDEBUG_")):
            monkeypatch.delenv(name)
    # Read once in a process, which has one environment.
    monkeypatch.setattr(resource, "_own", None)


@pytest.fixture(autouse=True)
def _small_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of many tests has as many functions as a large program: what that changes is tested on its own."""
    monkeypatch.setattr(census, "_FEW_FUNCTIONS", 10**9)


@pytest.fixture(params=MECHANISMS, ids=name_of)
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each mechanism of this interpreter in turn; agents started in the test use it."""
    name: str = request.param
    monkeypatch.setattr(foundation, "create_engine", lambda choice, **_: engine_of(name))
    return name


@pytest.fixture
def sink() -> Iterator[OtlpReceiver]:
    """An OTLP/HTTP receiver that accepts everything."""
    with OtlpReceiver("http") as receiver:
        yield receiver


@pytest.fixture
def target(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TargetMaker]:
    """Writes target programs that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield target_maker(tmp_path)
    forget_modules(tmp_path)


@pytest.fixture
def _stopped() -> Iterator[None]:
    """No agent is left running."""
    yield
    otel_tracepoints.stop()


@pytest.fixture
def live(mechanism: str, sink: OtlpReceiver, _stopped: None) -> Live:
    """A running agent with a healthy sink over HTTP, on each mechanism."""
    return Live(sink)


@pytest.fixture
def live_with(sink: OtlpReceiver, _stopped: None) -> Callable[..., Live]:
    """Starts an agent with these settings."""
    return lambda **settings: Live(sink, **settings)


@pytest.fixture
def live_over(_stopped: None) -> Iterator[Callable[..., Live]]:
    """Starts an agent with these settings whose sink speaks this protocol."""
    sinks = []

    def start(protocol: str, **settings: Any) -> Live:
        sinks.append(OtlpReceiver(protocol))
        chosen = "grpc" if protocol == "grpc" else "http/protobuf"
        return Live(sinks[0], event_sink_protocol=chosen, **settings)

    yield start
    otel_tracepoints.stop()
    for each in sinks:
        each.close()


@pytest.fixture
def live_calling(sink: OtlpReceiver, _stopped: None) -> Callable[..., Live]:
    """Starts an agent with these redaction callbacks."""
    return lambda value, message: Live(sink, callbacks=(value, message))


@pytest.fixture
def live_lenient(
    sink: OtlpReceiver, _stopped: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Dict[str, str]], Live]:
    """Starts an agent from the environment, as ``opentelemetry-instrument`` does."""

    def start(environment: Dict[str, str]) -> Live:
        base = {"DEBUGIN_CONTROL_API_PORT": "0", "DEBUGIN_EVENT_SINK_URL": sink.url}
        for name, value in {**base, **environment}.items():
            monkeypatch.setenv(name, value)
        return Live(sink, lenient=True)

    return start
