"""The pipeline across fork, multiprocessing and the end of the interpreter, in real processes."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.support.otlp_receiver import OtlpReceiver, closed_port

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ["http", "grpc"]

PRELUDE = """
import atexit, json, multiprocessing, os, sys, threading, time
from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter
from tests.support.snapshots import logpoint, ordinals, tracepoint

emitter = Emitter(Settings.load(), lambda text: text)
emitter.start()
atexit.register(emitter.stop)
os.register_at_fork(after_in_child=emitter.after_fork_in_child)
ordinal = ordinals()

def hit(name, count=1):
    for number in range(count):
        assert emitter.submit(tracepoint(f"{name}-{number}"), ordinal)
"""


def run(url, body, timeout=40, **environment):
    script = PRELUDE + textwrap.dedent(body)
    environ = {**os.environ, "DEBUGIN_EVENT_SINK_URL": url, **environment}
    environ.pop("GRPC_ENABLE_FORK_SUPPORT")
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environ,
        timeout=timeout,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done, time.monotonic() - begin


def names(sink):
    return collections.Counter(event["attributes"]["probe.id"] for event in sink.events())


def expected(**counts):
    return {f"{name}-{number}": 1 for name, count in counts.items() for number in range(count)}


@pytest.mark.parametrize("server", SERVERS)
def test_hits_right_before_the_exit_arrive(server):
    """A process that hits and ends at once loses nothing."""
    with OtlpReceiver(server) as sink:
        run(sink.url, "hit('last', 300)")
        assert names(sink) == expected(last=300)


def test_a_dead_sink_delays_the_exit_by_less_than_two_seconds():
    """With nothing listening a process with a full queue ends as quickly as one without hits."""
    url = f"http://127.0.0.1:{closed_port()}"
    body = "hit('lost', 2000); begin = time.monotonic(); emitter.stop(); print(time.monotonic() - begin)"
    done, _ = run(url, body)
    assert float(done.stdout) < 2.1


def test_a_silent_sink_delays_the_exit_by_two_seconds_at_most():
    """With a sink that never answers stop takes its two seconds, and the process then ends."""
    with OtlpReceiver("http") as sink:
        sink.gate.clear()
        body = """
            hit('lost', 500)
            begin = time.monotonic()
            emitter.stop()
            print(json.dumps([time.monotonic() - begin, emitter.status()["dropped"]]))
        """
        done, _ = run(sink.url, body)
    seconds, dropped = json.loads(done.stdout)
    assert seconds < 2.2
    assert dropped == 500


@pytest.mark.parametrize("server", SERVERS)
def test_a_forked_child_sends_its_own_hits_and_only_those(server):
    """After fork parent and child each send what they saw: nothing twice, nothing lost, from a used pipeline."""
    body = """
        hit('before', 50)
        assert emitter.flush(10)
        hit('queued', 50)
        pid = os.fork()
        if pid == 0:
            hit('child', 50)
            sys.exit(0)
        hit('parent', 50)
        os.waitpid(pid, 0)
    """
    with OtlpReceiver(server) as sink:
        run(sink.url, body)
        assert names(sink) == expected(before=50, queued=50, child=50, parent=50)


@pytest.mark.parametrize("server", SERVERS)
def test_a_child_of_multiprocessing_sends_its_hits(server):
    """Children of multiprocessing's fork skip atexit, and their hits arrive all the same."""
    body = """
        def work(number):
            hit(f"worker{number}", 20)

        hit('main', 5)
        assert emitter.flush(10)
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(number,)) for number in range(3)]
        for child in children: child.start()
        for child in children:
            child.join(20)
            assert child.exitcode == 0
    """
    with OtlpReceiver(server) as sink:
        run(sink.url, body)
        assert names(sink) == expected(main=5, worker0=20, worker1=20, worker2=20)


def test_fork_while_threads_hit_and_send():
    """Forking in the middle of traffic neither hangs the child nor doubles or loses a hit."""
    body = """
        stop = threading.Event()
        sent = []

        def traffic(name):
            number = 0
            while not stop.is_set() and number < 400:
                assert emitter.submit(tracepoint(f"{name}-{number}"), ordinal)
                number += 1
                time.sleep(0.0005)
            sent.append(number)

        threads = [threading.Thread(target=traffic, args=(f"t{n}",)) for n in range(2)]
        for thread in threads: thread.start()
        children = []
        for number in range(4):
            time.sleep(0.05)
            pid = os.fork()
            if pid == 0:
                hit(f"child{number}", 3)
                emitter.stop()
                os._exit(0)
            children.append(pid)
        for pid in children: assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        emitter.stop(10)
        status = emitter.status()
        assert status["sent"] == sum(sent), (status, sent)
        print(sum(sent))
    """
    with OtlpReceiver("http") as sink:
        done, _ = run(sink.url, body)
        seen = names(sink)
        assert set(seen.values()) == {1}
        children = {name for name in seen if name.startswith("child")}
        assert children == {f"child{number}-{hit}" for number in range(4) for hit in range(3)}
        assert len(seen) - len(children) == int(done.stdout)


def test_a_fork_that_never_hits_starts_nothing():
    """A child without hits has no threads of ours, and stopping it is immediate."""
    body = """
        hit('parent', 1)
        pid = os.fork()
        if pid == 0:
            assert threading.active_count() == 1, threading.enumerate()
            begin = time.monotonic()
            emitter.stop()
            assert time.monotonic() - begin < 1.5
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    with OtlpReceiver("http") as sink:
        run(sink.url, body)
        assert names(sink) == expected(parent=1)


def test_accounts_and_memory_of_a_child_begin_at_nothing():
    """A child counts its own hits only, and numbers them from 1."""
    body = """
        hit('parent', 10)
        assert emitter.flush(10)
        pid = os.fork()
        if pid == 0:
            hit('child', 2)
            assert emitter.flush(10)
            status = emitter.status()
            assert (status["sent"], status["queued"], status["dropped"]) == (2, 0, 0), status
            page = emitter.hits(None, 100, 0, None)
            assert [(h["sequence"], h["point"]) for h in page.hits] == [(1, "child-0"), (2, "child-1")]
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    with OtlpReceiver("http") as sink:
        run(sink.url, body)


def test_an_idle_agent_never_wakes():
    """With nothing to send the emitter's threads use no CPU time and no context switch of their own."""
    body = """
        hit('one', 1)
        assert emitter.flush(10)
        time.sleep(0.3)
        def switches():
            total = 0
            for task in os.listdir("/proc/self/task"):
                with open(f"/proc/self/task/{task}/status") as file:
                    lines = dict(line.split(":", 1) for line in file if ":" in line)
                if int(task) != os.getpid():
                    total += int(lines["voluntary_ctxt_switches"])
            return total
        before = switches()
        time.sleep(1.0)
        print(switches() - before)
    """
    if not Path("/proc/self/task").exists():
        pytest.skip("needs Linux's /proc")
    with OtlpReceiver("http") as sink:
        done, _ = run(sink.url, body)
    assert int(done.stdout) == 0


def test_the_random_numbers_of_the_application_stay_the_same():
    """Span ids do not come from the random module: a seeded application draws the same numbers."""
    body = """
        import random
        random.seed(1)
        expected = [random.random() for _ in range(3)]
        random.seed(1)
        hit('one', 10)
        assert emitter.flush(10)
        assert [random.random() for _ in range(3)] == expected
    """
    with OtlpReceiver("http") as sink:
        run(sink.url, body)


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_is_imported_once_the_emitter_has_started(server):
    """A fork during an import in one of our threads would lock that module for ever in the child."""
    body = """
        before = set(sys.modules)
        hit('one', 40)
        emitter.submit(logpoint("log"), ordinal)
        emitter.observe(0.001)
        emitter.hits(None, 10, 0, None)
        assert emitter.flush(10)
        emitter.stop()
        assert emitter.status()["sent"] == 41
        print(json.dumps(sorted(set(sys.modules) - before)))
    """
    with OtlpReceiver(server) as sink:
        done, _ = run(sink.url, body)
        assert sink.metrics()
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("server", SERVERS)
def test_subprocesses_of_the_application_are_not_harmed(server):
    """Children that the application starts while hits are being sent all run and end as they should."""
    body = """
        import subprocess
        stop = threading.Event()

        def traffic():
            while not stop.is_set():
                emitter.submit(tracepoint("x"), ordinal)
                time.sleep(0.002)

        thread = threading.Thread(target=traffic)
        thread.start()
        codes = {subprocess.run(["/bin/true"], preexec_fn=os.getpid if n % 2 else None).returncode for n in range(60)}
        stop.set()
        thread.join()
        assert codes == {0}, codes
    """
    with OtlpReceiver(server) as sink:
        run(sink.url, body)
