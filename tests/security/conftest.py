"""A server that anybody may push to, whoever they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.orchestrator.conftest import runs, wait_for_quiet
from tests.orchestrator.test_hooks import Server

__all__ = ["make_server", "runs", "wait_for_quiet"]


@pytest.fixture
def make_server(make_project, tmp_path) -> Callable[..., Server]:
    """Make a bare repository with the post-receive hook and this operator's file, and a clone that pushes to it."""

    def make(config: str, operator: str, files: dict[str, str] | None = None) -> Server:
        work = make_project(config=config, files=files)
        server = Server(work, tmp_path / "server.git")
        work.git("init", "-q", "--bare", "-b", "main", str(server.path))
        (server.path / "cicdctl").mkdir(mode=0o700)
        (server.path / "cicdctl/config.toml").write_text(operator)
        server.cicdctl("hook", "install", "post-receive").passes()
        return server

    return make
