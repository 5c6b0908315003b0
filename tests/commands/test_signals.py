"""Signals, and ranges that are broken off."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest
from cicdctl.runner.begin import begin
from tests.commands.test_run import wait_for


def history(project) -> list[dict]:
    return json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]


def test_hangup_does_not_end_a_run_under_nohup(make_project, tmp_path):
    """A signal that is ignored when cicdctl starts stays ignored; the run goes on to its end."""
    gate = tmp_path / "gate"
    project = make_project(slow=f"until test -e {gate}; do sleep 0.05; done")
    process = subprocess.Popen(
        ["nohup", sys.executable, "-P", "-m", "cicdctl", "run", "build"],
        cwd=project.path,
        env=project.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_for(lambda: '"running"' in project.cicdctl("status", "--json").stdout)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    gate.touch()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_signal_while_no_stage_runs_is_heeded(make_project, tmp_path):
    """Ctrl-C while a fingerprint command is asked: it is ended, and no stage starts after it."""
    config = f"""
[pipelines.build.stages.one]
run = "touch {tmp_path}/ran"
fingerprint = ["touch {tmp_path}/asked; sleep 50"]
"""
    project = make_project(config)
    process = project.start("run", "build")
    wait_for((tmp_path / "asked").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not (tmp_path / "ran").exists()
    assert history(project)[0]["verdict"] == "cancelled"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_broken_off_range_leaves_nothing_that_waits(make_project, tmp_path, number):
    """A signal in a range of 6: what ran is cancelled, the others were never begun, and no commit stays pinned."""
    project = make_project(slow=f"touch {tmp_path}/started; sleep 60")
    first = project.git("rev-parse", "HEAD")
    for place in range(6):
        project.write("file", str(place))
        project.commit(f"commit {place}")
    process = project.start("run", "build", f"{first}..main", "--jobs", "2")
    wait_for((tmp_path / "started").exists)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    runs = history(project)
    assert 1 <= len(runs) <= 2 and {run["state"] for run in runs} == {"done"}
    assert project.git("for-each-ref", "refs/cicd/") == ""


def test_range_counts_as_runs_of_its_branch(make_project):
    """Conditions on the branch hold for each commit of `a..main`, though only the last is where main is."""
    project = make_project('[pipelines.build.stages.one]\nrun = "true"\nwhen = { branches = ["main"] }\n')
    first = project.git("rev-parse", "HEAD")
    for number in range(2):
        project.write("file", str(number))
        project.commit(f"commit {number}")
    project.cicdctl("run", "build", f"{first}..main").passes()
    assert [(run["ref"], run["verdict"]) for run in history(project)] == [("refs/heads/main", "passed")] * 2


def test_queued_run_that_cannot_begin_says_why(make_project):
    """The secret is gone when the runner looks: the run ends as an error with that reason, and is not left queued."""
    project = make_project('[pipelines.build.stages.one]\nrun = "true"\nsecrets = ["TOKEN"]\n')
    with open_project(Invocation(directory=project.path, environ=project.env | {"TOKEN": "gone-later"})) as opened:
        number = begin(opened, RunRequest(pipeline="build")).run.number
    project.cicdctl("_runner", str(number)).fails(2)
    ended = history(project)[0]
    assert (ended["verdict"], ended["reason"]) == ("error", 'secret "TOKEN" is not set')


def test_a_range_tells_each_warning_once(make_project):
    """What is true of every commit of a range is told once."""
    config = "[pipelines.build]\n[pipelines.build.stages]\na = 'true'\n"
    project = make_project(config + "[orchestrator]\npersistence = { enabled = false }\n")
    first = project.git("rev-parse", "HEAD")
    for number in range(3):
        project.write("file", str(number))
        project.commit()
    told = project.cicdctl("run", "build", f"{first}..HEAD").passes().stderr
    assert told.count("persistence.enabled = false has no effect") == 1
