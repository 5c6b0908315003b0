"""kill -9 at random moments of fixes: each ends with one outcome, one commit at most, and nothing left behind.

`CICDCTL_KILLS=200 pytest -m campaign tests/campaigns/test_fix_kills.py -s`
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

import pytest

from tests.conftest import marked_processes

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.lint]
run = "! grep -rn BAD src"
[pipelines.build.stages.unit]
run = "sleep 0.05"
needs = []
[fixers.good]
run = "sed -i s/BAD/good/ src/app"
stages = ["lint"]
paths = ["src/**"]
"""


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_random_kills_of_fixes(make_project):
    wanted, seed = int(os.environ.get("CICDCTL_KILLS", "40")), random.randrange(2**32)
    choose = random.Random(seed)
    print(f"seed {seed}")
    project = make_project(config=CONFIG, files={"src/app": "BAD\n"})
    states: Counter[str] = Counter()
    kills = fixes = 0
    while kills < wanted:
        fixes += 1
        project.write("src/app", f"BAD {fixes}\n")
        project.commit(f"change {fixes}")
        project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
        number = json.loads(project.cicdctl("history", "-n", "1", "--json").passes().stdout)["runs"][0]["number"]
        for _ in range(choose.randrange(1, 6)):
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cicdctl", "fix", str(number)],
                cwd=project.path, env=project.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(choose.uniform(0.2, 2.5))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                found = json.loads(project.cicdctl("fix", "list", "--json").passes().stdout)["fixes"]
                states[found[0]["state"] if found else "none"] += 1
        done = project.cicdctl("fix", str(number), "--json")
        if done.status == 3:  # a lock that a kill has left behind is no lock after ten seconds
            time.sleep(10)
            done = project.cicdctl("fix", str(number), "--json")
        document = json.loads(done.passes().stdout)
        assert document["outcome"] == "fixed", document
        assert project.git("rev-parse", document["branch"]) == document["commit"]
        branches = project.git("for-each-ref", "--format=%(refname)", "refs/heads/cicdctl").split()
        assert len(branches) == fixes, branches
        assert project.git("status", "--porcelain") == ""
    print(dict(states), f"{kills} kills, {fixes} fixes")
    listed = json.loads(project.cicdctl("fix", "list", "-n", "1000", "--json").passes().stdout)["fixes"]
    assert len(listed) == fixes
    time.sleep(1)
    assert not [line for line in marked_processes(str(project.path.parent).encode()) if "_notify" not in line]
    project.cicdctl("status").passes()
    assert len(project.git("worktree", "list", "--porcelain").split("\n\n")) <= 1
