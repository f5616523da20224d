"""Putting probes on lines and taking them off: resolver and import hook on one side, engine on the other."""

from __future__ import annotations

import logging
import time
from types import CodeType
from typing import Callable, Collection, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.engine.base import Engine, Handler, Watch
from otel_tracepoints.errors import TracepointsError
from otel_tracepoints.interrupts import is_for_application
from otel_tracepoints.model import Location
from otel_tracepoints.probes.importing import ImportWatcher
from otel_tracepoints.probes.registry import PLACING_ERRORS, Entry, LastError
from otel_tracepoints.probes.resolver import Resolution, Resolver

_LOGGER = logging.getLogger("otel_tracepoints")

#: Seconds between two looks for modules that no import hook announces (control-api.md).
PENDING_INTERVAL = 1.0
#: The same while a module that was announced is being imported.
_ARRIVAL_INTERVAL = 0.1
#: Going through everything again and again takes at most this share of one processor.
_SHARE = 0.05

#: An entry and what its hooks call.
Pair = Tuple[Entry, Handler]


class _Found(NamedTuple):
    entry: Entry
    watch: Watch
    resolution: Resolution


class Placer:
    """Places entries.

    The control path calls in under the debugger's lock. `_on_code` is called by the thread that
    imports a module, which holds that module's import lock, so it takes no lock of ours but the
    engine's own, and reads ``_wanted`` in single steps.

    Args:
        poke: Has `patrol` called soon.
    """

    def __init__(self, resolver: Resolver, engine: Engine, poke: Callable[[], None]) -> None:
        self._resolver = resolver
        self._engine = engine
        self._poke = poke
        self._watcher = ImportWatcher(self._on_code, resolver.modules)
        #: path → id → what waits there.
        self._wanted: Dict[str, Dict[str, Pair]] = {}
        #: Files whose code has been shown to us and is being imported, and whether the import system
        #: had entered the module when it asked for the code.
        self._arriving: Dict[str, bool] = {}
        #: Files that no hook announced, found a round ago: their bodies may not have begun then.
        self._just_found: Set[str] = set()
        self._next_whole_look = 0.0

    def resolve(self, path: str, line: int) -> Resolution:
        """Where the line is; watches the file's import from before it looks.

        Raises:
            LineNotExecutable: no code starts on this line.
        """
        self._watcher.watch(path)
        try:
            return self._resolver.look(path, self._wanted)(line)
        finally:
            if path not in self._wanted:
                self._watcher.unwatch(path)

    def place(self, pairs: Sequence[Pair], resolution: Optional[Resolution] = None) -> None:
        """Hook the entries' lines wherever they are loaded now, and whenever they are loaded later.

        A failure is kept on the entry; it never raises. ``resolution`` is that of the one entry,
        where it is known already.
        """
        for entry, handler in pairs:
            self._want(entry, handler)
        look = None if resolution is None else _constant(resolution)
        for path, group in _by_path(pairs).items():
            self._hook(group, look or self._look(path))
        self._catch_up({entry.probe.id for entry, _ in pairs})

    def remove(self, entries: Sequence[Entry]) -> None:
        """Take the entries' hooks away; what was counted stays."""
        for entry in entries:
            waiting = self._wanted.get(entry.path)
            if waiting is not None and waiting.pop(entry.probe.id, None) is not None and not waiting:
                del self._wanted[entry.path]
                self._watcher.unwatch(entry.path)
        self._engine.remove(*(entry.probe.id for entry in entries))
        for path, line in {(entry.path, entry.probe.line) for entry in entries if entry.path in self._wanted}:
            # Where others are left in a function it may be of other code again.
            self._name(self._resolver.sites_seen(path, line))

    def has(self, entry: Entry) -> bool:
        """Whether this entry was placed, or waits for its module, and was not removed since."""
        return entry.probe.id in self._wanted.get(entry.path, ())

    def patrol(self) -> Optional[float]:
        """Look for what comes by ways which no hook sees, and for what became of imports.

        Answers in how many seconds to look again, or None where nothing is waited for.
        """
        pending = self._pending()
        loaded = self._resolver.loaded_among({*pending, *self._arriving}) if pending or self._arriving else {}
        found = {path for path in pending if not loaded.get(path, True)}
        again, self._just_found = self._just_found | found, found
        for path in list(self._arriving):
            if not loaded.get(path, False):
                self._arrived(path, self._arriving.pop(path), path in loaded)
        for path in again:
            self.place(list(self._wanted.get(path, {}).values()))
        now = time.monotonic()
        missing = {path for path in self._pending() if path not in loaded}
        if now >= self._next_whole_look and (
            self._resolver.owes or (missing and self._resolver.may_be_elsewhere(missing))
        ):
            cost = self._resolver.look_everywhere(list(self._wanted))
            self._next_whole_look = now + max(PENDING_INTERVAL, cost / _SHARE)
            self._catch_up(())
        if self._arriving:
            return _ARRIVAL_INTERVAL
        if self._just_found or self._pending():
            return PENDING_INTERVAL
        return max(0.0, self._next_whole_look - now) if self._resolver.owes else None

    def close(self) -> None:
        """Undo the import hook and every hook of the engine."""
        self._watcher.close()
        self._wanted = {}
        self._engine.close()

    def _pending(self) -> List[str]:
        return [
            path
            for path, pairs in self._wanted.items()
            if any(not entry.imported for entry, _ in list(pairs.values()))
        ]

    def _arrived(self, path: str, entered: bool, loaded: bool) -> None:
        """The code of a file was run, or its import failed."""
        pairs = list(self._wanted.get(path, {}).values())
        if entered and not loaded:
            # Taken out again. What a traceback still leads to is no module: it is seen now, and so
            # will be nothing new.
            self._look(path)
            self._catch_up((), but=path)
            for entry, _ in pairs:
                entry.imported, entry.location = False, None
        elif not loaded:
            self._just_found.add(path)  # a script, or a module that is entered nowhere

    def _catch_up(self, placed: Collection[str], but: str = "") -> None:
        """Place the other entries of files of which new code was found, ``but`` for one.

        Code that was exec-ed by hand comes in this way (control-api.md).
        """
        for path in self._resolver.take_fresh():
            pairs = [pair for id, pair in self._wanted.get(path, {}).items() if id not in placed]
            if pairs and path != but:
                self._hook(pairs, self._resolver.seen(path))
        if self._resolver.owes:
            self._poke()

    def _hook(self, pairs: Iterable[Pair], look: Optional[Callable[[int], Resolution]]) -> None:
        found: List[_Found] = []
        for entry, handler in pairs:
            resolution = self._resolved(entry, look)
            if resolution is not None:
                watch = Watch(entry.probe.id, resolution.sites, entry.probe.line, handler)
                found.append(_Found(entry, watch, resolution))
        if not self._install(found) and len(found) > 1:
            for each in found:
                self._install([each])

    def _want(self, entry: Entry, handler: Handler) -> None:
        if entry.path not in self._wanted:
            self._watcher.watch(entry.path)
            self._wanted[entry.path] = {}
        self._wanted[entry.path][entry.probe.id] = (entry, handler)

    def _look(self, path: str) -> Optional[Callable[[int], Resolution]]:
        try:
            return self._resolver.look(path, self._wanted)
        except Exception:
            _LOGGER.exception("The code of a file could not be searched")
            return None

    def _resolved(self, entry: Entry, look: Optional[Callable[[int], Resolution]]) -> Optional[Resolution]:
        if look is None:
            self._failed(entry, "The code could not be searched; the agent's log has the reason.")
            return None
        try:
            return look(entry.probe.line)
        except TracepointsError as error:
            self._failed(entry, error.message)
            return None

    def _install(self, found: Sequence[_Found]) -> bool:
        """Hook these, all or none; a failure is noted on each of them."""
        watches = [each.watch for each in found]
        message: Optional[str] = None
        try:
            self._engine.install_all(watches)
            self._name([site for watch in watches for site in watch.sites])
        except TracepointsError as error:
            message = error.message
        except Exception:
            _LOGGER.exception("Probes could not be placed")
            message = "The engine failed to place the probe; the agent's log has the reason."
        for entry, _, resolution in found:
            # Not before: who reads that a point is active may count on its hits. And an import that
            # has begun since the look knows better where the line is.
            if resolution.imported or entry.path not in self._arriving:
                locate(entry, resolution)
            if message is not None:
                self._failed(entry, message)
            else:
                _succeeded(entry)
        return message is None

    def _on_code(self, code: CodeType, path: str) -> CodeType:
        self._arriving[path] = path in self._resolver.loaded_among({path})
        # Copied in one step of C: the control path changes it meanwhile.
        for entry, handler in list(dict.copy(self._wanted.get(path, {})).values()):
            try:
                self._place_arriving(entry, handler, code, path)
            except TracepointsError as error:
                self._failed(entry, error.message)
            except Exception as error:
                if is_for_application(error):
                    raise
                _LOGGER.debug("A probe could not be placed in code that is being imported", exc_info=error)
        self._poke()
        return self._engine.replacement(code)

    def _place_arriving(self, entry: Entry, handler: Handler, code: CodeType, path: str) -> None:
        line = entry.probe.line
        sites = self._resolver.sites_in(code, line)
        if not sites:
            entry.location = None
            self._failed(entry, "The file has changed: no code starts on this line any more.")
            return
        self._engine.install(entry.probe.id, sites, line, handler)
        self._name(sites)
        entry.functions = tuple(dict.fromkeys(self._resolver.function_name(site.code) for site in sites))
        entry.location = Location(path, line, entry.functions)
        entry.imported = True
        _succeeded(entry)

    def _name(self, sites: Sequence[CodeSite]) -> None:
        """What the engine made of code is called like that code; before 3.11 it does not know so itself."""
        codes = {id(code): code for site in sites for code in (site.code, *site.parents)}
        for code in codes.values():
            self._resolver.same_function(code, self._engine.replacement(code))

    @staticmethod
    def _failed(entry: Entry, message: str) -> None:
        entry.error = LastError("PLACING_FAILED", message, time.time_ns())


def locate(entry: Entry, resolution: Resolution) -> None:
    """Note on the entry where its line was found."""
    entry.imported = resolution.imported
    entry.functions = resolution.functions
    entry.location = (
        Location(resolution.file, entry.probe.line, resolution.functions) if resolution.imported else None
    )


def _succeeded(entry: Entry) -> None:
    if entry.error is not None and entry.error.code in PLACING_ERRORS:
        entry.error = None


def _by_path(pairs: Sequence[Pair]) -> Dict[str, List[Pair]]:
    groups: Dict[str, List[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair[0].path, []).append(pair)
    return groups


def _constant(resolution: Resolution) -> Callable[[int], Resolution]:
    return lambda _line: resolution
