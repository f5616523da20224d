"""How long the exit of the process may wait for the event sink: once, whoever of us waits.

The agent's last hits and the application's last spans leave for the same sink. If it is silent,
each would wait for it in turn.
"""

from __future__ import annotations

import time
from typing import Callable, List, Optional

#: Seconds that stopping, and the exit of the process, may wait for the event sink (telemetry.md).
STOP_TIMEOUT = 2.0


class _Exit:
    deadline: Optional[float] = None
    #: What else has to leave; each is called once, with the seconds that it may take.
    flushes: List[Callable[[float], None]] = []  # noqa: RUF012 - one list for the process


def at_exit(flush: Callable[[float], None]) -> None:
    """Have this called at exit, between the agent's last hit and its waiting for the sink."""
    _Exit.flushes.append(flush)


def left() -> float:
    """Seconds that the exit may still wait. The first call begins it."""
    if _Exit.deadline is None:
        _Exit.deadline = time.monotonic() + STOP_TIMEOUT
    return max(0.0, _Exit.deadline - time.monotonic())


def flush_others() -> None:
    """Call what `at_exit` was given, if that was not done before."""
    while _Exit.flushes:
        _Exit.flushes.pop()(left())
