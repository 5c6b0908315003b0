"""Random pushes, told of by a hook, by webhooks that get lost, and by polling, all at once: each ends, and runs once.

`CICDCTL_PUSHES=1000 python -m pytest -m campaign tests/campaigns/test_pushes.py -s`
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from forge_deliveries import SECRET, ZERO, github

from cicdctl.store import check_state

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "test $((CICD_RUN % 5)) != 0"
[pipelines.newest]
trigger = "on_commit"
concurrency = { group = "newest {branch}", on_superseded = "cancel" }
[pipelines.newest.stages]
slow = "sleep 0.3"
[pipelines.after]
trigger = "after_build"
[pipelines.after.stages]
pack = "true"
[pipelines.release]
trigger = "on_tag"
[pipelines.release.stages]
pack = "true"
"""
OPERATOR = f"""
[orchestrator]
polling_interval = "1s"
max_parallel_pipelines = 4
monitoring = {{ method = "webhook", interval = "1s", secret = "{SECRET.decode()}" }}
trust = {{ refs = ["**"] }}
"""


class Pusher:
    """Moves branches and tags of a repository from a clone of it. `now` has the value of each ref that is there."""

    def __init__(self, clone, choose: random.Random) -> None:
        self._clone = clone
        self._choose = choose
        self._first = clone.git("rev-parse", "HEAD")
        self._made = [self._first]
        self.now: dict[str, str] = {"refs/heads/main": self._first}
        self.pushed: set[tuple[str, str]] = set()

    def push(self) -> list[tuple[str, str, str]]:
        """Push one to three refs at once: new, forward, forced, deleted; return (ref, old, new) of each."""
        refs = [f"refs/heads/b{number}" for number in range(8)] + [f"refs/tags/v{number}" for number in range(4)]
        moved = []
        for ref in self._choose.sample(refs, self._choose.choice((1, 1, 1, 2, 3))):
            old = self.now.get(ref)
            if old is not None and self._choose.random() < 0.1:
                moved.append((ref, old, ZERO))
                del self.now[ref]
                continue
            parent = old if old is not None and self._choose.random() < 0.6 else self._choose.choice(self._made)
            message = f"{len(self._made)}" + (" [skip ci]" if self._choose.random() < 0.05 else "")
            new = self._clone.git("commit-tree", f"{self._first}^{{tree}}", "-p", parent, "-m", message)
            self._made.append(new)
            self.now[ref] = new
            self.pushed.add((ref, new))
            moved.append((ref, old or ZERO, new))
        specs = [f":{ref}" if new == ZERO else f"+{new}:{ref}" for ref, _, new in moved]
        self._clone.git("push", "-q", "origin", *specs)
        return moved


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_random_pushes(make_project, tmp_path):
    wanted, seed = int(os.environ.get("CICDCTL_PUSHES", "1000")), random.randrange(2**32)
    choose = random.Random(seed)
    print(f"seed {seed}")
    project = make_project(config=CONFIG)
    project.git("config", "receive.denyCurrentBranch", "ignore")
    project.git("config", "receive.denyDeletes", "false")
    state = project.path / ".git/cicdctl"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "config.toml").write_text(OPERATOR)
    project.cicdctl("hook", "install", "post-receive").passes()
    clone = type(project)(tmp_path / "clone", project.env)
    project.git("clone", "-q", str(project.path), str(clone.path))
    pusher, told, began = Pusher(clone, choose), 0, time.monotonic()
    with serving(project, tmp_path / "said") as port:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as forge:
            for _ in range(wanted):
                told += sum(deliver(forge, *move) for move in pusher.push() if choose.random() < 0.7)
        print(f"{wanted} pushes of {len(pusher.pushed)} values, {told} deliveries, in {time.monotonic() - began:.0f} s")
        wait_until_quiet(state, patience_s=1800)
    print(f"all ended after {time.monotonic() - began:.0f} s")
    assert "Traceback" not in (tmp_path / "said").read_text()
    check(state, pusher)
    assert check_state(state) == "ok"
    project.cicdctl("status").passes()
    assert subprocess.run(["pgrep", "-af", str(project.path)], capture_output=True, text=True).stdout == ""


@contextmanager
def serving(project, said: Path) -> Iterator[int]:
    """Serve a repository; gives the port. What it says goes to a file."""
    with said.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "cicdctl", "serve", "--port", "0"],
            cwd=project.path, env=project.env, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip
    try:
        found = re.search(r"http://\S+:(\d+)", server.stdout.readline())
        assert found, said.read_text()
        yield int(found[1])
    finally:
        server.terminate()
        server.communicate(timeout=60)


def deliver(forge: http.client.HTTPConnection, ref: str, old: str, new: str) -> bool:
    """Tell the server of one ref, as GitHub does; gives whether it was acknowledged."""
    sent = github(document={"ref": ref, "before": old, "after": new})
    forge.request("POST", "/webhook/github", sent.body, {**sent.headers, "Content-Type": "application/json"})
    answer = forge.getresponse()
    answer.read()
    return answer.status == 202


def wait_until_quiet(state: Path, *, patience_s: float) -> None:
    """Wait until nothing waits, nothing runs, and nothing new has come for two looks."""
    end, quiet = time.monotonic() + patience_s, 0
    while quiet < 8:
        assert time.monotonic() < end, rows(state, "SELECT id, pipeline, state FROM run WHERE state <> 'done'")
        time.sleep(0.5)
        open_ones = rows(state, "SELECT count(*) FROM run WHERE state <> 'done'")[0][0]
        waits = rows(state, "SELECT count(*) FROM webhook WHERE state = 'waiting'")[0][0]
        is_spooled = any(not entry.name.startswith(".") for entry in (state / "spool").iterdir())
        quiet = 0 if open_ones or waits or is_spooled else quiet + 1


def rows(state: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True)) as database:
        return database.execute(sql).fetchall()


def check(state: Path, pusher: Pusher) -> None:
    runs = rows(state, "SELECT id, pipeline, ref, commit_id, state, verdict FROM run")
    print(Counter(verdict for *_, verdict in runs))
    # One that is passed over is recorded with its end.
    ends = Counter(
        run
        for run, kind, detail in rows(state, "SELECT run, kind, detail FROM event")
        if kind == "run_finished" or (kind == "run_created" and json.loads(detail)["state"] == "done")
    )
    assert {number: ends[number] for number, *_ in runs if ends[number] != 1} == {}
    assert {number for number, *_, verdict in runs if verdict is None} == set()
    assert [number for number, *_, verdict in runs if verdict in ("error", "interrupted", "timed_out")] == []
    # The search for a culprit tries some of them once more.
    tried = {run for (run,) in rows(state, "SELECT id FROM run WHERE json_extract(document, '$.trigger') = 'bisect'")}
    runs = [run for run in runs if run[0] not in tried]
    times = Counter((pipeline, ref, commit) for _, pipeline, ref, commit, *_ in runs)
    assert {key: count for key, count in times.items() if count > 1} == {}
    by_itself = {(ref, commit) for pipeline, ref, commit in times if pipeline != "after"}
    assert by_itself <= pusher.pushed | {("refs/heads/main", pusher.now["refs/heads/main"])}
    for ref, commit in pusher.now.items():
        if ref != "refs/heads/main":
            for pipeline in ("release",) if ref.startswith("refs/tags/") else ("build", "newest"):
                assert times[pipeline, ref, commit] == 1, (pipeline, ref, commit)
    print(f"{len(pusher.pushed - by_itself)} of {len(pusher.pushed)} values were passed over by a newer one")
    passed = {
        (ref, commit) for _, pipeline, ref, commit, _, verdict in runs if (pipeline, verdict) == ("build", "passed")
    }
    assert {(ref, commit) for pipeline, ref, commit in times if pipeline == "after"} == passed
