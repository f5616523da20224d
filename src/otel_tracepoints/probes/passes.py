"""Passes over the heap for the code of files: in Python, or by the compiled module."""

from __future__ import annotations

import sys
import sysconfig
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from otel_tracepoints.probes import heap
from otel_tracepoints.probes.filenames import FileNames
from otel_tracepoints.probes.generations import Mark
from otel_tracepoints.probes.heap import Pass

#: Identities of code objects → weak references to them: what need not be found again.
Known = Mapping[int, object]


class Passes:
    """Passes in Python; see `heap`."""

    #: Whether a pass over everything is never too long for a look at a file.
    quick = False

    def made(self) -> Optional[int]:
        """While this stays the same no code was made. None: nobody can tell."""
        return None

    def whole(self, names: FileNames, namespaces: Sequence[Dict[str, Any]], known: Sequence[Known]) -> Pass:  # noqa: ARG002
        """Functions and suspended frames of the wanted files.

        Args:
            names: What those files are called.
            namespaces: Globals of modules whose functions may have builtins of their own.
            known: What may be left out.
        """
        return heap.whole(names.__contains__, namespaces)

    def young(self, names: FileNames, known: Sequence[Known], mark: Mark) -> Pass:  # noqa: ARG002
        """The same, of what was made since then."""
        return heap.young(names.__contains__, mark)

    def file_names(self, since: Optional[Mark] = None) -> Tuple[Iterable[str], bool]:
        """See `heap.file_names`."""
        return heap.file_names(since)


class CountedPasses(Passes):
    """The same with a count of the code that was made: without the GIL, where each pass stops all threads."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def made(self) -> Optional[int]:
        """See `Passes.made`."""
        made: Optional[int] = self._native.codes_made()
        return made


class CompiledPasses(Passes):
    """The same in C++: 4 to 9 ms for 100,000 functions, and functions are seen whatever their builtins.

    Each name of a file is looked at once: 30,000 functions of as many names take 15 to 55 ms.
    """

    quick = True

    def __init__(self, native: Any) -> None:
        self._native = native

    def whole(self, names: FileNames, namespaces: Sequence[Dict[str, Any]], known: Sequence[Known]) -> Pass:  # noqa: ARG002
        """See `Passes.whole`."""
        return self._pass(None, names, known)

    def young(self, names: FileNames, known: Sequence[Known], mark: Mark) -> Pass:
        """See `Passes.young`."""
        return self._pass(mark.object, names, known)

    def file_names(self, since: Optional[Mark] = None) -> Tuple[Iterable[str], bool]:
        """See `Passes.file_names`."""
        found, is_complete = self._native.file_names(None if since is None else since.object)
        names = dict.fromkeys(found)
        names.update(heap.running_names())
        return names, is_complete

    def _pass(self, since: Optional[object], names: FileNames, known: Sequence[Known]) -> Pass:
        # Before 3.12 engines have use for every function of a code object.
        skipped = tuple(known) if sys.version_info >= (3, 12) else ()
        is_wanted = names.__contains__
        found: List[Any]
        found, functions, is_complete = self._native.runnable(
            since, names.settled(), names.wanted, is_wanted, skipped
        )
        return Pass(heap.roots_of(found, is_wanted), functions, is_complete)


def passes_by(native: Optional[Any]) -> Passes:
    """Those of the compiled module, if there is one; without the GIL others change what it would read."""
    if native is None:
        return Passes()
    return (CountedPasses if sysconfig.get_config_var("Py_GIL_DISABLED") else CompiledPasses)(native)
