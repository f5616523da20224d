"""Starting the agent's own threads, whatever else patched threading."""

from __future__ import annotations

import sys
import threading
from typing import Any, Callable, Optional

from otel_tracepoints import unpatched


class _Registered(threading.Thread):
    """One that `threading` knows, so that it has a name in every tool."""

    def _delete(self) -> None:
        # As in `Thread`, which asks for the identity that it had before somebody patched that.
        with threading._active_limbo_lock:  # type: ignore[attr-defined]
            threading._active.pop(self.ident, None)  # type: ignore[attr-defined]


class OwnThread:
    """A running daemon thread of the operating system.

    Under gevent's monkey patching ``threading.Thread`` is a greenlet, and one that blocks in C
    (as our workers do while there is nothing to send) would stop the application's whole loop.
    """

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target = target
        self._ident: Optional[int] = None
        self._over = unpatched.Event()
        self._thread: Optional[threading.Thread] = None
        if _patched():
            unpatched.start_new_thread(self._run, ())
        else:
            self._thread = _Registered(target=self._run, name=name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        self._ident = unpatched.get_ident()
        try:
            self._target()
        finally:
            self._over.set()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self._over.is_set()

    def join(self, timeout: float) -> None:
        """Wait for its end; in the thread itself that has come."""
        if self._ident == unpatched.get_ident():
            return
        if self._thread is not None and not _patched():
            self._thread.join(timeout)
        else:
            self._over.wait(timeout)


def start_thread(target: Callable[[], None], name: str) -> OwnThread:
    """Run ``target`` in a thread of its own.

    Raises:
        RuntimeError: no thread can be had.
    """
    return OwnThread(target, name)


def _patched() -> bool:
    gevent: Any = sys.modules.get("gevent.monkey")
    return gevent is not None and bool(gevent.is_module_patched("threading"))


def start_from_hit_path(target: Callable[[], None]) -> bool:
    """Run ``target`` in a bare thread, without any lock of the threading module.

    ``Thread.start()`` takes a lock that the hit's own thread may be holding (a finaliser that
    runs inside another ``Thread.start()``); this does not. False if no thread can be had.
    """
    try:
        unpatched.start_new_thread(target, ())
    except RuntimeError:
        return False  # interpreter shutdown, or the system's limit on threads
    return True
