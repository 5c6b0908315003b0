"""Random kill -9 of a Redis server while processes write: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cicdctl_redis.plugin import RedisOptions
from cicdctl_redis.state import RedisState
from redis_server import RedisServer

from cicdctl.kinds import Places
from cicdctl.model import RunFilter
from cicdctl.store import BlobStore

ROOT = Path(__file__).parents[2]
WRITER = """
import sys, time
from pathlib import Path
from cicdctl.errors import StoreError
from cicdctl.kinds import Places
from cicdctl.model import Run, RunState, TriggerKind
from cicdctl.store import BlobStore
from cicdctl.store.queued import Arrival, Placing
from cicdctl_redis.plugin import RedisOptions
from cicdctl_redis.state import RedisState
folder, port, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
places = Places(git_dir=folder, state=folder, cache=folder, blobs=BlobStore(folder / "blobs", warnings=[]))
state = RedisState(RedisOptions(host="127.0.0.1", port=port), places)
count = 0
while True:
    count += 1
    message = f"{name}-{count}"
    run = Run(number=0, pipeline="p", commit="c", tree="t", trigger=TriggerKind.COMMIT, state=RunState.QUEUED, message=message)
    while True:  # as a hook's spool does: the same delivery again, until it is acknowledged
        try:
            state.queue.accept(Arrival(placings=[Placing(run=run)], delivery=("spool", message)))
            break
        except StoreError:
            time.sleep(0.02)
    print(message, flush=True)
"""


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_kill_9_of_the_server_loses_and_doubles_nothing(tmp_path):
    """40 kills at random moments, with two processes that write."""
    server = RedisServer(tmp_path / "redis")
    state = tmp_path / "state"
    state.mkdir()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins/cicdctl-redis/src'}"}
    logs = [(tmp_path / f"acknowledged{name}") for name in "ab"]
    writers = []
    for log in logs:
        argv = [sys.executable, "-c", WRITER, str(state), str(server.port), log.name]
        with log.open("wb") as out:
            writers.append(subprocess.Popen(argv, env=env, stdout=out))
    try:
        for _ in range(40):
            time.sleep(random.uniform(0.05, 0.4))
            server.kill()
            server.start()
        time.sleep(1)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    try:
        acknowledged = [line for log in logs for line in log.read_text().splitlines()]
        places = Places(git_dir=state, state=state, cache=state, blobs=BlobStore(state / "blobs", warnings=[]))
        opened = RedisState(RedisOptions(host="127.0.0.1", port=server.port), places)
        runs = opened.runs(RunFilter(limit=10**6))
        recorded = [run.message for run in runs]
        print(f"{len(acknowledged)} acknowledged, {len(recorded)} recorded")
        assert len(recorded) == len(set(recorded))
        assert set(acknowledged) <= set(recorded)
        assert len(recorded) - len(acknowledged) <= len(writers)
        assert sorted(run.number for run in runs) == list(range(1, len(runs) + 1))
        opened.close()
    finally:
        server.kill()
