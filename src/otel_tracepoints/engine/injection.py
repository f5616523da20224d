"""Python 3.8 to 3.11: a call in front of the line, in code objects that take the place of the originals.

The rewritten code object goes into every function that has the original, and into the constants
of the code objects that make such functions (in place, so that a parent that already runs makes
the new kind). Functions, modules and classes are left as they are: nothing is wrapped or
rebound. A code object is always rewritten from the original, with all lines watched in it;
removal puts the original object itself back everywhere.

What cannot be exchanged is a frame: those that run or are suspended in other code than the
present one are watched by `running.RunningFrames` until they leave.
"""

from __future__ import annotations

import weakref
from types import CodeType
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.engine import holders
from otel_tracepoints.engine.anatomy import Anatomy
from otel_tracepoints.engine.base import CodeSite, Handler, Watch
from otel_tracepoints.engine.hook import SITES, numbers
from otel_tracepoints.engine.ledger import Ledger, Watched
from otel_tracepoints.engine.running import RunningFrames
from otel_tracepoints.engine.splice import splice
from otel_tracepoints.engine.versions import Versions
from otel_tracepoints.errors import EngineUnavailable, PlacingFailed

#: So many functions of a body are kept in mind, to spare looking for them all over the heap when
#: the probe goes.
_REMEMBERED = 1000


class _Body:
    """An original code object with watched lines, and what has been made of it."""

    def __init__(self, original: CodeType) -> None:
        self.original = original
        self.anatomy = Anatomy(original)
        self.current = original
        #: Line → number of its calls; kept while any line is watched, so that older versions
        #: that are still being run go on calling.
        self.numbers: Dict[int, int] = {}
        #: Code objects whose constants hold this one; originals.
        self.parents: Dict[int, CodeType] = {}
        #: Functions that were given a rewritten one, as far as they are still there.
        self.functions: List[Any] = []


class InjectionEngine:
    """`engine.base.Engine` by rewriting code objects.

    Raises:
        EngineUnavailable: This Python is not one of those that `splice` can rewrite, or the
            ``bytecode`` library is missing.
    """

    name = "pytrace"
    mechanism = "injection"
    tool_id: Optional[int] = None

    def __init__(self) -> None:
        import importlib.util
        import platform
        import sys

        if not (3, 8) <= sys.version_info < (3, 12) or platform.python_implementation() != "CPython":
            raise EngineUnavailable("Code is rewritten on CPython 3.8 to 3.11 only.")
        if importlib.util.find_spec("bytecode") is None:
            raise EngineUnavailable("The package bytecode is not installed, so no code can be rewritten.")
        self.reason = f"code rewriting, because Python 3.{sys.version_info[1]} has no sys.monitoring"
        self._lock = unpatched.RLock()
        self._ledger = Ledger()
        self._bodies: Dict[int, _Body] = {}
        #: Identity of a code object that may still run → line → number, for the watched lines
        #: that it has no call for. Shared with the tracer of running frames, which only reads.
        self._unreached: Dict[int, Dict[int, int]] = {}
        self._versions = Versions(self._unreached)
        self._running = RunningFrames(self._unreached, self._look_again)
        self._notes: Dict[str, Tuple[str, ...]] = {}
        self._closed = False

    def install(self, key: str, sites: Sequence[CodeSite], line: int, handler: Handler) -> None:
        """See `engine.base.Engine.install`."""
        self.install_all([Watch(key, sites, line, handler)])

    def install_all(self, watches: Sequence[Watch]) -> None:
        """See `engine.base.Engine.install_all`: each body is rewritten once, the heap searched once."""
        with self._lock:
            if self._closed:
                raise PlacingFailed("The engine has been closed.")
            added: List[Tuple[Watch, Watched]] = []
            bodies: Dict[int, _Body] = {}
            try:
                for watch in watches:
                    for site in watch.sites:
                        original = self._versions.original(site.code)
                        watched = self._ledger.add(watch.key, original, watch.line, watch.handler)
                        if watched is not None:
                            added.append((watch, watched))
                        bodies[id(original)] = self._body(original, site.parents)
                touched = list(bodies.values())
                for body in touched:
                    self._arm(body)
                suspended = self._swap(touched)
            except Exception as error:
                # Whatever the library or the interpreter did not like: the application goes on
                # with what it had.
                for watch, watched in added:
                    self._ledger.withdraw(watch.key, watched, watch.line)
                self._disarm(list(bodies.values()))
                raise PlacingFailed(f"The code could not be rewritten: {error}") from error
            self._watch_frames([watch.key for watch in watches], touched, suspended)

    def remove(self, *keys: str) -> None:
        """See `engine.base.Engine.remove`."""
        with self._lock:
            for key in keys:
                self._notes.pop(key, None)
            touched = [self._bodies[id(watched.code)] for watched in self._ledger.remove(*keys)]
            self._disarm(touched)

    def replacement(self, code: CodeType) -> CodeType:
        """See `engine.base.Engine.replacement`."""
        with self._lock:
            body = self._bodies.get(id(self._versions.original(code)))
            return code if body is None else body.current

    def notes(self, key: str) -> Sequence[str]:
        """See `engine.base.Engine.notes`."""
        return self._notes.get(key, ())

    def after_fork_in_child(self) -> None:
        """The rewritten code is inherited; only a lock held elsewhere is not ours."""
        self._lock = unpatched.RLock()
        self._running.after_fork_in_child()

    def close(self) -> None:
        """See `engine.base.Engine.close`."""
        with self._lock:
            if self._closed:
                return
            self.remove(*self._ledger.every_key())
            self._running.close()
            self._closed = True

    def _look_again(self) -> None:
        with self._lock:
            if not self._closed:
                self._running.update()

    def _body(self, original: CodeType, parents: Iterable[CodeType]) -> _Body:
        body = self._bodies.get(id(original))
        if body is None:
            body = self._bodies[id(original)] = _Body(original)
        for maker in map(self._versions.original, parents):
            body.parents[id(maker)] = maker
        return body

    def _lines(self, body: _Body) -> Dict[int, Tuple[Handler, ...]]:
        watched = self._ledger.get(body.original)
        return {} if watched is None else watched.handlers()

    def _arm(self, body: _Body) -> None:
        """Make the body's calls reach its handlers, in a version that has all of its lines."""
        lines = self._lines(body)
        for line, handlers in lines.items():
            if line not in body.numbers:
                body.numbers[line] = next(numbers)
            SITES[body.numbers[line]] = handlers
        if not set(lines) <= set(self._versions.lines(body.current)):
            self._rewrite(body, lines)

    def _rewrite(self, body: _Body, lines: Iterable[int]) -> None:
        wanted = {line: body.numbers[line] for line in lines}
        made = splice(body.anatomy, wanted)
        if made is None:
            # The line has code, but none of it can be arrived at (it only begins the call).
            body.current = body.original
            return
        self._versions.add(made.code, body.original, wanted, made.entrances)
        body.current = made.code

    def _disarm(self, bodies: Sequence[_Body]) -> None:
        """Take out what nobody watches any more."""
        changed: List[_Body] = []
        for body in bodies:
            lines = self._lines(body)
            for line, number in body.numbers.items():
                if line in lines:
                    SITES[number] = lines[line]
                else:
                    SITES.pop(number, None)
            stale = len(set(self._versions.lines(body.current)) - set(lines))
            if not lines:
                self._bodies.pop(id(body.original), None)
                body.current = body.original
                changed.append(body)
            elif stale * 4 >= len(lines):
                # A call to nobody costs some 40 ns. Not at each removal from a long function, so
                # that to clear it takes time in proportion to its length, not to its square.
                try:
                    self._rewrite(body, lines)
                except Exception:  # noqa: S112 - it was rewritten with more lines before; the calls stay.
                    continue
                changed.append(body)
        self._swap(changed, watched=False)
        for body in bodies:
            self._note_unreached(body)
        self._running.update()

    def _swap(self, bodies: Sequence[_Body], *, watched: bool = True) -> List[holders.Suspendable]:
        """Put the present version of each in the place of all others; returns who runs those.

        With nothing new to be ``watched``, who has an original may keep it.
        """
        for body in bodies:
            self._swap_known(body)
        # Versions that only those had are gone by now, and need not be looked for.
        outdated: List[CodeType] = []
        replaced: Dict[int, _Body] = {}
        for body in bodies:
            if body.current is body.original:
                body.functions = []
            for code in self._versions.family(body.original):
                if code is not body.current and (watched or code is not body.original):
                    replaced[id(code)] = body
                    outdated.append(code)
        if not outdated:
            return []
        found = holders.find(outdated)
        for function in found.functions:
            body = replaced[id(function.__code__)]
            function.__code__ = body.current
            if body.current is not body.original and len(body.functions) < _REMEMBERED:
                body.functions.append(weakref.ref(function))
        return found.suspended

    def _swap_known(self, body: _Body) -> None:
        # The makers first, then what they have made: what they make in between is new already.
        olds = {id(code): code for code in self._versions.family(body.original) if code is not body.current}
        for parent in body.parents.values():
            for owner in self._versions.family(parent):
                holders.replace_constant(owner, olds, body.current)
        for reference in body.functions:
            function = reference()
            if function is not None and id(function.__code__) in olds:
                function.__code__ = body.current

    def _note_unreached(self, body: _Body) -> None:
        lines = {line: body.numbers[line] for line in self._lines(body)}
        for code in self._versions.family(body.original):
            own = self._versions.lines(code)
            missing = {line: number for line, number in lines.items() if own.get(line) != number}
            if missing and code is not body.current:
                self._unreached[id(code)] = missing
            else:
                self._unreached.pop(id(code), None)

    def _watch_frames(
        self, keys: Sequence[str], bodies: Sequence[_Body], suspended: Sequence[holders.Suspendable]
    ) -> None:
        for body in bodies:
            self._note_unreached(body)
        found = self._running.update(suspended)
        for key in keys if found else ():
            known = self._notes.get(key, ())
            self._notes[key] = (*known, *(note for note in found if note not in known))
