r"""Which file a client means: real paths, whole-segment suffixes, the deny list.

Rules (``docs/api.md``, field ``file``): a real path wins, then the longest suffix of whole
segments; ``/`` and ``\`` are the same; two segments in common are enough where the client's
path is longer than ours, a base name alone is not.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Pattern, Sequence, Set, Tuple

_SEPARATORS = re.compile(r"[/\\]+")
_DRIVE = re.compile(r"[A-Za-z]:")
#: The caches are emptied when they get this large: programs that exec generated code under ever
#: new names must not make them grow for ever.
_MAX_CACHED = 20_000
#: Whether a real path is that of the directory around it and one more name, if that is no link.
_STEPWISE = os.sep == "/"
_MAX_DEPTH = 100
#: A directory is read where so many of its files are asked about, and is no larger than that for
#: each of them: telling whether one file is a link takes as long as reading about ten entries.
_SEVERAL = 4
_ENTRIES_A_FILE = 8


def segments(path: str) -> Tuple[str, ...]:
    r"""The parts of a path with either separator, without drive, root, ``.`` and ``..``.

    ``C:\src\shop\.\cart.py`` is ``("src", "shop", "cart.py")``.
    """
    parts: List[str] = []
    for part in _SEPARATORS.split(path):
        if part in ("", ".") or _DRIVE.fullmatch(part):
            continue
        if part == "..":
            del parts[-1:]
            continue
        parts.append(part)
    return tuple(parts)


class SuffixMatch(NamedTuple):
    """The paths that share the longest suffix with the wanted one.

    Attributes:
        length: Number of whole segments in common; 0 with no paths.
        whole: All of the wanted path's segments are in common.
        paths: Sorted, without repetition.
    """

    length: int
    whole: bool
    paths: Tuple[str, ...]


def longest_suffix(wanted: Sequence[str], paths: Iterable[str], ignore_case: bool = False) -> SuffixMatch:
    """The paths that have the most trailing segments in common with `wanted`.

    ``mod.py`` also means a ``mod.pyc`` that was shipped without its source.
    """
    reverse = [_comparable(part, ignore_case) for part in reversed(wanted)]
    if not reverse:
        return SuffixMatch(0, False, ())
    best = 1
    found: Dict[str, None] = {}
    for path in paths:
        # Most paths fail on the base name; splitting them all would cost far more.
        base = path[max(path.rfind("/"), path.rfind("\\")) + 1 :]
        if _source_name(_comparable(base, ignore_case)) != _source_name(reverse[0]):
            continue
        length = 1
        for ours, theirs in zip(reversed(segments(path)[:-1]), reverse[1:]):
            if _comparable(ours, ignore_case) != theirs:
                break
            length += 1
        if length > best:
            best = length
            found = {}
        if length == best:
            found[path] = None
    if not found:
        return SuffixMatch(0, False, ())
    return SuffixMatch(best, best == len(reverse), tuple(sorted(found)))


def _comparable(part: str, ignore_case: bool) -> str:
    return part.casefold() if ignore_case else os.path.normcase(part)


def _source_name(base: str) -> str:
    return base[:-1] if base.endswith(".pyc") else base


def spelled(path: str, wanted: Sequence[str]) -> str:
    """`path` with its last segments spelled as in `wanted`: what a case-insensitive file system opens."""
    kept = path
    for _ in wanted:
        kept = os.path.dirname(kept)
    return os.path.join(kept, *wanted)


class RealPaths:
    """Real paths, cached: the same file through two symbolic links is one file.

    A relative name (Python 3.8 gives one to the script of ``python x.py``) is looked for from the
    directory in which this was created, then from the current one, since a program may have
    changed it. Thread safe: the caches are plain dicts, and a lost update costs one look-up.
    """

    def __init__(self) -> None:
        self._start = _current_directory()
        self._directories: Dict[str, str] = {}
        self._names: Dict[str, str] = {}

    def of(self, path: str) -> str:
        """The real path of an absolute or relative path; of a name that is no path, the name.

        ``<string>`` and a relative name of no existing file are such names: code objects of
        exec-ed source carry them.
        """
        if type(path) is not str:
            # What is kept here is compared in the middle of a search of the heap: no code may run by that.
            path = str.__str__(path)
        known = self._names.get(path)
        if known is not None:
            return known
        real = self._look_up(path)
        # A relative name without a file may get one later, or from another directory.
        if os.path.isabs(path) or real != path:
            if len(self._names) >= _MAX_CACHED:
                self._names.clear()
            self._names[path] = real
        return real

    def is_new(self, path: str) -> bool:
        """Whether `of` would have to ask the disk."""
        return path not in self._names

    def learn(self, paths: Sequence[str]) -> None:
        """Have `of` know these, each directory of several read once instead of asked about each file."""
        together: Dict[str, List[str]] = {}
        for path in paths:
            directory, _, base = path.rpartition("/")
            if _STEPWISE and path.startswith("/") and base not in ("", ".", "..") and "\0" not in path:
                together.setdefault(directory, []).append(base)
        # For this once: a link may point elsewhere by the next time (``current`` → another release).
        around: Dict[str, str] = {}
        found: Dict[str, str] = {}
        for directory, names in together.items():
            if os.path.normpath(directory) != directory:
                continue
            links = _links(directory, len(names) * _ENTRIES_A_FILE) if len(names) >= _SEVERAL else None
            real = self._real_directory(directory, around)
            for name in names:
                plain = links is not None and name not in links
                found[f"{directory}/{name}"] = os.path.join(real, name) if plain else _real_in(real, name)
        self._learn(found)

    def cached(self, path: str) -> Optional[str]:
        """What `of` found before, without touching the disk."""
        return self._names.get(path)

    def known(self) -> Dict[str, str]:
        """All that `of` found before; other threads add to it."""
        return self._names

    def absolute(self, path: str) -> str:
        """The real path of `path` from the start directory, whether or not it exists."""
        return self._real(os.path.join(self._start, path))

    def _look_up(self, path: str) -> str:
        if "\0" in path or not path or path.startswith("<"):
            return path
        if os.path.isabs(path):
            return self._real(path)
        for directory in (self._start, _current_directory()):
            joined = os.path.join(directory, path)
            if directory and within_file_system(joined):
                return self._real(joined)
        return path

    def _real(self, path: str) -> str:
        # Files of one directory share all but one step: thousands of modules lie in a few hundred.
        directory, base = os.path.split(os.path.normpath(path) if ".." not in path else path)
        if base in ("", ".", "..") or ".." in path:
            return _realpath(path)
        return _real_in(self._real_directory(directory), base)

    def _real_directory(self, directory: str, around: Optional[Dict[str, str]] = None) -> str:
        """`around`: the real paths of directories around it that are known, and are from here on."""
        real = self._directories.get(directory)
        if real is None:
            real = _realpath(directory) if around is None else _stepwise(directory, around)
            if len(self._directories) >= _MAX_CACHED:
                self._directories.clear()
            self._directories[directory] = real
        return real

    def _learn(self, names: Dict[str, str]) -> None:
        if len(self._names) + len(names) > _MAX_CACHED:
            self._names.clear()
        self._names.update(names)


def _real_in(directory: str, base: str) -> str:
    """The real path of an entry of a directory of which this is the real path."""
    joined = os.path.join(directory, base)
    return _realpath(joined) if os.path.islink(joined) else joined


def _stepwise(directory: str, known: Dict[str, str]) -> str:
    """The real path of a directory: all but one step is that of the directory around it."""
    real = known.get(directory)
    if real is None:
        parent, base = os.path.split(directory)
        if base and parent and directory.count("/") < _MAX_DEPTH:
            real = _real_in(_stepwise(parent, known), base)
        else:
            real = _realpath(directory)
        known[directory] = real
    return real


def _links(directory: str, most: int) -> Optional[Set[str]]:
    """The symbolic links in a directory; None where it has too many entries, or cannot be read."""
    links: Set[str] = set()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                most -= 1
                if most < 0:
                    return None
                if entry.is_symlink():
                    links.add(entry.name)
    except (OSError, ValueError):
        return None
    return links


def within_file_system(path: str) -> bool:
    """Whether the path is a file, or lies inside one (a member of a zip archive)."""
    while path:
        if os.path.isfile(path):
            return True
        if os.path.isdir(path):
            return False
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return False


def _realpath(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.path.abspath(path)


def _current_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed while we run in it
        return ""


class DenyList:
    """Path globs of files that take no probe (``DEBUGIN_DENY_FILES``).

    ``*`` crosses separators. A glob matches the whole real path, any whole-segment suffix of it,
    and everything below a directory that it matches: ``*/secrets/*``, ``payments/keys.py`` and
    ``/srv/vendor`` are all of use.
    """

    def __init__(self, globs: Iterable[str]) -> None:
        self._patterns: List[Pattern[str]] = []
        for glob in globs:
            base = _slashed(glob.strip()).rstrip("/")
            if not base:
                continue
            anchored = [base] if base.startswith(("/", "*")) or _DRIVE.match(base) else [base, "*/" + base]
            for start in anchored:
                for whole in (start, start + "/*"):
                    self._patterns.append(re.compile(fnmatch.translate(whole)))

    def denies(self, path: str) -> bool:
        """Whether this real path is on the list."""
        slashed = _slashed(path)
        return any(pattern.match(slashed) for pattern in self._patterns)


def _slashed(path: str) -> str:
    return os.path.normcase(path).replace("\\", "/")
