"""The code of a file as it is on disk, compiled but never run.

It tells the lines of what is not in memory: modules not imported yet, and module bodies that
are over. The compiled file next to the source is preferred where the import system would use it
too: compiling holds the GIL ten times as long as reading.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import sys
import types
import warnings
import zipfile
from typing import Any, Dict, NamedTuple, Optional, Tuple

from otel_tracepoints.probes.paths import RealPaths

_CompiledKey = Tuple[str, int, int]

#: The name under which we compile. No code of the application has it, so neither the search for
#: live code nor a filter for warnings can mistake one for the other.
_OWN_NAME = "<otel_tracepoints source>"
#: Compiled trees of recently asked files are kept: a `GET /lines` is followed by a create call.
_MAX_KEPT = 8
#: Header of a compiled file (PEP 552): magic, flags, then time and size of the source.
_HEADER = 16
#: Larger sources would be compiled for seconds, with the GIL held.
_MAX_SOURCE_BYTES = 8 * 1024 * 1024


class _Stored(NamedTuple):
    data: bytes
    key: _CompiledKey
    #: The time and size that a compiled file of this source has in its header; None in an archive.
    stamp: Optional[Tuple[int, int]]


class Source:
    """A file on disk as it was at a moment; read and compiled when its code is asked for."""

    def __init__(self, path: str, key: _CompiledKey) -> None:
        self._path = path
        self.key = key
        #: Of one element, once it was read.
        self._code: Tuple[Optional[types.CodeType], ...] = ()

    @property
    def was_read(self) -> bool:
        """Whether `code` answers at once."""
        return bool(self._code)

    def code(self) -> Optional[types.CodeType]:
        """The code of the module in this file, or None: no file, no Python, or no valid Python.

        Also where it cannot be read just now (too many open files): `was_read` stays false, and the
        next call tries again.
        """
        if not self._code:
            try:
                stored = _read(self._path)
            except OSError:
                return None
            self.take(stored)
        return self._code[0]

    def take(self, stored: Optional[_Stored]) -> None:
        """What is in the file."""
        self._code = (None if stored is None else _code_of(self._path, stored),)


class Sources:
    """Code trees of files on disk and of members of zip archives. Control path only."""

    def __init__(self) -> None:
        self._kept: Dict[str, Source] = {}

    def tree(self, path: str) -> Optional[types.CodeType]:
        """The code of the module in this file, or None: no file, no Python, or no valid Python.

        Args:
            path: Absolute: a source, a ``.pyc``, or ``archive.zip/mod.py``.
        """
        source = self.source(path)
        return None if source is None else source.code()

    def source(self, path: str) -> Optional[Source]:
        """The file as it is now: the same object as long as it stays as it is. None: there is none."""
        known = self._kept.get(path)
        key = _key(path)
        # What cannot be asked about is read at once: a member of an archive, or nothing.
        stored = _read_if_possible(path) if key is None else None
        if stored is not None:
            key = stored.key
        if key is None:
            return None
        if known is None or known.key != key:
            known = Source(path, key)
            if stored is not None:
                known.take(stored)
        # Replaced, not changed: callers may be many, and a lock would be lost in a forked child.
        kept = {name: value for name, value in self._kept.items() if name != path}
        for oldest in list(kept)[: max(len(kept) + 1 - _MAX_KEPT, 0)]:
            del kept[oldest]
        kept[path] = known
        self._kept = kept
        return known


def exists(path: str) -> bool:
    """Whether there is a file of this name, or a member of a zip archive."""
    if os.path.isfile(path):
        return True
    archive, member = _split_archive(path)
    if not archive:
        return False
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.getinfo(member)
    except (KeyError, OSError, ValueError, zipfile.BadZipFile):
        return False
    return True


def path_entries() -> Tuple[str, ...]:
    """``sys.path``, without what is no text."""
    return tuple(entry for entry in list(sys.path) if type(entry) is str)


def module_name_on_path(path: str, entries: Tuple[str, ...], real: RealPaths) -> str:
    """The name under which the import system would most likely import a file.

    Below the deepest entry of ``sys.path`` that holds it; of a file that none holds, its name in
    the packages around it.
    """
    best = ""
    for entry in entries:
        directory = real.absolute(entry)
        if path.startswith(directory.rstrip("/\\") + os.sep) and len(directory) > len(best):
            best = directory
    if not best:
        best = os.path.dirname(path)
        while os.path.isfile(os.path.join(best, "__init__.py")):
            best = os.path.dirname(best)
    stem = os.path.splitext(path[len(best) :])[0]
    parts = [part for part in re.split(r"[/\\]+", stem) if part]
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _split_archive(path: str) -> Tuple[str, str]:
    member = ""
    while path and not os.path.isfile(path):
        parent, base = os.path.split(path)
        if parent == path or os.path.isdir(parent):
            return "", ""
        member = base + "/" + member if member else base
        path = parent
    return (path, member) if member and zipfile.is_zipfile(path) else ("", "")


def _key(path: str) -> Optional[_CompiledKey]:
    """What `_read` would say, of a file as it is on disk."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return path, status.st_mtime_ns, status.st_size


def _read_if_possible(path: str) -> Optional[_Stored]:
    try:
        return _read(path)
    except OSError:
        return None


def _read(path: str) -> Optional[_Stored]:
    """What is in a file or a member of an archive, if it may be Python. OSError: it cannot be read now."""
    try:
        if os.path.isfile(path):
            status = os.stat(path)
            if status.st_size > _MAX_SOURCE_BYTES:
                return None
            with open(path, "rb") as file:
                data = file.read()
            stamp = int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF
            return _Stored(data, (path, status.st_mtime_ns, status.st_size), stamp)
        archive, member = _split_archive(path)
        if not archive:
            return None
        status = os.stat(archive)
        with zipfile.ZipFile(archive) as opened:
            if opened.getinfo(member).file_size > _MAX_SOURCE_BYTES:
                return None
            data = opened.read(member)
        return _Stored(data, (path, status.st_mtime_ns, status.st_size), None)
    except (KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        # Not there, encrypted, or compressed in a way that is not built in.
        return None


def _code_of(path: str, stored: _Stored) -> Optional[types.CodeType]:
    if path.endswith(".pyc"):
        return _unmarshal(stored.data)
    return _cached_code(path, stored.stamp) or _compile(stored.data)


def _cached_code(path: str, stamp: Optional[Tuple[int, int]]) -> Optional[types.CodeType]:
    """The compiled file, where it is of this very source (PEP 552, by time)."""
    if stamp is None:
        return None
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            data = file.read()
    except (OSError, ValueError, NotImplementedError):
        return None
    expected = b"\0\0\0\0" + stamp[0].to_bytes(4, "little") + stamp[1].to_bytes(4, "little")
    return _unmarshal(data) if data[4:_HEADER] == expected else None


def _unmarshal(data: bytes) -> Optional[types.CodeType]:
    if data[:4] != importlib.util.MAGIC_NUMBER:
        return None
    try:
        code = marshal.loads(memoryview(data)[_HEADER:])  # noqa: S302 (what an import would run)
    except (EOFError, ValueError, TypeError):
        return None
    return code if type(code) is types.CodeType else None


def _compile(data: bytes) -> Optional[types.CodeType]:
    # The application saw its warnings when it imported the file. `catch_warnings` would replace
    # filters that its threads are using, and `simplefilter` would let it repeat warnings it has
    # shown already; one entry that matches our name alone does neither.
    entry: Any = ("ignore", None, Warning, re.compile(re.escape(_OWN_NAME)), 0)
    filters: Any = warnings.filters
    filters.insert(0, entry)
    try:
        return compile(data, _OWN_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, TypeError):
        return None
    finally:
        for index, each in enumerate(filters):
            if each is entry:
                del filters[index]
                break
