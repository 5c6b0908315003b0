"""The queue: what was acknowledged runs, once, in order, whoever is killed on the way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cicdctl.project import open_project
from cicdctl.project_config import Invocation

ONE_AT_ONCE = "\n[orchestrator]\nmax_parallel_pipelines = 1\n"


def pipeline(name: str, command: str, *more: str) -> str:
    return "\n".join([f"[pipelines.{name}]", *more, f"[pipelines.{name}.stages]", f"unit = '''{command}'''", ""])


def test_triggered_run_executes_without_an_orchestrator(make_project, tmp_path, wait_for_quiet):
    project = make_project(unit=f"echo ran >> {tmp_path}/log")
    done = project.cicdctl("trigger", "build").passes()
    assert done.stdout == "#1\n"
    assert "build is queued" in done.stderr
    (run,) = wait_for_quiet(project)
    assert (run["verdict"], run["trigger"], run["ref"]) == ("passed", "manual", "refs/heads/main")
    assert (tmp_path / "log").read_text() == "ran\n"
    assert project.git("for-each-ref", "refs/cicd") == ""


def test_trigger_waits_for_the_end_and_has_its_status(make_project):
    project = make_project(unit="exit 3")
    assert "#1 build failed" in project.cicdctl("trigger", "build", "--wait", "end").fails(1).stdout


def test_trigger_of_nonsense_queues_nothing(make_project, runs):
    project = make_project(unit="true")
    assert 'there is no pipeline "biuld", did you mean "build"?' in project.cicdctl("trigger", "biuld").fails(2).stderr
    project.cicdctl("trigger", "build", "nowhere").fails(3)
    project.cicdctl("trigger", "build", "--param", "a=b").fails(2)
    assert runs(project) == []


def test_params_reach_the_stage(make_project):
    config = pipeline("build", 'test "$CICD_PARAM_KIND" = big', 'params = { KIND = { default = "small" } }')
    project = make_project(config=config)
    project.cicdctl("trigger", "build", "-p", "KIND=big", "--wait", "end").passes()
    project.cicdctl("trigger", "build", "--wait", "end").fails(1)


def test_one_at_once_by_priority_then_by_number(make_project, tmp_path, runs, wait_for_quiet):
    """While one runs the others wait; the urgent one overtakes."""
    config = (
        pipeline("slow", f"touch {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.05; done")
        + pipeline("low", f"echo low >> {tmp_path}/log")
        + pipeline("high", f"echo high >> {tmp_path}/log", "priority = 5")
        + ONE_AT_ONCE
    )
    project = make_project(config=config)
    project.cicdctl("trigger", "slow", "--wait", "start").passes()
    for name in ("low", "low", "high"):
        project.cicdctl("trigger", name, "--no-cache").passes()
    assert [run["state"] for run in runs(project)][1:] == ["queued"] * 3
    (tmp_path / "go").touch()
    assert [run["verdict"] for run in wait_for_quiet(project)] == ["passed"] * 4
    assert (tmp_path / "log").read_text() == "high\nlow\nlow\n"


def test_run_that_waits_can_be_cancelled(make_project):
    project = make_project(unit="true")
    project.cicdctl("pause").passes()
    project.cicdctl("trigger", "build").passes()
    assert "#1 cancelled before it started" in project.cicdctl("cancel", "1").passes().stdout
    with open_project(Invocation(directory=project.path, environ=project.env)) as opened:
        assert opened.state.queue.is_idle()


def test_run_that_waits_for_long_is_no_orphan(make_project, runs, wait_for_quiet):
    """A queued run is not taken for one whose runner died, however old it is."""
    project = make_project(unit="true")
    project.cicdctl("pause").passes()
    project.cicdctl("trigger", "build").passes()
    with (
        open_project(Invocation(directory=project.path, environ=project.env)) as opened,
        opened.state._database.transaction() as connection,
    ):
        connection.execute("UPDATE run SET created_at = 0, document = json_set(document, '$.created_at', 0)")
    assert "interrupted" not in project.cicdctl("status").passes().stderr
    assert [run["state"] for run in runs(project)] == ["queued"]
    project.cicdctl("resume").passes()
    assert [run["verdict"] for run in wait_for_quiet(project)] == ["passed"]


def test_triggers_of_many_processes_at_once(make_project, tmp_path, wait_for_quiet):
    """Eight processes, five triggers each: forty runs are acknowledged, recorded and executed once."""
    project = make_project(config=pipeline("build", f"echo $CICD_RUN >> {tmp_path}/log", "side_effects = true"))
    script = """
import sys
from pathlib import Path
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.intake import queue_run
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest
import os
for _ in range(5):
    with open_project(Invocation(directory=Path(sys.argv[1]), environ=dict(os.environ))) as project:
        print(queue_run(project, RunRequest(pipeline="build", revision="HEAD")).number, flush=True)
        drain(project)
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(project.path)], env=project.env, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    told = [int(line) for process in started for line in process.communicate(timeout=100)[0].split()]
    assert sorted(told) == list(range(1, 41))
    assert [run["verdict"] for run in wait_for_quiet(project)] == ["passed"] * 40
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(1, 41))


KILLED_COMMAND = ["intake-pinned", "state_before_commit", "queue-accept", "intake-recorded", "queue-claim"]
KILLED_RUNNER = ["drain-start", "drain-started", "run-locked"]


@pytest.mark.parametrize("point", [*KILLED_COMMAND, *KILLED_RUNNER])
def test_kill_loses_nothing_and_runs_nothing_twice(make_project, tmp_path, allow_failpoints, point, wait_for_quiet):
    """Whoever is killed before a run began: what was acknowledged is executed once, by the next who comes by."""
    project = make_project(config=pipeline("build", f"echo $CICD_RUN >> {tmp_path}/log", "side_effects = true"))
    allow_failpoints(project.path)
    first = project.cicdctl("trigger", "build", env={"CICDCTL_FAILPOINT": point})
    assert first.status == (0 if point == "run-locked" else 137)
    acknowledged = len(first.stdout.split())
    project.cicdctl("trigger", "build").passes()
    project.cicdctl("drain").passes()
    found = wait_for_quiet(project)
    assert [run["verdict"] for run in found] == ["passed"] * len(found)
    assert len(found) in (1 + acknowledged, 2)
    assert sorted((tmp_path / "log").read_text().split()) == [str(run["number"]) for run in found]


@pytest.mark.parametrize(
    ("point", "verdict"),
    [
        ("run-started", "passed"),
        ("stage-submitted", "interrupted"),
        ("stage-recorded", "interrupted"),
        ("run-finishing", "interrupted"),
        ("run-recorded", "passed"),
    ],
)
def test_killed_runner_does_not_stop_the_queue(make_project, allow_failpoints, wait_for_quiet, point, verdict):
    """A deploy whose runner dies once it may have begun is lost, and told; before that it begins again."""
    project = make_project(config=pipeline("build", "true", "side_effects = true") + ONE_AT_ONCE)
    allow_failpoints(project.path)
    project.cicdctl("trigger", "build", env={"CICDCTL_FAILPOINT": point}).passes()
    project.cicdctl("trigger", "build").passes()
    project.cicdctl("drain")
    assert [run["verdict"] for run in wait_for_quiet(project)] == [verdict, "passed"]
