"""Every command: what it asks of the API, what it prints, and its exit code."""

from __future__ import annotations

import pytest
from tests.support.fake_control_api import POINT

from otel_tracepoints.cli.main import main


def test_set_sends_only_what_was_given(api, capsys):
    """``set FILE:LINE`` alone sends file and line: every default is the agent's."""
    api.replies["POST /tracepoints"] = (201, POINT)
    assert main(["set", "shop/cart.py:42"]) == 0
    assert api.requests[0].document() == {"file": "shop/cart.py", "line": 42}
    out, err = capsys.readouterr()
    assert "Tracepoint p1 set." in out
    assert "/srv/shop/cart.py:42" in out
    assert "shop.cart.total" in out
    assert "otel-tracepoints watch p1" in err


def test_set_sends_every_option(api):
    """Each option of ``set`` is one field of the API."""
    api.replies["POST /tracepoints"] = (201, POINT)
    arguments = [
        "set",
        "C:\\shop\\cart.py:12",
        "--if",
        "a > 1",
        "--watch",
        "b",
        "--watch",
        "c.d",
        "--tag",
        "x",
        "--tag",
        "y",
        "--max-hits",
        "5",
        "--expire",
        "90",
        "--rate",
        "0.5/3",
        "--id",
        "mine",
    ]
    assert main(arguments) == 0
    assert api.requests[0].document() == {
        "file": "C:\\shop\\cart.py",
        "line": 12,
        "condition": "a > 1",
        "watch": ["b", "c.d"],
        "tags": ["x", "y"],
        "maxHits": 5,
        "expireSeconds": 90,
        "rateLimit": {"limitPerSecond": 0.5, "burst": 3},
        "id": "mine",
    }


def test_log_sends_message_and_level(api, capsys):
    """``log FILE:LINE MESSAGE`` makes a logpoint; ``never`` is no expiry."""
    api.replies["POST /logpoints"] = (201, {**POINT, "type": "logpoint"})
    assert main(["log", "a.py:1", "{x} {{y}}", "--level", "WARN", "--rate", "5", "--expire", "never"]) == 0
    assert api.requests[0].document() == {
        "file": "a.py",
        "line": 1,
        "message": "{x} {{y}}",
        "level": "WARN",
        "rateLimit": {"limitPerSecond": 5},
        "expireSeconds": None,
    }
    assert "Logpoint p1 set." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["set", "a.py:1", "--if", "x"], {"type": "tracepoint", "file": "a.py", "line": 1, "condition": "x"}),
        (
            ["log", "a.py:1", "m", "--tag", "t"],
            {"type": "logpoint", "file": "a.py", "line": 1, "message": "m", "tags": ["t"]},
        ),
        (["a.py:1", "--watch", "x"], {"file": "a.py", "line": 1, "watch": ["x"]}),
        (
            ["--if", "set", "a.py:1", "m", "--level", "WARN"],
            {"file": "a.py", "line": 1, "condition": "set", "message": "m", "level": "WARN"},
        ),
    ],
)
def test_validate_asks_and_sets_nothing(api, capsys, arguments, body):
    """``validate`` takes what ``set`` and ``log`` take, with or without the word, and sets nothing."""
    api.replies["POST /points/validate"] = (200, POINT)
    assert main(["validate", *arguments]) == 0
    assert api.requests[0].document() == body
    assert "nothing was set" in capsys.readouterr().out


def test_list_filters_and_shows_a_table(api, capsys):
    """``list`` sends its filters and shows each point on a line."""
    api.replies["GET /points"] = (200, {"points": [POINT], "total": 1})
    assert main(["list", "--tag", "a b", "--tag", "c", "--state", "active"]) == 0
    assert api.requests[0].target == "/points?tag=a+b&tag=c&state=active"
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "TYPE", "STATE", "HITS", "WHERE", "WHAT", "TAGS"]
    assert row.split() == ["p1", "tracepoint", "active", "3", "shop/cart.py:42", "if", "a", ">", "1", "t"]


def test_a_long_value_is_not_cut_in_a_pipe(api, capsys):
    """Where the output is no terminal nothing is wrapped or cut."""
    api.replies["GET /points"] = (200, {"points": [{**POINT, "message": "x" * 500}], "total": 1})
    assert main(["list"]) == 0
    assert "x" * 500 in capsys.readouterr().out


def test_show_tells_all(api, capsys):
    """``show`` has the point's fields by name."""
    api.replies["GET /points/p1"] = (200, POINT)
    assert main(["show", "p1"]) == 0
    out = capsys.readouterr().out
    for text in (
        "asked for",
        "shop/cart.py:42",
        "97 conditionFalse",
        "10 a second, burst 10",
        "after 3600 s",
    ):
        assert text in out


def test_an_id_cannot_leave_its_place_in_the_path(api):
    """Whatever an id holds, it stays one segment of the path; an empty one is a usage error."""
    api.replies["GET /points/a%2F..%2Fb%3Fc"] = (200, POINT)
    assert main(["show", "a/../b?c"]) == 0
    assert main(["show", ""]) == 2


def test_explain_speaks_in_sentences(api, capsys):
    """``explain`` begins with the summary and goes on in sentences."""
    api.replies["GET /points/p1/explain"] = (
        200,
        {
            "summary": "It waits for shop.cart to be imported.",
            "state": "pending",
            "module": {"imported": False, "name": "shop.cart"},
            "files": ["/srv/shop/cart.py"],
            "functions": ["shop.cart.total"],
            "reached": False,
            "counts": {"emitted": 0},
            "error": {"error": "No such name: x.", "code": "UNKNOWN_NAME", "at": "2026-11-20T10:00:00.000Z"},
            "eventSink": {"url": "http://127.0.0.1:4317", "connected": False, "lastError": "refused"},
        },
    )
    assert main(["explain", "p1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "It waits for shop.cart to be imported."
    assert "Module shop.cart is not imported yet." in lines
    assert "The line has not been reached since the probe was placed." in lines
    assert "Hits go to http://127.0.0.1:4317, which does not take them: refused." in lines


@pytest.mark.parametrize("reached", [None, "maybe", {}])
def test_explain_bears_an_unknown_reach(api, capsys, reached):
    """That it is not known whether the line was reached is said."""
    api.replies["GET /points/p1/explain"] = (200, {"summary": "s", "reached": reached})
    assert main(["explain", "p1"]) == 0
    assert "not known" in capsys.readouterr().out


def test_lines_are_grouped_by_function(api, capsys):
    """``lines`` shows, for each function, the lines that take a probe."""
    lines = [
        {"line": 3, "functions": ["m"]},
        {"line": 4, "functions": ["m.f"]},
        {"line": 5, "functions": ["m.f"]},
    ]
    api.replies["GET /lines"] = (200, {"file": "/srv/m.py", "imported": True, "lines": lines})
    assert main(["lines", "m.py"]) == 0
    assert api.requests[0].target == "/lines?file=m.py"
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "/srv/m.py (imported)"
    assert [line.rstrip().split(None, 1) for line in out[2:]] == [["m", "3"], ["m.f", "4, 5"]]


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_switching_by_id_and_by_tag(api, capsys, verb):
    """``enable`` and ``disable`` take ids, one call each, or tags, in one call."""
    api.replies[f"POST /points/a/{verb}"] = (200, {"id": "a", "enabled": True, "message": ""})
    api.replies[f"POST /points/b/{verb}"] = (200, {"id": "b", "enabled": True, "message": ""})
    api.replies[f"POST /tags/{verb}"] = (200, {f"{verb}d": 4, "message": ""})
    assert main([verb, "a", "b"]) == 0
    assert main([verb, "--tag", "x", "--tag", "y"]) == 0
    assert api.requests[2].document() == {"tags": ["x", "y"]}
    assert capsys.readouterr().out.splitlines() == [f"a {verb}d.", f"b {verb}d.", "4 changed."]


def test_remove_by_id_tag_or_all(api, capsys):
    """``remove`` takes exactly one of ids, tags and all."""
    api.replies["DELETE /points/a"] = (204, b"")
    api.replies["DELETE /points"] = (200, {"removed": 2})
    assert main(["remove", "a"]) == 0
    assert main(["remove", "--tag", "x", "--tag", "y"]) == 0
    assert main(["remove", "--all"]) == 0
    assert [request.target for request in api.requests] == [
        "/points/a",
        "/points?tag=x&tag=y",
        "/points?all=true",
    ]
    assert capsys.readouterr().out.splitlines() == ["a removed.", "2 removed.", "2 removed."]


def test_health_is_readable_and_hints(api, capsys):
    """``health`` shows engine and sink, and what to do when it sleeps or nobody takes the hits."""
    api.replies["GET /health"] = (
        200,
        {
            "status": "healthy",
            "state": "sleeping",
            "agent": {
                "name": "otel-tracepoints",
                "version": "1",
                "runtime": "python",
                "runtimeVersion": "3.11.7",
            },
            "features": {"tracepoints": True, "freeThreaded": False},
            "engine": {"name": "pytrace", "mechanism": "monitoring", "reason": "why", "toolId": 4},
            "eventSink": {
                "url": "u",
                "connected": False,
                "lastError": "refused",
                "sent": 1,
                "queued": 2,
                "dropped": 3,
                "onSpans": 4,
            },
            "broker": {"connected": False, "url": None},
            "process": {"pid": 7, "serviceName": "shop"},
            "uptime": 61.5,
            "tags": [],
        },
    )
    assert main(["health"]) == 0
    out = capsys.readouterr().out
    for text in (
        "healthy, sleeping",
        "pytrace by monitoring, tool id 4: why",
        "7 (shop)",
        "1 min 1 s",
        "3 dropped",
    ):
        assert text in out
    assert "→ It sleeps" in out
    assert "→ Nobody takes the hits" in out
    assert "→ Hits were dropped" in out


def test_reduced_health_asks_for_the_token(api, capsys):
    """What is told without a token is shown, with how to see the rest."""
    api.replies["GET /health"] = (200, {"status": "healthy", "state": "awake", "agent": {"name": "a"}})
    assert main(["health"]) == 0
    assert "--token" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "state"), [("sleep", "sleeping"), ("wake", "awake")])
def test_sleep_and_wake(api, capsys, verb, state):
    """``sleep`` and ``wake`` say the state that the API answered."""
    api.replies[f"POST /{verb}"] = (200, {"state": state})
    assert main([verb]) == 0
    assert state in capsys.readouterr().out
