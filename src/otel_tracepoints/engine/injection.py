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

from types import CodeType
from typing import Any, Collection, Dict, Iterable, List, Optional, Sequence, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.codesite import CodeSite, WeakFunction
from otel_tracepoints.engine import holders
from otel_tracepoints.engine.anatomy import Anatomy
from otel_tracepoints.engine.base import Handler, Watch
from otel_tracepoints.engine.body import Body
from otel_tracepoints.engine.hook import SITES, arrived, numbers
from otel_tracepoints.engine.ledger import Ledger, Watched
from otel_tracepoints.engine.running import RunningFrames
from otel_tracepoints.engine.splice import splice
from otel_tracepoints.engine.versions import Versions
from otel_tracepoints.errors import EngineUnavailable, PlacingFailed


class InjectionEngine:
    """`engine.base.Engine` by rewriting code objects.

    Args:
        native: The compiled module, whose function is called then; None for that of Python.

    Raises:
        EngineUnavailable: This Python is not one of those that `splice` can rewrite, or the
            ``bytecode`` library is missing.
    """

    mechanism = "injection"
    tool_id: Optional[int] = None

    def __init__(self, native: Optional[Any] = None) -> None:
        import importlib.util
        import platform
        import sys

        if not (3, 8) <= sys.version_info < (3, 12) or platform.python_implementation() != "CPython":
            raise EngineUnavailable("Code is rewritten on CPython 3.8 to 3.11 only.")
        if importlib.util.find_spec("bytecode") is None:
            raise EngineUnavailable("The package bytecode is not installed, so no code can be rewritten.")
        self.reason = f"code rewriting, because Python 3.{sys.version_info[1]} has no sys.monitoring"
        self.native = native
        self.name = "pytrace" if native is None else "native"
        self._arrived = arrived if native is None else native.arrived
        self._lock = unpatched.RLock()
        self._ledger = Ledger()
        self._bodies: Dict[int, Body] = {}
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
        """See `engine.base.Engine.install_all`: bodies are rewritten once, the heap searched once at most."""
        with self._lock:
            if self._closed:
                raise PlacingFailed("The engine has been closed.")
            added: List[Tuple[Watch, Watched]] = []
            bodies: Dict[int, Body] = {}
            try:
                for watch in watches:
                    self._enter(watch, added, bodies)
                touched = list(bodies.values())
                for body in touched:
                    self._arm(body)
                suspended = self._swap(touched, [site for watch in watches for site in watch.sites])
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

    def _enter(self, watch: Watch, added: List[Tuple[Watch, Watched]], bodies: Dict[int, Body]) -> None:
        # By itself: a variable that outlives it would be one more who holds the code.
        for site in watch.sites:
            original = self._versions.original(site.code)
            watched = self._ledger.add(watch.key, original, watch.line, watch.handler)
            if watched is not None:
                added.append((watch, watched))
            bodies[id(original)] = self._body(original, site.parents)

    def _body(self, original: CodeType, parents: Iterable[CodeType]) -> Body:
        body = self._bodies.get(id(original))
        if body is None:
            body = self._bodies[id(original)] = Body(original)
        for maker in map(self._versions.original, parents):
            if all(maker is not known for known in body.parents):
                body.parents = (*body.parents, maker)
        return body

    def _lines(self, body: Body) -> Dict[int, Tuple[Handler, ...]]:
        watched = self._ledger.get(body.original)
        return {} if watched is None else watched.handlers()

    def _arm(self, body: Body) -> None:
        """Make the body's calls reach its handlers, in a version that has all of its lines."""
        lines = self._lines(body)
        fresh = {line: next(numbers) for line in lines if line not in body.numbers}
        if fresh:
            body.numbers = {**body.numbers, **fresh}
        for line, handlers in lines.items():
            SITES[body.numbers[line]] = handlers
        if not set(lines) <= set(self._versions.lines(body.current)):
            self._rewrite(body, lines)

    def _rewrite(self, body: Body, lines: Collection[int]) -> None:
        wanted = body.numbers_of(lines)
        # Worked out each time: kept, it would be the largest part of what a probe keeps.
        made = splice(Anatomy(body.original), wanted, self._arrived)
        if made is None:
            # The line has code, but none of it can be arrived at (it only begins the call).
            body.current = body.original
            return
        self._versions.add(made.code, body.original, wanted, made.entrances)
        body.current = made.code

    def _disarm(self, bodies: Sequence[Body]) -> None:
        """Take out what nobody watches any more."""
        changed: List[Body] = []
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

    def _swap(
        self, bodies: Sequence[Body], sites: Sequence[CodeSite] = (), *, watched: bool = True
    ) -> List[holders.Suspendable]:
        """Put the present version of each in the place of all others; returns who runs those.

        With nothing new to be ``watched``, who has an original may keep it.
        """
        seen: Dict[int, List[WeakFunction]] = {}
        for site in sites:
            seen.setdefault(id(self._versions.original(site.code)), []).extend(site.functions)
        replaced: Dict[int, Body] = {}
        outdated: List[CodeType] = []
        for body in bodies:
            body.exchange(self._versions, seen.get(id(body.original), ()))
        for body in bodies:
            # Versions that only those had are gone by now, and need not be looked for.
            start = len(outdated)
            outdated.extend(body.outdated(self._versions, watched=watched))
            replaced.update(dict.fromkeys(map(id, outdated[start:]), body))
        # Without a search of the heap, if nobody has one whom we do not know of.
        outdated = holders.held_elsewhere(outdated, self._referring(bodies, sites))
        if not outdated:
            return []
        found = holders.find(outdated)
        for function in found.functions:
            replaced[id(function.__code__)].give(function)
        return found.suspended

    def _referring(self, bodies: Sequence[Body], sites: Sequence[CodeSite]) -> List[object]:
        """What of ours, and of the caller's, refers to versions of these or may do so."""
        ours: List[object] = [*bodies, *sites]
        ours += (site.parents for site in sites)
        ours += (other.parents for other in self._bodies.values() if other.parents)
        for body in bodies:
            ours += self._versions.entries(body.original)
            watched = self._ledger.get(body.original)
            if watched is not None:
                ours.append(watched)
        return ours

    def _note_unreached(self, body: Body) -> None:
        lines = body.numbers_of(self._lines(body))
        for code in self._versions.family(body.original):
            own = self._versions.lines(code)
            missing = {line: number for line, number in lines.items() if own.get(line) != number}
            if missing == lines:
                missing = lines  # one dict for all who keep it
            if missing and code is not body.current:
                self._unreached[id(code)] = missing
            else:
                self._unreached.pop(id(code), None)

    def _watch_frames(
        self, keys: Sequence[str], bodies: Sequence[Body], suspended: Sequence[holders.Suspendable]
    ) -> None:
        for body in bodies:
            self._note_unreached(body)
        found = self._running.update(suspended)
        for key in keys if found else ():
            known = self._notes.get(key, ())
            self._notes[key] = (*known, *(note for note in found if note not in known))
