"""Putting probes on lines and taking them off: resolver and import hook on one side, engine on the other."""

from __future__ import annotations

import logging
import time
from types import CodeType
from typing import Dict, List, Optional, Sequence, Tuple

from otel_tracepoints.engine.base import CodeSite, Engine
from otel_tracepoints.errors import TracepointsError
from otel_tracepoints.model import Location
from otel_tracepoints.pipeline import Gate
from otel_tracepoints.probes.importing import ImportWatcher
from otel_tracepoints.probes.registry import PLACING_ERRORS, Entry, LastError
from otel_tracepoints.probes.resolver import Resolution, Resolver

_LOGGER = logging.getLogger("otel_tracepoints")


class Placer:
    """Places entries whose gates are on.

    The control path calls in under the debugger's lock. `_on_code` is called by the thread that
    imports a module, which holds that module's import lock, so it takes no lock of ours but the
    engine's own, and reads ``_wanted``, which is replaced as a whole and never changed.
    """

    def __init__(self, resolver: Resolver, engine: Engine) -> None:
        self._resolver = resolver
        self._engine = engine
        self._watcher = ImportWatcher(self._on_code)
        #: path → what waits there; a new dict at each change.
        self._wanted: Dict[str, Tuple[Tuple[Entry, Gate], ...]] = {}

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

    def place(self, entry: Entry, gate: Gate, resolution: Optional[Resolution] = None) -> None:
        """Hook the entry's line wherever it is loaded now, and whenever it is loaded later.

        A failure is kept on the entry; it never raises.
        """
        self._want(entry, gate)
        try:
            if resolution is None:
                resolution = self._resolver.resolve(entry.path, entry.probe.line)
            locate(entry, resolution)
            sites = [CodeSite(site.code, tuple(site.parents)) for site in resolution.sites]
            self._engine.install(entry.probe.id, sites, entry.probe.line, gate)
            self._name(sites)
        except TracepointsError as error:
            self._failed(entry, error.message)
        except Exception:
            _LOGGER.exception("A probe could not be placed")
            self._failed(entry, "The engine failed to place the probe; the agent's log has the reason.")
        else:
            if entry.error is not None and entry.error.code in PLACING_ERRORS:
                entry.error = None

    def remove(self, entry: Entry) -> None:
        """Take the entry's hooks away; what was counted stays."""
        wanted = dict(self._wanted)
        rest = tuple(pair for pair in wanted.get(entry.path, ()) if pair[0] is not entry)
        if rest:
            wanted[entry.path] = rest
        elif wanted.pop(entry.path, None) is not None:
            self._watcher.unwatch(entry.path)
        self._wanted = wanted
        self._engine.remove(entry.probe.id)

    def waiting(self) -> List[Tuple[Entry, Gate]]:
        """The entries that are hooked nowhere yet because their module is not imported."""
        return [pair for pairs in self._wanted.values() for pair in pairs if not pair[0].imported]

    def look_again(self, entry: Entry, gate: Gate) -> None:
        """Place a pending entry if its module has come meanwhile, by a way that no hook sees."""
        if self._resolver.loaded(entry.path) is not None:
            self.place(entry, gate)

    def close(self) -> None:
        """Undo the import hook and every hook of the engine."""
        self._watcher.close()
        self._wanted = {}
        self._engine.close()

    def _want(self, entry: Entry, gate: Gate) -> None:
        pairs = self._wanted.get(entry.path, ())
        if not any(pair[0] is entry for pair in pairs):
            if not pairs:
                self._watcher.watch(entry.path)
            self._wanted = {**self._wanted, entry.path: (*pairs, (entry, gate))}

    def _on_code(self, code: CodeType, path: str) -> CodeType:
        for entry, gate in self._wanted.get(path, ()):
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
        for site in sites:
            for code in (site.code, *site.parents):
                self._resolver.same_function(code, self._engine.replacement(code))

    @staticmethod
    def _failed(entry: Entry, message: str) -> None:
        entry.error = LastError("PLACING_FAILED", message, time.time_ns())


def locate(entry: Entry, resolution: Resolution) -> None:
    """Note on the entry where its line was found."""
    entry.imported = resolution.imported
    if resolution.imported:
        entry.location = Location(resolution.file, entry.probe.line, resolution.functions)
