"""Starting the agent's own threads, whatever else patched threading."""

from __future__ import annotations

import _thread
import sys
import threading
from typing import Any, Callable, Optional


def start_thread(target: Callable[[], None], name: str) -> Optional[threading.Thread]:
    """Run ``target`` in a daemon thread of the operating system; the thread, if it can be joined.

    Under gevent's monkey patching ``threading.Thread`` is a greenlet, and one that blocks in C
    (as our workers do while there is nothing to send) would stop the application's whole loop.
    """
    native = _unpatched_start()
    if native is not None:
        native(target, ())
        return None
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def _unpatched_start() -> Any:
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is None or not gevent.is_module_patched("threading"):
        return None
    return gevent.get_original("_thread", "start_new_thread")


def start_from_hit_path(target: Callable[[], None]) -> bool:
    """Run ``target`` in a bare thread, without any lock of the threading module.

    ``Thread.start()`` takes a lock that the hit's own thread may be holding (a finaliser that
    runs inside another ``Thread.start()``); this does not. False if no thread can be had.
    """
    try:
        (_unpatched_start() or _thread.start_new_thread)(target, ())
    except RuntimeError:
        return False  # interpreter shutdown, or the system's limit on threads
    return True
