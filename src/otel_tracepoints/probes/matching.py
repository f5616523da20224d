"""Which file a client means: by real path, by suffix, in what order of preference; and the deny list."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Callable, Dict, Iterable, List, Sequence, Tuple

from otel_tracepoints.errors import AmbiguousFile, FileNotFound, ForbiddenFile
from otel_tracepoints.probes.census import PATIENCE
from otel_tracepoints.probes.modules import frozen_file_names, loaded_modules
from otel_tracepoints.probes.paths import DenyList, RealPaths, longest_suffix, segments, spelled
from otel_tracepoints.probes.search import find_below, find_directly
from otel_tracepoints.probes.sources import exists, path_entries

_AGENT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_DEMO = os.path.join(_AGENT, "demo") + os.sep
#: Candidates named in an error.
_MAX_CANDIDATES = 20
#: Characters of the longest path that operating systems take (PATH_MAX of Linux); looking for the
#: suffixes of a longer one would take minutes.
_MAX_PATH = 4096


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


class FileMatcher:
    """Finds files. Control path and thread safe.

    Args:
        deny: Path globs where no probe may be put; `DEFAULT_DENY` where none is given. The agent
            itself never takes a probe.
        live_names: Answers the ``co_filename`` of all live code; given a number of seconds, it may
            leave out some that was made after as long ago.
    """

    def __init__(
        self, paths: RealPaths, deny: Sequence[str], live_names: Callable[[float], Iterable[str]]
    ) -> None:
        self._paths = paths
        self._live_names = live_names
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
        try:
            found = self._match(file, PATIENCE)
            settled = exists(found)
        except FileNotFound:
            found, settled = "", False
        if not settled:  # code made by hand comes and goes
            found = self._match(file, 0.0)
        if self._denies(found):
            raise ForbiddenFile(f"No probe may be put into {found}: it is on the deny list.", {"file": found})
        # One text for all probes of the file.
        return sys.intern(found) if type(found) is str else found

    def same_file(self, path: str, file: str) -> bool:
        """Whether a client's path or path suffix can mean this file, by the rules of `match`."""
        if file == path or self._paths.absolute(file) == path:
            return True
        suffix = longest_suffix(segments(file), [path])
        return suffix.whole or suffix.length >= 2

    def _match(self, file: str, patience: float) -> str:
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
        loaded = self._loaded_files(patience)
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

        entries = path_entries()
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

    def _loaded_files(self, patience: float) -> Dict[str, None]:
        """Real paths and made-up names of all files whose code is in the process."""
        files = {self._paths.of(module.file): None for module in loaded_modules()}
        frozen = frozen_file_names()
        for name in sorted(self._live_names(patience)):
            if name not in frozen:
                files[self._paths.of(name)] = None
        return files


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
