"""The demo from beginning to end: a wrong total, two probes, the cause.

Nothing of the story is known beforehand but the requests: totals, hits and the conclusion are
what came back. A run that does not find the bug fails.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from otel_tracepoints.cli.client import DEFAULT_URL, Client, Refused, Unreachable
from otel_tracepoints.cli.visible import visible
from otel_tracepoints.demo.diagnosis import diagnose
from otel_tracepoints.demo.narrator import Narrator
from otel_tracepoints.demo.processes import ENDING_SIGNALS, DemoFailed
from otel_tracepoints.demo.stage import Stage, missing_extra

#: Seconds from a request to its last hit in the sink, at most.
_ARRIVAL_LIMIT = 20.0
#: How often the two are started at most.
_ATTEMPTS = 3
_CUSTOMERS = ("ada", "bob", "cleo")
_CONDITION = "customer.tier == 'gold'"
_MESSAGE = "{customer.name} ({customer.tier}, {customer.country}) gets {percent} % off {subtotal}"


class Sale(NamedTuple):
    """A request that was sent, and what came back."""

    customer: str
    trace_id: str
    subtotal: int
    total: int


def run(keep: bool = False, *, as_json: bool = False) -> int:
    """Run the demo; answers the exit code. Leaves no process, however it ends."""
    extra = missing_extra()
    if extra is not None:
        print(f'The demo needs an extra: pip install "otel-tracepoints[{extra}]"', file=sys.stderr)
        return 2
    narrator = Narrator(as_json=as_json)
    with _signals_raise(), tempfile.TemporaryDirectory(prefix="otel-tracepoints-demo-") as directory:
        narrator.say("otel-tracepoints demo: a web shop has a bug; we find it while the shop runs.", "bold")
        stages: List[Stage] = []
        try:
            try:
                stage = _open(Path(directory), narrator, stages)
                _play(stage, narrator)
                if keep:
                    _keep(stage, narrator)
            finally:
                # Without a word: a reader that has gone must not keep them from being ended.
                for stage in stages:
                    stage.end()
        except (DemoFailed, Refused, Unreachable) as error:
            sys.stdout.flush()
            print(f"The demo failed: {error}", file=sys.stderr)
            output = (
                error.output if isinstance(error, DemoFailed) else stages[-1].last_lines() if stages else []
            )
            for line in output:
                print("  | " + visible(line), file=sys.stderr)
            return 1
    narrator.say("Done. No process is left running.")
    return 0


def _open(directory: Path, narrator: Narrator, stages: List[Stage]) -> Stage:
    """Sink and shop, running; ``stages`` has what is to be ended.

    Ports are chosen before they can be taken, so all may have to be done again.
    """
    while True:
        stage = Stage(directory / str(len(stages)), narrator.say)
        stages.append(stage)
        try:
            with narrator.busy("Starting the sink …"):
                stage.start_sink()
            narrator.say(f"The sink takes OTLP on {stage.sink.url}.")
            with narrator.busy("Starting the shop: opentelemetry-instrument python -m shop …"):
                stage.start_shop()
        except DemoFailed:
            stage.end()
            if len(stages) == _ATTEMPTS or not stage.has_lost_a_port():
                raise
            narrator.say("Another program took a port meanwhile; once more.")
        else:
            return stage


def _play(stage: Stage, narrator: Narrator) -> None:
    narrator.say(f"The shop is open on {stage.shop.url}, its control API on {stage.control.url}.")
    health = stage.control.get("/health").document
    engine = health.get("engine", {})
    narrator.say(f"Engine: {engine.get('name')} by {engine.get('mechanism')}.")

    narrator.title("1. The symptom")
    _show_sales(_shopping(stage), narrator)

    narrator.title("2. Two probes, set while the shop runs")
    snapshot_id = _set_tracepoint(stage, narrator)
    log_id = _set_logpoint(stage, narrator)

    narrator.title("3. The same purchases again; the hits as they arrive in the sink")
    sales = _shopping(stage)
    snapshots, logs = _follow(stage, narrator, sales, snapshot_id, log_id)

    narrator.title("4. What they say")
    _conclude(stage, narrator, sales, snapshots, logs)


def _shopping(stage: Stage) -> List[Sale]:
    """One teapot for each customer; every request begins a trace of its own."""
    sales = []
    for customer in _CUSTOMERS:
        trace_id = secrets.token_hex(16)
        headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        till = Client(stage.shop.url, headers=headers)
        order = till.post("/checkout", {"customer": customer, "items": {"teapot": 1}}).document
        sales.append(Sale(customer, trace_id, int(order["subtotal"]), int(order["total"])))
    return sales


def _show_sales(sales: List[Sale], narrator: Narrator) -> None:
    narrator.say(
        "   Three customers buy the same teapot. bob and cleo are gold members: 20 % off, says the shop."
    )
    for sale in sales:
        narrator.say(f"   {sale.customer:<5} {sale.subtotal / 100:.2f}  pays {sale.total / 100:.2f}")


def _set_tracepoint(stage: Stage, narrator: Narrator) -> str:
    line = stage.line_of("pricing.py", "percent")
    body = {"file": "shop/pricing.py", "line": line, "condition": _CONDITION, "watch": ["_percent_cache"]}
    point = stage.control.post("/tracepoints", body).document
    narrator.say(f"   POST /tracepoints  shop/pricing.py:{line} if {_CONDITION}  → {point.get('state')}")
    return str(point.get("id"))


def _set_logpoint(stage: Stage, narrator: Narrator) -> str:
    line = stage.line_of("pricing.py", "quote")
    body = {"file": "shop/pricing.py", "line": line, "message": _MESSAGE}
    point = stage.control.post("/logpoints", body).document
    narrator.say(f'   POST /logpoints    shop/pricing.py:{line} "{_MESSAGE}"  → {point.get("state")}')
    return str(point.get("id"))


def _follow(
    stage: Stage, narrator: Narrator, sales: List[Sale], snapshot_id: str, log_id: str
) -> Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]:
    """Show hits while they arrive, until all that are due are there."""
    wanted = {snapshot_id: 2, log_id: len(sales)}
    arrived: Dict[str, List[Dict[str, Any]]] = {snapshot_id: [], log_id: []}
    own_traces = {sale.trace_id for sale in sales}
    seen = set()
    deadline = time.monotonic() + _ARRIVAL_LIMIT
    while any(len(arrived[probe_id]) < count for probe_id, count in wanted.items()):
        if time.monotonic() > deadline:
            raise DemoFailed(_why_not(stage, wanted, arrived), stage.last_lines())
        stage.check()
        events = stage.sink.get("/api/events").document.get("events", [])
        for event in reversed(events):
            payload = event.get("payload", {})
            hits = arrived.get(str(payload.get("probeId")))
            if hits is None or event.get("id") in seen or not str(event.get("name")).startswith("probe.hit."):
                continue
            seen.add(event.get("id"))
            hits.append(event)
            narrator.event(event, payload.get("traceId") in own_traces, str(stage.directory))
        time.sleep(0.1)
    return arrived[snapshot_id], arrived[log_id]


def _why_not(stage: Stage, wanted: Dict[str, int], arrived: Dict[str, List[Dict[str, Any]]]) -> str:
    sentences = [f"After {_ARRIVAL_LIMIT:g} s hits were still missing."]
    for probe_id, count in wanted.items():
        if len(arrived[probe_id]) < count:
            summary = stage.control.get(f"/points/{probe_id}/explain").document.get("summary")
            sentences.append(f"{len(arrived[probe_id])} of {count} of {probe_id} came: {summary}")
    return " ".join(sentences)


def _conclude(
    stage: Stage,
    narrator: Narrator,
    sales: List[Sale],
    snapshots: List[Dict[str, Any]],
    logs: List[Dict[str, Any]],
) -> None:
    strangers = [
        event.get("id")
        for event in snapshots + logs
        if event.get("payload", {}).get("traceId") not in {sale.trace_id for sale in sales}
    ]
    if strangers:
        raise DemoFailed(f"{len(strangers)} hits are not in the trace of their request.", stage.last_lines())
    found = diagnose(snapshots, logs)
    if found is None:
        raise DemoFailed("The hits arrived, but do not show the planted bug.", stage.last_lines())
    for sentence in found.evidence:
        narrator.say("   " + sentence)
    found_it = f"   Found: {found.function}() at shop/pricing.py:{found.line} caches the discount by "
    found_it += f"{found.attribute}, but it depends on the tier: {found.wronged} got the {found.percent} % "
    narrator.say(found_it + f"of whoever bought first from {found.key}.", style="bold green")
    narrator.say("   The shop was neither changed nor restarted.")


def _keep(stage: Stage, narrator: Narrator) -> None:
    """Say what to try, then wait for Ctrl-C."""
    for line in _suggestions(stage):
        narrator.say(line)
    try:
        while True:
            stage.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        narrator.say("")


def _suggestions(stage: Stage) -> List[str]:
    shop, control, sink = stage.shop.url, stage.control.url, stage.sink.url
    as_json = "-H 'Content-Type: application/json'"
    purchase = {"customer": "bob", "items": {"teapot": 1}}
    receipt = {
        "file": "shop/worker.py",
        "line": stage.line_of("worker.py", "receipt"),
        "message": "a receipt: {text}",
    }
    stock = {"file": "shop/stock.py", "line": stage.line_of("stock.py", "stock")}
    url = "" if control == DEFAULT_URL else f" --url {control}"
    return [
        "",
        "Everything still runs; Ctrl-C ends it. Try, in another terminal:",
        "",
        "  # a purchase, the probes, the hits in the sink",
        f"  curl -s -X POST {shop}/checkout {as_json} -d {_quoted(purchase)}",
        f"  curl -s {control}/points",
        f"  curl -s '{sink}/api/events?limit=3'",
        "",
        "  # a logpoint in the background thread, a tracepoint in the asyncio part",
        f"  curl -s -X POST {control}/logpoints {as_json} -d {_quoted(receipt)}",
        f"  curl -s -X POST {control}/tracepoints {as_json} -d {_quoted(stock)}",
        "",
        "  # the same from the command line",
        f"  otel-tracepoints watch{url}",
        f"  otel-tracepoints lines shop/pricing.py{url}",
        "",
        f"  The shop's source is in {stage.directory}/shop, what it writes in {stage.directory}/shop.log",
    ]


def _quoted(body: Dict[str, Any]) -> str:
    return shlex.quote(json.dumps(body))


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """A demo that is told to end, or whose terminal closes, ends its children too."""

    def leave(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    before = {}
    # Only the main thread may; a demo in another one is a test's. Ctrl-C raises already.
    if threading.current_thread() is threading.main_thread():
        for number in set(ENDING_SIGNALS) - {signal.SIGINT}:
            before[number] = signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
