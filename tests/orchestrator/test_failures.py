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
from tests.conftest import marked_processes

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
[notifiers.git-notes]
"""


def told(project, words: str) -> list[str]:
    """The lines that a notifier has written with these words in them, once it has written all."""
    assert "waiting" not in project.cicdctl("notify", "send").stdout
    lines = (project.path / ".git/cicdctl/notices.log").read_text().splitlines()
    return [line for line in lines if words in line]


def shown(project, number: int) -> dict:
    return json.loads(project.cicdctl("show", str(number), "--json").passes().stdout)


def test_pause_after_failure(make_project, wait_for_quiet):
    """What fails from the queue holds its pipeline until somebody says so; the other one goes on."""
    other = '[pipelines.other]\ntrigger = "on_commit"\nstages = { unit = "true" }\n'
    project = make_project(config=other + CONFIG + "failure_handling = { pause_on_failure = true, auto_fix = false }\n")
    project.write("broken", "")
    project.commit("breaks it")
    project.cicdctl("trigger", "build", "--wait", "end").fails(1)
    status = json.loads(project.cicdctl("status", "--json").passes().stdout)
    assert status["paused"] == ["build"]
    assert 'paused: pipeline "build" since #1 failed; cicdctl resume build' in project.cicdctl("status").passes().stdout
    project.cicdctl("trigger", "other", "--wait", "end").passes()
    assert (
        'pipeline "build" is paused since #1 failed'
        in project.cicdctl("trigger", "build", "--wait", "end").fails(6).stderr
    )

    project.cicdctl("resume", "build").passes()
    runs = wait_for_quiet(project, 3)
    assert [run["verdict"] for run in runs] == ["failed", "passed", "failed"]
    # Paused again by the next failure, then by hand: no run is to blame for that.
    assert "since #3 failed" in project.cicdctl("status").passes().stdout
    project.cicdctl("resume").passes()
    project.cicdctl("pause", "build").passes()
    assert 'did you mean "build"?' in project.cicdctl("pause", "biuld").fails(2).stderr
    assert 'paused: pipeline "build"; cicdctl' in project.cicdctl("status").passes().stdout


@pytest.mark.parametrize(("killed", "new"), [("applying", "good"), ("done", "good"), ("done", "BAD")])
def test_fix_that_is_killed_leaves_no_pipeline_waiting(make_project, wait_until, allow_failpoints, killed, new):
    """Whoever watches goes on with it, and with what it would have done: the queue goes on, or people are told."""
    settings = "failure_handling = { pause_on_failure = true }\n"
    fixer = f'[fixers.mine]\nrun = "sed -i s/BAD/{new}/ app"\npaths = ["app"]\n'
    config = CONFIG.replace("test ! -e broken", "! grep BAD app") + settings + TOLD + fixer
    project = make_project(config=config, files={"app": "BAD\n"})
    allow_failpoints(project.path)
    project.cicdctl("trigger", "build", "--wait", "end", env={"CICDCTL_FAILPOINT": f"fix-{killed}"}).fails(1)

    def state() -> str:
        listed = json.loads(project.cicdctl("fix", "list", "--json").passes().stdout)["fixes"]
        return listed[0]["state"] if listed else ""

    def is_paused() -> bool:
        return bool(json.loads(project.cicdctl("status", "--json").passes().stdout)["paused"])

    wait_until(lambda: state() == killed and not marked_processes(os.fsencode(project.path)), what="its end")
    assert is_paused()
    assert not told(project, "needs a person")
    project.cicdctl("watch", "--once").passes()
    if new == "good":
        wait_until(lambda: not is_paused(), what="the queue")
        assert not told(project, "needs a person")
    else:
        project.cicdctl("watch", "--once").passes()
        assert len(told(project, "needs a person on main (#1)")) == 1
        assert is_paused()


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
        return [run for run in wait_for_quiet(project, count) if run["trigger"] == "commit"][-1]

    project.write("first", "")
    project.commit("first change")
    assert run_tip()["verdict"] == "passed"
    return project, run_tip


def noted(project, commit: str) -> list[dict]:
    project.cicdctl("notify", "send")
    return [json.loads(line) for line in project.git("notes", "--ref", "cicdctl", "show", commit).splitlines()]


def test_one_new_commit_is_the_culprit(watched, wait_until):
    """Where only one commit is new nothing has to be searched for."""
    project, run_tip = watched
    project.write("broken", "")
    commit = project.commit("breaks it")
    run = run_tip()
    assert run["verdict"] == "failed"
    culprit = shown(project, run["number"])["culprit"]
    assert (culprit["commit"], culprit["subject"], culprit["stage"]) == (commit, "breaks it", "unit")
    assert f"broken by {commit[:10]}  breaks it" in project.cicdctl("show", str(run["number"])).passes().stdout
    wait_until(lambda: told(project, "was broken by one commit on main"), what="the notice")
    wait_until(lambda: len(noted(project, commit)) == 2, what="the note")
    assert [line.get("culprit") for line in noted(project, commit)] == [None, commit]


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

    wait_until(lambda: shown(project, run["number"])["culprit"] is not None, what="the culprit")
    culprit = shown(project, run["number"])["culprit"]
    assert culprit["commit"] == commit
    assert "found by bisect among 3 commits" in culprit["why"]
    listed = json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]
    assert {one["trigger"] for one in listed if one["number"] > run["number"]} == {"bisect"}
    status = json.loads(project.cicdctl("status", "--json").passes().stdout)
    assert status["pipelines"]["build"][0]["number"] == run["number"]


def test_red_for_the_second_time_escalates_once(watched, wait_until):
    """`escalate_after` counts runs of the branch in a row; it is told once, and again only after a green one."""
    project, run_tip = watched
    for text in ("1", "2", "3", None, "4", "5"):
        if text is None:
            (project.path / "broken").unlink()
        else:
            project.write("broken", text)
        project.commit(f"state {text}")
        assert run_tip()["verdict"] == ("passed" if text is None else "failed")
        logs = [path.read_text() for path in (project.path / ".git/cicdctl/logs").glob("*/runner.log")]
        times = "".join(logs).count("has failed 2 times in a row on refs/heads/main")
        assert times == {"1": 0, "5": 2}.get(text, 1)
    wait_until(lambda: len(told(project, "needs a person")) == 2, what="both notices")


def test_search_gets_no_more_than_the_run(make_project, wait_for_quiet, wait_until):
    """A branch that nobody trusts turns red: what is tried for it is trusted no more, and sees its ref."""
    project = make_project(config=CONFIG.replace('"**"', '"main"') + "failure_handling = { auto_fix = false }\n")
    project.cicdctl("watch", "--once").passes()
    project.git("checkout", "-q", "-b", "theirs")
    for names in (["a"], ["b", "broken"]):
        for name in names:
            project.write(name, "")
            commit = project.commit(name)
        project.cicdctl("watch", "--once").passes()
        wait_for_quiet(project, 1)
    wait_until(lambda: shown(project, 2)["culprit"] is not None, what="the culprit")
    assert shown(project, 2)["culprit"]["commit"] == commit
    tried = [run for run in wait_for_quiet(project) if run["trigger"] == "bisect"]
    assert tried
    assert {(run["trust"], run["ref"]) for run in tried} == {("untrusted", "refs/heads/theirs")}


def test_search_that_names_nobody_says_why(make_project, wait_for_quiet, wait_until):
    """A stage that passes as soon as it is tried again has no culprit."""
    config = CONFIG.replace("test ! -e broken", "test ! -e broken || test $CICD_TRIGGER = bisect")
    project = make_project(config=config + "failure_handling = { auto_fix = false }\n")
    project.cicdctl("watch", "--once").passes()
    for names in (["a"], ["b", "broken"]):
        for name in names:
            project.write(name, "")
            project.commit(name)
        project.cicdctl("watch", "--once").passes()
        runs = wait_for_quiet(project)
    assert [run["verdict"] for run in runs if run["trigger"] == "commit"] == ["passed", "failed"]
    words = "no commit is named: the stage passed when it was tried again"
    wait_until(lambda: shown(project, 2)["culprit_search"] == words, what="the word")
    assert f"broken by ?  {words}" in project.cicdctl("show", "2").passes().stdout


def test_search_comes_behind_the_queue_and_survives(make_project, wait_for_quiet, wait_until, tmp_path):
    """It begins no run while as many go on as may; killed, it is started again by whoever watches."""
    flag = tmp_path / "flag"
    other = f'[pipelines.other]\nstages = {{ slow = "until test -e {flag}; do sleep 0.05; done" }}\n'
    limits = "max_parallel_pipelines = 1\nfailure_handling = { auto_fix = false }\n"
    project = make_project(config=other + CONFIG + limits)
    project.cicdctl("run", "build", "main").passes()
    for name in ("a", "broken"):
        project.write(name, "")
        project.commit(name)
    project.cicdctl("pause").passes()
    project.cicdctl("trigger", "build", "main").passes()
    project.cicdctl("trigger", "other", "main").passes()
    project.cicdctl("resume").passes()
    searches: list[int] = []

    def is_searching() -> bool:
        searches[:] = [
            int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_ours(pid, b"--for", project.path)
        ]
        return bool(searches)

    wait_until(is_searching, what="the search")
    wait_until(lambda: (project.path / ".git/cicdctl/locks/culprit-2.lock").exists(), what="its begin")
    assert "broken by ?  the commit is being looked for" in project.cicdctl("show", "2").passes().stdout
    for pid in searches:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_searching(), what="its end")
    project.cicdctl("watch", "--once").passes()
    wait_until(is_searching, what="the second search")
    flag.touch()
    wait_until(lambda: shown(project, 2)["culprit"] is not None, what="the culprit")
    runs = wait_for_quiet(project)
    (slow,) = (run for run in runs if run["pipeline"] == "other")
    tried = [run for run in runs if run["trigger"] == "bisect"]
    assert tried and all(run["created_at"] >= slow["finished_at"] for run in tried)


def test_killed_right_after_the_failure(make_project, wait_for_quiet, wait_until, allow_failpoints):
    """What is to follow a failure is done by whoever watches, when the runner did not live to do it."""
    project = make_project(config=CONFIG + "failure_handling = { escalate_after = 1, auto_fix = false }\n")
    allow_failpoints(project.path)
    project.cicdctl("run", "build", "main").passes()
    project.write("broken", "")
    commit = project.commit("breaks it")
    project.cicdctl("trigger", "build", "main", env={"CICDCTL_FAILPOINT": "run-recorded"}).passes()
    wait_for_quiet(project, 2)
    wait_until(lambda: not any(is_runner(pid, project.path) for pid in os.listdir("/proc") if pid.isdigit()))
    assert shown(project, 2)["culprit"] is None
    for _ in range(2):
        project.cicdctl("watch", "--once").passes()
        assert shown(project, 2)["culprit"]["commit"] == commit
    events = [event["kind"] for event in shown(project, 2).get("events", [])]
    assert events.count("culprit") <= 1


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
    return is_ours(pid, b"_runner", folder)


def is_ours(pid: str, word: bytes, folder) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return word in words and os.fsencode(folder) in words


LOST = """
[pipelines.build]
trigger = "on_commit"
stages = { unit = "true" }
[pipelines.publish]
side_effects = true
stages = { unit = "true" }
[orchestrator]
trust = { refs = ["**"] }
"""


@pytest.fixture
def lose(make_project, wait_until, allow_failpoints):
    """Make a repository where a command has started a run whose runner died over it."""

    def make(*argv: str, config: str = LOST):
        project = make_project(config=config)
        allow_failpoints(project.path)
        project.cicdctl("watch", "--once").passes()
        project.commit("a change")
        project.cicdctl(*argv, env={"CICDCTL_FAILPOINT": "run-finishing"}).passes()
        wait_until(lambda: (project.path / ".git/cicdctl/locks/run-1.lock").exists(), what="the runner")
        wait_until(lambda: not any(is_runner(pid, project.path) for pid in os.listdir("/proc") if pid.isdigit()))
        return project

    return make


def test_triggered_run_is_queued_again(lose, wait_for_quiet):
    """Also one that a person asked for: whoever did may have gone home."""
    project = lose("trigger", "build", "HEAD~1")
    project.cicdctl("watch", "--once").passes()
    runs = [run for run in wait_for_quiet(project, 3) if run["trigger"] == "manual"]
    assert [(run["verdict"], run["parent"]) for run in runs] == [("interrupted", None), ("passed", 1)]
    assert runs[0]["started_by"] == runs[1]["started_by"] != ""


@pytest.mark.parametrize(
    ("argv", "config"),
    [
        (("trigger", "publish", "HEAD~1"), LOST),
        (("trigger", "build", "HEAD~1"), LOST + "failure_handling = { max_retries = 0 }\n"),
        (("run", "build", "HEAD~1", "--detach"), LOST),
    ],
)
def test_not_queued_again(lose, wait_for_quiet, argv, config):
    """What has side effects, what the operator does not want, and what waited in no queue."""
    project = lose(*argv, config=config)
    project.cicdctl("watch", "--once").passes()
    runs = [run for run in wait_for_quiet(project, 2) if run["trigger"] == "manual"]
    assert [run["verdict"] for run in runs] == ["interrupted"]


def test_newer_commit_takes_the_place_of_a_lost_run(lose, wait_for_quiet):
    """A branch that has gone on is not judged by its old commit, and its new one is not superseded by that."""
    project = lose("watch", "--once")
    newest = project.commit("a newer change")
    project.cicdctl("watch", "--once").passes()
    runs = wait_for_quiet(project, 2)
    assert [run["verdict"] for run in runs] == ["interrupted", "passed"]
    assert runs[1]["commit"] == newest


def test_letters_are_sent_while_somebody_watches(make_project, wait_until, allow_failpoints):
    """Whoever was to send them was killed: nobody has to run a command for them to arrive."""
    settings = "failure_handling = { pause_on_failure = true, auto_fix = false }\n"
    project = make_project(config=CONFIG + settings + TOLD.replace('"broken"', '"failed"'))
    allow_failpoints(project.path)
    watch = project.start("watch")
    try:
        wait_until(lambda: (project.path / ".git/cicdctl/locks/orchestrator").exists(), what="the orchestrator")
        project.write("broken", "")
        project.commit("breaks it")
        killed = {"CICDCTL_FAILPOINT": "outbox-spread"}
        project.cicdctl("trigger", "build", "main", "--wait", "end").fails(1)
        project.cicdctl("run", "build", "main", env=killed).fails(1)
        told_of = project.path / ".git/cicdctl/notices.log"
        wait_until(lambda: told_of.exists() and "failed on main (#2)" in told_of.read_text(), what="the notice")
    finally:
        watch.terminate()
        log = watch.communicate()[1]
    assert "pipeline build is paused since #1 failed" in log
    assert "Traceback" not in log


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


def hang_while_opening() -> Hanging:
    threading.Event().wait(30)
    return Hanging()


@pytest.mark.parametrize("opening", [Hanging, hang_while_opening])
def test_monitor_that_hangs_is_cut_and_switched_off(opening):
    """Its look is left behind after the limit; after five failures in a row it is asked no more."""
    inbox: SimpleQueue = SimpleQueue()
    looker = Looker("plugin", "", opening, inbox, interval_s=0.001, limit_s=0.02)
    looker.start()
    failures = [inbox.get(timeout=10).failure for _ in range(looking.MOST_FAILURES + 1)]
    looker.join(5)
    assert not looker.is_alive()
    assert failures[0] == "no answer after 0.02 s"
    assert failures[-1] == "monitor plugin is off after 5 failures in a row"
