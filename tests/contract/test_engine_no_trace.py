"""Probes that came and went under traffic leave nothing; ``nox -s soak`` does the same ten thousand times."""

from __future__ import annotations

from typing import Callable, Iterator, List

import pytest
from tests.support.engines import MECHANISMS, engine_of, name_of
from tests.support.traces import Subject, come_and_go

from otel_tracepoints.engine.base import Engine

CYCLES = 100
WARM_UP = 20
#: Less than one for each cycle.
NOISE = CYCLES // 2


@pytest.fixture(params=MECHANISMS, ids=name_of)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each mechanism of this interpreter."""
    made = engine_of(request.param)
    yield made
    made.close()


def test_probes_under_eight_threads_leave_nothing(engine: Engine) -> None:
    """Set and removed 100 times while eight threads run the code, every probe is hit, every result is right, and code objects, references, hooks and the heap are as before."""
    subject = Subject()
    program = subject.program

    def install(tag: str) -> Callable[[], int]:
        hits: List[None] = []
        engine.install("p", program.sites(tag), program.tags[tag], lambda frame: hits.append(None))
        return hits.__len__

    def cycles(times: int) -> List[int]:
        with subject.traffic():
            return come_and_go(subject, times, install, lambda: engine.remove("p"))

    cycles(WARM_UP)
    subject.traces()  # the first look leaves what looking needs
    before = subject.traces()
    looking = subject.traces().blocks - before.blocks
    silent = cycles(CYCLES)
    after = subject.traces()
    if after.objects - before.objects >= NOISE or after.blocks - before.blocks - looking >= 2 * NOISE:
        # What an engine makes once, when it is first needed, it does not make again.
        before = after
        silent += cycles(CYCLES)
        after = subject.traces()
    assert subject.wrong == []
    assert silent == []
    assert after.codes == before.codes
    assert after.hooks == before.hooks
    assert after.objects - before.objects < NOISE, after.grown(before)
    assert after.blocks - before.blocks - looking < 2 * NOISE, after.grown(before)
