"""`logs` on a run that goes on: everything is shown, once and in order, and the wait always ends."""

from __future__ import annotations

import pytest

from tests.commands.test_run import wait_for

GATE = "until test -e $CI_PROJECT_DIR/../go; do sleep 0.05; done"


def open_gate(project):
    """Let stages go on that wait at the gate."""
    next(project.path.parent.glob("cache/cicdctl/*/worktrees")).joinpath("go").touch()


def test_follow_loses_nothing(make_project):
    """More than is read at one look arrives, and the last line has no newline."""
    project = make_project(unit=f"{GATE}; seq 1 900000; printf end")
    runner = project.start("run", "build")
    wait_for(lambda: project.cicdctl("logs", "1", "unit").status == 0)
    follower = project.start("logs", "1", "unit", "-f")
    assert follower.stdout.readline().startswith("$ until")
    open_gate(project)
    shown = follower.stdout.read()
    _, told = follower.communicate(timeout=20)
    runner.communicate(timeout=20)
    assert shown == "".join(f"{number}\n" for number in range(1, 900001)) + "end\n"
    assert told.startswith("unit  passed")


def test_follow_goes_on_with_the_next_attempt(make_project):
    """Every attempt of a retried stage is shown, also one that begins and ends between two looks."""
    config = f"""
[pipelines.build.stages.unit]
run = "{GATE}; printf 'try %s' $CICD_ATTEMPT; test $CICD_ATTEMPT -ge 3"
retries = 3
"""
    project = make_project(config)
    runner = project.start("run", "build")
    wait_for(lambda: project.cicdctl("logs", "1", "unit").status == 0)
    follower = project.start("logs", "1", "-f")
    assert follower.stdout.readline().startswith("unit | $ until")
    open_gate(project)
    shown = [line for line in follower.stdout.read().splitlines() if "$" not in line]
    _, told = follower.communicate(timeout=20)
    runner.communicate(timeout=20)
    assert shown == ["unit | try 1", "unit | try 2", "unit | try 3"]
    assert "unit: attempt 2\nunit: attempt 3\n#1 build passed in" in told


def test_follow_ends_when_the_runner_is_killed(make_project):
    """kill -9 of the runner: the books are closed while somebody follows, and the follower says so."""
    project = make_project(unit="echo begun; sleep 60")
    runner = project.start("run", "build")
    wait_for(lambda: "begun" in project.cicdctl("logs", "1", "unit").stdout)
    follower = project.start("logs", "1", "-f")
    assert follower.stdout.readline().startswith("unit | $ echo begun")
    runner.kill()
    runner.communicate(timeout=20)
    out = follower.stdout.read()
    _, err = follower.communicate(timeout=20)
    assert follower.returncode == 0 and out.startswith("unit | begun\n")
    assert "its runner died" in out and "#1 build interrupted" in err


def test_follow_from_the_tail_with_a_needle(make_project):
    """--tail begins so many lines before the present end, --grep goes on choosing."""
    project = make_project(unit=f"seq 1 50; {GATE}; echo 51; echo x52")
    runner = project.start("run", "build")
    wait_for(lambda: "50" in project.cicdctl("logs", "1", "unit").stdout)
    follower = project.start("logs", "1", "unit", "-f", "--tail", "2", "--grep", "5")
    assert follower.stdout.readline() == "50\n"
    open_gate(project)
    out = follower.stdout.read()
    follower.communicate(timeout=20)
    runner.communicate(timeout=20)
    assert out == "51\nx52\n"


def test_log_of_a_stage_that_runs(make_project):
    """Without -f the log so far is shown; a stage that waits says that it has not started."""
    project = make_project(unit="echo begun; sleep 60", later="true")
    runner = project.start("run", "build")
    wait_for(lambda: "begun" in project.cicdctl("logs").stdout)
    assert "later" in project.cicdctl("logs", "1", "later").fails(3).stderr
    assert "attempt 1" in project.cicdctl("logs", "1", "unit", "--attempt", "2").fails(2).stderr
    shown = project.cicdctl("show", "1").passes().stdout
    runner.terminate()
    runner.communicate(timeout=20)
    assert "unit   running" in shown and "later  waiting" in shown
    assert "#1 build is running, " in shown and shown.endswith(" so far: 1 running, 1 waiting\n")


def test_names_that_a_run_does_not_know(make_project):
    """A misspelt stage is told at once; for a matrix the cells are named, whichever command asks."""
    config = """
[pipelines.build.stages]
lint = "true"
[pipelines.build.stages.unit]
run = "true"
matrix = { py = ["3.11", "3.12"] }
"""
    project = make_project(config)
    project.cicdctl("run", "build").passes()
    assert 'no stage "lnt", did you mean "lint"?' in project.cicdctl("logs", "1", "lnt", "-f").fails(2).stderr
    for argv in (
        ["logs", "1", "unit"],
        ["logs", "1", "unit", "-f"],
        ["shell", "1", "unit"],
        ["artifacts", "1", "unit"],
    ):
        told = project.cicdctl(*argv).fails(2).stderr
        assert told == 'error: stage "unit" of run #1 has a matrix\nhint: cells: unit[py=3.11], unit[py=3.12]\n', argv


@pytest.mark.parametrize("option", ["--json", "--path"])
def test_follow_is_no_document(make_project, option):
    """What would print one thing cannot follow."""
    project = make_project(unit="true")
    assert f"--follow cannot be used with {option}" in project.cicdctl("logs", "-f", option).fails(2).stderr
