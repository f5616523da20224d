"""Which engine is chosen, and the sentence that says why."""

from __future__ import annotations

import sys
from typing import Any, Iterator, List

import pytest
from tests.support.codes import Program
from tests.support.engines import MECHANISMS

from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.compiled import COMPILED
from otel_tracepoints.errors import EngineUnavailable

NEW = sys.version_info >= (3, 12)
needs_monitoring = pytest.mark.skipif(not NEW, reason="no sys.monitoring")


@pytest.fixture
def engines() -> Iterator[List[Any]]:
    """Engines to close at the end."""
    made: List[Any] = []
    yield made
    for engine in made:
        engine.close()


@pytest.mark.parametrize("choice", ["auto", "pytrace"])
def test_the_best_mechanism_is_taken(choice: str, engines: List[Any]) -> None:
    """Auto and pytrace take the mechanism that costs other code nothing, and say why."""
    engines.append(create_engine(choice))
    engine = engines[0]
    compiled = choice == "auto" and COMPILED.module() is not None
    assert (engine.name, engine.mechanism) == ("native" if compiled else "pytrace", MECHANISMS[0])
    assert engine.reason.startswith(f"{choice}: ")
    assert engine.tool_id == (3 if NEW else None)
    assert (f"tool id {engine.tool_id}" in engine.reason) == NEW


def test_native_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for the compiled engine where there is none, the answer says why, and what to do instead."""
    monkeypatch.setattr(COMPILED, "_module", None)
    monkeypatch.setattr(COMPILED, "_why", "there was no compiler")
    with pytest.raises(
        EngineUnavailable, match="there was no compiler.*TRACEPOINTDEBUG_ENGINE to auto or pytrace"
    ):
        create_engine("native")


def test_auto_does_without_a_compiled_engine(monkeypatch: pytest.MonkeyPatch, engines: List[Any]) -> None:
    """And says why there is none."""
    monkeypatch.setattr(COMPILED, "_module", None)
    monkeypatch.setattr(COMPILED, "_why", "there was no compiler")
    engines.append(create_engine("auto"))
    assert engines[0].name == "pytrace" and "there was no compiler" in engines[0].reason


@pytest.mark.skipif(COMPILED.module() is None, reason="not compiled here")
def test_native_is_taken_where_it_is_asked_for(engines: List[Any]) -> None:
    """With the best mechanism there is, and the compiled gates."""
    engines.append(create_engine("native"))
    assert (engines[0].name, engines[0].mechanism) == ("native", MECHANISMS[0])
    assert engines[0].native is COMPILED.module() and engines[0].reason.startswith("native: as asked")


def test_unknown_choices_are_refused() -> None:
    """Any other word is refused, and so is an unknown mechanism."""
    with pytest.raises(EngineUnavailable, match="choose auto, native or pytrace"):
        create_engine("fast")
    with pytest.raises(EngineUnavailable, match="no mechanism"):
        create_engine("auto", mechanism="magic")


def test_a_mechanism_of_other_versions_is_unavailable() -> None:
    """Code is not rewritten where sys.monitoring is, and there is no sys.monitoring where code is rewritten."""
    with pytest.raises(EngineUnavailable):
        create_engine("auto", mechanism="injection" if NEW else "monitoring")


@needs_monitoring
def test_a_tool_id_that_is_asked_for_is_taken(engines: List[Any]) -> None:
    """The id that the user names comes first, even one that convention gives to others."""
    engines.append(create_engine("auto", tool_id=2))
    assert engines[0].tool_id == 2


@needs_monitoring
def test_ids_of_others_are_left_alone(engines: List[Any]) -> None:
    """A taken id is passed over for the next of 3, 4, 5, and the reason names who has it; 0, 1 and 2 are never taken unasked."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    monitoring.use_tool_id(3, "somebody")
    try:
        for expected in (4, 5):
            engines.append(create_engine("auto", tool_id=3))
            assert engines[-1].tool_id == expected
            assert "3 is taken by somebody" in engines[-1].reason
        engines.append(create_engine("auto"))
        assert engines[-1].mechanism == "settrace"
        assert "No sys.monitoring tool id is free" in engines[-1].reason
        assert monitoring.get_tool(0) is None
    finally:
        monitoring.free_tool_id(3)


@needs_monitoring
def test_a_closed_engine_frees_its_id() -> None:
    """After close the id is free, no callback is registered, and no code object has events."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    program = Program("def f():\n    return 1  # TAG: f\n")
    engine: Any = create_engine("auto")
    tool = engine.tool_id
    engine.install("p", program.sites("f"), 2, lambda frame: None)
    code = program.sites("f")[0].code
    assert monitoring.get_local_events(tool, code) == monitoring.events.LINE
    engine.close()
    assert monitoring.get_tool(tool) is None
    monitoring.use_tool_id(tool, "test")
    try:
        assert monitoring.get_local_events(tool, code) == 0
        assert monitoring.register_callback(tool, monitoring.events.LINE, None) is None
    finally:
        monitoring.free_tool_id(tool)


@needs_monitoring
def test_other_lines_are_switched_off(engines: List[Any]) -> None:
    """The other lines of a probed function cost one callback each, and then nothing."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    program = Program(
        "def f(n):\n    for i in range(n):\n        n = n\n        i = i\n    return 1  # TAG: f\n"
    )
    function = program.run()["f"]
    engines.append(create_engine("auto"))
    engine = engines[0]
    engine.install("p", program.sites("f"), program.tags["f"], lambda frame: None)
    calls: List[int] = []
    events = monitoring.events
    original = monitoring.register_callback(engine.tool_id, events.LINE, None)

    def counting(code: Any, line: int) -> Any:
        calls.append(line)
        return original(code, line)

    monitoring.register_callback(engine.tool_id, events.LINE, counting)
    function(100)
    assert set(calls) == {2, 3, 4, 5}
    assert len(calls) <= 5  # A `for` line has two places.
    del calls[:]
    function(100)
    assert calls == [5]
    engine.install("q", program.sites_of_line(3), 3, lambda frame: None)
    del calls[:]
    function(5)
    assert calls.count(3) == 5
