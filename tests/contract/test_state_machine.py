"""Random calls of the API and random traffic, held to `tests.support.probe_model` after every step.

``TEST_EXAMPLES`` is how many random histories there are, and ``TEST_STEPS`` how long each is; the
nox session ``soak`` runs many more than the suite, and other ones each time.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Dict

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.live import TargetMaker
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.probe_model import CONDITIONS, MESSAGES, OVER_AT_ONCE
from tests.support.probe_program import BODY_TAGS, TAGS
from tests.support.probe_session import Session

import otel_tracepoints

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "12"))
STEPS = int(os.environ.get("TEST_STEPS", "20"))

IDS = st.sampled_from(["p0", "p1", "p2", "p3", "p4"])
TAG_LISTS = st.lists(st.sampled_from(["red", "green", "blue"]), max_size=3)
SELECTIONS = st.lists(st.sampled_from(["red", "green", "blue", "none"]), min_size=1, max_size=2)
SMALL = st.integers(0, 3)

COMMON: Dict[str, Any] = {
    "condition": st.sampled_from(list(CONDITIONS)),
    "tags": TAG_LISTS,
    "enabled": st.booleans(),
    "rateLimit": st.sampled_from(
        [
            {"limitPerSecond": 1e9, "burst": 10**9},
            {"limitPerSecond": 1e-6, "burst": 2},
            {"burst": 5, "limitPerSecond": 1e-6},
        ]
    ),
    "maxHits": st.one_of(st.none(), st.integers(1, 4)),
    "expireSeconds": st.sampled_from([None, 3600, 99.5, OVER_AT_ONCE]),
}
OWN: Dict[str, Dict[str, Any]] = {
    "logpoint": {
        "message": st.sampled_from(list(MESSAGES)),
        "level": st.sampled_from(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]),
    },
    "tracepoint": {
        "snapshot": st.sampled_from([{"maxDepth": 1}, {"maxFrames": 0, "maxProperties": 7}, {}]),
        "watch": st.sampled_from([[], ["n"], ["n + 1", "nobody"]]),
    },
}
#: A field that cannot be taken, and the code of the refusal.
WRONG = st.sampled_from(
    [
        ({"maxHits": 0}, 400, "INVALID_FIELD"),
        ({"rateLimit": {"burst": 1.5}}, 400, "INVALID_FIELD"),
        ({"tags": ["ok", ""]}, 400, "INVALID_FIELD"),
        ({"condition": "n >"}, 422, "INVALID_CONDITION"),
        ({"colour": "red"}, 400, "UNKNOWN_FIELD"),
        ({"expireSeconds": -1}, 400, "INVALID_FIELD"),
    ]
)


def fields_of(type: str, **required: Any) -> Any:
    """Bodies for points of this type."""
    return st.fixed_dictionaries(required, optional={**COMMON, **OWN[type]})


DEFINITIONS = st.one_of(
    st.tuples(st.just("tracepoint"), fields_of("tracepoint")),
    st.tuples(
        st.just("logpoint"),
        st.fixed_dictionaries(
            {"message": OWN["logpoint"]["message"]},
            optional={**COMMON, "level": OWN["logpoint"]["level"]},
        ),
    ),
)
UPDATES = st.fixed_dictionaries({name: fields_of(name) for name in OWN})


class ProbesMachine(RuleBasedStateMachine):
    """Each rule does one thing to the agent and the same to the model; every step ends in a comparison."""

    session_of: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.session: Session = type(self).session_of()

    def teardown(self) -> None:
        self.session.end()

    # Definitions.

    @rule(id=IDS, which=st.sampled_from(["main", "late"]), tag=st.sampled_from(TAGS), defined=DEFINITIONS)
    def create(self, id: str, which: str, tag: str, defined: Any) -> None:
        self.session.create(id, which, tag, *defined)

    @rule(id=IDS, defined=DEFINITIONS, wrong=WRONG)
    def create_wrongly(self, id: str, defined: Any, wrong: Any) -> None:
        self.session.create_wrongly(id, *defined, wrong)

    @rule(id=IDS, tag=st.sampled_from(TAGS), defined=DEFINITIONS)
    def validate(self, id: str, tag: str, defined: Any) -> None:
        self.session.validate(id, tag, *defined)

    @rule(id=IDS, changes=UPDATES, method=st.sampled_from(["PUT", "PATCH"]))
    def update(self, id: str, changes: Any, method: str) -> None:
        self.session.update(id, changes, method)

    @rule(id=IDS, changes=UPDATES, wrong=WRONG)
    def update_wrongly(self, id: str, changes: Any, wrong: Any) -> None:
        self.session.update_wrongly(id, changes, wrong)

    @rule(id=IDS)
    def send_back(self, id: str) -> None:
        self.session.send_back(id)

    @rule(id=IDS)
    def delete(self, id: str) -> None:
        self.session.delete(id)

    @rule(tags=SELECTIONS)
    def delete_by_tags(self, tags: Any) -> None:
        self.session.delete_many(tags)

    @precondition(lambda self: len(self.session.model.points) > 3)
    @rule()
    def delete_all(self) -> None:
        self.session.delete_many(None)

    # Switches.

    @rule(id=IDS, on=st.booleans())
    def switch(self, id: str, on: bool) -> None:
        self.session.switch(id, on)

    @rule(tags=SELECTIONS, on=st.booleans())
    def switch_by_tags(self, tags: Any, on: bool) -> None:
        self.session.switch_by_tags(tags, on)

    @rule(id=IDS)
    def let_expire(self, id: str) -> None:
        self.session.let_expire(id)

    @rule(awake=st.booleans())
    def sleep_or_wake(self, awake: bool) -> None:
        self.session.sleep_or_wake(awake)

    # Traffic.

    @rule(
        which=st.sampled_from(["main", "main", "late"]),
        function=st.sampled_from(["work", "work", "outer", "add", "ticker"]),
        n=SMALL,
        generation=SMALL,
        threads=st.sampled_from([0, 0, 0, 4]),
    )
    def call(self, which: str, function: str, n: int, generation: int, threads: int) -> None:
        self.session.call(which, function, n, generation, threads)

    @precondition(lambda self: self.session.is_pending())
    @rule()
    def import_late(self) -> None:
        self.session.import_late()

    @rule(which=st.sampled_from(["main", "late"]))
    def reload(self, which: str) -> None:
        self.session.reload(which, BODY_TAGS)

    @precondition(lambda self: hasattr(os, "fork") and self.session.forks < 1)
    @rule(function=st.sampled_from(["work", "outer"]), n=SMALL)
    def fork(self, function: str, n: int) -> None:
        self.session.fork(function, n)

    @precondition(lambda self: self.session.restarts < 1)
    @rule()
    def stop_and_start(self) -> None:
        self.session.restart()

    # Questions.

    @rule(
        type=st.sampled_from([None, "tracepoint", "logpoint"]),
        enabled=st.sampled_from([None, True, False]),
        tags=TAG_LISTS,
        state=st.sampled_from([None, "pending", "active", "disabled", "expired", "error"]),
        which=st.sampled_from([None, "main", "late"]),
    )
    def select(self, type: Any, enabled: Any, tags: Any, state: Any, which: Any) -> None:
        self.session.select(type, enabled, tags, state, which)

    @invariant()
    def agree(self) -> None:
        self.session.compare()


def test_every_history_ends_as_the_specification_says(
    mechanism: str,
    sink: OtlpReceiver,
    target: TargetMaker,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever is asked for in whatever order, with hits in between: points, states, counts, hits, audit records and what the sink received are exactly those of the model, and unwatched code is as it was compiled."""
    caplog.set_level(logging.CRITICAL, "otel_tracepoints")  # each start tells its port
    request.addfinalizer(otel_tracepoints.stop)
    ProbesMachine.session_of = lambda: Session(mechanism, sink, target)
    run_state_machine_as_test(
        ProbesMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="TEST_EXAMPLES" not in os.environ,
            # Not explain: it would trace the threads that are under test.
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
