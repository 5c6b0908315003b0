"""Orchestrator, runners and commands are killed at random moments: what was acknowledged runs, and once.

`CICDCTL_KILLS=1000 python -m pytest -m campaign tests/campaigns/test_orchestrator_kills.py -s`
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from cicdctl.store import check_state

CONFIG = """
[pipelines.build]
[pipelines.build.stages]
unit = "echo $CICD_RUN >> {log}; sleep 0.05"
[pipelines.deploy]
side_effects = true
environment = "production"
[pipelines.deploy.stages]
ship = "echo $CICD_RUN >> {log}; sleep 0.05"
[pipelines.pushed]
trigger = "on_commit"
[pipelines.pushed.stages]
unit = "echo pushed"
[orchestrator]
polling_interval = 0.3
trust = {{ refs = ["**"] }}
"""

# Commands are always there; without this hardly one would live to acknowledge anything.
WEIGHTS = {"command": 1, "hook": 4, "runner": 6, "watch": 3}


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_random_kills(make_project, tmp_path):
    kills, seed = int(os.environ.get("CICDCTL_KILLS", "100")), random.randrange(2**32)
    choose = random.Random(seed)
    print(f"seed {seed}")
    log = tmp_path / "log"
    log.touch()
    project = make_project(config=CONFIG.format(log=log))
    project.git("config", "receive.denyCurrentBranch", "ignore")
    project.cicdctl("hook", "install", "post-receive").passes()
    project.cicdctl("watch", "--once").passes()
    acknowledged: list[int] = []
    pushed: list[str] = []
    done = Counter()
    commands: list[subprocess.Popen[str]] = []
    watch = None
    while sum(done.values()) < kills:
        if watch is None or watch.poll() is not None:
            watch = subprocess.Popen(
                [sys.executable, "-P", "-m", "cicdctl", "watch"],
                cwd=project.path, env=project.env, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        while len(commands) < 2:
            commands.append(project.start("trigger", choose.choice(("build", "deploy")), "--no-cache"))
        if choose.random() < 0.2:
            commit = project.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", f"{choose.random()}")
            project.git("push", "-q", str(project.path), f"{commit}:refs/heads/b{len(pushed)}")
            pushed.append(commit)
        time.sleep(choose.random() * 0.4)
        victims = [("watch", watch.pid), *(("command", process.pid) for process in commands)]
        victims += [(kind, pid) for kind, pid in ours(project.path) if kind in ("runner", "hook")]
        kinds = sorted({kind for kind, _ in victims})
        (wanted,) = choose.choices(kinds, weights=[WEIGHTS[kind] for kind in kinds])
        kind, pid = choose.choice([victim for victim in victims if victim[0] == wanted])
        try:
            os.kill(pid, signal.SIGKILL)
            done[kind] += 1
        except ProcessLookupError:
            continue
        for process in list(commands):
            if process.poll() is not None:
                commands.remove(process)
                acknowledged += [int(line[1:]) for line in process.communicate()[0].split()]
    watch.kill()
    watch.wait()
    for process in commands:
        acknowledged += [int(line[1:]) for line in process.communicate(timeout=60)[0].split()]
    project.cicdctl("hook", "drain").passes()
    project.cicdctl("drain", "--timeout", "90")

    told = json.loads(project.cicdctl("history", "--json", "--limit", "10000").passes().stdout)["runs"]
    verdicts = {run["number"]: run["verdict"] for run in told}
    started = Counter(int(line) for line in log.read_text().split())
    print(dict(done), Counter(verdicts.values()), f"{len(acknowledged)} triggers, {len(pushed)} pushes acknowledged")
    print(f"{sum(run['parent'] is not None for run in told)} queued again")
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= set(verdicts)
    odd = [run["number"] for run in told if run["verdict"] not in ("passed", "interrupted")]
    assert [project.cicdctl("show", str(number)).stdout for number in odd] == []
    first = [run for run in told if run["parent"] is None]
    assert Counter(run["commit"] for run in first if run["pipeline"] == "pushed") == Counter(pushed)
    # Whose runner died while somebody watched is queued again, once for each death; a deploy never is.
    again = [run for run in told if run["parent"] is not None]
    assert max(Counter(run["parent"] for run in again).values(), default=1) == 1
    assert {verdicts[run["parent"]] for run in again} <= {"interrupted"}
    assert [run["number"] for run in again if run["pipeline"] == "deploy"] == []
    deploys = [run["number"] for run in told if run["pipeline"] == "deploy"]
    assert [number for number in deploys if started[number] > 1] == []
    deployed = json.loads(
        project.cicdctl("history", "--environment", "production", "--json", "-n", "10000").passes().stdout
    )["deployments"]
    recorded = {one["run"]: one["verdict"] for one in deployed}
    assert len(recorded) == len(deployed)
    assert recorded == {number: verdicts[number] for number in deploys if number in recorded}
    assert [number for number in deploys if verdicts[number] == "passed" and number not in recorded] == []
    by_hand = [run["number"] for run in told if run["pipeline"] != "pushed"]
    assert [number for number in by_hand if verdicts[number] == "passed" and not started[number]] == []
    assert check_state(project.path / ".git/cicdctl") == "ok"
    assert list((project.path / ".git/cicdctl/spool").iterdir()) == []


def ours(folder: Path) -> list[tuple[str, int]]:
    """The detached processes that work for this repository.

    Not what one of them has forked and what is yet to become a stage: whoever kills that has killed the stage,
    which has then failed.
    """
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if os.fsencode(folder) in words:
                kind = "runner" if b"_runner" in words else "hook" if b"hook" in words else "other"
                found[int(entry)] = (kind, parent)
    return [(kind, pid) for pid, (kind, parent) in found.items() if parent not in found]
