"""The demo's conclusion follows from the hits, and from nothing else."""

from __future__ import annotations

import importlib

import pytest

from otel_tracepoints.demo.diagnosis import diagnose
from otel_tracepoints.demo.processes import free_port
from otel_tracepoints.demo.shop import pricing
from otel_tracepoints.demo.shop.cart import Cart
from otel_tracepoints.demo.shop.catalog import CUSTOMERS


def log(name, tier, country, percent):
    return {"payload": {"fields": [name, tier, country, percent, 4000]}}


def snapshot(name, tier, country, key, percent):
    customer = {"__tpd_type__": "shop.catalog.Customer", "name": name, "tier": tier, "country": country}
    captured = {"arguments": {"customer": customer}, "locals": {"key": key, "percent": percent}}
    return {"payload": {"snapshot": captured, "method": "percent_off", "line": 40}}


def test_the_bug_is_found_in_what_arrived():
    """A discount that follows the country, with the country as the cache's key, is the bug."""
    found = diagnose(
        [snapshot("bob", "gold", "DE", "DE", 0), snapshot("cleo", "gold", "FR", "FR", 20)],
        [log("ada", "standard", "DE", 0), log("bob", "gold", "DE", 0), log("cleo", "gold", "FR", 20)],
    )
    assert (found.wronged, found.attribute, found.key, found.percent) == ("bob", "country", "DE", 0)
    assert (found.function, found.line) == ("percent_off", 40)
    assert "cleo (gold, FR) 20 %" in found.evidence[0]


@pytest.mark.parametrize(
    ("snapshots", "logs"),
    [
        ([], []),
        ([{}], [{}, {"payload": {"fields": "odd"}}]),
        # Everybody gets what the tier promises: no bug.
        (
            [snapshot("bob", "gold", "DE", "gold", 20), snapshot("cleo", "gold", "FR", "gold", 20)],
            [log("ada", "standard", "DE", 0), log("bob", "gold", "DE", 20), log("cleo", "gold", "FR", 20)],
        ),
        # The key is the country, but nobody was wronged yet.
        (
            [snapshot("bob", "gold", "DE", "DE", 20)],
            [log("bob", "gold", "DE", 20), log("cleo", "gold", "FR", 20)],
        ),
    ],
)
def test_no_bug_is_seen_where_none_is(snapshots, logs):
    """Hits that do not show the bug give no conclusion."""
    assert diagnose(snapshots, logs) is None


def test_the_planted_bug_is_there():
    """Who pays what depends on who came first from the same country."""
    fresh = importlib.reload(pricing)
    cart = Cart.of({"teapot": 1})
    totals = [fresh.quote(cart, CUSTOMERS[name]).total for name in ("ada", "bob", "cleo")]
    assert totals == [4000, 4000, 3200]
    fresh = importlib.reload(pricing)
    assert [fresh.quote(cart, CUSTOMERS[name]).total for name in ("bob", "ada")] == [3200, 3200]


def test_a_taken_port_is_passed_over():
    """The preferred port is used when free; else another one that was not given out before."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = free_port(port)
        assert other != port
        assert free_port(other, avoid=[other]) != other
    assert free_port(port) == port


def test_an_interrupt_waits_until_a_child_is_known():
    """Between the start of a child and its entry in the list no signal comes in; afterwards it does."""
    import signal

    from otel_tracepoints.demo.processes import undisturbed

    reached = False
    with pytest.raises(KeyboardInterrupt):
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
