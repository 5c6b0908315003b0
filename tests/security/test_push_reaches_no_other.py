"""What a pushed file may set concerns its own run: not the cache, the queue or the notices of all others."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.orchestrator.conftest import runs, wait_for_quiet  # noqa: F401 - fixtures
from tests.orchestrator.test_hooks import Server

STAGES = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "head -c 200000 /dev/urandom > out"
artifacts = ["out"]
"""
OPERATOR = """
[orchestrator]
trust = { refs = ["**"] }
[notifiers.notes]
uses = "git-notes"
"""
HARM = """
[orchestrator]
max_parallel_pipelines = 1
polling_interval = 3600
cache = { max_size = 1, ttl = 1 }
failure_handling = { pause_on_failure = true }
[notifiers.notes]
enabled = false
"""


@pytest.fixture
def server(make_project, tmp_path) -> Server:
    work = make_project(config=STAGES)
    server = Server(work, tmp_path / "server.git")
    work.git("init", "-q", "--bare", "-b", "main", str(server.path))
    (server.path / "cicdctl").mkdir(mode=0o700)
    (server.path / "cicdctl/config.toml").write_text(OPERATOR)
    server.cicdctl("hook", "install", "post-receive").passes()
    return server


def test_push_empties_no_cache_and_silences_nobody(server, tmp_path, wait_for_quiet, wait_until):  # noqa: F811
    server.push("main")
    wait_for_quiet(server, 1)
    server.work.git("checkout", "-q", "-b", "harm")
    server.work.write(".cicd.toml", STAGES + HARM)
    server.work.write("new", "")
    server.work.commit("harm")
    (stamp,) = tmp_path.glob("cache/cicdctl/*/last-gc")
    os.utime(stamp, (0, 0))
    server.push("harm")
    wait_for_quiet(server, 2)
    wait_until(lambda: stamp.stat().st_mtime > 0, what="the daily tidying up")
    time.sleep(0.3)
    server.push("main:again", "-o", "ci.wait")
    told = json.loads(server.cicdctl("show", "3", "--json").passes().stdout)
    assert [stage["cached"] for stage in told["stages"]] == [True]
    harm = server.work.git("rev-parse", "harm")
    wait_until(lambda: harm in server.git("notes", "--ref", "cicdctl", "list"), what="the note")
