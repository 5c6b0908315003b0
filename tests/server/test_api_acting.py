"""What changes runs and the queue: each does what the command line does, once, and says no where that is impossible."""

from __future__ import annotations

import time

import pytest

from cicdctl.model import Verdict

from .conftest import operator_file, wait_for
from .test_api_reading import TRUSTED, remember

CONFIG = """
[pipelines.build.stages]
lint = "echo $RANDOM"
unit = "test ! -e bad"
[pipelines.slow]
concurrency = "slow"
[pipelines.slow.stages]
wait = "echo begun; until test -e {folder}/go; do sleep 0.05; done"
[pipelines.ship]
approval = true
[pipelines.ship.stages]
ship = "true"
[pipelines.deploy]
environment = "production"
[pipelines.deploy.stages]
ship = "true"
"""


@pytest.fixture
def server(make_project, serve, tmp_path):
    project = make_project(CONFIG.format(folder=tmp_path))
    operator_file(project, TRUSTED)
    return serve(project)


@pytest.fixture
def act(server):
    """Post with a token that may do everything; gives the answer."""
    token = server.token("admin", name="ada")
    return lambda path, body=None: server.ask("POST", path, token=token, json_body=body)


def test_cancel_ends_a_run_that_goes_on(server, act):
    """With the reason that was given; what has ended already is refused, and stays as it was."""
    number = server.run("slow", wait="start")
    answer = act(f"/api/runs/{number}/cancel", {"reason": "not now"})
    assert (answer.status, answer.json["run"]["number"]) == (202, number)
    ended = server.wait_for_run(number)["run"]
    assert (ended["verdict"], ended["reason"]) == ("cancelled", "not now")
    act(f"/api/runs/{number}/cancel").is_refused(409, "ended")
    act("/api/runs/99/cancel").is_refused(404, "no_such_run")
    # Without a reason it says who it was; a run that waits ends at once.
    number = server.run("ship")
    assert act(f"/api/runs/{number}/cancel").json["run"]["verdict"] == "cancelled"
    assert server.ask("GET", f"/api/runs/{number}").json["run"]["reason"] == "cancelled by ada"


def test_rerun_is_a_new_run_of_the_same_commit(server, act, tmp_path):
    """`failed` keeps what passed; one that has not ended is refused; the trust is that of the first."""
    server.project.write("bad", "")
    server.project.commit("bad")
    number = server.run(wait="end")
    answer = act(f"/api/runs/{number}/rerun", {"failed": True})
    again = server.wait_for_run(answer.json["run"]["number"])
    assert (answer.status, answer.json["url"]) == (202, f"/r/{again['run']['number']}")
    assert (again["run"]["parent"], again["run"]["verdict"], again["run"]["trigger"]) == (number, "failed", "api")
    assert again["run"]["started_by"] == "ada"
    assert [(stage["stage"], stage["cached"]) for stage in again["stages"]] == [("lint", True), ("unit", False)]
    whole = server.wait_for_run(act(f"/api/runs/{number}/rerun", {"no_cache": True}).json["run"]["number"])
    assert [(stage["stage"], stage["cached"]) for stage in whole["stages"]] == [("lint", False), ("unit", False)]

    slow = server.run("slow", wait="start")
    act(f"/api/runs/{slow}/rerun").is_refused(409, "goes_on")
    act("/api/runs/99/rerun").is_refused(404, "no_such_run")
    act(f"/api/runs/{number}/rerun", {"failed": "yes"}).is_refused(400, "body")
    only = server.token("trigger:ship", name="only-ship")
    server.ask("POST", f"/api/runs/{number}/rerun", token=only).is_refused(403, "scope")
    (tmp_path / "go").touch()
    server.wait_for_run(slow)


def test_resume_goes_on_with_what_was_interrupted(server, act):
    """As a new run; any other is refused."""
    commit = server.project.git("rev-parse", "HEAD")
    tree = server.project.git("rev-parse", "HEAD^{tree}")
    fields = {"commit": commit, "tree": tree, "verdict": Verdict.INTERRUPTED, "created_at": time.time() - 60}
    number = remember(server.project, **fields)
    answer = act(f"/api/runs/{number}/resume")
    assert answer.status == 202, answer.text
    again = server.wait_for_run(answer.json["run"]["number"])["run"]
    assert (again["parent"], again["verdict"], again["started_by"]) == (number, "passed", "ada")
    act(f"/api/runs/{again['number']}/resume").is_refused(409, "not_interrupted")
    act("/api/runs/99/resume").is_refused(404, "no_such_run")


def test_approve_lets_a_run_start_once(server, act):
    """Whoever waits for its end is answered at once, for it may take days."""
    waiting = server.ask("POST", "/trigger/ship", token=server.token("trigger"), json_body={"wait": "end"})
    assert (waiting.status, waiting.json["run"]["state"]) == (202, "blocked")
    number = waiting.json["run"]["number"]
    [queued] = server.ask("GET", "/api/queue").json["waiting"]
    assert (queued["run"]["number"], queued["why"], queued["text"]) == (number, "approval", "an approval")
    assert act(f"/api/runs/{number}/approve").status == 202
    assert server.wait_for_run(number)["run"]["verdict"] == "passed"
    act(f"/api/runs/{number}/approve").is_refused(409, "not_blocked")
    act("/api/runs/99/approve").is_refused(404, "no_such_run")


def test_paused_pipeline_starts_nothing(server, act):
    """One pipeline or all; asking again changes nothing; what waited meanwhile runs afterwards."""
    assert act("/api/pause", {"pipeline": "build"}).json == {"pipeline": "build", "paused": True, "changed": True}
    assert act("/api/pause", {"pipeline": "build"}).json["changed"] is False
    act("/api/pause", {"pipeline": "biuld"}).is_refused(404, "no_such_pipeline")
    waiting = server.ask("POST", "/trigger/build", token=server.token("trigger"), json_body={"wait": "end"})
    assert waiting.json["run"]["state"] == "queued"
    number = waiting.json["run"]["number"]
    queue = server.ask("GET", "/api/queue").json
    assert queue["paused"] == ["build"] and queue["waiting_total"] == 1
    assert (queue["waiting"][0]["why"], queue["waiting"][0]["text"]) == ("paused", 'pipeline "build" is paused')
    assert [one["name"] for one in server.ask("GET", "/api/pipelines").json["pipelines"] if one["paused"]] == ["build"]
    assert act("/api/drain").json == {"started": []}
    told = act("/api/unpause", {"pipeline": "build"}).json
    assert told.pop("started") in ([number], [])  # none where the orchestrator was faster
    assert told == {"pipeline": "build", "paused": False, "changed": True}
    assert server.wait_for_run(number)["run"]["verdict"] == "passed"

    assert act("/api/pause").json["pipeline"] == ""
    assert server.ask("GET", "/api/queue").json["paused"] == [""]
    number = server.run("ship")
    act(f"/api/runs/{number}/cancel")
    assert act("/api/unpause").json["changed"] is True
    assert act("/api/unpause").json["changed"] is False
    act("/api/pause", {"pipelines": "build"}).is_refused(400, "body")


def test_queue_says_for_what_each_run_waits(server, act, tmp_path):
    """Two of one group: the second waits for the first, by its number."""
    first = server.run("slow", wait="start")
    second = server.run("slow")
    wait_for(lambda: [run["number"] for run in server.ask("GET", "/api/queue").json["running"]] == [first])
    [waiting] = server.ask("GET", "/api/queue").json["waiting"]
    assert (waiting["run"]["number"], waiting["why"], waiting["behind"]) == (second, "group", [first])
    (tmp_path / "go").touch()
    assert server.wait_for_run(second)["run"]["verdict"] == "passed"
    assert server.ask("GET", "/api/queue").json["waiting"] == []


def test_rollback_deploys_what_was_there_before(server, act):
    """As a run of its own; without anything before it, or to a run that did not deploy, it is refused."""
    act("/api/environments/prodution/rollback").is_refused(404, "no_such_environment")
    act("/api/environments/production/rollback").is_refused(409, "nothing_to_roll_back")
    first = server.run("deploy", wait="end")
    server.project.commit("second")
    second = server.run("deploy", wait="end")
    act("/api/environments/production/rollback", {"to": 99}).is_refused(409, "nothing_to_roll_back")
    only = server.token("trigger:build", name="only-build")
    server.ask("POST", "/api/environments/production/rollback", token=only).is_refused(403, "scope")
    answer = act("/api/environments/production/rollback", {"to": first})
    assert answer.status == 202
    ended = server.wait_for_run(answer.json["run"]["number"])
    assert (ended["run"]["trigger"], ended["run"]["parent"]) == ("rollback", second)
    assert ended["run"]["started_by"] == "ada"
    newest = server.ask("GET", "/api/environments/production?limit=1").json["deployments"]
    assert [(one["restores"], one["undoes"]) for one in newest] == [(first, second)]
