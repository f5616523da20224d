"""Which modules were loaded from which file."""

from __future__ import annotations

from typing import Collection, Dict, List, Tuple

from otel_tracepoints.probes.modules import LoadedModule, layout, module_named, modules_of
from otel_tracepoints.probes.paths import RealPaths

#: Files whose modules are kept in mind: programs exec code under ever new names.
_MAX_NAMED = 1000


class ModuleFiles:
    """Modules by their file's real path. Any thread may call."""

    def __init__(self, paths: RealPaths) -> None:
        self.paths = paths
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
        found: Dict[str, List[LoadedModule]] = {}
        self.paths.learn([module.file for module in modules_of(self.paths.is_new)])
        for module in modules_of(lambda file: real(file) in wanted):
            found.setdefault(real(module.file), []).append(module)
        return found
