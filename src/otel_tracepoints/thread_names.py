"""Which thread and which asyncio task runs, by their names; no code of theirs is run."""

from __future__ import annotations

import sys
import threading
from typing import Any, Callable, Optional, Tuple

from otel_tracepoints.interrupts import is_from_signal
from otel_tracepoints.introspect import instance_dict

#: Whose hit it is. gevent's, which tells greenlets apart, where it came before the agent.
get_ident: Callable[[], int] = threading.get_ident
_MAIN: type = type(threading.main_thread())
#: Their instances have their name in ``_name``.
PLAIN_THREADS: Tuple[type, ...] = (threading.Thread, _MAIN)


def thread_name(ident: int) -> str:
    """Of the thread with this ident; empty where it has none."""
    # threading.current_thread() would register a dummy for a foreign thread, under a lock, and
    # a Thread subclass may have its own `name`: so the raw fields are read.
    thread: Any = threading._active.get(ident)  # type: ignore[attr-defined]
    kind = type(thread)
    if kind is threading.Thread or kind is _MAIN:
        name: Any = thread._name
    else:
        fields = instance_dict(thread) if thread is not None else None
        name = dict.get(fields, "_name") if fields is not None else None
    return name if type(name) is str else ""


def redacted_task_name(redact: Callable[[str], str]) -> Callable[[], Optional[str]]:
    """`task_name`, redacted."""

    def name() -> Optional[str]:
        task = task_name()
        return None if task is None else redact(task)

    return name


def task_name() -> Optional[str]:
    """Of the asyncio task that runs in this thread."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop = asyncio._get_running_loop()
        task = asyncio.current_task(loop) if loop is not None else None
        name = asyncio.Task.get_name(task) if task is not None else None
    except Exception as error:  # no running loop, a task that is no asyncio.Task, a half-imported asyncio
        if is_from_signal(error):
            raise
        return None
    return name if type(name) is str else None
