"""Planted secrets are searched for in the raw bytes that left the process and in the API's answers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, List

import pytest
from tests.support.live import Live, TargetMaker, ok

#: Each would be a catastrophe to see outside; the marker is what is searched for.
SECRETS = {
    "password": "hunter2-plain-secret",
    "user_password": "hunter2-part-of-name",
    "my_api_key": "hunter2-api-key",
    "authToken": "hunter2-camel-case",
}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
CARD = "4111 1111 1111 1111"
URL = "postgres://shop:hunter2-in-url@db.internal/shop"
GITHUB = "ghp_" + "a1B2" * 9
MARKERS: List[str] = [*SECRETS.values(), JWT, CARD, "hunter2-in-url", GITHUB, "hunter2-"]
#: The usual names, in the usual spellings.
NAMES = """
    password passwd pwd user_password secret client_secret token accessToken api_key apikey X-API-Key access_key
    auth authorization cookie Set-Cookie session_id sessionid csrf csrf_token private_key credentials credit_card
    cardNumber ssn pin cvv connection_string dsn jwt refresh_token otp passphrase db_password2
""".split()  # noqa: SIM905 - words read best as words

PROGRAM = """
    class Account:
        def __init__(self, secrets):
            self.password = secrets["password"]
            self.name = "ann"

    def work(password, account, headers, secrets):
        jwt, card, url, github = secrets["extra"]
        user_password = secrets["user_password"]
        error = ValueError("cannot connect to " + url)
        pair = {b"my_api_key": secrets["my_api_key"], "nested": [{"authToken": secrets["authToken"]}]}
        return 1  # TAG: work
"""


def everything_that_left(live: Live) -> bytes:
    live.sink.wait_for(lambda: live.sink.events("probe.hit.snapshot"))
    live.sink.wait_for(lambda: live.logs("probe.hit.logpoint"))
    live.sink.wait_for(lambda: live.logs("probe.error.condition"))
    answers = [live.api.get(path).text for path in ("/points", "/hits", "/health")]
    return b"".join(request.body for request in live.sink.requests) + "".join(answers).encode()


def run(live: Live, target: TargetMaker) -> None:
    program = target(PROGRAM)
    assert program.module
    watches = ["password", "account.password", "password[0:8]", "args[0]", "headers", "error"]
    live.tracepoint(program, "work", watch=watches, snapshot={"maxDepth": 5})
    live.logpoint(
        program,
        "work",
        "{password} {password.upper()} {account} {url} {jwt} {card} {github} {error} {args} {pair}",
    )
    live.tracepoint(program, "work", condition=f"url == '{URL}'", tags=[f"card {CARD}"])
    secrets = {**SECRETS, "extra": (JWT, CARD, URL, GITHUB)}
    headers = {"Authorization": f"Bearer {JWT}", "Cookie": "session=" + SECRETS["password"]}
    live.tracepoint(program, "work", condition="password > 5")
    live.tracepoint(
        program, "work", watch=["secrets['nobody']", "password + 1", "headers[password]", "account.gone"]
    )
    named = {name: f"hunter2-{name}" for name in NAMES}
    keys = {JWT: 1, (URL, 1): 2, "plain": named, b"bytes": list(named.items())}
    call = (SECRETS["password"], program.Account(secrets), {**headers, "keys": keys}, secrets)
    # The names of threads and tasks leave too.
    thread = threading.Thread(target=program.work, args=call, name=f"worker {URL}")
    thread.start()
    thread.join()

    async def task() -> None:
        program.work(*call)

    async def main() -> None:
        running = asyncio.ensure_future(task())
        running.set_name(f"task {JWT}")
        await running

    asyncio.run(main())


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_no_planted_secret_leaves(live_over: Any, target: TargetMaker, protocol: str) -> None:
    """Secrets by name and by value, nested, in keys, errors, conditions, tags and templates stay inside."""
    live = live_over(protocol)
    run(live, target)
    left = everything_that_left(live)
    assert b"ann" in left
    for marker in MARKERS:
        assert marker.encode() not in left
        assert marker.upper().encode() not in left


def test_condition_sees_the_real_value(live: Live, target: TargetMaker) -> None:
    """A condition may compare a secret: the hit tells one bit, and shows the redacted text."""
    run(live, target)
    point = [point for point in ok(live.api.get("/points"))["points"] if "url" in (point["condition"] or "")][
        0
    ]
    assert point["hitCount"] == 2
    assert "hunter2" not in point["condition"]


def test_redacted_condition_may_be_sent_back(live: Live, target: TargetMaker) -> None:
    """An answer may be edited and sent back: the redacted condition means the one that is there."""
    run(live, target)
    point = [point for point in ok(live.api.get("/points"))["points"] if "url" in (point["condition"] or "")][
        0
    ]
    point["level"] = None
    del point["level"]
    updated = live.api.put(f"/points/{point['id']}", {**point, "enabled": True})
    assert updated.status == 200, updated.text
    assert updated.json["condition"] == point["condition"]


def test_own_names_and_patterns(live_with: Any, target: TargetMaker) -> None:
    """DEBUGIN_REDACT_NAMES, _EXCLUDE and _PATTERNS add to, and take from, what is built in."""
    live = live_with(
        redact_names=("favourite_colour",), redact_exclude=("token",), redact_patterns=(r"CUST-\d+",)
    )
    program = target(
        """
        def work(favourite_colour, token, note):
            return 1  # TAG: work
        """
    )
    point = live.tracepoint(program, "work")
    program.work("blue", "page-2", "order of CUST-12345 today")
    (hit,) = live.hits(point)
    assert hit["variables"]["favourite_colour"] == "[REDACTED]"
    assert hit["variables"]["token"] == "page-2"
    assert "CUST-12345" not in hit["variables"]["note"]


def test_callbacks_get_detached_values_and_fail_closed(live_calling: Any, target: TargetMaker) -> None:
    """The two callbacks are given each value once; one that raises redacts it."""
    seen: List[Any] = []

    def value_callback(value: Any, name: str) -> Any:
        seen.append((name, value))
        if name == "bad":
            raise RuntimeError("no")
        return "replaced" if name == "a" else value

    live = live_calling(value_callback, lambda message: message.replace("ann", "<name>"))
    program = target(
        """
        def work(a, bad, keep):
            return 1  # TAG: work
        """
    )
    snapshot = live.tracepoint(program, "work")
    log = live.logpoint(program, "work", "hello {keep}")
    program.work([1, 2], "x", "ann")
    (hit,) = live.hits(snapshot)
    assert hit["variables"] == {"a": "replaced", "bad": "[REDACTED]", "keep": "ann"}
    assert ("a", [1, 2]) in seen and ("bad", "x") in seen
    (message,) = live.hits(log)
    assert message["message"] == "hello <name>"


def test_broken_pattern_stops_all_captures(live_lenient: Any, target: TargetMaker) -> None:
    """With a pattern that does not compile nothing is captured, and points and /health say so."""
    live = live_lenient({"DEBUGIN_REDACT_PATTERNS": "(unclosed"})
    program = target(
        """
        def work(a):
            return 1  # TAG: work
        """
    )
    point = live.tracepoint(program, "work")
    assert (point["state"], point["error"]["code"]) == ("error", "INVALID_REDACTION")
    program.work(1)
    assert live.counts(point) == {}
    assert "redact" in str(ok(live.api.get("/health"))["problems"]).lower()
