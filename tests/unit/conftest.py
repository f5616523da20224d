"""Fixtures of several files of tests."""

from __future__ import annotations

import os
import pathlib
import runpy
import sys
from typing import Callable, Iterator, List

import pytest
from tests.support.fake_control_api import FakeControlApi, fake_control_api
from tests.support.imports import SOURCE, Writer, written_modules
from tests.support.otlp_receiver import closed_port
from tests.support.shop import SHOP

from otel_tracepoints.config import Settings
from otel_tracepoints.emission import Emitter
from otel_tracepoints.probes.importing import ImportWatcher, OnCode


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeControlApi]:
    """A fake control API, named to the commands by the environment."""
    for name in ("URL", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"DEBUGIN_CONTROL_API_{name}", raising=False)
    with fake_control_api() as server:
        monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", server.url)
        yield server


@pytest.fixture
def idle() -> Iterator[Emitter]:
    """An emitter without threads, whose sink does not exist: everything stays where it was put."""
    emitter = Emitter(
        Settings(event_sink_url=f"http://127.0.0.1:{closed_port()}", queue_size=5), lambda text: text
    )
    yield emitter
    emitter.stop(0.5)


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Writes modules into a directory on sys.path, and forgets them afterwards."""
    with written_modules(tmp_path, monkeypatch, SOURCE) as write:
        yield write


@pytest.fixture
def tree(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """The same, of shops, with the current directory above it."""
    monkeypatch.chdir(os.path.dirname(os.path.realpath(str(tmp_path))))
    with written_modules(tmp_path, monkeypatch, SHOP) as write:
        yield write


@pytest.fixture
def watching() -> Iterator[Callable[..., ImportWatcher]]:
    """Makes watchers that are closed at the end, and checks that nothing of them is left."""
    meta_path, scripts = list(sys.meta_path), runpy._get_code_from_file
    watchers: List[ImportWatcher] = []

    def watch(on_code: OnCode, *paths: str) -> ImportWatcher:
        watcher = ImportWatcher(on_code)
        watchers.append(watcher)
        for path in paths:
            watcher.watch(path)
        return watcher

    yield watch
    for watcher in reversed(watchers):
        watcher.close()
    assert sys.meta_path == meta_path
    assert runpy._get_code_from_file is scripts
