"""cicdctl on a real repository whose runs are kept in Redis: all that works with the file works there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

BUILD = "\n[pipelines.build]\nstages = { unit = 'echo hello', lint = 'true' }\n"
ON_COMMIT = "\n[pipelines.build]\ntrigger = 'on_commit'\nstages = { unit = 'true' }\n"
AFTER = "\n[pipelines.ship]\ntrigger = 'after_build'\nstages = { ship = 'echo ship' }\n"


def history(project) -> list[dict]:
    return json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]


def wait_for(question, *, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return answer


def test_run_history_and_cache(redis_project):
    project = redis_project(BUILD)
    project.cicdctl("run", "build").passes()
    assert "2 cached" in project.cicdctl("run", "build").passes().stdout
    assert [(run["number"], run["verdict"]) for run in history(project)] == [(2, "passed"), (1, "passed")]
    assert "echo hello" in project.cicdctl("logs", "1", "unit").passes().stdout
    assert not (project.path / ".git" / "cicdctl" / "state.db").exists()
    for argv in (["show", "1"], ["status"], ["doctor"], ["cache", "gc"], ["explain", "build", "unit"]):
        project.cicdctl(*argv).passes()


def test_trigger_drains_and_what_comes_after_runs(redis_project):
    project = redis_project(BUILD + AFTER)
    project.cicdctl("trigger", "build", "--wait", "end").passes()
    wait_for(
        lambda: (
            [(run["pipeline"], run["verdict"]) for run in history(project)] == [("ship", "passed"), ("build", "passed")]
        )
    )


def test_a_run_ends_green_while_its_server_is_down(redis_project, server, tmp_path):
    """Its status and its report are as ever; new runs are refused; later all of it is in the history."""
    project = redis_project(
        f"\n[pipelines.long.stages]\nwait = 'touch {tmp_path}/begun; until test -e {tmp_path}/go; do sleep 0.02; done'\nlast = 'true'\n"
    )
    run = project.start("run", "long")
    wait_for(lambda: (tmp_path / "begun").exists())
    server.kill()
    refused = project.cicdctl("run", "long").fails(3)
    assert "cannot be reached" in refused.stderr and "hint: start it" in refused.stderr
    project.cicdctl("trigger", "long").fails(3)
    (tmp_path / "go").touch()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert "#1 long passed" in out and "goes on without its server" in err
    server.start()
    (found,) = history(project)
    assert found["verdict"] == "passed"
    assert [stage["verdict"] for stage in json.loads(project.cicdctl("show", "1", "--json").stdout)["stages"]] == [
        "passed"
    ] * 2


def test_an_emptied_server_is_told_by_every_command(redis_project, server):
    project = redis_project(BUILD)
    project.cicdctl("run", "build").passes()
    server.empty()
    for argv in (["history"], ["run", "build"], ["trigger", "build"], ["status"]):
        told = project.cicdctl(*argv).fails(3)
        assert "no longer holds the history" in told.stderr and "bring its data back" in told.stderr


def test_a_push_while_the_server_is_down_is_kept(redis_project, server):
    """The hook spools and lets the push through; its run comes when the server does."""
    project = redis_project(ON_COMMIT)
    bare = project.path.parent / "bare.git"
    project.git("init", "-q", "--bare", "-b", "main", str(bare))
    project.git("push", "-q", str(bare), "main")
    operator = bare / "cicdctl" / "config.toml"
    operator.parent.mkdir()
    operator.write_text((project.path / ".cicd.toml").read_text().partition("\n[pipelines")[0])

    def there(*argv):
        return subprocess.run(
            [sys.executable, "-P", "-m", "cicdctl", "-C", str(bare), *argv],
            cwd=bare, env=project.env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    done = there("hook", "install", "post-receive")
    assert done.returncode == 0, done.stderr
    server.kill()
    commit = project.commit("second")
    project.git("push", "-q", str(bare), "main")
    assert project.git("--git-dir", str(bare), "rev-parse", "main") == commit
    server.start()
    there("hook", "drain")

    def ran():
        told = there("history", "--json")
        found = json.loads(told.stdout)["runs"] if told.returncode == 0 else []
        return [(run["commit"], run["verdict"]) for run in found] == [(commit, "passed")]

    wait_for(ran)


def test_the_orchestrator_survives_an_outage(redis_project, server):
    """It goes on when the server is there again, and notices what happened meanwhile."""
    project = redis_project(ON_COMMIT, "[orchestrator]\npolling_interval = 0.2\n")

    def has_passed(commit: str) -> bool:
        return any((run["commit"], run["verdict"]) == (commit, "passed") for run in history(project))

    watch = project.start("watch")
    try:
        wait_for(lambda: "watching" in watch.stderr.readline())
        # The first look only takes note of what is there.
        wait_for(lambda: project.commit("again") and any(run["verdict"] == "passed" for run in history(project)))
        server.kill()
        commit = project.commit("while it is down")
        wait_for(lambda: "cannot be reached" in watch.stderr.readline())
        server.start()
        wait_for(lambda: has_passed(commit))
        assert watch.poll() is None
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.communicate(timeout=30)


def test_without_the_plugin_it_says_what_to_install(make_project):
    project = make_project(config='[orchestrator.persistence]\nbackend = "redis"\n' + BUILD)
    told = project.cicdctl("run", "build").fails(2)
    assert 'no plugin that is installed provides "redis"' in told.stderr
    assert "cicdctl plugins install cicdctl-redis" in told.stderr
    project.cicdctl("history").fails(2)


def test_a_wrong_option_is_named(redis_project):
    project = redis_project(BUILD, "[orchestrator.persistence.options]\nstart_chekc = false\n")
    told = project.cicdctl("history").fails(2)
    assert 'orchestrator.persistence.options.start_chekc: "redis" has no such option' in told.stderr


ACCEPT = """
import sys
from pathlib import Path
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.model import Run, RunState, TriggerKind
from cicdctl.store.queued import Arrival, Placing
import os
with open_project(Invocation(directory=Path(sys.argv[1]), environ=dict(os.environ))) as project:
    for index in range(25):
        run = Run(number=0, pipeline="p", commit="c", tree="t", trigger=TriggerKind.MANUAL, state=RunState.QUEUED,
                  message=f"{sys.argv[2]}-{index}")
        project.state.queue.accept(Arrival(placings=[Placing(run=run)]))
"""


def test_processes_that_write_at_once_lose_nothing(redis_project):
    """Four at once, each acknowledged arrival is there once, and numbers have no gap."""
    project = redis_project(BUILD)
    writers = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", ACCEPT, str(project.path), str(name)], cwd=project.path, env=project.env
        )
        for name in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    found = json.loads(project.cicdctl("history", "--json", "--limit", "200").passes().stdout)["runs"]
    assert [run["number"] for run in found] == list(range(100, 0, -1))
