"""Threads, locks and sockets as the operating system has them, whatever patches the standard library.

gevent makes threads greenlets, and locks and sockets switch between greenlets: one of those in a
thread of ours waits for a loop that nobody runs, and a lock of `threading` that was made before
the patch waits with parts that were made after it. Debuggers trace every thread that is started.
So what the agent uses is taken when this module is imported, or from gevent where that came first.
"""

from __future__ import annotations

import _thread
import collections
import contextlib
import select
import socket
import sys
import time
from types import ModuleType
from typing import Any, Callable, Deque, Optional, Tuple


def _original(module: ModuleType, name: str) -> Any:
    gevent: Any = sys.modules.get("gevent.monkey")
    if gevent is None:
        return getattr(module, name, None)
    return gevent.get_original(module.__name__, name) if hasattr(module, name) else None


Lock: Callable[[], Any] = _original(_thread, "allocate_lock")
RLock: Callable[[], Any] = _original(_thread, "RLock")
get_ident: Callable[[], int] = _original(_thread, "get_ident")
start_new_thread: Callable[..., int] = _original(_thread, "start_new_thread")
sleep: Callable[[float], None] = _original(time, "sleep")
#: None where the system has no poll.
poll: Optional[Callable[[], Any]] = _original(select, "poll")
_Socket: Any = _original(socket, "socket")


class Socket(_Socket):  # type: ignore[misc]
    """A socket whose connections are such sockets, too."""

    def accept(self) -> Tuple[Socket, Any]:
        """A connection, and the address of its other end."""
        descriptor, address = self._accept()
        return Socket(self.family, self.type, self.proto, fileno=descriptor), address


class Condition:
    """`threading.Condition`, as far as it is needed here."""

    def __init__(self, lock: Any = None) -> None:
        self._lock = Lock() if lock is None else lock
        self.acquire = self._lock.acquire
        self.release = self._lock.release
        self._waiters: Deque[Any] = collections.deque()

    def __enter__(self) -> None:
        self._lock.__enter__()

    def __exit__(self, *raised: object) -> None:
        self._lock.__exit__(*raised)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait until notified; False if time ran out first."""
        waiter = Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        save = getattr(self._lock, "_release_save", None)
        saved = self._lock.release() if save is None else save()
        notified: bool = False
        try:
            if timeout is None:
                notified = waiter.acquire()
            else:
                notified = waiter.acquire(timeout > 0, timeout if timeout > 0 else -1)
        finally:
            if save is None:
                self._lock.acquire()
            else:
                self._lock._acquire_restore(saved)
            if not notified:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)
        return notified

    def wait_for(self, predicate: Callable[[], Any], timeout: Optional[float] = None) -> bool:
        """Wait until it is true; whether it is."""
        deadline = None if timeout is None else time.monotonic() + timeout
        result = predicate()
        while not result:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return bool(result)

    def notify_all(self) -> None:
        """Wake all that wait."""
        while self._waiters:
            self._waiters.popleft().release()

    def notify(self) -> None:
        """Wake one that waits."""
        if self._waiters:
            self._waiters.popleft().release()


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._flag = False

    def is_set(self) -> bool:
        """Whether it is."""
        return self._flag

    def set(self) -> None:
        """Wake all that wait, and all that will."""
        with self._changed:
            self._flag = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Have them wait again."""
        with self._changed:
            self._flag = False

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait until it is set; whether it is."""
        with self._changed:
            # Not `wait_for`: set and cleared again at once wakes, too.
            return self._flag or self._changed.wait(timeout)
