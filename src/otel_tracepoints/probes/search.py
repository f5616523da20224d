"""Where a file that is not loaded may lie: below the entries of ``sys.path``."""

from __future__ import annotations

import os
import sysconfig
import zipfile
from typing import Iterator, List, Sequence, Set

#: Directory entries read while looking below ``sys.path`` for a suffix; a tree larger than that
#: needs a longer path. About 50 ms on a local disk.
_MAX_ENTRIES = 20_000
_MAX_DEPTH = 8
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


def find_directly(wanted: Sequence[str], entries: Sequence[str]) -> Iterator[str]:
    """Files and zip members that are `wanted`, or a shorter suffix of it, as seen from an entry."""
    for entry in entries:
        for start in range(len(wanted)):
            yield from _beneath(entry, wanted[start:])


def _beneath(entry: str, parts: Sequence[str]) -> Iterator[str]:
    directory = entry or os.curdir
    path = os.path.join(directory, *parts)
    for name in (path, path + "c") if path.endswith(".py") else (path,):
        if os.path.isfile(name):
            yield name
            return
    if os.path.isfile(directory):
        member = "/".join(parts)
        names = _members(directory)
        for name in (member, member + "c"):
            if name in names:
                yield os.path.join(directory, *name.split("/"))
                return


def _members(archive: str) -> Set[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            return set(opened.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return set()


def find_below(base: str, entries: Sequence[str]) -> Iterator[str]:
    """Files of this name anywhere below the entries that hold the application, within bounds.

    ``cart.py`` may be meant for ``shop/cart.py``. The standard library and ``site-packages`` are
    left out: what is used of them is loaded, and they are large.
    """
    left = _MAX_ENTRIES
    seen: Set[str] = set()
    for entry in entries:
        if _is_library(entry):
            continue
        waiting = [(entry or os.curdir, 0)]
        while waiting:
            directory, depth = waiting.pop()
            real = os.path.realpath(directory)
            if real in seen:
                continue
            seen.add(real)
            for child in _listed(directory):
                left -= 1
                if left < 0:
                    return
                if child.name == base and _is_file(child):
                    yield child.path
                elif depth < _MAX_DEPTH and _is_package(child):
                    waiting.append((child.path, depth + 1))


def _listed(directory: str) -> List[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as listing:
            return list(listing)
    except OSError:
        return []


def _is_file(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_file()
    except OSError:
        return False


def _is_package(child: os.DirEntry[str]) -> bool:
    # Only what can be part of a module's name: no hidden directories, no "my-data".
    if child.name in _SKIPPED or not child.name.isidentifier():
        return False
    try:
        return child.is_dir()
    except OSError:
        return False


def _is_library(entry: str) -> bool:
    real = os.path.realpath(entry)
    if os.path.basename(real) in _SKIPPED:
        return True
    places = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return any(place and (real + os.sep).startswith(os.path.realpath(place) + os.sep) for place in places)
