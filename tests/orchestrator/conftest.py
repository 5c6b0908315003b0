"""What the tests of the orchestrator share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def runs() -> Callable[..., list[dict[str, Any]]]:
    """Give all runs as `history --json` tells them, oldest first."""

    def read(project: Any) -> list[dict[str, Any]]:
        told = project.cicdctl("history", "--json", "--limit", "2000").passes().stdout
        return list(reversed(json.loads(told)["runs"]))

    return read


@pytest.fixture
def wait_for_quiet(runs, wait_until) -> Callable[..., list[dict[str, Any]]]:
    """Wait until so many runs are there, and every one has ended; return them, oldest first."""

    def wait(project: Any, count: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def is_quiet() -> bool:
            found[:] = runs(project)
            return len(found) >= count and all(run["verdict"] for run in found)

        wait_until(is_quiet, what=f"the end of {count or 'all'} runs")
        return found

    return wait


@pytest.fixture
def allow_failpoints() -> Callable[[Path], None]:
    """Let a variable kill the processes that work in a repository."""

    def allow(repository: Path) -> None:
        folder = repository / ".git" / "cicdctl"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "failpoints-allowed").touch()

    return allow
