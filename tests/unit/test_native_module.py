"""The compiled module: there where it has to be, and fit for this interpreter."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, List

import pytest

from otel_tracepoints.engine import hook
from otel_tracepoints.engine.build import why_not_compiled
from otel_tracepoints.model import RateLimit

REQUIRED = os.environ.get("TRACEPOINTS_REQUIRE_NATIVE", "0") not in ("", "0")
needs_module = pytest.mark.skipif(
    not REQUIRED and why_not_compiled() is not None, reason=f"no compiled module: {why_not_compiled()}"
)


@pytest.mark.skipif(not REQUIRED, reason="TRACEPOINTS_REQUIRE_NATIVE is not set")
def test_it_is_there_where_it_is_required() -> None:
    """With TRACEPOINTS_REQUIRE_NATIVE=1, for machines with a compiler, a missing module is a failure."""
    assert why_not_compiled() is None


@needs_module
def test_it_keeps_the_gil_off() -> None:
    """Loading it does not bring the GIL back to an interpreter that runs without."""
    with_gil = getattr(sys, "_is_gil_enabled", lambda: True)
    before = with_gil()
    importlib.import_module("otel_tracepoints.engine._native")
    assert with_gil() == before


@needs_module
def test_what_it_has() -> None:
    """The module has what its stub says."""
    native = importlib.import_module("otel_tracepoints.engine._native")
    bucket = native.TokenBucket(RateLimit(1.0, 2), lambda: 0.0)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    assert bucket.dry_until > 0


@needs_module
def test_the_table_of_sites_is_asked_as_it_is_now() -> None:
    """Rewritten code reaches the handlers that its line has at that moment, not those that it had before."""
    native = importlib.import_module("otel_tracepoints.engine._native")
    called: List[Any] = []
    one, two = (lambda frame: called.append((1, frame)),), (lambda frame: called.append((2, frame)),)
    site, other = next(hook.numbers), next(hook.numbers)
    held = sys.getrefcount(one)
    for handlers, expected in ((one, 1), (one, 1), (two, 2), (one, 1), (None, None), (two, 2)):
        hook.SITES.pop(other, None)
        if handlers is None:
            del hook.SITES[site]
        else:
            hook.SITES[site] = handlers
        for _ in range(3):
            native.arrived(site)
            native.arrived(site + 64 * 10**6)
        assert called == ([] if expected is None else [(expected, sys._getframe())] * 3)
        called.clear()
        hook.SITES[other] = two
        native.arrived(10**30)
        assert called == []
    del hook.SITES[site], hook.SITES[other]
    native.arrived(site)
    assert called == []
    assert sys.getrefcount(one) == held
