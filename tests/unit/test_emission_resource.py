"""Who sends: host, process, runtime and instance, also after a fork."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import uuid
from typing import Any, Dict

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from tests.support.processes import run_python

from otel_tracepoints.emission import resource
from otel_tracepoints.version import VERSION

FACTS = {
    "host.name": socket.gethostname(),
    "process.pid": os.getpid(),
    "process.runtime.name": sys.implementation.name,
    "process.runtime.version": platform.python_version(),
    "telemetry.distro.name": "otel-tracepoints",
    "telemetry.distro.version": VERSION,
}


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a provider with these attributes the application's."""

    def provide(attributes: Dict[str, Any]) -> None:
        provider = TracerProvider(resource=Resource(attributes), shutdown_on_exit=False)
        monkeypatch.setattr(resource.trace_api, "get_tracer_provider", lambda: provider)

    return provide


def test_what_is_missing_is_added(provided: Any) -> None:
    """Host, process, runtime, distro and an instance of its own, the same at each call."""
    provided({"service.name": "shop"})
    attributes = dict(resource.current_resource().attributes)
    assert uuid.UUID(attributes.pop("service.instance.id")).version == 4
    assert attributes == {"service.name": "shop", **FACTS}
    assert resource.current_resource() is resource.current_resource()
    assert resource.service_name() == "shop"


def test_what_the_application_says_stays(provided: Any) -> None:
    """No attribute that is there is changed, and another distro's version is not mixed with ours."""
    said = {
        "service.name": "shop",
        "service.instance.id": "shop-1",
        "host.name": "web1",
        "process.pid": 1,
        "telemetry.distro.name": "theirs",
    }
    provided(said)
    attributes = resource.current_resource().attributes
    assert {name: attributes[name] for name in said} == said
    assert "telemetry.distro.version" not in attributes


def test_a_provider_that_comes_later_is_seen(provided: Any) -> None:
    """The application may configure its SDK at any time."""
    provided({"service.name": "before"})
    assert resource.service_name() == "before"
    provided({"service.name": "after"})
    assert resource.service_name() == "after"


def test_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What OTEL_RESOURCE_ATTRIBUTES says is not missing."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=web1,service.instance.id=a")
    missing = resource.missing_attributes(resource.environment_attributes())
    assert sorted(missing) == sorted(set(FACTS) - {"host.name"})


FORK = """
import json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from otel_tracepoints.emission import resource

given = resource.missing_attributes(resource.environment_attributes())
trace.set_tracer_provider(TracerProvider(resource=Resource.create(given), shutdown_on_exit=False))

def say(who):
    with trace.get_tracer("app").start_as_current_span("work") as span:
        pass
    (moved,) = resource.in_this_process([span])
    own, spans = resource.current_resource().attributes, moved.resource.attributes
    facts = {"who": who, "pid": os.getpid()}
    for name in ("process.pid", "service.instance.id", "host.name"):
        facts[name] = own[name]
        assert own[name] == spans[name], (own, spans)
    os.write(1, (json.dumps(facts) + chr(10)).encode())

say("parent")
if os.fork() == 0:
    say("child")
    if os.fork() == 0:
        say("grandchild")
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
say("parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_is_another_process() -> None:
    """Process id and instance are the child's own, in its hits and on its spans; the host stays."""
    first, child, grandchild, again = map(json.loads, run_python(FORK).splitlines())
    for facts in (first, child, grandchild):
        assert facts["process.pid"] == facts["pid"]
        assert facts["host.name"] == socket.gethostname()
    assert len({facts["service.instance.id"] for facts in (first, child, grandchild)}) == 3
    assert again == first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_an_instance_that_was_chosen_survives_a_fork() -> None:
    """Only what was drawn at random is drawn again, unless OpenTelemetry's SDK itself does otherwise."""
    for chosen in ("shop-1", str(uuid.uuid4())):
        environment = {"OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={chosen}"}
        said = [json.loads(line) for line in run_python(FORK, environment).splitlines()]
        assert len({facts["process.pid"] for facts in said}) == 3
        assert said[0]["service.instance.id"] == chosen
        if not hasattr(TracerProvider, "_handle_fork"):
            assert {facts["service.instance.id"] for facts in said} == {chosen}
