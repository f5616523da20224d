"""Putting probes on lines and taking them off: resolver and import hook on one side, engine on the other."""

from __future__ import annotations

import logging
import time
from types import CodeType
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from otel_tracepoints.engine.base import CodeSite, Engine, Watch
from otel_tracepoints.errors import TracepointsError
from otel_tracepoints.model import Location
from otel_tracepoints.pipeline import Gate
from otel_tracepoints.probes.importing import ImportWatcher
from otel_tracepoints.probes.registry import PLACING_ERRORS, Entry, LastError
from otel_tracepoints.probes.resolver import Resolution, Resolver

_LOGGER = logging.getLogger("otel_tracepoints")


#: An entry and the gate that its hooks call.
Pair = Tuple[Entry, Gate]


class Placer:
    """Places entries.

    The control path calls in under the debugger's lock. `_on_code` is called by the thread that
    imports a module, which holds that module's import lock, so it takes no lock of ours but the
    engine's own, and reads ``_wanted`` in single steps.
    """

    def __init__(self, resolver: Resolver, engine: Engine) -> None:
        self._resolver = resolver
        self._engine = engine
        self._watcher = ImportWatcher(self._on_code)
        #: path → id → what waits there.
        self._wanted: Dict[str, Dict[str, Pair]] = {}

    def resolve(self, path: str, line: int) -> Resolution:
        """Where the line is; watches the file's import from before it looks.

        Raises:
            LineNotExecutable: no code starts on this line.
        """
        self._watcher.watch(path)
        try:
            return self._resolver.resolve(path, line)
        finally:
            if path not in self._wanted:
                self._watcher.unwatch(path)

    def place(self, pairs: Sequence[Pair], resolution: Optional[Resolution] = None) -> None:
        """Hook the entries' lines wherever they are loaded now, and whenever they are loaded later.

        A failure is kept on the entry; it never raises. ``resolution`` is that of the one entry,
        where it is known already.
        """
        groups: Dict[str, List[Entry]] = {}
        gates: Dict[str, Gate] = {}
        for entry, gate in pairs:
            self._want(entry, gate)
            groups.setdefault(entry.path, []).append(entry)
            gates[entry.probe.id] = gate
        found: List[Tuple[Entry, Watch]] = []
        for path, entries in groups.items():
            look = self._look(path) if resolution is None else lambda _: resolution
            for entry in entries:
                sites = self._sites(entry, look)
                if sites is not None:
                    id = entry.probe.id
                    found.append((entry, Watch(id, sites, entry.probe.line, gates[id])))
        if not self._install(found) and len(found) > 1:
            for each in found:
                self._install([each])

    def remove(self, entries: Sequence[Entry]) -> None:
        """Take the entries' hooks away; what was counted stays."""
        for entry in entries:
            waiting = self._wanted.get(entry.path)
            if waiting is not None and waiting.pop(entry.probe.id, None) is not None and not waiting:
                del self._wanted[entry.path]
                self._watcher.unwatch(entry.path)
        self._engine.remove(*(entry.probe.id for entry in entries))

    def look_again(self) -> bool:
        """Place pending entries whose modules have come meanwhile, by a way that no hook sees.

        Answers whether some are pending still.
        """
        waiting = [p for pairs in self._wanted.values() for p in pairs.values() if not p[0].imported]
        if waiting:
            loaded = self._resolver.loaded_among({entry.path for entry, _ in waiting})
            self.place([pair for pair in waiting if pair[0].path in loaded])
        return any(not entry.imported for entry, _ in waiting)

    def close(self) -> None:
        """Undo the import hook and every hook of the engine."""
        self._watcher.close()
        self._wanted = {}
        self._engine.close()

    def _want(self, entry: Entry, gate: Gate) -> None:
        if entry.path not in self._wanted:
            self._watcher.watch(entry.path)
            self._wanted[entry.path] = {}
        self._wanted[entry.path][entry.probe.id] = (entry, gate)

    def _look(self, path: str) -> Optional[Callable[[int], Resolution]]:
        try:
            return self._resolver.look(path)
        except Exception:
            _LOGGER.exception("The code of a file could not be searched")
            return None

    def _sites(
        self, entry: Entry, look: Optional[Callable[[int], Optional[Resolution]]]
    ) -> Optional[List[CodeSite]]:
        try:
            resolution = look(entry.probe.line) if look is not None else None
        except TracepointsError as error:
            self._failed(entry, error.message)
            return None
        if resolution is None:
            self._failed(entry, "The code could not be searched; the agent's log has the reason.")
            return None
        locate(entry, resolution)
        return [CodeSite(site.code, tuple(site.parents)) for site in resolution.sites]

    def _install(self, found: Sequence[Tuple[Entry, Watch]]) -> bool:
        """Hook these, all or none; a failure is noted on each of them."""
        watches = [watch for _, watch in found]
        message: Optional[str] = None
        try:
            self._engine.install_all(watches)
            self._name([site for watch in watches for site in watch.sites])
        except TracepointsError as error:
            message = error.message
        except Exception:
            _LOGGER.exception("Probes could not be placed")
            message = "The engine failed to place the probe; the agent's log has the reason."
        for entry, _ in found:
            if message is not None:
                self._failed(entry, message)
            elif entry.error is not None and entry.error.code in PLACING_ERRORS:
                entry.error = None
        return message is None

    def _on_code(self, code: CodeType, path: str) -> CodeType:
        # Copied in one step of C: the control path changes it meanwhile.
        for entry, gate in list(dict.copy(self._wanted.get(path, {})).values()):
            line = entry.probe.line
            sites = [CodeSite(site.code, tuple(site.parents)) for site in self._resolver.sites_in(code, line)]
            if not sites:
                self._failed(entry, "The file has changed: no code starts on this line any more.")
                continue
            self._engine.install(entry.probe.id, sites, line, gate)
            self._name(sites)
            functions = tuple(dict.fromkeys(self._resolver.function_name(site.code) for site in sites))
            entry.location = Location(path, line, functions)
            entry.imported = True
        return self._engine.replacement(code)

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
    if resolution.imported:
        entry.location = Location(resolution.file, entry.probe.line, resolution.functions)
