"""The agent beside what is in every environment: asyncio, pytest, another distribution of OpenTelemetry."""

from __future__ import annotations

import json
from typing import List

import pytest
from tests.support.beside import Stage, results
from tests.support.processes import Process

TASKS = """
    import asyncio, sys

    async def price(n):
        await asyncio.sleep(0)
        total = n * 3
        return total  # TAG: priced

    async def numbers(limit):
        for n in range(limit):
            await asyncio.sleep(0)
            yield n  # TAG: yielded

    async def fail(n):
        raise ValueError(await price(n))

    async def give_up():
        try:
            await asyncio.sleep(60)
        finally:
            print("result cancelled", await price(20))  # TAG: cancelled

    async def main():
        loop = asyncio.get_running_loop()
        print("up and running", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        print("result", await asyncio.gather(*(price(n) for n in range(5))))
        print("result", [n async for n in numbers(4)])
        print("result", await asyncio.gather(fail(6), price(7), return_exceptions=True))
        task = asyncio.ensure_future(give_up())
        await asyncio.sleep(0.01)
        task.cancel()
        print("result", await asyncio.gather(task, return_exceptions=True))
        print("result left", len(asyncio.all_tasks()), flush=True)

    asyncio.run(main(), debug=True)
"""


def test_asyncio(stage: Stage) -> None:
    """Tasks, async generators, errors and cancellation go as without the agent; each hit knows its task."""
    stage.write("tasks.py", TASKS)
    plain = stage.plain("tasks.py", say="go\n")
    assert plain.code == 0 and len(plain.results) == 6
    process = stage.start("tasks.py")
    process.wait_for_line("up and running")
    process.wait_for_api()
    stage.tracepoint(process.api, "tasks.py", "priced")
    stage.logpoint(process.api, "tasks.py", "yielded", "number {n}")
    stage.logpoint(process.api, "tasks.py", "cancelled", "too late")
    process.say("go")
    assert process.end() == 0
    assert results(process.output) == plain.results
    assert stage.messages() == {**{f"number {n}": 1 for n in range(4)}, "too late": 1}
    hits = [event["attributes"] for event in stage.sink.events("probe.hit.snapshot")]
    assert sorted(int(hit["probe.variable.n"]) for hit in hits) == [0, 1, 2, 3, 4, 6, 7, 20]
    assert len({hit["asyncio.task.name"] for hit in hits}) == 8


TESTS = """
    import sys
    import pytest

    def price(n):
        total = n * 3
        return total  # TAG: priced

    def test_waits():
        print("up and running", flush=True)
        sys.stdin.readline()

    @pytest.mark.parametrize("n", [1, 2])
    def test_passes(n, tmp_path, capsys):
        print(price(n))
        assert capsys.readouterr().out == f"{3 * n}\\n"

    def test_fails():
        assert price(4) == 13  # TAG: asserted

    def test_raises():
        with pytest.raises(TypeError):
            price(None)

    @pytest.mark.skip(reason="not today")
    def test_is_skipped():
        pass
"""


def test_pytest(stage: Stage) -> None:
    """A test run has the outcomes that it has without the agent, warnings being errors, and its tests are hit."""
    stage.write("test_shop.py", TESTS)
    command = ["-m", "pytest", "-s", "-rA", "-W", "error", "-p", "no:cacheprovider", "-p", "no:randomly"]
    plain = _outcomes(stage, stage.start(*command, "test_shop.py", OTEL_SDK_DISABLED="true"), probed=False)
    outcomes = _outcomes(stage, stage.start(*command, "test_shop.py"), probed=True)
    assert outcomes == plain
    assert sum(line.startswith("PASSED") for line in plain) == 4
    assert sum(line.startswith("FAILED") for line in plain) == 1
    assert stage.messages() == {"1 costs 3": 1, "2 costs 6": 1, "4 costs 12": 1, "asserting": 1}


def _outcomes(stage: Stage, process: Process, *, probed: bool) -> List[str]:
    process.wait_for_line("up and running")
    if probed:
        process.wait_for_api()
        stage.logpoint(process.api, "test_shop.py", "priced", "{n} costs {total}")
        stage.logpoint(process.api, "test_shop.py", "asserted", "asserting")
    process.say("go")
    assert process.end() == 1, "".join(process.output)
    words = ("PASSED", "FAILED", "ERROR", "E  ", "SKIPPED")
    return [line for line in process.output if line.startswith(words)]


DISTRO = """
    import os
    from opentelemetry import trace
    from opentelemetry.instrumentation.distro import BaseDistro
    from opentelemetry.sdk._configuration import _BaseConfigurator
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Printer(SpanExporter):
        def export(self, spans):
            for span in (each for each in spans if each.instrumentation_scope.name == "shop"):
                print("result span", span.name, span.resource.attributes["service.name"], flush=True)
                print("events", [event.name for event in span.events], flush=True)
            return SpanExportResult.SUCCESS

        def shutdown(self):
            print("result shut down", flush=True)

    class OtherDistro(BaseDistro):
        def _configure(self, **kwargs):
            os.environ.setdefault("OTEL_SERVICE_NAME", "other")

    class OtherConfigurator(_BaseConfigurator):
        def _configure(self, **kwargs):
            provider = TracerProvider(resource=Resource.create({"service.name": "chosen by the other"}))
            provider.add_span_processor(SimpleSpanProcessor(Printer()))
            trace.set_tracer_provider(provider)
"""

ENTRY_POINTS = """\
    [opentelemetry_distro]
    other = other_distro:OtherDistro

    [opentelemetry_configurator]
    other = other_distro:OtherConfigurator
"""

TRACED = """
    import os, sys
    from opentelemetry import trace

    def price(n):
        total = n * 3
        return total  # TAG: priced

    print("up and running", flush=True)
    sys.stdin.readline()
    for n in range(3):
        with trace.get_tracer("shop").start_as_current_span(f"request {n}"):
            print("result", price(n), flush=True)
    print("result", {name: value for name, value in os.environ.items() if name.startswith("OTEL_TRACES")})
"""


def test_another_distribution_of_opentelemetry_is_in_charge(stage: Stage) -> None:
    """With another distro chosen its provider, exporter and settings are as without us; hits are on its spans."""
    stage.write("other_distro.py", DISTRO)
    stage.write(
        "other_distro-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: other-distro\nVersion: 1.0\n"
    )
    stage.write("other_distro-1.0.dist-info/entry_points.txt", ENTRY_POINTS)
    stage.write("traced.py", TRACED)
    chosen = {"OTEL_PYTHON_DISTRO": "other", "OTEL_PYTHON_CONFIGURATOR": "other"}

    alone = stage.start("traced.py", **chosen, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="otel_tracepoints")
    alone.wait_for_line("up and running")
    alone.say("go")
    assert alone.end() == 0
    assert "result span request 2 chosen by the other\n" in alone.output, "".join(alone.output)

    process = stage.start("traced.py", **chosen)
    process.wait_for_line("up and running")
    process.wait_for_api()
    stage.tracepoint(process.api, "traced.py", "priced", condition="n == 1")
    stage.logpoint(process.api, "traced.py", "priced", "{n} costs {total}")
    process.say("go")
    assert process.end() == 0
    assert results(process.output) == results(alone.output)
    events = [json.loads(line[7:].replace("'", '"')) for line in process.output if line.startswith("events ")]
    assert events == [[], ["probe.hit.snapshot"], []]
    assert stage.messages() == {f"{n} costs {3 * n}": 1 for n in range(3)}
    assert stage.sink.spans() == []


@pytest.mark.parametrize("installed", ["other", None])
def test_the_agent_starts_whichever_distribution_is_found_first(stage: Stage, installed: str) -> None:
    """Where nothing chooses between several distros that are installed, the agent runs all the same."""
    if installed:
        stage.write("other_distro.py", DISTRO)
        stage.write(
            "other_distro-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: other-distro\nVersion: 1.0\n"
        )
        stage.write("other_distro-1.0.dist-info/entry_points.txt", ENTRY_POINTS)
    stage.write("traced.py", TRACED)
    process = stage.start(
        "traced.py", OTEL_PYTHON_DISTRO=None, OTEL_PYTHON_CONFIGURATOR=None, OTEL_METRICS_EXPORTER="none"
    )
    process.wait_for_line("up and running")
    process.wait_for_api()
    stage.logpoint(process.api, "traced.py", "priced", "{n} costs {total}")
    process.say("go")
    assert process.end() == 0
    assert stage.messages() == {f"{n} costs {3 * n}": 1 for n in range(3)}
