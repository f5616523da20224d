"""Python 3.12 and later: local LINE events of just the code objects that hold a watched line.

All other code runs at full speed, a loop that already runs is reached at its next line, and
the other lines of a probed function return DISABLE once and cost nothing from then on.

**The race of DISABLE.** A callback that finds its line unwatched returns DISABLE, and the
interpreter then switches that location off. If meanwhile another thread puts a probe on the
line, the probe would be silent for ever. So an installation first publishes its table and then
re-arms the events. What is left is a callback that looked before the publication and is switched
off after the re-arming. With the GIL that cannot be: between its look and its return there is no
place where the interpreter hands over. Without the GIL, `let_callbacks_return` waits between
publication and re-arming until the callbacks that were looking have returned.

**The gap of re-arming.** With the GIL the events of the one code object are taken away and set
again, which brings back its disabled locations, and nobody else's; both calls are made from within
one call into C, so that no arrival comes between. Without the GIL others run between two calls, so
there it is ``restart_events``, which stops all threads, brings back every disabled location of
every tool, and so costs each of them one event more; other tools do the same at their leisure.
"""

from __future__ import annotations

import collections
import sys
from types import CodeType
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Set, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.engine.base import CodeSite, Handler, Watch, refuse_what_crashes
from otel_tracepoints.engine.callbacks import (
    Table,
    let_callbacks_return,
    line_callback,
    line_callback_without_gil,
    start_callback,
    start_callback_without_gil,
)
from otel_tracepoints.engine.ledger import Ledger, Watched
from otel_tracepoints.errors import EngineUnavailable, PlacingFailed

#: The name under which the tool id is taken.
TOOL_NAME = "otel-tracepoints"
#: Tried in this order. 0, 1 and 2 belong to debuggers, coverage and profilers by convention
#: (documentation of ``sys.monitoring``) and are taken only on request; 3 and 4 belong to nobody,
#: 5 to optimizers, of which there are none.
TOOL_IDS = (3, 4, 5)


class MonitoringEngine:
    """`engine.base.Engine` over ``sys.monitoring``.

    Args:
        tool_id: Take this id, if it is free; None for the usual ones.
        native: The compiled module; None for callbacks in Python.

    Raises:
        EngineUnavailable: No ``sys.monitoring`` here, or no tool id is free.
    """

    mechanism = "monitoring"

    def __init__(self, tool_id: Optional[int] = None, native: Optional[Any] = None) -> None:
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None:
            raise EngineUnavailable("This Python has no sys.monitoring (3.12 and later have).")
        self._monitoring = monitoring
        self._lock = unpatched.RLock()
        self._ledger = Ledger()
        self.native = native
        self.name = "pytrace" if native is None else "native"
        self._table: Table = {} if native is None else native.Table()
        self._closed = False
        self._gil = getattr(sys, "_is_gil_enabled", lambda: True)
        #: The events that each code object has, by its identity.
        self._armed: Dict[int, int] = {}
        #: Whether callbacks may be about to switch a location off; only asked without the GIL.
        self._deciding: Callable[[], object]
        if native is not None:
            on_line = native.line_callback(self._table, monitoring.DISABLE)
            on_start = native.start_callback(self._table, monitoring.DISABLE)
            self._deciding = lambda: on_line or on_start
        elif self._gil():
            on_line = line_callback(self._table, monitoring.DISABLE)
            on_start = start_callback(self._table, monitoring.DISABLE)
            self._deciding = bool
        else:
            deciding: Set[object] = set()
            self._deciding = deciding.__len__
            on_line = line_callback_without_gil(self._table, monitoring.DISABLE, deciding)
            on_start = start_callback_without_gil(self._table, monitoring.DISABLE, deciding)
        self._line_callback, self._start_callback = on_line, on_start
        self.tool_id: Optional[int]
        self.tool_id, self.reason = self._take_tool_id(tool_id)
        self._register()

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
            try:
                self._watch(list({id(watched): watched for _, watched in added}.values()))
            except ValueError as error:
                for watch, watched in added:
                    self._ledger.withdraw(watch.key, watched, watch.line)
                for _, watched in added:
                    self._forget_quietly(watched)
                raise PlacingFailed(
                    f"sys.monitoring refused the line events of tool id {self.tool_id}: {error}"
                ) from error

    def remove(self, *keys: str) -> None:
        """See `engine.base.Engine.remove`."""
        with self._lock:
            for watched in self._ledger.remove(*keys):
                self._withdraw(watched)

    def replacement(self, code: CodeType) -> CodeType:
        """Events are a matter of the code object itself: nothing to replace."""
        return code

    def notes(self, key: str) -> Sequence[str]:  # noqa: ARG002 - the Protocol's
        """Nothing to say: running and suspended frames are reached like all others."""
        return ()

    def after_fork_in_child(self) -> None:
        """Tool id, callbacks and events are inherited; only a lock held elsewhere is not ours."""
        self._lock = unpatched.RLock()

    def close(self) -> None:
        """See `engine.base.Engine.close`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for watched in self._ledger.remove(*self._ledger.every_key()):
                self._forget_quietly(watched)
            self._release()

    def _take_tool_id(self, wanted: Optional[int]) -> Tuple[int, str]:
        candidates = TOOL_IDS if wanted is None else (wanted, *(i for i in TOOL_IDS if i != wanted))
        taken: List[str] = []
        for candidate in candidates:
            try:
                self._monitoring.use_tool_id(candidate, TOOL_NAME)
            except ValueError:
                owner = self._monitoring.get_tool(candidate)
                taken.append(f"{candidate} is taken by {owner}")
                continue
            why = f"sys.monitoring, tool id {candidate}"
            return candidate, f"{why} ({'; '.join(taken)})" if taken else why
        raise EngineUnavailable("No sys.monitoring tool id is free: " + "; ".join(taken), {"taken": taken})

    def _register(self) -> None:
        events = self._monitoring.events
        self._monitoring.register_callback(self.tool_id, events.LINE, self._line_callback)
        self._monitoring.register_callback(self.tool_id, events.PY_START, self._start_callback)

    def _release(self) -> None:
        # Events were seen after free_tool_id (3.12.0), so the callbacks go first, and both
        # tolerate any code object.
        events = self._monitoring.events
        try:
            self._monitoring.register_callback(self.tool_id, events.LINE, None)
            self._monitoring.register_callback(self.tool_id, events.PY_START, None)
            if self._monitoring.get_tool(self.tool_id) == TOOL_NAME:
                self._monitoring.free_tool_id(self.tool_id)
        except ValueError:
            pass  # Somebody else freed our id.

    def _watch(self, added: List[Watched]) -> None:
        rearm = [id(watched.code) in self._armed for watched in added]
        for watched in added:
            self._table[id(watched.code)] = watched.handlers()
        restart = False
        if added and not self._gil():
            let_callbacks_return(self._deciding)
            restart, rearm = any(rearm), [False] * len(rearm)
        for watched, again in zip(added, rearm):
            self._arm(watched, again)
        if restart:
            self._monitoring.restart_events()

    def _arm(self, watched: Watched, again: bool) -> None:
        code, tool, wanted = watched.code, self.tool_id, self._events(watched)
        if wanted == self._armed.get(id(code)) and not again:
            return  # Setting what is set already stops all threads, without the GIL.
        events = (0, wanted) if again else (wanted,)
        # One call into C, so that no other thread runs between 0 and set.
        steps: Deque[None] = collections.deque(maxlen=0)
        steps.extend(
            map(self._monitoring.set_local_events, (tool,) * len(events), (code,) * len(events), events)
        )
        self._armed[id(code)] = wanted

    def _withdraw(self, watched: Watched) -> None:
        if not watched.watches:
            self._forget_quietly(watched)
            return
        self._table[id(watched.code)] = watched.handlers()
        try:
            self._arm(watched, again=False)
        except ValueError:
            pass  # Our tool id was freed by somebody else: there are no events to withdraw.

    def _forget_quietly(self, watched: Watched) -> None:
        if watched.watches:
            self._withdraw(watched)
            return
        try:
            self._monitoring.set_local_events(self.tool_id, watched.code, 0)
        except ValueError:
            pass
        self._table.pop(id(watched.code), None)
        self._armed.pop(id(watched.code), None)

    def _events(self, watched: Watched) -> int:
        # 3.13.0 and 3.14 raise no LINE event for a line that begins with the call itself (one-line
        # def, lambda, generator expression, class body) unless PY_START is among the events.
        events = self._monitoring.events
        wanted: int = events.LINE
        start = _line_of_start(watched.code)
        if start is not None and watched.has(start):
            wanted |= events.PY_START
        return wanted


def _line_of_start(code: CodeType) -> Optional[int]:
    """The line that the call itself belongs to: that of the first RESUME."""
    import opcode

    resume = opcode.opmap["RESUME"]
    instructions = code.co_code
    offset = 0
    while offset < len(instructions) and instructions[offset] != resume:
        offset += 2
    lines: Any = code.co_lines()
    for start, end, line in lines:
        if start <= offset < end:
            return line  # type: ignore[no-any-return]
    return None
