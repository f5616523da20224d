"""Bounds on time, asked for in a way that a busy machine cannot upset."""

from __future__ import annotations

import time
from typing import Callable

#: Seconds that a busy machine may keep a process waiting for a processor.
AIR = 1.0


def quickest(once: Callable[[], float], enough: float, tries: int = 20) -> float:
    """The least that ``once`` answered in so many tries; ends with the first one below ``enough``.

    What costs more than it may does so every time; what was held up by others does not.
    """
    least = once()
    for _ in range(tries - 1):
        if least < enough:
            break
        least = min(least, once())
    return least


def cpu_seconds(call: Callable[[], object]) -> float:
    """The processor time that this thread spent in ``call``."""
    begun = time.thread_time()
    call()
    return time.thread_time() - begun
