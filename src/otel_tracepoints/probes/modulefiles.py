"""Which modules were loaded from which file."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Optional, Set, Tuple

from otel_tracepoints.probes.modules import (
    LoadedModule,
    layout,
    loaded_modules,
    module_named,
    modules_in,
    rows_by,
)
from otel_tracepoints.probes.paths import RealPaths

#: Files whose modules are kept in mind: programs exec code under ever new names.
_MAX_NAMED = 1000


class ModuleFiles:
    """Modules by their file's real path. Any thread may call.

    Args:
        native: The compiled module, if it is to be used.
    """

    def __init__(self, paths: RealPaths, native: Optional[Any] = None) -> None:
        self.paths = paths
        self._native = native
        #: The names of the files' modules, as of this layout of ``sys.modules``; replaced as a whole.
        self._named: Tuple[List[int], Dict[str, List[str]]] = ([], {})

    def of(self, path: str) -> List[LoadedModule]:
        """The modules of one file; costs little while nothing is imported."""
        before, named = self._named
        now = layout()
        if now != before or len(named) > _MAX_NAMED:
            named = {}
            self._named = now, named
        known = map(module_named, named.get(path, ()))
        real = self.paths.of
        modules = [module for module in known if module is not None and real(module.file) == path]
        if not modules:
            modules = self.among({path}).get(path, [])
            named[path] = [module.name for module in modules]
        return modules

    def among(self, wanted: Collection[str]) -> Dict[str, List[LoadedModule]]:
        """The modules of these files."""
        real = self.paths.of
        candidates = self._candidates(set(wanted))
        found: Dict[str, List[LoadedModule]] = {}
        for module in candidates:
            path = real(module.file)
            if path in wanted:
                found.setdefault(path, []).append(module)
        return found

    def all(self) -> List[LoadedModule]:
        """All modules with a file; one that is there under two names comes with its own first."""
        return loaded_modules() if self._native is None else modules_in(rows_by(self._native, {}, set()))

    def _candidates(self, wanted: Set[str]) -> List[LoadedModule]:
        """The modules of these files, and others; the files of most are known to the paths by now."""
        if self._native is None:
            modules = loaded_modules()
            self.paths.learn([module.file for module in modules if self.paths.is_new(module.file)])
            return modules
        known = self.paths.known()
        rows = rows_by(self._native, known, wanted)
        new = [file for _, file, _ in rows if file is not None and file not in known]
        if new:
            self.paths.learn(new)
            rows = rows_by(self._native, known, wanted)
        return modules_in(rows)
