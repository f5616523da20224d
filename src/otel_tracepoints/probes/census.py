"""The live code of files, kept up to date from one look to the next.

A look goes through as little as will do. While nothing young has become old (`Mark`), only
what is young is new; where there is no telling, nothing is while no code is made (`Passes.made`).
In a small process everything is gone through otherwise. In a large one the file that is asked for is
looked at by way of its modules, which misses only code that was exec-ed by hand: then, as after a
look that went through nothing, something is `owed`, until `Census.whole` is called. Nobody is refused
after such a look (`Census.guessed`): one with ``surely`` goes before.

Control path: its callers take turns.
"""

from __future__ import annotations

import time
import types
from typing import Callable, Collection, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set

from otel_tracepoints.probes import heap
from otel_tracepoints.probes.filecode import FileCode
from otel_tracepoints.probes.filenames import FileNames
from otel_tracepoints.probes.generations import Mark
from otel_tracepoints.probes.heap import Root
from otel_tracepoints.probes.modulefiles import ModuleFiles
from otel_tracepoints.probes.modules import LoadedModule
from otel_tracepoints.probes.originals import Originals
from otel_tracepoints.probes.passes import Known, Passes
from otel_tracepoints.probes.paths import RealPaths
from otel_tracepoints.probes.sources import Source, Sources, module_name_on_path, path_entries

#: With up to so many functions everything is gone through at each look: some 5 ms.
_FEW_FUNCTIONS = 50_000
#: Files without a probe that are kept in mind: a `GET /lines` is followed by a create call.
_MAX_KEPT = 8

#: Seconds for which what is young is searched only, by who may miss what was made and aged meanwhile.
PATIENCE = 1.0
#: Seconds after which everything is looked through again for files that were not, though no code was
#: made: for further copies of lines that have code already, of functions made late of old code.
_LATE = 60.0
#: The part of the time that looks before refusals may take.
_SHARE = 0.1


class _Search(NamedTuple):
    """When everything was gone through last: before that, by the collector and by the monotonic clock."""

    mark: Mark
    at: float
    made: Optional[int]

    def follows(self, before: _Search, patience: float) -> bool:
        """Whether only what is young is new since then; or may be taken for it, so soon after."""
        age = self.mark.age
        return age is not None and (age == before.mark.age or self.at - before.at < patience)

    def brings_nothing(self, before: Optional[_Search], patience: float = 0.0) -> bool:
        """Whether no code was made since then, where there is no telling what is young.

        ``patience``: Nor is that long ago. Who pays nothing that is owed learns of the rest so late.
        """
        if before is None or self.mark.age is not None or self.made is None:
            return False
        return self.made == before.made and (not patience or self.at - before.at < patience)


class Census:
    """Which code of which files is alive.

    Args:
        patience: Seconds after a search of everything in which none is made again. A busy program's
            objects grow old several times a second.
    """

    def __init__(
        self,
        paths: RealPaths,
        sources: Sources,
        remember: Callable[[types.CodeType, str], None],
        originals: Originals,
        passes: Passes,
        modules: ModuleFiles,
        patience: float = 0.0,
    ) -> None:
        self._passes = passes
        self._modules = modules
        self._patience = patience
        self._originals = originals
        self._paths = paths
        self._sources = sources
        self._remember = remember
        self._files: Dict[str, FileCode] = {}
        self._searches: Dict[str, _Search] = {}
        self._small = True
        self._names: Dict[str, None] = {}
        self._names_search: Optional[_Search] = None
        #: Files of which code was found that had not been seen before, since this was last taken.
        self._fresh: Set[str] = set()
        #: Whether some code may have been missed.
        self.owed = False
        #: Whether the last look may have missed some of its file.
        self.guessed = False
        self._paid: Optional[_Search] = None
        self._sure_again = 0.0
        #: Seconds that the last look at everything took.
        self.cost = 0.0

    def look(self, path: str, others: Collection[str] = (), surely: bool = False) -> FileCode:
        """The code of a file; where that costs nothing, new code of others is taken note of as well.

        Args:
            path: A real path, or the made-up name of exec-ed code.
            others: Files with probes.
            surely: Not by a short way, which misses what had been made before and was out of sight.
        """
        search = self._now()
        wanted = {path, *others}
        modules = self._modules.of(path)
        self.guessed = not surely and search.brings_nothing(self._searches.get(path), self._patience)
        if self.guessed:
            paid = self._paid
            self.owed = self.owed or paid is None or paid.made != search.made or search.at - paid.at > _LATE
            self._take(path, [], modules)
            return self._files[path]
        names = FileNames(wanted, self._paths, self._sources)
        stale = {each for each in wanted if self._is_stale(each, search)}
        searched = {path}
        roots: Dict[str, List[Root]] = {}
        if surely or (stale and (self._small or (path in stale and not modules))):
            self._sort(names, self._everything(names, modules), roots)
            if search.mark.age is not None:
                # Else another file that counts as searched would not be gone through again, and what
                # only its own namespaces lead to was not looked for.
                searched |= stale
        elif path in stale:
            names = FileNames({path}, self._paths, self._sources)
            self._sort(names, heap.near(_namespaces(modules), names.__contains__).roots, roots)
            self.owed = self.guessed = True
        else:
            searches = [self._searches[each] for each in wanted - stale]
            since = min(searches, key=lambda search: search.at).mark
            young = self._passes.young(names, self._found(wanted), since)
            if not self._patience and not young.is_complete:
                # Some of it has become old before it was gone through.
                for each in wanted:
                    self._searches.pop(each, None)
                return self.look(path, others)
            self._sort(names, young.roots, roots)
            self.guessed = self.owed
            self.owed = self.owed or bool(stale)
            searched = set()
        self._sort(names, heap.running(names.__contains__), roots)
        self._sort(names, heap.behind(_namespaces(modules), names.__contains__), roots)
        for each, found in roots.items():
            if each != path:
                self._admit(each, found)
        self._take(path, roots.get(path, []), modules)
        self._searches.update(dict.fromkeys(searched, search))
        self._forget_some(wanted)
        return self._files[path]

    def look_again(self, path: str, others: Collection[str] = ()) -> FileCode:
        """After a look that `guessed`: a sure one, unless such looks take more than a tenth of the time."""
        if time.monotonic() < self._sure_again:
            return self._files[path]
        started = time.monotonic()
        code = self.look(path, others, surely=True)
        ended = time.monotonic()
        self._sure_again = ended + (ended - started) / _SHARE
        return code

    def whole(self, paths: Collection[str]) -> None:
        """Go through everything for the code of these files."""
        search = self._now()
        started = time.thread_time()
        names = FileNames(set(paths), self._paths, self._sources)
        modules = self._modules.among(set(paths))
        roots: Dict[str, List[Root]] = {}
        every = [
            module
            for loaded in modules.values()
            for module in loaded
            if heap.has_own_builtins(module.namespace)
        ]
        self._sort(names, self._everything(names, every), roots)
        self._sort(names, heap.running(names.__contains__), roots)
        for path in paths:
            self._sort(names, heap.behind(_namespaces(modules.get(path, ())), names.__contains__), roots)
            self._take(path, roots.get(path, []), modules.get(path, []))
            self._searches[path] = search
        self.owed, self._paid = False, search
        self.cost = time.thread_time() - started

    def take_fresh(self) -> Set[str]:
        """The files of which new code was found since this was last asked."""
        fresh, self._fresh = self._fresh, set()
        return fresh

    def known(self, path: str) -> Optional[FileCode]:
        """What was found by the last look at this file."""
        return self._files.get(path)

    def file_names(self, patience: float = 0.0) -> Iterable[str]:
        """Every ``co_filename`` of live code; for ``patience``, see the class."""
        search = self._now()
        before = self._names_search
        if patience and search.brings_nothing(before):
            return list(self._names)
        if before is not None and search.follows(before, patience):
            names, is_complete = self._passes.file_names(before.mark)
            if is_complete or search.at - before.at < patience:
                self._names.update(dict.fromkeys(names))
                return list(self._names)
        names, _ = self._passes.file_names()
        self._names, self._names_search = dict.fromkeys(names), search
        return list(self._names)

    def _now(self) -> _Search:
        return _Search(Mark(), time.monotonic(), self._passes.made())

    def _is_stale(self, path: str, search: _Search) -> bool:
        before = self._searches.get(path)
        return before is None or not search.follows(before, self._patience)

    def _sort(self, names: FileNames, roots: Iterable[Root], into: Dict[str, List[Root]]) -> None:
        """Put code where it belongs."""
        original = self._originals.of
        for root in roots:
            path = names.path_of(root.code.co_filename)
            if path is not None:
                code = original(root.code)
                into.setdefault(path, []).append(root if code is root.code else root._replace(code=code))

    def _everything(self, names: FileNames, modules: Sequence[LoadedModule]) -> List[Root]:
        found = self._passes.whole(names, _namespaces(modules), self._found(names.wanted))
        self._small = self._passes.quick or found.functions <= _FEW_FUNCTIONS
        return found.roots

    def _found(self, paths: Collection[str]) -> List[Known]:
        return [self._files[path].found for path in paths if path in self._files]

    def _take(self, path: str, roots: List[Root], modules: Sequence[LoadedModule]) -> None:
        """Take note of what a file has become; costs little where that is what it was."""
        known = self._files.get(path)
        source = self._sources.source(path)
        module = modules[0].name if modules else None
        if known is None or known.source is not source or known.module != module or known.has_lost():
            named = module or ""
            if module is None and source is not None:
                named = module_name_on_path(path, path_entries(), self._paths)
            self._replace(path, roots, source, module, named)
        else:
            self._admit(path, roots)

    def _admit(self, path: str, roots: List[Root]) -> None:
        """Take note of new code of a file."""
        known = self._files.get(path)
        if known is None:
            self._take(path, roots, self._modules.of(path))
        elif known.new_among(roots):
            self._replace(path, roots, known.source, known.module, known.named)
        else:
            known.note(roots)

    def _replace(
        self,
        path: str,
        roots: List[Root],
        source: Optional[Source],
        module: Optional[str],
        named: str,
    ) -> None:
        known = self._files.get(path)
        if known is None or known.new_among(roots):
            self._fresh.add(path)
        made = FileCode(roots, source, module, named, known)
        made.index(self._remember, self._originals)
        self._files[path] = made

    def _forget_some(self, wanted: Set[str]) -> None:
        spare = [path for path in self._files if path not in wanted]
        for path in spare[: max(len(spare) - _MAX_KEPT, 0)]:
            del self._files[path]
            self._searches.pop(path, None)
            self._fresh.discard(path)


def _namespaces(modules: Sequence[LoadedModule]) -> Sequence[Dict[str, object]]:
    return [module.namespace for module in modules]
