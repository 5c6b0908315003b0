"""Environments: one deploy at a time, a history, and the way back."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from cicdctl.git.refs import KEEP_PREFIX
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner.environments import environment_lock
from cicdctl.store import is_locked, lock

# What is deployed is the file `app`; one that says "bad" is not healthy, "broken" cannot be deployed at all.
CONFIG = """
[pipelines.deploy]
environment = "production"
{more}
[pipelines.deploy.stages.ship]
run = "! grep broken app && cp app {live}"
health_check = "! grep bad {live}"
"""


@pytest.fixture
def make_deploys(make_project, tmp_path):
    """Make a repository whose `deploy` copies a file; `more` are lines of the pipeline."""

    def make(more: str = "", config: str = CONFIG):
        return make_project(config=config.format(more=more, live=tmp_path / "live"), files={"app": "v0"})

    return make


def deploy(project, app: str, *, status: int = 0, how: tuple[str, ...] = ("run", "deploy", "HEAD")):
    """Commit an app and deploy it; return what the command said."""
    project.write("app", app)
    project.commit(app)
    return project.cicdctl(*how).fails(status)


def history(project, environment: str = "production") -> list[tuple]:
    """Give (run, verdict, undoes, restores) of each deployment, oldest first."""
    told = json.loads(project.cicdctl("history", "--environment", environment, "--json").passes().stdout)
    return [(one["run"], one["verdict"], one["undoes"], one["restores"]) for one in reversed(told["deployments"])]


def waiting_deploy(tmp_path, more: str = "") -> str:
    """Return a configuration whose deploys note when they begin and end, and wait for a file in between."""
    return f"""
[pipelines.deploy]
environment = "production"
{more}
[pipelines.deploy.stages]
ship = '''echo "begun $CICD_RUN" >> {tmp_path}/log; until test -e {tmp_path}/go; do sleep 0.02; done
echo "ended $CICD_RUN" >> {tmp_path}/log'''
[pipelines.other]
[pipelines.other.stages]
unit = "true"
"""


def words(tmp_path) -> list[str]:
    path = tmp_path / "log"
    return path.read_text().splitlines() if path.exists() else []


# --- one deploy at a time


def test_queued_deploys_go_one_after_the_other(make_project, tmp_path, wait_until, wait_for_quiet):
    project = make_project(config=waiting_deploy(tmp_path))
    for _ in range(3):
        project.cicdctl("trigger", "deploy").passes()
    project.cicdctl("trigger", "other", "--wait", "end").passes()
    wait_until(lambda: words(tmp_path) == ["begun 1"])
    (tmp_path / "go").touch()
    assert [run["verdict"] for run in wait_for_quiet(project, 4)] == ["passed"] * 4
    assert words(tmp_path) == ["begun 1", "ended 1", "begun 2", "ended 2", "begun 3", "ended 3"]


def test_a_new_deploy_never_cuts_off_one_that_has_begun(make_project, tmp_path, wait_until, wait_for_quiet):
    concurrency = 'concurrency = { group = "d", on_superseded = "cancel" }'
    project = make_project(config=waiting_deploy(tmp_path, concurrency))
    project.cicdctl("trigger", "deploy").passes()
    wait_until(lambda: words(tmp_path) == ["begun 1"])
    project.cicdctl("trigger", "deploy").passes()
    project.cicdctl("trigger", "deploy").passes()
    (tmp_path / "go").touch()
    assert [run["verdict"] for run in wait_for_quiet(project, 3)] == ["passed", "cancelled", "passed"]


def test_deploy_by_hand_waits_for_its_environment_and_says_for_whom(make_project, tmp_path, wait_until, runs):
    project = make_project(config=waiting_deploy(tmp_path))
    project.cicdctl("run", "deploy", "--detach").passes()
    wait_until(lambda: words(tmp_path) == ["begun 1"])
    second = project.start("run", "deploy")
    wait_until(lambda: len(runs(project)) == 2)
    project.cicdctl("trigger", "deploy").passes()
    time.sleep(0.2)
    assert words(tmp_path) == ["begun 1"]
    (tmp_path / "go").touch()
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 0
    assert '#2 waits for environment "production": run #1 (deploy) deploys to it' in errors
    wait_until(lambda: len(words(tmp_path)) == 6, what="the end of the deploy that was queued")
    assert [line.replace("begun", "ended") for line in words(tmp_path)[::2]] == words(tmp_path)[1::2]


@pytest.mark.parametrize("how", ["interrupt", "cancel"])
def test_a_deploy_that_waits_can_be_ended(make_project, tmp_path, wait_until, runs, how):
    project = make_project(config=waiting_deploy(tmp_path))
    project.cicdctl("run", "deploy", "--detach").passes()
    wait_until(lambda: words(tmp_path) == ["begun 1"])
    second = project.start("run", "deploy")
    wait_until(lambda: len(runs(project)) == 2)
    lock = project.path / ".git/cicdctl/locks/run-2.lock"
    wait_until(lambda: lock.exists() and is_locked(lock) is not None)
    if how == "interrupt":
        time.sleep(0.2)
        second.send_signal(signal.SIGINT)
    else:
        project.cicdctl("cancel", "2").passes()
    _, errors = second.communicate(timeout=30)
    assert second.returncode == (130 if how == "interrupt" else 5), errors
    assert runs(project)[1]["verdict"] == "cancelled"
    (tmp_path / "go").touch()
    wait_until(lambda: runs(project)[0]["verdict"] == "passed")
    assert [run for run, *_ in history(project)] == [1]


def test_a_killed_deploy_frees_its_environment(make_project, tmp_path, wait_until, runs):
    """No lock has to be removed by hand, and what was cut off is in the history once."""
    project = make_project(config=waiting_deploy(tmp_path))
    first = project.start("run", "deploy")
    wait_until(lambda: words(tmp_path) == ["begun 1"])
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (tmp_path / "go").touch()
    project.cicdctl("trigger", "deploy", "--wait", "end").passes()
    assert history(project) == [(1, "interrupted", None, None), (2, "passed", None, None)]


def test_run_from_the_queue_that_comes_too_early_waits_on_there(make_deploys, clean_env, runs):
    """Somebody took the environment after the run was claimed: it takes no place while it waits, and loses nothing."""
    project = make_deploys()
    with open_project(Invocation(directory=project.path, environ=clean_env)) as opened:
        path = environment_lock(opened, "production")
    for _ in range(2):
        with lock(path, blocking=True):
            project.cicdctl("trigger", "deploy").passes()
            for _ in range(4):
                said = project.cicdctl("_runner", str(len(runs(project)))).fails(3)
                assert 'waits for environment "production"' in said.stderr
        assert runs(project)[-1]["state"] == "queued"
        project.cicdctl("drain").passes()
    assert history(project) == [(1, "passed", None, None), (2, "passed", None, None)]


def test_environment_is_named_by_a_parameter(make_project):
    config = """
[pipelines.deploy]
environment = "{params.target}-{params.region}"
params = { target = { default = "staging", choices = ["staging", "production"] }, region = "eu" }
[pipelines.deploy.stages]
ship = "true"
"""
    project = make_project(config=config)
    project.cicdctl("run", "deploy").passes()
    project.cicdctl("trigger", "deploy", "-p", "target=production", "--wait", "end").passes()
    wrong = project.cicdctl("run", "deploy", "-p", "region=a b").fails(2)
    assert 'pipelines.deploy.environment is "staging-a b" with these parameters: a name holds' in wrong.stderr
    told = json.loads(project.cicdctl("status", "--json").passes().stdout)["environments"]
    assert {name: one["run"] for name, one in told.items()} == {"staging-eu": 1, "production-eu": 2}


def test_the_page_shows_a_configuration_that_is_one(make_project):
    page = (Path(__file__).parents[2] / "docs/deploys.md").read_text()
    build = "\n[pipelines.build.stages]\nunit = 'true'\n"
    project = make_project(config=page.partition("```toml\n")[2].partition("```")[0] + build)
    project.cicdctl("config", "validate").passes()


# --- the history


def test_what_was_deployed_is_told(make_deploys):
    project = make_deploys()
    deploy(project, "v1")
    deploy(project, "bad", status=1)
    shown = project.cicdctl("history", "--environment", "production").passes().stdout.splitlines()
    assert [line.split()[:3] for line in shown[1:]] == [["#2", "deploy", "failed"], ["#1", "deploy", "passed"]]
    assert shown[1].endswith("replaced #1")
    assert "environment  run  verdict" in project.cicdctl("status").passes().stdout
    assert "  deploys to production: replaced #1" in project.cicdctl("show", "2").passes().stdout
    told = json.loads(project.cicdctl("show", "2", "--json").passes().stdout)
    assert (told["run"]["environment"], told["deployment"]["replaced"]) == ("production", 1)
    wrong = project.cicdctl("history", "--environment", "prodution").fails(2)
    assert 'no environment "prodution", did you mean "production"?' in wrong.stderr
    assert "cannot be used" in project.cicdctl("history", "deploy", "--environment", "production").fails(2).stderr


def test_what_never_began_is_no_deployment(make_project):
    config = """
[pipelines.deploy]
environment = "production"
when = { branches = ["release"] }
[pipelines.deploy.stages]
ship = "true"
"""
    project = make_project(config=config)
    project.cicdctl("run", "deploy", "HEAD").passes()
    assert project.cicdctl("history", "--environment", "production").passes().stdout == (
        "nothing was deployed to production yet\n"
    )


def test_runs_and_commits_that_can_be_gone_back_to_stay(make_deploys, clean_env):
    """Neither pruning nor git's gc takes what a rollback needs, though no branch holds it any more."""
    project = make_deploys()
    deploy(project, "v1")
    first = project.git("rev-parse", "HEAD")
    project.git("commit", "-q", "--amend", "-m", "instead")
    deploy(project, "v2")
    project.git("reset", "-q", "--hard", "HEAD")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    with open_project(Invocation(directory=project.path, environ=clean_env)) as opened:
        assert opened.state.prune(0) == []
        assert opened.repository.ref_store.read(KEEP_PREFIX + first) == first
    project.cicdctl("rollback", "production", "--wait", "end").passes()
    assert history(project)[-1] == (3, "passed", 2, 1)


# --- back


def test_rollback_deploys_what_was_there_before(make_deploys, tmp_path):
    project = make_deploys("params = { size = '1' }")
    deploy(project, "v1", how=("run", "deploy", "HEAD", "-p", "size=7"))
    deploy(project, "v2")
    said = project.cicdctl("rollback", "production", "--dry-run").passes().stdout.splitlines()
    assert said[0].startswith("production has run #2: passed, commit ")
    assert said[1].startswith("deploy would deploy run #1 again: commit ") and said[1].endswith(", size=7")
    assert json.loads(project.cicdctl("rollback", "production", "-n", "--json").stdout)["target"]["run"] == 1
    told = json.loads(project.cicdctl("rollback", "production", "--wait", "end", "--json").passes().stdout)["run"]
    assert (told["trigger"], told["params"], told["parent"]) == ("rollback", {"size": "7"}, 2)
    assert (tmp_path / "live").read_text() == "v1"
    assert history(project) == [(1, "passed", None, None), (2, "passed", None, None), (3, "passed", 2, 1)]
    assert "rolled back by #3" in project.cicdctl("show", "2").passes().stdout
    nothing = project.cicdctl("rollback", "production").fails(3)
    assert 'nothing to roll back to: no good deployment to "production" before run #3 (passed)' in nothing.stderr


def test_rollback_to_a_run(make_deploys, tmp_path):
    project = make_deploys()
    for app in ("v1", "v2", "v3"):
        deploy(project, app)
    deploy(project, "bad", status=1)
    project.cicdctl("rollback", "production", "--to", "1", "--wait", "end").passes()
    assert (tmp_path / "live").read_text() == "v1"
    for run, why in (("4", "is failed"), ("99", "has not deployed to"), ("x", "is no run number")):
        assert why in project.cicdctl("rollback", "production", "--to", run).fails(2).stderr


def test_rollback_knows_its_environments(make_deploys):
    project = make_deploys()
    assert 'nothing was deployed to "production" yet' in project.cicdctl("rollback", "production").fails(3).stderr
    assert 'did you mean "production"?' in project.cicdctl("rollback", "prodction").fails(2).stderr
    deploy(project, "bad", status=1)
    assert "before run #1 (failed)" in project.cicdctl("rollback", "production").fails(3).stderr


@pytest.mark.parametrize("how", ["run", "trigger"])
def test_failed_deploy_is_rolled_back_by_itself(make_deploys, tmp_path, wait_for_quiet, how):
    """Once, without an approval of its own; who deployed is told what becomes of it."""
    project = make_deploys("rollback = true")
    deploy(project, "v1")
    if how == "run":
        said = deploy(project, "bad", status=1)
        assert said.stderr == ('warning: environment "production" is rolled back to what run #1 had deployed: run #3\n')
    else:
        deploy(project, "bad", status=1, how=("trigger", "deploy", "--wait", "end"))
    found = wait_for_quiet(project, 3)
    assert [run["verdict"] for run in found] == ["passed", "failed", "passed"]
    assert history(project)[1:] == [(2, "failed", None, None), (3, "passed", 2, 1)]
    assert (tmp_path / "live").read_text() == "v1"


def test_rollback_that_fails_is_not_rolled_back(make_deploys, tmp_path, wait_for_quiet):
    project = make_deploys("rollback = true", CONFIG.replace("! grep broken app", f"! test -e {tmp_path}/down"))
    deploy(project, "v1")
    (tmp_path / "down").touch()
    deploy(project, "v2", status=1)
    found = wait_for_quiet(project, 3)
    assert [run["verdict"] for run in found] == ["passed", "failed", "failed"]
    log = (project.path / ".git/cicdctl/logs/3/runner.log").read_text()
    assert 'the rollback of environment "production" did not pass; it is not tried again' in log


def test_nothing_to_roll_back_to_is_told(make_deploys, runs):
    project = make_deploys("rollback = true")
    said = deploy(project, "bad", status=1)
    assert "run #1 is not rolled back: nothing to roll back to" in said.stderr
    assert len(runs(project)) == 1
    assert project.cicdctl("drain").passes().stdout == "nothing waits, and nothing runs\n"


def test_health_check_asks_for_the_rollback_of_what_is_not_healthy_only(make_deploys, wait_for_quiet):
    config = CONFIG.replace(
        'health_check = "! grep bad {live}"', 'health_check = {{ run = "! grep bad {live}", rollback = true }}'
    )
    project = make_deploys("", config)
    deploy(project, "v1")
    deploy(project, "broken", status=1)
    deploy(project, "bad", status=1)
    assert [run["trigger"] for run in wait_for_quiet(project, 4)] == ["manual"] * 3 + ["rollback"]
    assert history(project)[-1] == (4, "passed", 3, 1)


def test_approval_is_needed_by_hand_and_not_by_itself(make_deploys, wait_for_quiet, tmp_path):
    project = make_deploys("rollback = true\napproval = true")
    for number, app in enumerate(("v1", "v2", "bad"), 1):
        deploy(project, app, how=("trigger", "deploy"))
        project.cicdctl("approve", str(number)).passes()
        wait_for_quiet(project, number)
    assert [run["verdict"] for run in wait_for_quiet(project, 4)] == ["passed", "passed", "failed", "passed"]
    assert (tmp_path / "live").read_text() == "v2"
    assert "waits for an approval" in project.cicdctl("rollback", "production").passes().stderr
    project.cicdctl("approve", "5").passes()
    wait_for_quiet(project, 5)
    assert (tmp_path / "live").read_text() == "v1"


def test_rollback_comes_before_the_next_deploy(make_project, tmp_path, wait_for_quiet, wait_until):
    """Deploys that waited while one failed are not undone by its rollback."""
    config = f"""
[pipelines.deploy]
environment = "production"
rollback = true
[pipelines.deploy.stages]
ship = '''cat app >> {tmp_path}/log; until test -e {tmp_path}/go; do sleep 0.02; done; ! grep bad app'''
"""
    project = make_project(config=config, files={"app": "v1\n"})
    (tmp_path / "go").touch()
    deploy(project, "v1\n")
    (tmp_path / "go").unlink()
    deploy(project, "bad\n", how=("trigger", "deploy"))
    wait_until(lambda: words(tmp_path) == ["v1", "bad"])
    deploy(project, "v2\n", how=("trigger", "deploy"))
    (tmp_path / "go").touch()
    wait_for_quiet(project, 4)
    assert words(tmp_path) == ["v1", "bad", "v1", "v2"]


def test_rollback_of_what_is_not_there_any_more_is_superseded(make_deploys, tmp_path, wait_for_quiet):
    project = make_deploys()
    deploy(project, "v1")
    deploy(project, "v2")
    project.cicdctl("pause").passes()
    project.cicdctl("rollback", "production").passes()
    deploy(project, "v3")
    project.cicdctl("resume").passes()
    ended = wait_for_quiet(project, 4)[2]
    assert (ended["verdict"], ended["reason"]) == (
        "cancelled",
        'superseded: run #4 has deployed to "production" meanwhile',
    )
    assert (tmp_path / "live").read_text() == "v3"


# --- what deploys nothing


def test_ranges_bisect_and_local_hooks_deploy_nothing(make_project, tmp_path):
    config = f"""
[pipelines.deploy]
trigger = "on_commit"
environment = "production"
[pipelines.deploy.stages]
ship = "touch {tmp_path}/shipped"
"""
    project = make_project(config=config)
    project.commit("second")
    for command in (("run", "deploy", "HEAD~1..HEAD"), ("bisect", "deploy", "ship", "HEAD~1..HEAD")):
        assert "it runs on one commit at a time" in project.cicdctl(*command).fails(2).stderr
    project.cicdctl("hook", "install", "pre-commit").passes()
    project.commit("third")
    assert not (tmp_path / "shipped").exists()


def test_ref_that_nobody_trusts_deploys_nothing(make_project, tmp_path, wait_for_quiet):
    config = f"""
[pipelines.deploy]
trigger = "on_commit"
environment = "production"
[pipelines.deploy.stages]
ship = "touch {tmp_path}/shipped"
[orchestrator]
trust = {{ refs = ["main"] }}
"""
    project = make_project(config=config)
    project.cicdctl("watch", "--once").passes()
    project.git("checkout", "-q", "-b", "topic")
    project.commit("from somebody")
    project.cicdctl("watch", "--once").passes()
    (run,) = wait_for_quiet(project, 1)
    assert (run["verdict"], run["reason"]) == ("skipped", 'it deploys to "production", and this ref is not trusted')
    assert not (tmp_path / "shipped").exists()


# --- killed


@pytest.mark.parametrize("point", ["environment-entered", "stage-submitted", "run-finishing", "run-recorded"])
def test_killed_runner_leaves_one_deployment_and_a_free_environment(
    make_deploys, allow_failpoints, clean_env, wait_for_quiet, point
):
    project = make_deploys("rollback = true")
    deploy(project, "v1")
    allow_failpoints(project.path)
    project.write("app", "v2")
    project.commit("second")
    project.cicdctl("run", "deploy", "HEAD", env={"CICDCTL_FAILPOINT": point}).fails(137)
    with open_project(Invocation(directory=project.path, environ=clean_env)) as opened:
        assert is_locked(environment_lock(opened, "production")) is None
    age_of_queued_runs(project.path)
    project.cicdctl("drain")
    wait_for_quiet(project)
    second = {"environment-entered": [], "run-recorded": [(2, "passed", None, None)]}.get(
        point, [(2, "interrupted", None, None), (3, "passed", 2, 1)]
    )
    assert history(project) == [(1, "passed", None, None), *second]


@pytest.mark.parametrize("point", ["rollback-due", "intake-pinned", "queue-accept", "intake-recorded"])
def test_rollback_is_queued_once_whoever_was_killed(make_deploys, allow_failpoints, wait_for_quiet, point):
    project = make_deploys("rollback = true")
    deploy(project, "v1")
    allow_failpoints(project.path)
    project.write("app", "bad")
    project.commit("second")
    project.cicdctl("run", "deploy", "HEAD", env={"CICDCTL_FAILPOINT": point}).fails(137)
    project.cicdctl("drain").passes()
    assert [run["trigger"] for run in wait_for_quiet(project, 3)] == ["manual", "manual", "rollback"]
    assert history(project)[1:] == [(2, "failed", None, None), (3, "passed", 2, 1)]


def age_of_queued_runs(repository) -> None:
    """Make runs that no runner has taken up old enough to be seen as such."""
    import sqlite3

    connection = sqlite3.connect(repository / ".git/cicdctl/state.db")
    for number, document in connection.execute("SELECT id, document FROM run WHERE state = 'queued'").fetchall():
        aged = json.dumps(json.loads(document) | {"created_at": time.time() - 3600})
        connection.execute("UPDATE run SET document = ? WHERE id = ?", (aged, number))
    connection.commit()
    connection.close()
