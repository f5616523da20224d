"""``watch``: hits in order, over pages, filters and restarts of the service."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.fake_control_api import error, fake_control_api

from otel_tracepoints.cli import watch
from otel_tracepoints.cli.client import Client, Unreachable
from otel_tracepoints.cli.main import main
from otel_tracepoints.cli.screen import Screen


class Process:
    """A fake process with a hit log, as its control API shows it."""

    def __init__(self, api, pid=1, hits=()):
        self.pid, self.uptime, self.hits, self.missed = pid, 10.0, list(hits), 0
        api.replies["GET /health"] = self.health
        api.replies["GET /hits"] = self.page

    def health(self, _request):
        self.uptime += 1
        return 200, {"status": "healthy", "process": {"pid": self.pid}, "uptime": self.uptime}

    def page(self, request):
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        after = int(query.get("after", 0))
        hits = [
            hit for hit in self.hits if hit["sequence"] > after and query.get("point") in (None, hit["point"])
        ]
        following = hits[-1]["sequence"] if hits else after
        return 200, {"hits": hits, "next": following, "missed": self.missed}


def hit(sequence, point="a"):
    return {
        "sequence": sequence,
        "timestamp": "2026-11-20T10:00:00.000Z",
        "point": point,
        "type": "logpoint",
        "file": "m.py",
        "line": 1,
        "function": "m",
        "message": f"hit {sequence}",
    }


def follower(api, *ids, as_json=True):
    naps = []
    made = watch.Follower(Client(api.url), Screen(as_json), ids, naps.append)
    made._look()
    return made, naps


def sequences(capsys):
    return [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()]


def test_begins_with_the_last_hits_and_goes_on_after_them(api, capsys):
    """The last few hits are shown first, then only new ones, each once."""
    process = Process(api, hits=[hit(number) for number in range(1, 31)])
    watching, _ = follower(api)
    after = watching.begin(3)
    assert sequences(capsys) == [28, 29, 30]
    process.hits.append(hit(31))
    after = watching.step(after)
    assert sequences(capsys) == [31]
    assert watching.step(after) == 31
    assert sequences(capsys) == []


def test_tail_zero_shows_nothing_old(api, capsys):
    """``--tail 0`` begins with the next hit."""
    Process(api, hits=[hit(1)])
    watching, _ = follower(api)
    assert watching.begin(0) == 1
    assert sequences(capsys) == []


def test_polls_are_long_and_full_pages(api):
    """A poll waits at the API and takes the largest page, so that bursts are not missed."""
    Process(api, hits=[hit(1)])
    watching, _ = follower(api)
    watching.step(watching.begin(0))
    query = parse_qs(urlsplit(api.requests[-2].target).query)
    assert (query["after"], query["limit"]) == (["1"], ["1000"])
    assert 0 < int(query["wait"][0]) <= 30


def test_one_id_is_filtered_by_the_api(api, capsys):
    """With one id the API sends nothing else."""
    Process(api, hits=[hit(1, "a"), hit(2, "b")])
    watching, _ = follower(api, "b")
    watching.begin(10)
    assert "point=b" in api.requests[-1].target
    assert sequences(capsys) == [2]


def test_several_ids_are_filtered_here(api, capsys):
    """The API takes one id, so of several only their hits are shown."""
    process = Process(api, hits=[hit(1, "a"), hit(2, "b"), hit(3, "c")])
    watching, _ = follower(api, "a", "c")
    after = watching.begin(10)
    assert sequences(capsys) == [1, 3]
    process.hits += [hit(4, "b"), hit(5, "c")]
    watching.step(after)
    assert sequences(capsys) == [5]


def test_missed_hits_are_told(api, capsys):
    """What the API no longer had is said on stderr."""
    process = Process(api, hits=[hit(9)])
    process.missed = 4
    watching, _ = follower(api)
    watching.step(0)
    assert "4 hits" in capsys.readouterr().err


def test_an_api_that_does_not_wait_is_not_asked_without_pause(api):
    """An empty answer that came at once is followed by a pause."""
    Process(api)
    watching, naps = follower(api)
    watching.step(0)
    assert naps == [1.0]


def test_a_restart_is_noticed_and_said(api, capsys):
    """Another process begins its sequence anew: so does the watch, with a note."""
    process = Process(api, hits=[hit(1), hit(2), hit(3)])
    watching, _ = follower(api)
    after = watching.begin(0)
    process.pid, process.hits = 2, [hit(1)]
    after = watching.step(after)
    assert after == 0
    assert "restarted (process 2)" in capsys.readouterr().err
    watching.step(after)
    assert sequences(capsys) == [1]


def test_a_restart_with_the_same_pid_is_noticed(api):
    """In a container every process is number 1: an uptime that fell is another process."""
    process = Process(api, hits=[hit(1), hit(2)])
    watching, _ = follower(api)
    after = watching.begin(0)
    process.uptime, process.hits = 0.0, []
    assert watching.step(after) == 0


def test_a_service_that_comes_back_is_followed_again(capsys):
    """While the service is away it is tried again, ever more slowly, and followed when it is back."""
    with fake_control_api() as api:
        Process(api, hits=[hit(1)])
        port = int(api.url.rpartition(":")[2])
        watching, naps = follower(api)
        after = watching.begin(0)
    with pytest.raises(Unreachable):
        watching.step(after)
    servers = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 4:
            context = fake_control_api(port)
            Process(context.__enter__(), pid=2, hits=[hit(1)])
            servers.append(context)

    watching._sleep = nap
    try:
        assert watching._reconnect(after) == 0
    finally:
        servers[0].__exit__(None, None, None)
    assert naps == sorted(naps)
    assert len(naps) == 4
    assert "restarted" in capsys.readouterr().err


def test_a_reconnection_to_the_same_process_goes_on_where_it_was(api, capsys):
    """A connection lost in between loses no hit and repeats none."""
    Process(api, hits=[hit(1), hit(2)])
    watching, _ = follower(api)
    assert watching._reconnect(2) == 2
    assert "Connected again" in capsys.readouterr().err


def test_an_unknown_id_is_refused_at_once(api, capsys):
    """A slip in an id is an error and not silence."""
    api.replies["GET /points/nope"] = (404, error("POINT_NOT_FOUND", "No point nope."))
    assert main(["watch", "nope", "--url", api.url]) == 1
    assert "No point nope." in capsys.readouterr().err


def test_nobody_there_at_the_beginning_is_three(capsys):
    """Only a service that was there once is waited for."""
    assert main(["watch", "--url", "http://127.0.0.1:1"]) == 3
    assert "Cannot connect" in capsys.readouterr().err


def test_hits_for_a_person_are_harmless(api, capsys):
    """Escapes in a captured value are shown, and a newline begins no line of its own."""
    Process(api, hits=[{**hit(1), "message": "x\x1b[2J\nfake", "variables": {"v": "\x07"}}])
    watching, _ = follower(api, as_json=False)
    watching.begin(1)
    out = capsys.readouterr().out
    assert "x\\x1b[2J\\nfake" in out
    assert "\x1b" not in out
    assert "\x07" not in out
