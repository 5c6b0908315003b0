"""Runs and results to put into a state, and other processes that use the same folder."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cicdctl_redis.plugin import RedisOptions
from cicdctl_redis.state import RedisState
from redis_server import RedisServer

from cicdctl.kinds import Places
from cicdctl.model import Run, RunState, StageResult, TriggerKind, Verdict
from cicdctl.store import BlobStore, RunChanged, StageChanged, StateStore, open_state

# A folder in, an open store out; the same folder, the same content.
Opener = Callable[[Path], StateStore]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of a process; each repository has keys of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def open_redis(folder: Path, server: RedisServer) -> RedisState:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    blobs = BlobStore(folder / "blobs", warnings=[])
    places = Places(git_dir=folder, state=folder, cache=folder, blobs=blobs)
    return RedisState(RedisOptions(host="127.0.0.1", port=server.port), places)


@pytest.fixture(params=["sqlite", "redis"])
def open_store(request: pytest.FixtureRequest) -> Opener:
    """Open a state store of each kind: whatever is tested with it holds for both."""
    if request.param == "sqlite":
        return open_state
    server = request.getfixturevalue("redis_server")
    return lambda folder: open_redis(folder, server)


@pytest.fixture
def state_folder(tmp_path: Path) -> Path:
    return tmp_path / "cicdctl"


@pytest.fixture
def state(state_folder: Path, open_store: Opener) -> Iterator[StateStore]:
    with contextlib.closing(open_store(state_folder)) as opened:
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
