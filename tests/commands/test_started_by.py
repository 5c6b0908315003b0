"""A run says who asked for it, and how it is run again by hand."""

from __future__ import annotations

import json
import os
import pwd
import shlex

import pytest

from cicdctl.model import Run, RunState, TriggerKind, Trust
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.reports.by_hand import run_again

CONFIG = """
[pipelines.build.params]
level = {default = "low"}
[pipelines.build.stages]
lint = "echo lint"
unit = "echo {param.level}"
[pipelines.test]
trigger = "after_build"
[pipelines.test.stages]
all = "true"
"""


@pytest.fixture
def account() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def shown(project, number: int) -> dict:
    return json.loads(project.cicdctl("show", str(number), "--json").passes().stdout)["run"]


def test_run_names_the_account_that_asked_for_it(make_project, account):
    """Also one from the queue and one that repeats another; what comes after it was asked for by nobody."""
    project = make_project(CONFIG)
    project.cicdctl("run", "build").passes()
    assert f"  trigger manual by {account}, " in project.cicdctl("show", "1").passes().stdout
    project.cicdctl("rerun", "1").passes()
    project.cicdctl("trigger", "build", "--wait", "end").passes()
    project.cicdctl("drain").passes()
    runs = [shown(project, number) for number in (1, 2, 3, 4)]
    assert [(run["pipeline"], run["trigger"], run["started_by"]) for run in runs] == [
        ("build", "manual", account),
        ("build", "manual", account),
        ("build", "manual", account),
        ("test", "after", ""),
    ]


def test_command_runs_the_same_again(make_project):
    """The same commit, parameters and stages, taken from what is recorded."""
    project = make_project(CONFIG)
    project.cicdctl("run", "build", "HEAD", "--param", "level=it's high", "--stage", "unit").passes()
    run = read_run(project, 1)
    command = run_again(run)
    assert command == f"cicdctl run build {run.commit} --stage unit --param 'level=it'\"'\"'s high'"
    project.cicdctl(*shlex.split(command)[1:]).passes()
    again = read_run(project, 2)
    assert (again.commit, again.params, again.options["only"]) == (run.commit, run.params, run.options["only"])


def test_what_only_this_repository_knows_is_made_again_by_number(make_project):
    """The snapshot of a working tree, a commit that is not trusted: a command with a commit would say too little."""
    project = make_project(CONFIG)
    project.write("new.txt", "new")
    project.cicdctl("run", "build").passes()
    assert run_again(read_run(project, 1)) == "cicdctl rerun 1"
    facts = {"number": 7, "pipeline": "build", "commit": "c" * 40, "tree": "d" * 40, "state": RunState.QUEUED}
    commit = {**facts, "trigger": TriggerKind.COMMIT}
    assert run_again(Run(**commit)) == f"cicdctl run build {'c' * 40}"
    assert run_again(Run(**commit, trust=Trust.UNTRUSTED)) == "cicdctl rerun 7"
    assert run_again(Run(**commit, options={"config_text": "x"})) == "cicdctl rerun 7"
    assert run_again(Run(**facts, trigger=TriggerKind.FIX)) == "cicdctl rerun 7"


def read_run(folder, number: int) -> Run:
    with open_project(Invocation(directory=folder.path, environ=folder.env)) as opened:
        summary = opened.state.load(number)
    assert summary is not None
    return summary.run
