"""Servers with several workers, started as their users start them; the workers are debugged, and end as always."""

from __future__ import annotations

import collections
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Counter

import pytest
from tests.support.beside import Stage, apis, more_apis, serves, wait_until_served
from tests.support.live import ok
from tests.support.otlp_receiver import closed_port
from tests.support.processes import Process, instrument_command

WSGI = """
    import json, os
    from opentelemetry import trace

    def price(n):
        total = n * 3
        return total  # TAG: priced

    def app(environ, start_response):
        name = environ["PATH_INFO"].strip("/")
        with trace.get_tracer("shop").start_as_current_span("request"):
            total = price(int(name)) if name else None
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"pid": os.getpid(), "total": total}).encode()]
"""

ASGI = """
    import json, os

    def price(n):
        total = n * 3
        return total  # TAG: priced

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        name = scope["path"].strip("/")
        body = json.dumps({"pid": os.getpid(), "total": price(int(name)) if name else None}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""

#: One agent for each worker, as docs/troubleshooting.md says.
OWN_AGENTS = """
    def post_fork(server, worker):
        import otel_tracepoints

        otel_tracepoints.stop()  # the one that came with the fork
        otel_tracepoints.start()
"""


def _script(name: str) -> str:
    script = pathlib.Path(sys.executable).with_name(name)
    if not script.exists():
        pytest.skip(f"{name} is not installed")
    return str(script)


def _gunicorn(stage: Stage, port: int, *arguments: str, **environment: str) -> Process:
    pytest.importorskip("gunicorn")
    stage.write("wsgi.py", WSGI)
    command = [_script("gunicorn"), "-b", f"127.0.0.1:{port}", "--no-control-socket", *arguments, "wsgi:app"]
    if "--no-control-socket" not in _help(command[0]):  # there was none then
        command.remove("--no-control-socket")
    return stage.launch(instrument_command(*command), **environment)


def _help(*program: str) -> str:
    done = subprocess.run(
        [*program, "--help"], stdout=subprocess.PIPE, universal_newlines=True, timeout=30, check=True
    )
    return done.stdout


def _until_both_answered(process: Process, port: int, *, old: Counter[int]) -> Counter[int]:
    """Ask until two workers have answered that are none of the old ones."""
    deadline = time.monotonic() + 30
    seen: Counter[int] = collections.Counter()
    while len(set(seen) - set(old)) < 2:
        assert time.monotonic() < deadline, (seen, old, "".join(process.output))
        try:
            seen[serves(port)["pid"]] += 1
        except OSError:  # between two generations of workers
            time.sleep(0.02)
    return seen


def _until_gone(workers: Counter[int]) -> None:
    """Wait until these have ended: nothing of ours may hold them."""
    deadline = time.monotonic() + 15
    for pid in workers:
        while pathlib.Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, pid
            time.sleep(0.02)


def _ask(port: int, count: int) -> Counter[int]:
    """So many requests, each for a number of its own; who answered them."""
    seen: Counter[int] = collections.Counter()
    for n in range(count):
        answer = serves(port, f"/{n}")
        assert answer["total"] == 3 * n
        seen[answer["pid"]] += 1
    return seen


def _ends(process: Process, others: bool = False) -> None:
    """It ends by SIGTERM as without us; with ``others``, tracebacks that are not ours are let pass."""
    began = time.monotonic()
    process.process.send_signal(signal.SIGTERM)
    code = process.end(20)
    assert code in (0, -signal.SIGTERM), "".join(process.output)
    assert time.monotonic() - began < 12
    text = "".join(process.output)
    assert ("otel_tracepoints/" if others else "Traceback") not in text, text


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_gunicorns_workers_keep_the_probes_of_the_master(stage: Stage, kind: str) -> None:
    """A probe set through the master is in every worker forked afterwards; workers open no port of their own."""
    if kind == "gevent":
        pytest.importorskip("gevent")
    port = closed_port()
    process = _gunicorn(stage, port, "-w", "2", "-k", kind, "--threads", "3" if kind == "gthread" else "1")
    wait_until_served(process, port)
    old = _until_both_answered(process, port, old=collections.Counter())
    master = process.wait_for_api()["process"]["pid"]
    assert master == process.process.pid and master not in old
    # Only the workers import the application.
    stage.logpoint(process.api, "wsgi.py", "priced", "{n} costs {total}", state="pending")
    stage.tracepoint(process.api, "wsgi.py", "priced", state="pending", condition="n == 5")
    os.kill(master, signal.SIGHUP)  # new workers take the place of the old ones
    _until_both_answered(process, port, old=old)
    _until_gone(old)
    answered = _ask(port, 30)
    assert not set(answered) & set(old)
    assert stage.wait_for_messages(30) == {f"{n} costs {3 * n}": 1 for n in range(30)}
    (hit,) = stage.sink.wait_for(lambda: stage.sink.events("probe.hit.snapshot"))
    assert hit["span"]["name"] == "request" and hit["attributes"]["probe.variable.total"] == "15"
    assert apis(process) == []
    assert ok(process.api.get("/health"))["process"]["pid"] == master
    # gevent upsets the SDK's threads, which are older than its patch, when they end.
    _ends(process, others=kind == "gevent")


def test_gunicorns_workers_with_an_agent_each(stage: Stage) -> None:
    """With the hook that the documentation shows each worker is asked on a port that the log names."""
    stage.write("conf.py", OWN_AGENTS)
    port = closed_port()
    process = _gunicorn(stage, port, "-w", "2", "-c", "conf.py")
    wait_until_served(process, port)
    workers = _until_both_answered(process, port, old=collections.Counter())
    own = more_apis(process, 2)
    assert {ok(api.get("/health"))["process"]["pid"] for api in own} == set(workers)
    for api in own:
        stage.logpoint(api, "wsgi.py", "priced", "{n} costs {total}")
    _ask(port, 20)
    assert stage.wait_for_messages(20) == {f"{n} costs {3 * n}": 1 for n in range(20)}
    _ends(process)


def test_uvicorns_workers_have_an_agent_each(stage: Stage) -> None:
    """Workers that are spawned each serve the API on a port of their own, which the log names."""
    pytest.importorskip("uvicorn")
    stage.write("asgi.py", ASGI)
    port = closed_port()
    command = ["-m", "uvicorn", "asgi:app", "--workers", "2", "--port", str(port)]
    if "--timeout-worker-healthcheck" in _help(sys.executable, "-m", "uvicorn"):
        command += ["--timeout-worker-healthcheck", "60"]  # else a busy machine has them replaced
    process = stage.start(*command)
    wait_until_served(process, port)
    if not apis(process):
        pytest.skip("this version of OpenTelemetry starts nothing in child processes")
    workers = set(_until_both_answered(process, port, old=collections.Counter()))
    own = {ok(api.get("/health"))["process"]["pid"]: api for api in more_apis(process, 2)}
    assert workers <= set(own)
    assert process.wait_for_api()["process"]["pid"] == process.process.pid
    for pid in workers:
        stage.logpoint(own[pid], "asgi.py", "priced", "{n} costs {total}")
    _ask(port, 20)
    assert stage.wait_for_messages(20) == {f"{n} costs {3 * n}": 1 for n in range(20)}
    _ends(process)


def test_uvicorn_alone(stage: Stage) -> None:
    """One uvicorn process is debugged through the usual port while its loop serves."""
    pytest.importorskip("uvicorn")
    stage.write("asgi.py", ASGI)
    port = closed_port()
    process = stage.start("-m", "uvicorn", "asgi:app", "--port", str(port))
    wait_until_served(process, port)
    stage.logpoint(process.api, "asgi.py", "priced", "{n} costs {total}")
    assert set(_ask(port, 10)) == {process.wait_for_api()["process"]["pid"]}
    assert stage.wait_for_messages(10) == {f"{n} costs {3 * n}": 1 for n in range(10)}
    _ends(process)
