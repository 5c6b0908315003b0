"""kill -9 at named points: never a wrong green, never anything left behind, and the next run just works."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.conftest import marked_processes

POINTS = (
    "commit-pinned",
    "run-begun",
    "run-locked",
    "run-started",
    "stage-submitted",
    "worktree-acquired",
    "attempt-started",
    "process-ended",
    "artifacts-stored",
    "worktree-released",
    "stage-landed",
    "result-cached",
    "stage-recorded",
    "run-finishing",
    "run-recorded",
    "run-released",
)
CONFIG = """
[pipelines.build.stages.compile]
run = "cat source > out; sleep 0.01"
artifacts = ["out"]
[pipelines.build.stages.unit]
run = "test $(cat out) = $(cat source)"
[pipelines.build.stages.lint]
run = "cat source; (sleep 60 &) "
needs = []
[pipelines.build.stages.verdict]
run = "test $(cat out) != bad"
needs = ["unit", "lint"]
"""


def kill_and_check(project, point: str, count: int, source: str) -> None:
    project.write("source", source)
    before = newest(project)
    killed = project.cicdctl("run", "build", env={"CICDCTL_FAILPOINT": f"{point}:{count}"})
    was_killed = killed.status == 137

    number = newest(project)
    if was_killed and number > before:
        last = json.loads(project.cicdctl("show", str(number), "--json").passes().stdout)
        if last["run"]["verdict"] == "passed":
            assert point in ("run-recorded", "run-released"), f"green although killed at {point}"
            assert source != "bad" and len(last["stages"]) == 4
    again = project.cicdctl("run", "build")
    assert again.status == (1 if source == "bad" else 0), again.stdout + again.stderr
    assert not marked_processes(str(project.path.parent).encode()), f"left after {point}:{count}"
    leftovers = [path.name for path in (project.path.parent / "cache").rglob("scratch/*")]
    assert not leftovers, f"scratch left after {point}:{count}: {leftovers}"


def newest(project) -> int:
    runs = json.loads(project.cicdctl("history", "-n", "1", "--json").passes().stdout)["runs"]
    return runs[0]["number"] if runs else 0


@pytest.fixture
def project(make_project):
    project = make_project(CONFIG, files={"source": "0"})
    project.cicdctl("run", "build").passes()
    Path(project.path, ".git/cicdctl/failpoints-allowed").touch()
    return project


# The others are killed with `pytest -m campaign`.
OFTEN = ("run-begun", "worktree-acquired", "attempt-started", "artifacts-stored", "result-cached", "run-recorded")


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in OFTEN else pytest.mark.campaign) for point in POINTS]
)
def test_each_point_once(project, point):
    """Killed at each point, the next command closes the books and the next run tells the truth."""
    kill_and_check(project, point, 1, "bad" if len(point) % 2 else "good")


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_two_hundred_kills(project):
    """200 kills at random points and counts: 0 wrong greens, 0 leftovers."""
    chance = random.Random(7)
    for number in range(200):
        source = "bad" if chance.random() < 0.3 else f"good{number}"
        kill_and_check(project, chance.choice(POINTS), chance.randint(1, 4), source)
    assert project.cicdctl("cache", "verify").passes()
