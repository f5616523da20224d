"""Fixtures of tests that start applications in processes of their own."""

from __future__ import annotations

import pathlib
from typing import Iterator

import pytest
from tests.support.beside import Stage
from tests.support.instrumented import LaunchApp, launching


@pytest.fixture
def stage(tmp_path: pathlib.Path) -> Iterator[Stage]:
    """A folder with a program, a sink, and the processes that run it with and without the agent."""
    with Stage(tmp_path) as made:
        yield made


@pytest.fixture
def launch(tmp_path: pathlib.Path) -> Iterator[LaunchApp]:
    """Starts an application under opentelemetry-instrument: ``launch(sink_url, environment)``."""
    with launching(tmp_path) as start:
        yield start
