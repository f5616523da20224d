"""Ten thousand probes that come and go under traffic: ``python -m tests.load.soak [--cycles N] [MECHANISM …]``.

Once with the engine alone, and once with the whole agent, each mechanism in a process of its own.
Prints what is left (nothing), and the speed of the program beside its twin that never had a probe.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any, Callable, List

import otel_tracepoints
from otel_tracepoints import Settings, foundation
from tests.load.figures import Figures, resident_mib
from tests.support.engines import MECHANISMS, engine_of, name_of
from tests.support.live import WIDE_OPEN
from tests.support.traces import Subject, come_and_go

#: Of the judged cycles; so many come before the first look.
WARM_UP = 0.1
#: MiB, objects, blocks and slowness that a leak of one small object each time would exceed.
GROWTH_MIB, OBJECTS, BLOCKS, SLOWDOWN = 4.0, 200.0, 1000.0, 1.05


def soak(figures: Figures, mechanism: str, level: str, cycles: int) -> None:
    """All cycles, and what they left."""
    subject = Subject()
    install, remove, forget, close = (over_the_agent if level == "agent" else over_the_engine)(
        mechanism, subject
    )
    pid = os.getpid()
    with subject.traffic():
        come_and_go(subject, max(20, int(cycles * WARM_UP)), install, remove)
    subject.traces()
    untouched = subject.slowdown()
    forget()
    before, memory = subject.traces(), resident_mib(pid)
    looking = subject.traces().blocks - before.blocks
    begin, subject.calls = time.monotonic(), 0
    with subject.traffic():
        silent = come_and_go(subject, cycles, install, remove)
    taken = time.monotonic() - begin
    forget()
    after, memory_after = subject.traces(), resident_mib(pid)
    figures.tell(f"{cycles} cycles under 8 threads", taken, "s")
    figures.tell("runs of the program by the threads", subject.calls)
    figures.tell("wrong results", len(subject.wrong), "", 0)
    figures.tell("probes that were silent", len(silent), "", 0)
    figures.tell("code objects, constants or references that differ", after.codes != before.codes, "", 0)
    figures.tell("hooks that differ", after.hooks != before.hooks, "", 0)
    figures.tell("more objects", after.objects - before.objects, "", OBJECTS)
    figures.tell("more blocks of memory", after.blocks - before.blocks - looking, "", BLOCKS)
    # Without the GIL the allocator keeps pages for each thread, though no block more is in use: some
    # 15 MiB after 300 cycles as after 4,000. (What 3.13 makes immortal there, functions of modules,
    # classes and their code, is not made by a cycle.)
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    figures.tell("more memory", memory_after - memory, "MiB", None if free_threaded else GROWTH_MIB)
    figures.tell("slower than its twin, before the cycles", untouched, "times")
    figures.tell("slower than its twin, after the cycles", subject.slowdown(), "times", SLOWDOWN)
    if after.grown(before):
        print("more of:", after.grown(before))
    close()
    figures.tell("slower than its twin, after the end", subject.slowdown(), "times", SLOWDOWN)
    figures.tell("trace function left", sys.gettrace() is not None, "", 0)


def over_the_engine(mechanism: str, subject: Subject) -> Any:
    """How the engine alone sets and removes."""
    engine = engine_of(mechanism)
    program = subject.program

    def install(tag: str) -> Callable[[], int]:
        hits: List[None] = []
        engine.install("p", program.sites(tag), program.tags[tag], lambda frame: hits.append(None))
        return hits.__len__

    return install, lambda: engine.remove("p"), lambda: None, engine.close


def over_the_agent(mechanism: str, subject: Subject) -> Any:
    """How the whole agent does: tracepoints and logpoints in turn, each of them new."""
    foundation.create_engine = lambda choice, **_: engine_of(mechanism)
    chosen = Settings(control_api_port=0, event_sink_url="none", max_overhead_percent=100.0)
    agent = otel_tracepoints.start(settings=chosen)
    program = subject.program
    ids: List[str] = []

    def install(tag: str) -> Callable[[], int]:
        file, line = program.filename, program.tags[tag]
        if len(tag) % 2:
            ids.append(agent.set_logpoint(file, line, "{n}", rate_limit=WIDE_OPEN))
        else:
            ids.append(agent.set_tracepoint(file, line, condition="n >= 0", rate_limit=WIDE_OPEN))
        id = ids[-1]
        return lambda: sum(agent._debugger.point(id)["counts"].values())

    # The newest thousand hits are kept for `GET /hits`; how large they are depends on where they were.
    def forget() -> None:
        agent._emitter.flush(5)
        agent._emitter._log._hits.clear()

    return install, lambda: agent.remove(ids.pop()), forget, otel_tracepoints.stop


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    named = {name_of(each): each for each in MECHANISMS}
    parser.add_argument("mechanism", nargs="*", help=f"of {', '.join(map(repr, named))}")
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--level", choices=["engine", "agent"], action="append")
    parser.add_argument("--here", action="store_true", help="in this process")
    options = parser.parse_args()
    chosen = [
        (name, level) for name in options.mechanism or named for level in options.level or ("engine", "agent")
    ]
    figures = Figures()
    failed = False
    for mechanism, level in chosen:
        if options.here:
            print(f"-- {mechanism}, the {level}, Python {sys.version.split()[0]}", flush=True)
            soak(figures, named[mechanism], level, options.cycles)
        else:
            more = ["--here", "--cycles", str(options.cycles), "--level", level, mechanism]
            failed |= bool(
                subprocess.run([sys.executable, "-m", "tests.load.soak", *more], check=False).returncode
            )
    return 0 if figures.kept and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
