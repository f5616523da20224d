"""File and line → code objects, now or on import.

`Resolver` answers which file a client means, which of its lines can hold a probe, and which live
code objects hold a line. It runs none of the application's code, imports nothing and keeps no
reference to what it finds.
"""

from __future__ import annotations

import bisect
import importlib.util
import os
import sys
import types
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints.errors import AmbiguousFile, FileNotFound, ForbiddenFile, LineNotExecutable
from otel_tracepoints.probes.codes import FoundCode, live_file_names, live_roots, sites_in
from otel_tracepoints.probes.holders import Holder, live_holders, tree_holders
from otel_tracepoints.probes.modules import frozen_file_names, loaded_modules
from otel_tracepoints.probes.naming import FunctionNames
from otel_tracepoints.probes.paths import DenyList, RealPaths, longest_suffix, segments, spelled
from otel_tracepoints.probes.search import find_below, find_directly
from otel_tracepoints.probes.sources import Sources, exists, module_name_on_path

_AGENT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_DEMO = os.path.join(_AGENT, "demo") + os.sep
#: Candidates named in an error.
_MAX_CANDIDATES = 20
#: Characters of the longest path that operating systems take (PATH_MAX of Linux); looking for the
#: suffixes of a longer one would take minutes.
_MAX_PATH = 4096


class FileLines(NamedTuple):
    """Every line of a file that a probe may be put on, ascending, with the functions that hold it."""

    file: str
    imported: bool
    lines: Dict[int, Tuple[str, ...]]


class Resolution(NamedTuple):
    """What a file and a line mean in this process at this moment.

    Attributes:
        file: Absolute real path, ``archive.zip/mod.py``, or the made-up name of exec-ed code.
        module: Its name in ``sys.modules``, or None.
        imported: Whether code of the file is in this process.
        sites: Live code objects that hold the line: none for a file that is not imported, nor
            for a module body that is over.
        functions: ``code.function.name`` of each distinct one that holds it, outermost first.
    """

    file: str
    module: Optional[str]
    imported: bool
    sites: Tuple[FoundCode, ...]
    functions: Tuple[str, ...]


class _View(NamedTuple):
    module: Optional[str]
    imported: bool
    holders: Tuple[Holder, ...]


def _places_of(name: str) -> List[str]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    places: List[str] = list(spec.submodule_search_locations or ())
    if not places and spec.origin:
        places = [getattr(sys.modules.get(name), "__file__", None) or spec.origin]
    return [os.path.realpath(place) for place in places]


def _escaped(path: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)


#: Globs of the files that take no probe unless the user lists others, by their real paths:
#: OpenTelemetry, ``threading``, ``logging`` and ``queue``, all of which a hit's way out leads through.
DEFAULT_DENY: Tuple[str, ...] = tuple(
    _escaped(place)
    for name in ("opentelemetry", "threading", "logging", "queue")
    for place in _places_of(name)
)


class Resolver:
    """Finds code. Control path and thread safe, except `function_name`, which is for the hit path.

    Args:
        deny: Path globs where no probe may be put; `DEFAULT_DENY` where none is given. The agent
            itself never takes a probe.
    """

    def __init__(self, deny: Sequence[str] = ()) -> None:
        self._paths = RealPaths()
        self._names = FunctionNames()
        self._sources = Sources()
        self._own = DenyList((_escaped(_AGENT),))
        self._deny = DenyList(deny or DEFAULT_DENY)

    def match(self, file: str) -> str:
        """The file that a client means by a path or path suffix.

        What is loaded wins over what only lies on ``sys.path``, and that over other files on disk;
        files of the deny list never make another one ambiguous.

        Raises:
            FileNotFound: neither loaded, nor on ``sys.path``, nor on disk.
            AmbiguousFile: several files match equally well.
            ForbiddenFile: it is on the deny list.
        """
        found = self._match(file)
        if self._denies(found):
            raise ForbiddenFile(f"No probe may be put into {found}: it is on the deny list.", {"file": found})
        return found

    def lines(self, path: str) -> FileLines:
        """Exactly the lines that `resolve` accepts, of a path that `match` answered."""
        view = self._view(path)
        table: Dict[int, Dict[str, None]] = {}
        for holder in view.holders:
            for line in holder.lines:
                table.setdefault(line, {})[holder.name] = None
        return FileLines(path, view.imported, {line: tuple(table[line]) for line in sorted(table)})

    def resolve(self, path: str, line: int) -> Resolution:
        """The code objects that hold a line of a path that `match` answered.

        Raises:
            LineNotExecutable: no code starts there; ``nearest`` names the closest lines that have some.
        """
        return self.look(path)(line)

    def look(self, path: str) -> Callable[[int], Resolution]:
        """`resolve` for any number of lines of this path, by one search; not to be kept."""
        view = self._view(path)

        def resolve(line: int) -> Resolution:
            holders = [holder for holder in view.holders if line in holder.lines]
            if not holders:
                held = {each for holder in view.holders for each in holder.lines}
                raise _not_executable(path, line, sorted(held))
            sites = tuple(holder.live for holder in holders if holder.live is not None)
            functions = tuple(dict.fromkeys(holder.name for holder in holders))
            return Resolution(path, view.module, view.imported, sites, functions)

        return resolve

    def sites_in(self, code: types.CodeType, line: int) -> Tuple[FoundCode, ...]:
        """The code objects that hold a line, of module code that is about to run (`ImportWatcher`).

        Remembers what all its code is called, which code objects before 3.11 do not know.
        """
        self._names.learn(code)
        return sites_in(code, line)

    def same_function(self, code: types.CodeType, other: types.CodeType) -> None:
        """Note that ``other`` was made of ``code`` and is called like it."""
        if other is not code:
            self._names.remember(other, self._names.of(code))

    def function_name(self, code: types.CodeType) -> str:
        """``pkg.mod.Class.method`` of any code object. Hit path: a look-up, no I/O, never raises."""
        return self._names.of(code)

    def loaded(self, path: str) -> Optional[str]:
        """The name of a module in ``sys.modules`` that was loaded from this file; cheap, never raises."""
        for module in loaded_modules():
            if self._paths.of(module.file) == path:
                return module.name
        return None

    def loaded_among(self, paths: Set[str]) -> Set[str]:
        """Those of these paths that a module in ``sys.modules`` was loaded from."""
        return paths & {self._paths.of(module.file) for module in loaded_modules()}

    def same_file(self, path: str, file: str) -> bool:
        """Whether a client's path or path suffix can mean this file, by the rules of `match`."""
        if file == path or self._paths.absolute(file) == path:
            return True
        suffix = longest_suffix(segments(file), [path])
        return suffix.whole or suffix.length >= 2

    def _match(self, file: str) -> str:
        wanted = segments(file)
        if not wanted:
            raise FileNotFound("The file has no name.", {"candidates": []})
        if len(file) > _MAX_PATH:
            raise FileNotFound(f"No file has a path of {len(file)} characters.", {"candidates": []})
        real = self._paths.absolute(file)
        # Also for a bare name: `app.py` is the program in the agent's start directory, which may
        # not have begun yet, and not the one of some library.
        if exists(real):
            return real
        loaded = self._loaded_files()
        if file in loaded:
            return file
        if real in loaded:
            return real

        suffix = longest_suffix(wanted, loaded)
        if suffix.whole:
            return self._only(file, suffix.paths)
        other_case = longest_suffix(wanted, loaded, ignore_case=True)
        same = [path for path in other_case.paths if other_case.whole and _same(path, wanted)]
        if same:
            return self._only(file, same)

        entries = _path_entries()
        direct = [self._paths.absolute(path) for path in find_directly(wanted, entries)]
        on_path = longest_suffix(wanted, direct)
        if not on_path.whole:
            deeper = [self._paths.absolute(path) for path in find_below(wanted[-1], entries)]
            on_path = longest_suffix(wanted, direct + deeper)
        if on_path.whole:
            return self._only(file, on_path.paths)

        best = suffix if suffix.length >= on_path.length else on_path
        if best.length >= 2:
            return self._only(file, best.paths)
        raise _not_found(file, sorted({*suffix.paths, *on_path.paths}))

    def _denies(self, path: str) -> bool:
        # The program of `otel-tracepoints demo` is shipped in the agent's package, but is a target.
        return self._deny.denies(path) or (self._own.denies(path) and not path.startswith(_DEMO))

    def _only(self, file: str, paths: Iterable[str]) -> str:
        found = list(dict.fromkeys(paths))
        # All forbidden: any one of them tells the caller so.
        allowed = [path for path in found if not self._denies(path)] or found[:1]
        if len(allowed) == 1:
            return allowed[0]
        candidates = allowed[:_MAX_CANDIDATES]
        raise AmbiguousFile(
            f"{file} may be any of {len(allowed)} files; give more of its path: {', '.join(candidates)}.",
            {"candidates": candidates},
        )

    def _loaded_files(self) -> Dict[str, None]:
        """Real paths and made-up names of all files whose code is in the process."""
        files = {self._paths.of(module.file): None for module in loaded_modules()}
        frozen = frozen_file_names()
        for name in sorted(live_file_names()):
            if name not in frozen:
                files[self._paths.of(name)] = None
        return files

    def _view(self, path: str) -> _View:
        modules = [module for module in loaded_modules() if self._paths.of(module.file) == path]
        self._names.prepare()
        tree = self._sources.tree(path)
        roots = live_roots(_FileNames(path, self._paths, tree).__contains__, [m.namespace for m in modules])
        module = modules[0].name if modules else None
        holders = live_holders(roots, tree, module)
        for holder in holders:
            if holder.live is not None:
                self._names.remember(holder.live.code, holder.name)
        if tree is not None:
            known = module or module_name_on_path(path, _path_entries(), self._paths)
            holders += tree_holders(tree, known, holders)
        holders.sort(key=lambda holder: holder.order)
        return _View(module, bool(modules or roots), tuple(holders))


class _FileNames:
    """All the ways in which code objects may spell one file."""

    def __init__(self, path: str, paths: RealPaths, tree: Optional[types.CodeType]) -> None:
        self._path = path
        self._paths = paths
        self._frozen = frozen_file_names()
        # Code that was shipped without its source keeps the name it was compiled under.
        self._compiled_as = tree.co_filename if tree is not None and path.endswith(".pyc") else None

    def __contains__(self, name: str) -> bool:
        if name == self._compiled_as:
            return True
        return self._paths.of(self._frozen.get(name, name)) == self._path


def _path_entries() -> Tuple[str, ...]:
    return tuple(entry for entry in list(sys.path) if type(entry) is str)


def _same(path: str, wanted: Sequence[str]) -> bool:
    """Whether the file system takes the client's spelling for the same file."""
    try:
        return os.path.samefile(path, spelled(path, wanted))
    except (OSError, ValueError):
        return False


def _not_found(file: str, candidates: List[str]) -> FileNotFound:
    text = f"{file} is neither loaded, nor on sys.path, nor on disk."
    if candidates:
        text += f" Files of the same name: {', '.join(candidates[:_MAX_CANDIDATES])}."
    return FileNotFound(text, {"candidates": candidates[:_MAX_CANDIDATES]})


def _not_executable(path: str, line: int, lines: Sequence[int]) -> LineNotExecutable:
    at = bisect.bisect_left(lines, line)
    nearest = [*lines[max(at - 1, 0) : at], *lines[at : at + 1]]
    text = f"Line {line} of {path} holds no code"
    if nearest:
        text += f"; the nearest lines that do: {' and '.join(map(str, nearest))}."
    else:
        text += ", and no Python code is known of that file."
    return LineNotExecutable(text, {"nearest": nearest})
