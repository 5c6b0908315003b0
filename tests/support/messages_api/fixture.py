"""The fixture for tests that need the service: `from messages_api.fixture import messages_api` in a conftest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages_api.server import MessagesApi


@pytest.fixture
def messages_api(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessagesApi]:
    """A Messages API of its own for one test, which sent nothing that the service would refuse.

    The client finds nothing around it that is not the test's: no variables of its own, no profile at home, no proxy.
    """
    for name in list(os.environ):
        if name.startswith("ANTHROPIC_"):
            monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MessagesApi() as api:
        yield api
    assert not api.violations, api.violations
