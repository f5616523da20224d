"""Which threads are inside a hit, and which are the agent's own, that are never hit."""

from __future__ import annotations

import threading
from typing import Callable, Set

from otel_tracepoints.engine.compiled import COMPILED

#: Threads that are inside a hit now, or are the agent's own. Set operations are atomic, with and
#: without the GIL. The compiled gate has its own account.
BUSY: Set[int] = set()
#: The agent's own threads.
GUARDED: Set[int] = set()

_get_ident = threading.get_ident


def guard_thread() -> Callable[[], None]:
    """Keep this thread out of the hit path (the agent's own threads); call the answer to undo it."""
    thread = _get_ident()
    GUARDED.add(thread)
    BUSY.add(thread)
    native = COMPILED.loaded()
    if native is not None:
        native.guard_thread(True)

    def undo() -> None:
        if native is not None:
            native.guard_thread(False)
        GUARDED.discard(thread)
        BUSY.discard(thread)

    return undo


def after_fork_in_child() -> None:
    """Only the forking thread lives on; it may be inside a hit only if it forked there."""
    native = COMPILED.loaded()
    if native is not None:
        native.after_fork_in_child()
    GUARDED.clear()
    BUSY.clear()
