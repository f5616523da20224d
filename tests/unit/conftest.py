"""Fixtures of the command line's tests."""

from __future__ import annotations

from typing import Iterator

import pytest
from tests.support.fake_control_api import FakeControlApi, fake_control_api


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeControlApi]:
    """A fake control API, named to the commands by the environment."""
    for name in ("URL", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"DEBUGIN_CONTROL_API_{name}", raising=False)
    with fake_control_api() as server:
        monkeypatch.setenv("DEBUGIN_CONTROL_API_URL", server.url)
        yield server
