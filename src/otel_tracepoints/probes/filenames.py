"""How code objects may spell the files that are asked for."""

from __future__ import annotations

from typing import Container, Dict, Optional, Set

from otel_tracepoints.probes.modules import frozen_file
from otel_tracepoints.probes.paths import RealPaths
from otel_tracepoints.probes.sources import Sources


class FileNames(Container[str]):
    """All the ways in which code objects may spell some files."""

    def __init__(self, wanted: Set[str], paths: RealPaths, sources: Sources) -> None:
        self.wanted = wanted
        self._paths = paths
        #: Code that was shipped without its source keeps the name it was compiled under.
        self._compiled_as: Dict[str, str] = {}
        for path in wanted:
            tree = sources.tree(path) if path.endswith(".pyc") else None
            if tree is not None:
                self._compiled_as[tree.co_filename] = path

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.path_of(name) is not None

    def path_of(self, name: str) -> Optional[str]:
        """The file that is meant by this name, if it is one of those."""
        if name in self._compiled_as:
            return self._compiled_as[name]
        if name.startswith("<frozen "):
            # `python -m` has runpy on its stack: not to be looked up among all modules each time.
            name = frozen_file(name) or name
        path = self._paths.of(name)
        return path if path in self.wanted else None

    def settled(self) -> Dict[str, str]:
        """Names whose paths `path_of` knows by now. Not to be changed."""
        known = self._paths.known()
        return {**known, **self._compiled_as} if self._compiled_as else known
