"""Runs and results to put into a state, and other processes that use the same folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cicdctl.model import Run, RunState, StageResult, TriggerKind, Verdict
from cicdctl.store import RunChanged, StageChanged, StateStore, open_state


@pytest.fixture
def state_folder(tmp_path: Path) -> Path:
    return tmp_path / "cicdctl"


@pytest.fixture
def state(state_folder: Path) -> Iterator[StateStore]:
    with open_state(state_folder) as opened:
        yield opened


@pytest.fixture
def a_run() -> Callable[..., Run]:
    """Make a run value; whatever is not named is plausible."""

    def make(**fields: Any) -> Run:
        given: dict[str, Any] = {
            "number": 0,
            "pipeline": "build",
            "commit": "c" * 40,
            "tree": "d" * 40,
            "trigger": TriggerKind.MANUAL,
            "state": RunState.STARTING,
            "created_at": 1_700_000_000.0,
        }
        return Run(**{**given, **fields})

    return make


@pytest.fixture
def finish(state: StateStore) -> Callable[..., None]:
    """End a run, with the result of one stage when it is named."""

    def end(number: int, verdict: Verdict = Verdict.PASSED, *, result: StageResult | None = None) -> None:
        changes: list[Any] = [] if result is None else [StageChanged(result=result)]
        state.apply([*changes, RunChanged(state=RunState.DONE, verdict=verdict)], run=number, epoch=1)

    return end


@pytest.fixture
def start_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start another Python process on a piece of source; those still alive at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *argv: object) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", source, *map(str, argv)]
        process = subprocess.Popen(program, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
