"""The command line as a process: signals, pipes, encodings and missing extras."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.support.fake_control_api import fake_control_api

COMMAND = [sys.executable, "-m", "otel_tracepoints"]
HIT = {"sequence": 1, "timestamp": "t", "point": "a", "type": "logpoint", "message": "sn\u00f6w \u2603"}


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEBUGIN_", "OTEL_"))}
    return {**kept, **more}


def watchable(api, held):
    """Answer one hit at once, then hold every poll."""

    def page(request):
        if "wait=" in request.target:
            held.wait(20)
            return 200, {"hits": [], "next": 1, "missed": 0}
        return 200, {"hits": [HIT], "next": 1, "missed": 0}

    api.replies["GET /health"] = (200, {"status": "healthy", "process": {"pid": 1}, "uptime": 1.0})
    api.replies["GET /hits"] = page


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX only")
@pytest.mark.parametrize("as_json", [True, False])
def test_interrupt_ends_watch_with_zero(as_json):
    """Ctrl-C is how a watch ends: exit code 0, the hit was there at once, no traceback."""
    held = threading.Event()
    with fake_control_api() as api:
        watchable(api, held)
        arguments = [*COMMAND, "watch", "--url", api.url, *(["--json"] if as_json else [])]
        process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(PYTHONIOENCODING="utf-8"),
        )
        first = process.stdout.readline()
        while b"Watching" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        held.set()
    assert process.returncode == 0
    assert (b'"sequence": 1' if as_json else b"logpoint a") in first
    assert b"Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX only")
def test_interrupt_ends_anything_else_with_130():
    """Ctrl-C while an answer is awaited ends with 130 and no traceback."""
    asked, held = threading.Event(), threading.Event()

    def slow(_request):
        asked.set()
        held.wait(20)
        return 200, {"points": []}

    with fake_control_api() as api:
        api.replies["GET /points"] = slow
        process = subprocess.Popen(
            [*COMMAND, "list", "--url", api.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert asked.wait(10)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        held.set()
    assert process.returncode == 130
    assert b"Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="pipes break otherwise elsewhere")
@pytest.mark.parametrize("as_json", [True, False])
def test_a_reader_that_goes_away_is_no_error(as_json):
    """``… | head`` ends quietly: what was asked for is done."""
    with fake_control_api() as api:
        points = [{"id": f"p{number}", "message": "x" * 200} for number in range(3000)]
        api.replies["GET /points"] = (200, {"points": points, "total": 3000})
        read, write = os.pipe()
        process = subprocess.Popen(
            [*COMMAND, "list", "--url", api.url, *(["--json"] if as_json else [])],
            stdout=write,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        os.close(write)
        os.close(read)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_said():
    """A full disk is an error with a sentence, not a traceback at exit."""
    with fake_control_api() as api, open("/dev/full", "wb") as full:
        api.replies["GET /points"] = (200, {"points": [{"id": "a"}], "total": 1})
        done = subprocess.run(
            [*COMMAND, "list", "--url", api.url],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=20,
        )
    assert done.returncode == 1
    assert b"Cannot write the output" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="the shell's way to close a stream")
def test_closed_streams_are_borne():
    """Without stdout and stderr a command still does its work."""
    with fake_control_api() as api:
        api.replies["POST /sleep"] = (200, {"state": "sleeping"})
        code = subprocess.call(
            ["sh", "-c", 'exec "$0" -m otel_tracepoints sleep --url "$1" >&- 2>&-', sys.executable, api.url],
            env=environment(),
            timeout=20,
        )
    assert code == 0
    assert api.requests[0].method == "POST"


def test_a_terminal_without_the_character_gets_its_escape():
    """An encoding that lacks a character does not end the command."""
    with fake_control_api() as api:
        api.replies["GET /points"] = (
            200,
            {"points": [{"id": "a", "message": "sn\u00f6w \u2603"}], "total": 1},
        )
        done = subprocess.run(
            [*COMMAND, "list", "--url", api.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(PYTHONIOENCODING="ascii"),
            timeout=20,
        )
    assert done.returncode == 0
    assert b"sn\\xf6w \\u2603" in done.stdout
    assert done.stderr == b""


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
from otel_tracepoints.__main__ import main
sys.exit(main({arguments!r}))
"""


@pytest.mark.parametrize(
    ("names", "arguments", "code", "said"),
    [
        (["click"], ["list"], 2, 'pip install "otel-tracepoints[cli]"'),
        (["rich"], ["list"], 2, 'pip install "otel-tracepoints[cli]"'),
        (["hypercorn", "h2", "grpc"], ["--help"], 0, ""),
        (["flask"], ["demo"], 2, 'pip install "otel-tracepoints[demo]"'),
        (["hypercorn"], ["demo"], 2, 'pip install "otel-tracepoints[sink]"'),
        (["flask", "hypercorn"], ["health", "--url", "http://127.0.0.1:1"], 3, "Cannot connect"),
    ],
)
def test_a_missing_extra_is_named_and_breaks_nothing_else(names, arguments, code, said):
    """A command whose extra is missing says which to install; the others work."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=names, arguments=arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == code, done.stderr
    assert said.encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_nothing_of_the_agent_or_of_opentelemetry_is_loaded():
    """The command line is a client: it starts neither the agent nor OpenTelemetry."""
    code = (
        "import sys; from otel_tracepoints.__main__ import main; main(['list', '--url', 'http://127.0.0.1:1']);"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'falcon', 'waitress', 'grpc'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=30,
    )
    assert done.stdout.strip() == b"[]"
