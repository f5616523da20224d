"""What a hit shows of the application's values, and that it runs none of the application's code."""

from __future__ import annotations

import threading
from typing import Any, Dict

from tests.support import hostile
from tests.support.live import Live, TargetMaker
from tests.support.looking import HOLD, look


def shown(live: Live, target: TargetMaker, value: Any, **fields: Any) -> Dict[str, Any]:
    """The one hit of a tracepoint on a function that holds the value."""
    program = target(HOLD)
    assert program.module
    point = live.tracepoint(program, "hold", **fields)
    program.hold(value)
    (hit,) = live.hits(point)
    return hit


def test_no_code_of_the_application_runs(live: Live, target: TargetMaker) -> None:
    """Objects whose every hook is a trap go through capture, conditions, watches and templates untouched."""
    values = hostile.values()
    hits = look(live, target, *values, during=hostile.untouched())
    assert hits[0]["variables"]["value"] == {"__tpd_type__": "tests.support.hostile.Hostile", "stored": 1}
    assert [hit["variables"]["value"] for hit in hits[2:5]] == [{"k": 1}, [1, 2], [1, 2]]


def test_attributes_come_from_data_alone(live: Live, target: TargetMaker) -> None:
    """A loaded column is read past its descriptor, an unloaded one, a property and __getattr__ are refused."""
    program = target(HOLD)
    assert program.module
    watch = ["value.loaded", "value.column", "other.stored", "other.computed", "other.absent"]
    point = live.tracepoint(program, "hold", watch=watch)
    row = hostile.LazyRow()
    row.__dict__["loaded"] = "from the database"
    thing = hostile.plant(hostile.make(hostile.Hostile), stored=1)
    with hostile.untouched():
        program.hold(row, thing)
    (hit,) = live.hits(point)
    values = [each["value"] for each in hit["watches"]]
    assert values[0] == "from the database"
    assert values[2] == 1
    assert [str(value)[:18] for value in values[1::2] + values[4:]] == ["<UNSAFE_ATTRIBUTE:"] * 3


def test_unbound_is_not_none(live: Live, target: TargetMaker) -> None:
    """A local without a value yet, and a deleted one, are marked; None is null."""
    program = target(
        """
        def work():
            gone = 1
            del gone
            nothing = None
            x = 1  # TAG: here
            later = 2
            return x, later, nothing
        """
    )
    point = live.tracepoint(program, "here")
    program.work()
    (hit,) = live.hits(point)
    unbound = {"__tpd_unbound__": True}
    assert hit["variables"] == {"gone": unbound, "nothing": None, "x": unbound, "later": unbound}


def test_closure_and_star_arguments_are_shown(live: Live, target: TargetMaker) -> None:
    """Cell and free variables, *args and **kwargs are variables; probe.arguments names the parameters."""
    program = target(
        """
        def outer(free):
            def inner(a, *rest, key=1, **more):
                return free  # TAG: inner
            return inner
        """
    )
    point = live.tracepoint(program, "inner")
    program.outer("f")(1, 2, key=3, extra=4)
    (hit,) = live.hits(point)
    assert hit["variables"] == {"a": 1, "rest": [2], "key": 3, "more": {"extra": 4}, "free": "f"}
    live.sink.wait_for(lambda: live.sink.events("probe.hit.snapshot"))
    (event,) = live.sink.events("probe.hit.snapshot")
    assert sorted(event["attributes"]["probe.arguments"]) == ["a", "key", "more", "rest"]


def test_limits_of_the_point_are_kept(live: Live, target: TargetMaker) -> None:
    """maxDepth, maxProperties and maxStringLength cut, and the cut is visible."""
    value = {"deep": {"deeper": {"deepest": 1}}, "long": "x" * 50, "many": list(range(50))}
    limits = {"maxDepth": 2, "maxProperties": 5, "maxStringLength": 10, "maxFrames": 2}
    hit = shown(live, target, value, snapshot=limits)
    assert hit["truncated"] is True
    seen = hit["variables"]["value"]
    assert seen["many"][:5] == [0, 1, 2, 3, 4]
    assert seen["many"][5]["__tpd_truncated__"] is True
    assert seen["many"][5]["__tpd_size__"] == 50
    assert seen["long"]["__tpd_size__"] == 50
    assert seen["long"]["__repr__"] == "x" * 10
    assert len(hit["stack"]) == 2


def test_cycles_are_told(live: Live, target: TargetMaker) -> None:
    """An object that contains itself ends in a circular mark."""
    value: Dict[str, Any] = {}
    value["self"] = value
    hit = shown(live, target, value)
    assert hit["variables"]["value"]["self"] == {"__tpd_type__": "dict", "__tpd_circular__": True}


def test_one_bad_value_costs_that_value_only(live: Live, target: TargetMaker) -> None:
    """Text that is no UTF-8, infinite numbers and huge integers leave the others whole."""
    hit = shown(live, target, {"a": "\ud800", "b": float("nan"), "c": 1 << 300, "d": 1})
    value = hit["variables"]["value"]
    assert value["d"] == 1
    assert value["b"]["__repr__"] == "nan"
    assert value["c"] == {"__tpd_type__": "int", "__tpd_bits__": 301}


def test_capture_survives_a_dict_that_another_thread_changes(live: Live, target: TargetMaker) -> None:
    """A dict that grows and shrinks during the capture is survived."""
    program = target(HOLD)
    assert program.module
    point = live.tracepoint(program, "hold")
    shared: Dict[int, int] = {n: n for n in range(50)}
    stop = threading.Event()

    def churn() -> None:
        n = 50
        while not stop.is_set():
            shared[n] = n
            shared.pop(n - 40, None)
            n += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(200):
            program.hold(shared)
    finally:
        stop.set()
        thread.join()
    assert live.counts(point) == {"emitted": 200}


def test_no_object_outlives_the_hit(live: Live, target: TargetMaker) -> None:
    """What a hit looked at can be freed as soon as the function returns."""
    import gc
    import weakref

    program = target(HOLD)
    assert program.module
    live.tracepoint(program, "hold", watch=["value"])
    live.logpoint(program, "hold", "{value} {missing}")
    live.tracepoint(program, "hold", condition="value.missing == 1")

    class Thing:
        pass

    thing = Thing()
    program.hold(thing)
    reference = weakref.ref(thing)
    del thing
    gc.collect()
    assert reference() is None
