"""File and line → code objects, now or on import.

`Resolver` answers which file a client means, which of its lines can hold a probe, and which live
code objects hold a line. It runs none of the application's code, imports nothing and keeps no
strong reference to what it finds.
"""

from __future__ import annotations

import bisect
import functools
import types
from typing import Any, Callable, Collection, Dict, NamedTuple, Optional, Sequence, Set, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.errors import LineNotExecutable
from otel_tracepoints.probes.census import PATIENCE, Census
from otel_tracepoints.probes.codes import sites_in
from otel_tracepoints.probes.filecode import FileCode
from otel_tracepoints.probes.matching import FileMatcher
from otel_tracepoints.probes.modulefiles import ModuleFiles
from otel_tracepoints.probes.modules import is_loading, specs_exist
from otel_tracepoints.probes.naming import FunctionNames
from otel_tracepoints.probes.originals import Originals
from otel_tracepoints.probes.passes import passes_by
from otel_tracepoints.probes.paths import RealPaths
from otel_tracepoints.probes.sources import Sources


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
    sites: Tuple[CodeSite, ...]
    functions: Tuple[str, ...]


class Resolver:
    """Finds code.

    For the control path, whose calls take turns; but any thread may call `function_name`, `sites_in`
    and `same_function`, and so it may what changes nothing: `lines`, `loaded`, `loaded_among`.

    Args:
        deny: See `FileMatcher`.
        native: The compiled module, if there is one and it is to be used.
    """

    def __init__(self, deny: Sequence[str] = (), native: Optional[Any] = None) -> None:
        self._passes = passes_by(native)
        self._paths = RealPaths()
        #: For whoever has to find the modules of files as well.
        self.modules = ModuleFiles(self._paths, native)
        self._names = FunctionNames()
        self._sources = Sources()
        self._originals = Originals()
        self._census = self._another_census()
        self.after_fork_in_child()
        self._files = FileMatcher(self._paths, deny, self._census.file_names)

    def after_fork_in_child(self) -> None:
        """Whoever was asking in the parent is not here."""
        #: For `lines`, which takes no turns with those who place probes; its callers take turns here.
        self._shown = self._another_census(PATIENCE)
        self._showing = unpatched.Lock()

    def match(self, file: str) -> str:
        """The file that a client means. Raises FileNotFound, AmbiguousFile or ForbiddenFile."""
        return self._files.match(file)

    def same_file(self, path: str, file: str) -> bool:
        """Whether a client's path or path suffix can mean this file, by the rules of `match`."""
        return self._files.same_file(path, file)

    def lines(self, path: str) -> FileLines:
        """Exactly the lines that `resolve` accepts, of a path that `match` answered."""
        self._names.prepare(self.modules.all)
        with self._showing:
            code = self._shown.look(path)
            code.lines()
        lines = {line: tuple(dict.fromkeys(name for name, _ in code.at(line))) for line in code.lines()}
        return FileLines(path, _is_imported(code), lines)

    def resolve(self, path: str, line: int) -> Resolution:
        """The code objects that hold a line of a path that `match` answered.

        Raises:
            LineNotExecutable: no code starts there; ``nearest`` names the closest lines that have some.
        """
        return self.look(path)(line)

    def look(self, path: str, others: Collection[str] = ()) -> Callable[[int], Resolution]:
        """`resolve` for any number of lines of this path, by one search; not to be kept.

        Args:
            path: As `match` answered it.
            others: Other files with probes: `take_fresh` tells what code of theirs is new.
        """
        self._names.prepare(self.modules.all)
        code = self._census.look(path, others)
        again = functools.partial(self._census.look_again, path, others) if self._census.guessed else None
        return self._within(path, code, again)

    def seen(self, path: str) -> Callable[[int], Resolution]:
        """The same, of what the last look saw, if there was one."""
        known = self._census.known(path)
        return self.look(path) if known is None else self._within(path, known)

    def sites_seen(self, path: str, line: int) -> Tuple[CodeSite, ...]:
        """The live code objects that hold a line, of what the last look saw."""
        known = self._census.known(path)
        return tuple(found for _, found in known.at(line) if found is not None) if known is not None else ()

    @property
    def owes(self) -> bool:
        """Whether the last looks may have missed some code: `look_everywhere` would find it."""
        return self._census.owed

    def look_everywhere(self, paths: Collection[str]) -> float:
        """Look for all code of these files; answers how many seconds of the processor that took."""
        self._names.prepare(self.modules.all)
        self._census.whole(paths)
        return self._census.cost

    def take_fresh(self) -> Set[str]:
        """Files of which code has been found that had not been there before; each is told once."""
        return self._census.take_fresh()

    def sites_in(self, code: types.CodeType, line: int) -> Tuple[CodeSite, ...]:
        """The code objects that hold a line, of module code that is about to run (`ImportWatcher`).

        Remembers what all its code is called, which code objects before 3.11 do not know.
        """
        self._names.learn(code)
        return sites_in(code, line)

    def may_be_elsewhere(self, paths: Collection[str]) -> bool:
        """Whether one of these may have been loaded without being in ``sys.modules``."""
        return specs_exist(lambda file: self._paths.of(file) in paths)

    def same_function(self, code: types.CodeType, other: types.CodeType) -> None:
        """Note that ``other`` was made of ``code``, and is called like it."""
        if other is not code:
            self._names.remember(other, self._names.of(code))
            self._originals.note(code, other)

    def function_name(self, code: types.CodeType) -> str:
        """``pkg.mod.Class.method`` of any code object. Hit path: a look-up, no I/O, never raises."""
        return self._names.of(code)

    def loaded(self, path: str) -> Optional[str]:
        """The name of a module in ``sys.modules`` that was loaded from this file; cheap, never raises."""
        found = self.modules.among({path}).get(path)
        return found[0].name if found else None

    def loaded_among(self, paths: Collection[str]) -> Dict[str, bool]:
        """Those of these paths that a module in ``sys.modules`` was loaded from, or (True) still is."""
        return {path: is_loading(modules[0]) for path, modules in self.modules.among(paths).items()}

    def _another_census(self, patience: float = 0.0) -> Census:
        remember = self._names.remember
        return Census(
            self._paths, self._sources, remember, self._originals, self._passes, self.modules, patience
        )

    def _within(
        self, path: str, code: FileCode, again: Optional[Callable[[], FileCode]] = None
    ) -> Callable[[int], Resolution]:
        def resolve(line: int) -> Resolution:
            nonlocal code
            held = code.at(line)
            if not held and again is not None:
                code = again()
                held = code.at(line)
            if not held:
                raise _not_executable(path, line, code.lines())
            for name, found in held:
                if found is not None:
                    self._names.remember(found.code, name)
            sites = tuple(found for _, found in held if found is not None)
            functions = tuple(dict.fromkeys(name for name, _ in held))
            return Resolution(path, code.module, _is_imported(code), sites, functions)

        return resolve


def _is_imported(code: FileCode) -> bool:
    return code.module is not None or code.is_alive()


def _not_executable(path: str, line: int, lines: Sequence[int]) -> LineNotExecutable:
    at = bisect.bisect_left(lines, line)
    nearest = [*lines[max(at - 1, 0) : at], *lines[at : at + 1]]
    text = f"Line {line} of {path} holds no code"
    if nearest:
        text += f"; the nearest lines that do: {' and '.join(map(str, nearest))}."
    else:
        text += ", and no Python code is known of that file."
    return LineNotExecutable(text, {"nearest": nearest})
