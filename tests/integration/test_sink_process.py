"""``otel-tracepoints sink`` as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any, Iterator, List

import pytest
from click.testing import CliRunner
from tests.support.otlp_receiver import closed_port
from tests.support.timing import AIR

from otel_tracepoints.cli.sink import command

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
SOURCE = str(pathlib.Path(__file__).resolve().parents[2] / "src")
ENVELOPE = {
    "name": "probe.hit.logpoint",
    "timestamp": "2026-11-20T10:00:00.000Z",
    "id": "00000000-0000-4000-8000-000000000001",
    "client": dict.fromkeys(
        ("hostname", "applicationName", "applicationInstanceId", "agentVersion", "runtime", "runtimeVersion"),
        "x\x1b[31m",
    ),
    "payload": {"probeId": "p1", "file": "a.py", "line": 3, "message": "\x1b]0;owned\x07 é"},
}


class Sink:
    """The process, and the URL it says it listens on."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        code = "from otel_tracepoints.cli.sink import command; command()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": SOURCE, **environment},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        said = (self.process.stderr if "--json" in arguments else self.process.stdout).readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert found is not None, said
        self.url, self.port = found.group(), int(found.group(1))

    def post(self, envelope: Any = ENVELOPE) -> None:
        request = urllib.request.Request(
            self.url + "/api/events", json.dumps(envelope).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202

    def end(self, number: int = signal.SIGTERM) -> "tuple[int, bytes, bytes]":
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err


@pytest.fixture
def started() -> Iterator[List[Sink]]:
    """Processes to be ended whatever happens."""
    sinks: List[Sink] = []
    yield sinks
    for sink in sinks:
        if sink.process.poll() is None:
            sink.process.kill()
        sink.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_with_open_connections(started: List[Sink], number: int) -> None:
    """Exit code 0, nothing on stderr, with clients idle, in a header, in a body and in HTTP/2."""
    sink = Sink()
    started.append(sink)
    beginnings = (
        b"",
        b"GET /health HT",
        b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    )
    clients = [socket.create_connection(("127.0.0.1", sink.port)) for _ in beginnings]
    for client, beginning in zip(clients, beginnings):
        client.sendall(beginning)
    sink.post()
    began = time.monotonic()
    code, _, err = sink.end(number)
    assert (code, err) == (0, b"")
    assert time.monotonic() - began < 1 + AIR  # about one second, on a machine that is busy with other tests
    for client in clients:
        client.close()


def test_json_is_one_event_a_line_and_nothing_else(started: List[Sink]) -> None:
    """Each line of stdout is an envelope; what a person needs goes to stderr."""
    sink = Sink("--json")
    started.append(sink)
    sink.post()
    sink.post()
    sink.post({**ENVELOPE, "id": "00000000-0000-4000-8000-000000000002"})
    code, out, _ = sink.end()
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, lines) == (0, [ENVELOPE, {**ENVELOPE, "id": "00000000-0000-4000-8000-000000000002"}])


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_person_reads_text_without_any_control_character(started: List[Sink], environment: Any) -> None:
    """On a pipe there are no colours, and what a stranger sent is shown, not obeyed."""
    sink = Sink(**environment, PYTHONIOENCODING="utf-8")
    started.append(sink)
    sink.post()
    code, out, _ = sink.end()
    text = out.decode("utf-8")
    assert code == 0
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "10:00:00.000Z  logpoint  x\\x1b[31m  a.py:3  [p1]\n    \\x1b]0;owned\\x07 é\n" in text


def test_a_reader_that_goes_away_ends_it(started: List[Sink]) -> None:
    """``otel-tracepoints sink --json | head -1`` ends by itself, without a word."""
    sink = Sink("--json")
    started.append(sink)
    assert sink.process.stdout is not None
    sink.process.stdout.close()
    sink.post()
    assert sink.process.wait(10) == 0
    assert sink.process.stderr is not None
    assert sink.process.stderr.read() == b""


def test_a_reader_that_does_not_read_holds_up_nothing(started: List[Sink]) -> None:
    """With a full pipe events are still taken, and the end is as quick as ever."""
    sink = Sink("--json")
    started.append(sink)
    for number in range(40):
        payload = {**ENVELOPE["payload"], "message": "x" * 10_000}  # type: ignore[dict-item]
        sink.post({**ENVELOPE, "id": f"00000000-0000-4000-8000-{number:012d}", "payload": payload})
    began = time.monotonic()
    sink.process.send_signal(signal.SIGTERM)
    assert sink.process.wait(10) == 0
    assert time.monotonic() - began < 3


def test_what_could_not_be_passed_on_is_said_at_the_end(started: List[Sink]) -> None:
    """With --forward to nobody the sink works on, and ends with 0 and a word about what was lost."""
    nobody = f"http://127.0.0.1:{closed_port()}"
    sink = Sink("--forward", nobody)
    started.append(sink)
    request = urllib.request.Request(
        sink.url + "/v1/traces", b'{"resourceSpans": []}', {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    code, _, err = sink.end()
    assert code == 0
    assert err.decode().startswith(f"1 requests were not passed on to {nobody}: ")


def test_events_survive_a_restart(started: List[Sink], tmp_path: pathlib.Path) -> None:
    """With --store a second process finds what the first one took, also after kill -9."""
    store = str(tmp_path / "events.db")
    first = Sink("--store", store)
    started.append(first)
    first.post()
    first.process.kill()
    first.process.wait(10)
    second = Sink("--store", store)
    started.append(second)
    with urllib.request.urlopen(second.url + "/api/events", timeout=10) as answer:
        assert json.load(answer) == {"events": [ENVELOPE], "total": 1}


def test_what_cannot_work_is_said_in_a_sentence(tmp_path: pathlib.Path) -> None:
    """A taken port and a bad store end with 1 and say what to do; a bad URL or port is bad usage: 2."""
    other = tmp_path / "notes.txt"
    other.write_text("not a database " * 100)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        for arguments, hint in (
            (["--port", str(taken.getsockname()[1])], "--port 0"),
            (["--port", str(closed_port()), "--store", str(other)], "notes.txt"),
            (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        ):
            result = CliRunner().invoke(command, arguments)
            assert (result.exit_code, hint in result.output) == (1, True), result.output
            assert "Traceback" not in result.output
    for arguments, hint in ((["--forward", "nowhere"], "http://host:port"), (["--port", "70000"], "70000")):
        result = CliRunner().invoke(command, arguments)
        assert (result.exit_code, hint in result.output) == (2, True), result.output
