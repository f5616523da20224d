"""The agent beside gevent, which patches the standard library before it starts, or after."""

from __future__ import annotations

import sys

import pytest
from tests.support.beside import Stage, results
from tests.support.live import ok

pytest.importorskip("gevent")

_SDKS = "<bound method Thread._bootstrap of <Thread(OtelBatch"

#: Under ``opentelemetry-instrument`` the agent is there before the first line of this.
AFTER = """
    from gevent import monkey; monkey.patch_all()
    import sys, threading, time
    import gevent
    from opentelemetry import trace

    def price(n):
        gevent.sleep(0)
        total = n * 3
        return total  # TAG: priced

    def sell(first):
        with trace.get_tracer("shop").start_as_current_span(f"request {first}"):
            return [price(first + n) for n in range(5)]

    def beat():
        global slowest
        last = time.monotonic()
        while True:
            time.sleep(0.005)
            now = time.monotonic()
            slowest, last = max(slowest, now - last), now

    slowest = 0.0
    heart = gevent.spawn(beat)
    print("up and running", flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.readline)
    print("result", [job.get() for job in [gevent.spawn(sell, first) for first in (0, 10, 20)]])
    threads = [threading.Thread(target=sell, args=(first,)) for first in (30, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("result end", flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.readline)
    heart.kill()
    print("slowest beat", slowest, flush=True)
    sys.exit(6)
"""

#: Here it comes later, by the Python API.
BEFORE = AFTER.replace(
    "import gevent\n",
    "import gevent, otel_tracepoints\n    otel_tracepoints.start()\n",
    1,
)


@pytest.mark.parametrize("order", ["agent first", "gevent first"])
@pytest.mark.parametrize("attempt", range(2))
def test_gevent(stage: Stage, order: str, attempt: int) -> None:
    """Greenlets do what they do without us and are hit, the API answers, the loop goes on, the exit does not wait."""
    stage.write("shop.py", AFTER if order == "agent first" else BEFORE)
    stage.write("plain.py", AFTER)
    plain = stage.plain("plain.py", say="go\nend\n")
    assert plain.code == 6 and len(plain.results) == 2
    if order == "agent first":
        process = stage.start("shop.py")
    else:
        process = stage.launch([sys.executable, "shop.py"])
    process.wait_for_line("up and running")
    process.wait_for_api()
    stage.logpoint(process.api, "shop.py", "priced", "{n} costs {total}")
    stage.tracepoint(process.api, "shop.py", "priced", condition="n % 10 == 2")
    # A long poll, and many clients, go through every thread of the agent.
    assert ok(process.api.get("/hits", {"wait": 0.2, "after": 0}))["hits"] == []
    for _ in range(20):
        ok(process.api.get("/health"))
    process.say("go")
    process.wait_for_line("result end")
    numbers = [first + n for first in (0, 10, 20, 30, 40) for n in range(5)]
    assert stage.wait_for_messages(len(numbers)) == {f"{n} costs {3 * n}": 1 for n in numbers}
    page = ok(process.api.get("/hits", {"wait": 5, "after": 0}))
    assert len(page["hits"]) == len(numbers) + 5
    assert ok(process.api.post("/sleep")) == {"state": "sleeping"}
    assert ok(process.api.post("/wake")) == {"state": "awake"}
    assert ok(process.api.delete("/points", {"all": "true"})) == {"removed": 2}
    process.say("end")
    assert process.end(15) == 6, "".join(process.output)
    assert results(process.output) == plain.results
    # The SDK's own threads do not know what gevent did to their identity.
    text = "".join(process.output)
    assert (
        text.count("Traceback") == text.count("Exception ignored in thread started by") == text.count(_SDKS)
    ), text
    assert float(process.wait_for_line("slowest beat").split()[-1]) < 1.0
    assert len(stage.sink.events("probe.hit.snapshot")) == 5
    assert stage.sink.events("agent.status.stopped")
