"""`kill -9` in every state of a fix: the next command goes on, and there is one commit in the end."""

from __future__ import annotations

import json
import os

import pytest

from cicdctl.model.fix_record import FixState

STATES = [state.value for state in FixState]


# The others are killed in campaigns, with `pytest -m campaign`.
OFTEN = ("planned", "applying", "verifying", "committed", "published", "applying-noted")


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(state, marks=() if state in OFTEN else pytest.mark.campaign)
        for state in (*STATES, "applying-noted", "verifying-noted", "flake_check-noted")
    ],
)
def test_killed_in_each_state(broken, state):
    """Whatever was going on is done again or taken over; the offer is there once, and nothing else is left."""
    project = broken()
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    folder = project.path / ".git" / "cicdctl"
    (folder / "failpoints-allowed").touch()

    project.cicdctl("fix", "1", env={"CICDCTL_FAILPOINT": f"fix-{state}"}).fails(137)
    document = json.loads(project.cicdctl("fix", "1", "--json").passes().stdout)

    assert document["outcome"] == "fixed"
    branches = project.git("for-each-ref", "--format=%(refname)", "refs/heads/cicdctl").splitlines()
    assert branches == ["refs/heads/cicdctl/fix/1-lint"]
    assert project.git("rev-parse", branches[0]) == document["commit"]
    assert len(json.loads(project.cicdctl("fix", "list", "--json").passes().stdout)["fixes"]) == 1
    assert project.git("status", "--porcelain") == ""


def test_lock_that_a_kill_left_behind(broken):
    """The offer waits for a branch's lock that is young, and goes past one that is old: nobody has to tidy up."""
    project = broken()
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    lock = project.path / ".git/refs/heads/cicdctl/fix/1-lint.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert "is held by another process" in project.cicdctl("fix", "1").fails(3).stderr
    os.utime(lock, (1, 1))
    document = json.loads(project.cicdctl("fix", "1", "--json").passes().stdout)
    assert (document["outcome"], len(document["attempts"])) == ("fixed", 1)
    assert not lock.exists()
