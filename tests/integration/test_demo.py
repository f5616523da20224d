"""The demo, as a user runs it: from the installed package, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from otel_tracepoints.demo import stage
from otel_tracepoints.demo.processes import free_port
from otel_tracepoints.demo.run import run

DEMO = [sys.executable, "-m", "otel_tracepoints", "demo"]
#: Seconds: the promise is 20 on a machine that does nothing else.
LIMIT = 90


def environment(directory):
    """The user's own tuning of OpenTelemetry, which the demo must not be bent by."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEBUGIN_", "OTEL_"))}
    hostile = {
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "DEBUGIN_CONTROL_API_TOKEN": "t",
        "DEBUGIN_REDACT_NAMES": "customer",
        "http_proxy": "http://127.0.0.1:9",
        "TMPDIR": str(directory),
    }
    return {**kept, **hostile}


def children_of(directory):
    """Processes whose working directory or command line is the demo's."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")) if os.path.isdir("/proc") else ():
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(str(directory)):
                found.append(int(pid))
        except OSError:
            continue
    return found


def end(process, directory):
    if process.poll() is None:
        process.kill()
    process.wait()
    for pid in children_of(directory):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def demo(tmp_path):
    """Starts the demo; whatever a failed test left is ended."""
    directory = tmp_path.resolve()
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [*DEMO, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(directory),
            cwd=directory,
            encoding="utf-8",
        )
        process.home = directory
        started.append(process)
        return process

    yield start
    for process in started:
        end(process, directory)


def read_until(process, pattern):
    """The lines up to the one that matches."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return lines
    pytest.fail(f"no {pattern!r} in {''.join(lines)}\n{process.stderr.read()}")
    return lines


def addresses(lines):
    return re.findall(r"http://127\.0\.0\.1:\d+", "".join(lines))


def gone(url):
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2)
    except (OSError, urllib.error.URLError):
        return True
    return False


def test_demo_finds_the_planted_bug_and_ends(demo):
    """The demo shows message, variables, stack and trace id of real hits, names the bug, and ends with 0."""
    began = time.monotonic()
    process = demo()
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, out + err
    assert err == ""
    assert re.search(r"bob +40\.00 +pays 40\.00", out)
    assert re.search(r"cleo +40\.00 +pays 32\.00", out)
    snapshots = out.split("probe.hit.snapshot")[1:]
    assert len(snapshots) == 2
    for part in snapshots:
        assert "customer = Customer(" in part
        assert re.search(r"key = '(DE|FR)'", part)
        assert re.search(r"stack +shop/pricing\.py:\d+ in .*percent_off", part)
        assert re.search(r"shop/app\.py:\d+ in .*checkout", part)
        assert re.search(r"trace id +[0-9a-f]{32}  \(the trace of the request just sent\)", part)
    assert (
        len(re.findall(r"message +(ada|bob|cleo) \((standard|gold), (DE|FR)\) gets \d+ % off 4000", out)) == 3
    )
    assert re.search(r"Found: .*percent_off\(\) at shop/pricing\.py:\d+ caches the discount by country", out)
    assert children_of(process.home) == []
    assert os.listdir(process.home) == []
    for url in set(addresses([out])):
        assert gone(url), f"something still answers at {url}"
    assert time.monotonic() - began < LIMIT


def test_taken_ports_are_passed_over_and_named(demo):
    """With its three ports taken the demo says which it takes instead, and works."""
    held = []
    for port in (4317, 5001, 8080):
        try:
            held.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            pass  # Taken by somebody else: as good.
    try:
        process = demo()
        out, err = process.communicate(timeout=LIMIT)
    finally:
        for server in held:
            server.close()
    assert process.returncode == 0, out + err
    for port, who in ((4317, "sink"), (5001, "control API"), (8080, "shop")):
        assert re.search(rf"Port {port} is taken; the {who} takes \d+ instead", out)
    assert "Found: " in out


def test_a_port_that_is_lost_before_it_is_used_is_chosen_anew(monkeypatch, capsys):
    """Another program may take it between the choice and the start: the demo says so, and begins again."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        lost = [held.getsockname()[1]]
        monkeypatch.setattr(stage, "free_port", lambda *given: lost.pop() if lost else free_port(*given))
        assert run() == 0
    out = capsys.readouterr().out
    assert out.count("Another program took a port meanwhile") == 1 and "Found: " in out


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX only")
def test_keep_leaves_everything_running_until_interrupted(demo):
    """With ``--keep`` shop, API and sink go on, commands to try are shown, and Ctrl-C ends all with 0."""
    process = demo("--keep")
    lines = read_until(process, r"shop\.log")
    text = "".join(lines)
    for wanted in ("curl -s -X POST", "/checkout", "/points", "/api/events", "otel-tracepoints watch"):
        assert wanted in text
    # The first of them, as it stands there, by a shell.
    command = next(line.strip() for line in lines if "/checkout" in line and "curl" in line)
    request = urllib.request.Request(
        re.search(r"http://\S+", command).group(),
        b'{"customer": "bob", "items": {"cup": 1}}',
        {"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        assert answer.status == 201
    assert len(children_of(process.home)) >= 2
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    assert children_of(process.home) == []


@pytest.mark.skipif(os.name != "posix", reason="signals are for POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_leaves_no_process(demo, number, code):
    """Ctrl-C and SIGTERM in the middle end the children too; the exit code tells."""
    process = demo()
    read_until(process, r"The sink takes OTLP")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    assert children_of(process.home) == []


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds the shop by /proc")
def test_a_demo_whose_shop_dies_fails_and_says_why(demo):
    """When the shop ends by itself the demo fails, shows what it wrote, and ends the sink."""
    process = demo("--keep")
    read_until(process, r"shop\.log")
    for pid in children_of(process.home):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"shop" in file.read().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "The shop ended by itself" in err
    assert "Traceback" not in err
    assert children_of(process.home) == []
