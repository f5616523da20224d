"""One run of a workload in a process of its own, counted in one way; the answer is JSON on stdout.

``python -m tests.oracle.record PACKAGE before|after settrace|monitoring|probes|nothing``: the
modules are imported before the count begins, or under it.
"""

from __future__ import annotations

import collections
import dis
import gc
import importlib
import importlib.util
import json
import os
import sys
import time
import warnings
from types import CodeType, FrameType
from typing import Any, Callable, Counter, Dict, Iterator, List, Optional, Sequence, Tuple

from otel_tracepoints.engine import create_engine
from otel_tracepoints.engine.base import Watch
from otel_tracepoints.probes.importing import ImportWatcher
from otel_tracepoints.probes.resolver import Resolver
from tests.oracle.workloads import WORKLOADS, Workload
from tests.support.codes import where

#: File relative to the package, code object, its first line, the line.
Place = Tuple[str, str, int, int]


#: Files of more lines get all of their probes at once.
_ONE_BY_ONE = 300


class Count:
    """How often each line of some files was arrived at."""

    def __init__(self, files: Sequence[str], root: str) -> None:
        self.names = {path: os.path.relpath(path, root) for path in files}
        self.lines: Counter[Place] = collections.Counter()
        self._spelled: Dict[str, str] = {}

    def name(self, spelled: str) -> str:
        """The short name of a file that is counted, however code objects spell it; else empty."""
        known = self._spelled.get(spelled)
        if known is None:
            known = self._spelled[spelled] = self.names.get(os.path.realpath(spelled), "")
        return known

    def add(self, code: CodeType, line: int) -> None:
        """One arrival. Line 0 (a module without a statement, since 3.11) is none that could be named."""
        if line:
            self.lines[(self.name(code.co_filename), *where(code), line)] += 1


def files_of(workload: Workload) -> Tuple[str, List[str]]:
    """The package's directory, and the files of it that are probed."""
    spec: Any = importlib.util.find_spec(workload.package)
    root = os.path.realpath(os.path.dirname(spec.origin))
    found: List[str] = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            wanted = not workload.files or os.path.relpath(path, root).startswith(workload.files)
            if name.endswith(".py") and wanted and os.path.realpath(path) == path:
                found.append(path)
    return root, sorted(found)


def by_settrace(count: Count, run: Callable[[], Any]) -> Any:
    """Counted by a plain trace function."""

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            count.add(frame.f_code, frame.f_lineno)
        return local

    def tracer(frame: FrameType, _event: str, _: Any) -> Any:
        return local if count.name(frame.f_code.co_filename) else None

    sys.settrace(tracer)
    try:
        return run()
    finally:
        sys.settrace(None)


def by_monitoring(count: Count, run: Callable[[], Any]) -> Any:
    """Counted by a tool of ``sys.monitoring`` that is not ours."""
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    events = monitoring.events

    def on_line(code: CodeType, line: int) -> Any:
        if not count.name(code.co_filename):
            return monitoring.DISABLE
        count.add(code, line)
        return None

    monitoring.use_tool_id(1, "oracle")
    monitoring.register_callback(1, events.LINE, on_line)
    # PY_START: without it 3.13.0 and 3.14 have no LINE for a line that begins with the call.
    monitoring.set_events(1, events.LINE | events.PY_START)
    try:
        return run()
    finally:
        monitoring.set_events(1, 0)
        monitoring.register_callback(1, events.LINE, None)
        monitoring.free_tool_id(1)


class _AtOneMoment(Resolver):
    """The resolver, looking at the process once per file instead of once per line."""

    def __init__(self) -> None:
        super().__init__()
        self._looks: Dict[str, Any] = {}

    def look(self, path: str, *others: Any) -> Any:
        if path not in self._looks:
            self._looks[path] = super().look(path, *others)
        return self._looks[path]


def by_probes(count: Count, run: Callable[[], Any], after: bool, report: Dict[str, Any]) -> Any:
    """Counted by probes on every line."""
    engine = create_engine("auto")
    resolver = _AtOneMoment()

    def watch(path: str, line: int, sites: Sequence[Any]) -> Watch:
        def hit(frame: FrameType) -> None:
            count.add(frame.f_code, line)

        return Watch(f"{path}:{line}", sites, line, hit)

    def install(watches: List[Watch]) -> None:
        # One by one in small files, which is how clients do it.
        if len(watches) > _ONE_BY_ONE:
            engine.install_all(watches)
            return
        for each in watches:
            engine.install(*each)

    def on_code(code: CodeType, path: str) -> CodeType:
        lines = resolver.lines(path).lines
        install([watch(path, line, resolver.sites_in(code, line)) for line in lines])
        return engine.replacement(code)

    watcher = ImportWatcher(on_code)
    started = time.process_time()
    places = 0
    for path in count.names:
        if after:
            watcher.watch(path)
            continue
        # The very name that a client would use, or a shorter one.
        assert resolver.match(path) == path
        lines = resolver.lines(path).lines
        places += len(lines)
        install([watch(path, line, resolver.resolve(path, line).sites) for line in lines])
    report["installing"] = time.process_time() - started
    report["places"] = places
    try:
        return run()
    finally:
        started = time.process_time()
        watcher.close()
        engine.close()
        report["removing"] = time.process_time() - started


def _jumps(count: Count, kind: str) -> Iterator[Place]:
    """Lines with a jump of this kind that stays on them."""
    for path, name in count.names.items():
        with open(path, "rb") as source:
            waiting = [compile(source.read(), path, "exec", dont_inherit=True)]
        for code in waiting:
            waiting.extend(each for each in code.co_consts if isinstance(each, CodeType))
            line: Dict[int, Optional[int]] = {}
            for start, end, number in code.co_lines():
                line.update(dict.fromkeys(range(start, end, 2), number))
            for each in dis.get_instructions(code):
                if kind in each.opname and line[each.offset] == line.get(each.argval):
                    yield (name, *where(code), line[each.offset] or 0)


def main(package: str, when: str, how: str, *only: str) -> None:
    """Do it; ``only`` are prefixes of the files to be probed instead of the workload's own."""
    workload = WORKLOADS[package]
    if only:
        workload = workload._replace(files=only)
    root, files = files_of(workload)
    if when == "before":
        for name in workload.imports:
            importlib.import_module(name)
        loaded = {os.path.realpath(getattr(m, "__file__", None) or "") for m in list(sys.modules.values())}
        files = [path for path in files if path in loaded]
    count = Count(files, root)
    report: Dict[str, Any] = {}
    warnings.simplefilter("ignore")
    # Finalizers run where the collector strikes, which is not the same place every time.
    gc.disable()
    answer = {
        "nothing": lambda: workload.run(),
        "settrace": lambda: by_settrace(count, workload.run),
        "monitoring": lambda: by_monitoring(count, workload.run),
        "probes": lambda: by_probes(count, workload.run, when == "after", report),
    }[how]()
    report["answer"] = answer
    if sys.version_info >= (3, 12) and how == "probes":
        report["loops"] = sorted(set(_jumps(count, "JUMP_BACKWARD")))
        report["jumps"] = sorted(set(_jumps(count, "JUMP")))
    report["lines"] = [[*place, times] for place, times in sorted(count.lines.items())]
    json.dump(report, sys.stdout, default=str)


if __name__ == "__main__":
    main(*sys.argv[1:])
