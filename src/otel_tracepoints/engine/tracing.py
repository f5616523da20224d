"""What every engine over ``sys.settrace`` does, whatever its trace function is made of: the books."""

from __future__ import annotations

import contextlib
import threading
from types import CodeType
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.engine.base import CodeSite, Handler, Watch, refuse_what_crashes
from otel_tracepoints.engine.ledger import Ledger, Watched
from otel_tracepoints.errors import PlacingFailed

FOREIGN = (
    "Another trace function (a debugger or coverage) has this thread or those that start from now on;"
    " lines that they reach are not watched."
)


class TraceEngine:
    """`engine.base.Engine`, but for who traces.

    Args:
        native: The compiled module; None for a trace function of Python.
        table: Identity of a code object → line → handlers; read by the trace function at any time.
    """

    mechanism = "settrace"
    tool_id: Optional[int] = None

    def __init__(self, native: Optional[Any], table: Any) -> None:
        self.native = native
        self.name = "pytrace" if native is None else "native"
        self.reason = "sys.settrace"
        self._table = table
        self._lock = unpatched.RLock()
        self._ledger = Ledger()
        self._notes: Dict[str, Tuple[str, ...]] = {}
        self._closed = False

    def install(self, key: str, sites: Sequence[CodeSite], line: int, handler: Handler) -> None:
        """See `engine.base.Engine.install`."""
        self.install_all([Watch(key, sites, line, handler)])

    def install_all(self, watches: Sequence[Watch]) -> None:
        """See `engine.base.Engine.install_all`."""
        with self._lock:
            if self._closed:
                raise PlacingFailed("The engine has been closed.")
            refuse_what_crashes(watches)
            added: List[Tuple[Watch, Watched]] = []
            for watch in watches:
                for site in watch.sites:
                    watched = self._ledger.add(watch.key, site.code, watch.line, watch.handler)
                    if watched is not None:
                        added.append((watch, watched))
            touched = {id(watched): watched for _, watched in added}.values()
            self._publish(touched)
            try:
                notes = tuple(self._start())
            except Exception as error:  # whatever an audit hook raises
                for watch, watched in added:
                    self._ledger.withdraw(watch.key, watched, watch.line)
                self._publish(touched)
                if not self._ledger:
                    with contextlib.suppress(Exception):
                        self._stop()
                raise PlacingFailed(f"Tracing was refused: {error}") from error
            self._notes.update((watch.key, notes) for watch in watches)

    def remove(self, *keys: str) -> None:
        """See `engine.base.Engine.remove`."""
        with self._lock:
            for key in keys:
                self._notes.pop(key, None)
            self._publish(self._ledger.remove(*keys))
            if not self._ledger:
                self._stop()

    def replacement(self, code: CodeType) -> CodeType:
        """Events come from the code object itself: nothing to replace."""
        return code

    def notes(self, key: str) -> Sequence[str]:
        """See `engine.base.Engine.notes`."""
        return self._notes.get(key, ())

    def after_fork_in_child(self) -> None:
        """This thread's tracer is inherited; only a lock held elsewhere is not ours."""
        self._lock = unpatched.RLock()

    def close(self) -> None:
        """See `engine.base.Engine.close`."""
        with self._lock:
            self.remove(*self._ledger.every_key())
            self._closed = True

    def _publish(self, touched: Iterable[Watched]) -> None:
        for watched in touched:
            if watched.watches:
                self._table[id(watched.code)] = watched.handlers()
            else:
                self._table.pop(id(watched.code), None)

    def _start(self) -> List[str]:
        """Trace whatever may be traced; returns notes. Called with each change, under the lock."""
        raise NotImplementedError

    def _stop(self) -> None:
        """Trace nothing any more; called under the lock, also when nothing is traced."""
        raise NotImplementedError


def trace_of_new_threads() -> Optional[Any]:
    """What `threading.settrace` was given."""
    # threading.gettrace() is public from 3.10 on; before, this is where it would look.
    return threading._trace_hook  # type: ignore[attr-defined]
