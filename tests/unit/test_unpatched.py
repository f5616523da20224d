"""Locks and threads that stay the system's: they behave as `threading`'s do."""

from __future__ import annotations

import _thread
import socket
import sys
import threading
import time
import types
from typing import List

import pytest

from otel_tracepoints import unpatched
from otel_tracepoints.emission import threads


def test_a_condition_wakes_all_that_wait() -> None:
    """Each waiting thread is woken by notify_all, and holds the lock when it goes on."""
    condition = unpatched.Condition()
    ready: List[int] = []
    woken: List[int] = []

    def wait(number: int) -> None:
        with condition:
            ready.append(number)
            condition.notify_all()
            assert condition.wait_for(lambda: 0 in ready, 10)
            woken.append(number)

    started = [threads.start_thread(lambda number=number: wait(number), "test") for number in (1, 2, 3)]
    with condition:
        assert condition.wait_for(lambda: len(ready) == 3, 10)
        ready.append(0)
        condition.notify_all()
        assert woken == []
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()
    assert sorted(woken) == [1, 2, 3]


def test_a_wait_that_nobody_ends_is_over_in_time() -> None:
    """A timeout is kept, answers False, leaves the lock held once, and nothing behind."""
    condition = unpatched.Condition(unpatched.RLock())
    began = time.monotonic()
    with condition, condition:
        assert not condition.wait(0.05)
        assert not condition.wait(0)
        assert not condition.wait_for(lambda: False, 0.01)
    assert 0.05 <= time.monotonic() - began < 5
    assert not condition._waiters
    taken: List[bool] = []
    threads.start_thread(lambda: taken.append(condition.acquire(False)), "test").join(10)
    assert taken == [True]


def test_a_lock_that_is_held_twice_is_let_go_while_waiting() -> None:
    """A reentrant lock is free during a wait, however often its thread has taken it."""
    condition = unpatched.Condition(unpatched.RLock())

    def notify() -> None:
        with condition:
            condition.notify()

    with condition, condition:
        thread = threads.start_thread(notify, "test")
        assert condition.wait(10)
    thread.join(10)


def test_an_event() -> None:
    """It is set until cleared, and whoever waits for it is woken."""
    event = unpatched.Event()
    assert not event.is_set() and not event.wait(0.01)
    thread = threads.start_thread(event.set, "test")
    assert event.wait(10) and event.is_set() and event.wait(0)
    thread.join(10)
    event.clear()
    assert not event.is_set() and not event.wait(0)


def test_our_threads_are_known_by_name_and_gone_afterwards() -> None:
    """Tools see the thread under its name; its end leaves nothing in `threading`, whatever identity that asks for."""
    go = unpatched.Event()
    thread = threads.start_thread(lambda: go.wait(10) and None, "a thread of ours")
    assert "a thread of ours" in [each.name for each in threading.enumerate()]
    go.set()
    thread.join(10)
    assert not thread.is_alive()
    assert "a thread of ours" not in [each.name for each in threading.enumerate()]


def test_what_gevent_has_patched_is_asked_of_gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gevent came first, originals are taken from it, and threads are bare ones of the system."""
    monkey = types.ModuleType("gevent.monkey")
    asked: List[str] = []
    monkey.get_original = lambda module, name: asked.append(f"{module}.{name}") or name  # type: ignore[attr-defined]
    monkey.is_module_patched = lambda module: module == "threading"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    assert unpatched._original(_thread, "allocate_lock") == "allocate_lock"
    assert asked == ["_thread.allocate_lock"]
    before = threading.active_count()
    go = unpatched.Event()
    thread = threads.start_thread(lambda: go.wait(10) and None, "unseen")
    assert threading.active_count() == before and thread.is_alive()
    go.set()
    thread.join(10)
    assert not thread.is_alive()


def test_connections_of_our_sockets_are_ours() -> None:
    """What a listening socket accepts is no socket of anybody who has patched the socket module since."""
    with unpatched.Socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert type(accepted) is unpatched.Socket
