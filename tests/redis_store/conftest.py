"""A server of its own for each test, states on it, and repositories whose runs it keeps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cicdctl_redis.plugin import RedisOptions
from cicdctl_redis.state import RedisState
from redis_server import RedisServer

from cicdctl.kinds import Places
from cicdctl.model import Run, RunState, TriggerKind
from cicdctl.store import BlobStore

SOURCE = Path(__file__).parents[2] / "plugins" / "cicdctl-redis" / "src"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path / "redis")
    yield started
    started.kill()


@pytest.fixture
def open_redis(server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., RedisState]]:
    """Open a state; the same folder is the same repository. Options of the plugin by name."""
    with contextlib.ExitStack() as opened:

        def start(folder: str = "state", **options: object) -> RedisState:
            place = tmp_path / folder
            place.mkdir(mode=0o700, exist_ok=True)
            places = Places(git_dir=place, state=place, cache=place, blobs=BlobStore(place / "blobs", warnings=[]))
            given = {"host": "127.0.0.1", "port": server.port, **options}
            state = RedisState(RedisOptions(**given), places)
            opened.callback(state.close)
            return state

        yield start


@pytest.fixture
def a_run() -> Run:
    return Run(
        number=0, pipeline="build", commit="c" * 40, tree="d" * 40, trigger=TriggerKind.MANUAL, state=RunState.STARTING
    )


@pytest.fixture
def redis_project(make_project, server: RedisServer, clean_env: dict[str, str], tmp_path: Path):
    """Make a repository whose own configuration is the guide's section, with the plugin installed."""
    facts = tmp_path / "site" / "cicdctl_redis-0.1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: cicdctl-redis\nVersion: 0.1.0\n")
    (facts / "entry_points.txt").write_text("[cicdctl]\nredis = cicdctl_redis\n")
    path = (str(facts.parent), str(SOURCE), clean_env["PYTHONPATH"])
    clean_env["PYTHONPATH"] = os.pathsep.join(path)

    def make(pipelines: str, more: str = ""):
        # What the documentation says is what is tested.
        page = (SOURCE.parents[2] / "docs" / "persistence.md").read_text()
        persistence = page.partition("```toml\n")[2].partition("```")[0]
        assert "port = 6379" in persistence
        return make_project(config=persistence.replace("6379", str(server.port)) + more + pipelines)

    return make
