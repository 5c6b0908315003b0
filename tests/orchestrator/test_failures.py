"""What follows a red run: the queue is held, people are asked, the culprit is named, lost runs are queued again."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from queue import SimpleQueue

import pytest

from cicdctl.orchestrator import looking
from cicdctl.orchestrator.looking import Looker

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "test ! -e broken"
[orchestrator]
trust = { refs = ["**"] }
"""
TOLD = """
[notifiers.console]
on = ["escalated", "culprit", "broken"]
"""


def told_of(project, event: str) -> list[str]:
    """The texts that notifiers were handed."""
    project.cicdctl("notify", "send")
    path = project.path / ".git/cicdctl/notices.log"
    return [line for line in path.read_text().splitlines() if event in line] if path.exists() else []


def test_pause_after_failure(make_project, wait_for_quiet):
    """What fails from the queue holds its pipeline until somebody says so; the other one goes on."""
    other = '[pipelines.other]\ntrigger = "on_commit"\nstages = { unit = "true" }\n'
    project = make_project(config=other + CONFIG + "failure_handling = { pause_on_failure = true, auto_fix = false }\n")
    project.write("broken", "")
    project.commit("breaks it")
    project.cicdctl("trigger", "build", "--wait", "end").fails(1)
    status = json.loads(project.cicdctl("status", "--json").passes().stdout)
    assert status["paused"] == ["build"]
    assert "paused: pipeline \"build\"" in project.cicdctl("status").passes().stdout
    project.cicdctl("trigger", "other", "--wait", "end").passes()
    assert "paused" in project.cicdctl("trigger", "build", "--wait", "end").fails(6).stderr

    project.cicdctl("resume", "build").passes()
    runs = wait_for_quiet(project, 3)
    assert [run["verdict"] for run in runs] == ["failed", "passed", "failed"]


def test_by_hand_nothing_is_held(make_project):
    project = make_project(config=CONFIG + "failure_handling = { pause_on_failure = true, auto_fix = false }\n")
    project.write("broken", "")
    project.cicdctl("run", "build").fails(1)
    assert json.loads(project.cicdctl("status", "--json").passes().stdout)["paused"] == []


@pytest.fixture
def watched(make_project, wait_for_quiet):
    """A repository whose commits are run by `watch --once`, one after the other; gives (project, run the tip)."""
    project = make_project(config=CONFIG + "failure_handling = { escalate_after = 2, auto_fix = false }\n" + TOLD)
    project.cicdctl("watch", "--once").passes()
    count = 0

    def run_tip() -> dict:
        nonlocal count
        count += 1
        project.cicdctl("watch", "--once").passes()
        return wait_for_quiet(project, count)[-1]

    project.write("first", "")
    project.commit("first change")
    assert run_tip()["verdict"] == "passed"
    return project, run_tip


def test_one_new_commit_is_the_culprit(watched):
    """Where only one commit is new nothing has to be searched for."""
    project, run_tip = watched
    project.write("broken", "")
    commit = project.commit("breaks it")
    run = run_tip()
    assert run["verdict"] == "failed"
    culprit = json.loads(project.cicdctl("show", str(run["number"]), "--json").passes().stdout)["culprit"]
    assert (culprit["commit"], culprit["subject"], culprit["stage"]) == (commit, "breaks it", "unit")
    assert f"broken by {commit[:10]}  breaks it" in project.cicdctl("show", str(run["number"])).passes().stdout


def test_of_many_commits_the_culprit_is_searched_for(watched, wait_until):
    """In the background, by runs that decide nothing about the branch."""
    project, run_tip = watched
    project.write("a", "")
    project.commit("harmless")
    project.write("broken", "")
    commit = project.commit("breaks it")
    project.write("b", "")
    project.commit("harmless too")
    run = run_tip()

    def culprit() -> dict | None:
        return json.loads(project.cicdctl("show", str(run["number"]), "--json").passes().stdout)["culprit"]

    wait_until(lambda: culprit() is not None, what="the culprit")
    assert culprit()["commit"] == commit
    assert "found by bisect among 3 commits" in culprit()["why"]
    told = json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]
    assert {one["trigger"] for one in told if one["number"] > run["number"]} == {"bisect"}
    status = json.loads(project.cicdctl("status", "--json").passes().stdout)
    assert status["pipelines"]["build"][0]["number"] == run["number"]


def test_red_for_the_second_time_escalates_once(watched):
    """`escalate_after` counts runs of the branch in a row, and is told once."""
    project, run_tip = watched
    for number in range(3):
        project.write("broken", str(number))
        project.commit(f"red {number}")
        assert run_tip()["verdict"] == "failed"
    logs = [path.read_text() for path in (project.path / ".git/cicdctl/logs").glob("*/runner.log")]
    assert "".join(logs).count("has failed 2 times in a row on refs/heads/main") == 1


def test_lost_run_is_queued_again_while_somebody_watches(make_project, wait_until, tmp_path):
    """A runner that is killed costs a try, not the run: what passed is kept, and the next one goes on."""
    flag, log = tmp_path / "flag", tmp_path / "log"
    config = f"""
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
first = "echo first >> {log}"
slow = "echo slow >> {log}; test -e {flag} || sleep 60"
[orchestrator]
polling_interval = 1
trust = {{ refs = ["**"] }}
"""
    project = make_project(config=config)
    watch = project.start("watch")
    try:
        wait_until(lambda: (project.path / ".git/cicdctl/locks/orchestrator").exists(), what="the orchestrator")
        time.sleep(1.5)  # the first look
        project.write("x", "")
        project.commit("a change")
        wait_until(lambda: log.exists() and "slow" in log.read_text(), what="the second stage")
        flag.touch()
        runner = next(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_runner(pid, project.path))
        os.kill(runner, signal.SIGKILL)

        def runs() -> list[dict]:
            return json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]

        wait_until(lambda: len(runs()) == 2 and runs()[0]["verdict"] is not None, what="the second try")
        assert [(run["verdict"], run["parent"]) for run in runs()] == [("passed", 1), ("interrupted", None)]
        assert log.read_text().split() == ["first", "slow", "slow"]
    finally:
        watch.terminate()
        watch.communicate()


def is_runner(pid: str, folder) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return b"_runner" in words and os.fsencode(folder) in words


def test_interrupted_run_goes_on_by_hand(make_project, tmp_path):
    """`resume RUN` queues what was lost; a run that ended otherwise is no matter for it."""
    project = make_project(config=CONFIG)
    project.cicdctl("run", "build").passes()
    assert "was not interrupted: it is passed" in project.cicdctl("resume", "1").fails(2).stderr
    assert "there is no run" in project.cicdctl("resume", "9").fails(3).stderr


class Hanging:
    def look(self):
        threading.Event().wait(30)

    def close(self) -> None:
        pass


def test_monitor_that_hangs_is_cut_and_switched_off(monkeypatch):
    """Its look is left behind after the limit; after five failures in a row it is asked no more."""
    inbox: SimpleQueue = SimpleQueue()
    looker = Looker("plugin", "", Hanging, inbox, interval_s=0.01, limit_s=0.02)
    looker._interval_s = 0.001
    looker.start()
    told = [inbox.get(timeout=10).failure for _ in range(looking.MOST_FAILURES + 1)]
    looker.join(5)
    assert not looker.is_alive()
    assert told[0] == "no answer after 0.02 s"
    assert told[-1] == "monitor plugin is off after 5 failures in a row"
