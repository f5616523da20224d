"""Importing under an import watcher: what it sees before it runs, and what it must not change."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import runpy
import subprocess
import sys
import threading
import weakref
import zipfile

import pytest
from tests.support.imports import SOURCE, Recorder


def test_the_code_of_a_watched_file_is_seen_before_it_runs(place, watching):
    """What the callback answers is what runs, and it is asked once an import."""
    path = place("iseen.py")
    recorder = Recorder(replace=True)
    watching(recorder, path)
    module = importlib.import_module("iseen")
    assert module.VALUE == module.f() == "replaced"
    assert recorder.seen == [("<module>", path)]
    assert type(module.__loader__) is type(importlib.util.find_spec("iseen").loader)


def test_other_files_are_not_reported(place, watching):
    """A module of the same last name, and one of another name, load as ever."""
    path = place("ipkg/same_name.py")
    place("same_name.py"), place("iother.py")
    recorder = Recorder(replace=True)
    watching(recorder, path)
    assert importlib.import_module("same_name").VALUE == "original"
    assert importlib.import_module("iother").VALUE == "original"
    assert recorder.seen == []
    assert importlib.import_module("ipkg.same_name").VALUE == "replaced"


def test_packages_and_symbolic_links(place, watching, tmp_path):
    """A package's own file is seen, also when it is imported through a link of another name."""
    path = place("ireal/__init__.py")
    inner = place("ireal/inner.py")
    os.symlink(os.path.dirname(path), str(tmp_path / "ilink"))
    recorder = Recorder()
    watching(recorder, path, inner)
    importlib.import_module("ilink.inner")
    assert recorder.seen == [("<module>", path), ("<module>", inner)]


def test_reload_and_repeated_import_are_seen(place, watching):
    """A file that was loaded before it was watched is seen when it is loaded again."""
    path = place("iagain.py")
    module = importlib.import_module("iagain")
    recorder = Recorder(replace=True)
    watching(recorder, path)
    importlib.reload(module)
    assert module.VALUE == "replaced"
    del sys.modules["iagain"]
    assert importlib.import_module("iagain").VALUE == "replaced"
    assert len(recorder.seen) == 2


def test_runpy_is_seen(place, watching):
    """run_module, of a loaded module too, and run_path go through the callback."""
    path = place("irun.py")
    recorder = Recorder(replace=True)
    watching(recorder, path)
    assert runpy.run_module("irun")["VALUE"] == "replaced"
    assert runpy.run_path(path)["VALUE"] == "replaced"
    loaded = place("iloaded.py")
    importlib.import_module("iloaded")
    watching(recorder, loaded)
    assert runpy.run_module("iloaded")["VALUE"] == "replaced"
    assert [seen[1] for seen in recorder.seen] == [path, path, loaded]


class _Script(str):
    """What libraries call a path; Python keeps it as the name of the code's file."""

    asked = []

    def __eq__(self, other):
        self.asked.append(sys._getframe(1).f_globals["__name__"])
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_script_of_a_name_that_is_no_plain_text_runs_unseen(place, watching):
    """We run none of that name's code, and keep nothing of it; the script is what it was."""
    path = place("iplain.py")
    recorder = Recorder(replace=True)
    watcher = watching(recorder, path)
    watcher._paths.of(path)
    assert runpy.run_path(_Script(path))["VALUE"] == "original"
    assert recorder.seen == []
    assert not [name for name in _Script.asked if name.startswith("otel_tracepoints")]
    assert {type(name) for name in watcher._paths.known()} == {str}


def test_zip_members_are_seen(watching, tmp_path, monkeypatch):
    """Members of one archive share a loader, and only the watched one is reported."""
    archive = os.path.join(os.path.realpath(str(tmp_path)), "ilib.zip")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("izip/__init__.py", "")
        opened.writestr("izip/one.py", SOURCE)
        opened.writestr("izip/two.py", SOURCE)
    monkeypatch.syspath_prepend(archive)
    path = os.path.join(archive, "izip", "one.py")
    recorder = Recorder(replace=True)
    watching(recorder, path)
    one, two = importlib.import_module("izip.one"), importlib.import_module("izip.two")
    try:
        assert (one.VALUE, two.VALUE) == ("replaced", "original")
        assert one.__file__ == path
        assert one.__spec__.name == one.__name__ == "izip.one"
        assert one.__package__ == "izip"
        assert recorder.seen == [("<module>", path)]
        importlib.reload(one)
        assert len(recorder.seen) == 2
    finally:
        for name in ("izip", "izip.one", "izip.two"):
            del sys.modules[name]


def test_compiled_files_without_source_are_seen(place, watching):
    """A .pyc without its source is reported under its own path."""
    import py_compile

    path = place("icompiled.py")
    py_compile.compile(path, cfile=path + "c", dfile="/build/other.py")
    os.remove(path)
    recorder = Recorder(replace=True)
    watching(recorder, path + "c")
    assert importlib.import_module("icompiled").VALUE == "replaced"
    assert recorder.seen == [("<module>", path + "c")]


def test_lazy_loading_is_seen(place, watching):
    """A lazy module is reported when it loads, not before."""
    path = place("ilazy.py")
    recorder = Recorder(replace=True)
    watching(recorder, path)
    spec = importlib.util.find_spec("ilazy")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert recorder.seen == []
    assert module.VALUE == "replaced"
    assert len(recorder.seen) == 1


def test_without_a_watched_file_no_hook_is_there(place, watching):
    """The finder and every override come with the first file and go with the last."""
    path, other = place("ihook.py"), place("ihook2.py")
    before, scripts = list(sys.meta_path), runpy._get_code_from_file
    watcher = watching(Recorder())
    assert sys.meta_path == before
    watcher.watch(path)
    watcher.watch(path)
    watcher.watch(other)
    assert len(sys.meta_path) == len(before) + 1
    module = importlib.import_module("ihook")
    assert "get_code" in vars(module.__loader__)
    watcher.unwatch(path)
    watcher.unwatch("/never/watched.py")
    assert len(sys.meta_path) == len(before) + 1
    watcher.unwatch(other)
    assert sys.meta_path == before
    assert runpy._get_code_from_file is scripts
    assert "get_code" not in vars(module.__loader__)
    watcher.watch(path)
    watcher.close()
    watcher.close()
    watcher.watch(path)
    assert sys.meta_path == before


def test_a_time_limit_that_strikes_meanwhile_ends_the_import(place, watching):
    """What a signal's handler of the application raises while a module is looked at is not swallowed."""

    class TimeIsUp(Exception):
        pass

    def handler(number, frame):
        raise TimeIsUp

    path = place("struck.py")
    watching(lambda code, path: handler(14, sys._getframe()), path)
    with pytest.raises(TimeIsUp):
        importlib.import_module("struck")
    assert "struck" not in sys.modules


def test_no_lock_of_ours_is_held_while_importing(place, watching):
    """While one thread is inside an import, others watch, unwatch and import."""
    import builtins

    path = place(
        "iblock.py",
        "import builtins\nbuiltins._importing_events[0].set()\nbuiltins._importing_events[1].wait(10)\n",
    )
    other = place("ifree.py")
    events = builtins._importing_events = (threading.Event(), threading.Event())
    watcher = watching(Recorder(), path)
    thread = threading.Thread(target=importlib.import_module, args=("iblock",))
    thread.start()
    try:
        assert events[0].wait(10)
        done = threading.Event()

        def use():
            watcher.watch(other)
            importlib.import_module("ifree")
            watcher.unwatch(path)
            done.set()

        user = threading.Thread(target=use, daemon=True)
        user.start()
        assert done.wait(10)
    finally:
        events[1].set()
        thread.join()
        del builtins._importing_events


def test_a_loader_is_not_kept_alive(place, watching):
    """Finding a module without loading it leaves nothing behind."""
    path = place("ifound.py")
    watching(Recorder(), path)
    spec = importlib.util.find_spec("ifound")
    assert "get_code" in vars(spec.loader)
    reference = weakref.ref(spec.loader)
    spec.loader = None
    assert reference() is None or sys.implementation.cache_tag.endswith("t")


MAIN = """\
import os, runpy, sys
from otel_tracepoints.probes.importing import ImportWatcher

def on_code(code, path):
    print("seen", os.path.basename(path), code.co_name, flush=True)
    return code

watcher = ImportWatcher(on_code)
watcher.watch(os.path.realpath("ipackage/__main__.py"))
sys.argv = ["x"]
runpy._run_module_as_main("ipackage")
"""


def test_python_dash_m_is_seen(place, watching, tmp_path):
    """A package run by `python -m` is reported before its first line."""
    place("ipackage/__init__.py", "")
    place("ipackage/__main__.py", "print('runs as', __name__)\n")
    place("start.py", MAIN)
    spec = importlib.util.find_spec("otel_tracepoints.probes")
    source = os.path.dirname(os.path.dirname(os.path.dirname(spec.origin)))
    result = subprocess.run(
        [sys.executable, "start.py"],
        cwd=str(tmp_path),
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        text=True,
    )
    assert result.stdout.splitlines() == ["seen __main__.py <module>", "runs as __main__"]
