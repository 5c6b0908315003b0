"""The orchestrator: notices what moves, starts what waits, and leaves nothing lost or twice when it is killed."""

from __future__ import annotations

import signal
import subprocess

import pytest

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
[pipelines.release]
trigger = "on_tag"
[pipelines.release.stages]
pack = "true"
[orchestrator]
polling_interval = 0.2
trust = { refs = ["**"] }
"""
MAIN = "refs/heads/main"


@pytest.fixture
def watching(wait_until):
    """Start `cicdctl watch` and wait until it watches; it is ended with the test."""
    started = []

    def start(project) -> subprocess.Popen[str]:
        process = project.start("watch")
        started.append(process)
        lock = project.path / ".git/cicdctl/locks/orchestrator"
        pid = f"pid {process.pid} "
        wait_until(lambda: lock.exists() and lock.read_text().startswith(pid) or process.poll() is not None)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def told(runs) -> list[tuple[str, str, str]]:
    return sorted((run["pipeline"], run["ref"], run["verdict"]) for run in runs)


def test_first_look_queues_nothing_then_each_change_once(make_project, wait_for_quiet, runs):
    project = make_project(config=CONFIG)
    project.git("branch", "old")
    assert "2 branches and tags" in project.cicdctl("watch", "--once").passes().stderr
    assert runs(project) == []
    project.commit("second")
    project.git("tag", "v1")
    project.git("branch", "new")
    for _ in range(2):
        project.cicdctl("watch", "--once").passes()
    assert told(wait_for_quiet(project, 3)) == [
        ("build", MAIN, "passed"),
        ("build", "refs/heads/new", "passed"),
        ("release", "refs/tags/v1", "passed"),
    ]


def test_moved_back_deleted_and_made_again(make_project, wait_for_quiet):
    """A ref that comes back to where it was is a change each time; a deletion starts nothing."""
    project = make_project(config=CONFIG)
    first = project.git("rev-parse", "HEAD")
    project.git("branch", "topic")
    project.cicdctl("watch", "--once").passes()
    project.commit("second")
    project.cicdctl("watch", "--once").passes()
    wait_for_quiet(project, 1)
    project.git("reset", "-q", "--hard", first)
    project.git("branch", "-D", "topic")
    project.cicdctl("watch", "--once").passes()
    wait_for_quiet(project, 2)
    project.git("branch", "topic")
    project.cicdctl("watch", "--once").passes()
    found = wait_for_quiet(project, 3)
    assert [(run["ref"], run["commit"] == first) for run in found] == [
        (MAIN, False),
        (MAIN, True),
        ("refs/heads/topic", True),
    ]


def test_branches_that_are_watched(make_project, wait_for_quiet):
    project = make_project(config=CONFIG + 'monitoring = { branches = ["main", "release/*"] }\n')
    project.cicdctl("watch", "--once").passes()
    for name in ("topic", "release/1"):
        project.git("branch", name)
    project.cicdctl("watch", "--once").passes()
    assert told(wait_for_quiet(project, 1)) == [("build", "refs/heads/release/1", "passed")]


def test_goes_on_until_it_is_told_to_end(make_project, watching, wait_for_quiet, wait_until):
    project = make_project(config=CONFIG)
    process = watching(project)
    wait_until(lambda: project.cicdctl("hook", "status").passes().stdout.count(f"pid {process.pid}") == 1)
    project.commit("second")
    assert told(wait_for_quiet(project, 1)) == [("build", MAIN, "passed")]
    second = project.cicdctl("watch").fails(3)
    assert f"an orchestrator watches this repository already: pid {process.pid} " in second.stderr
    assert project.cicdctl("stop").passes().stdout == f"stopped, pid {process.pid}\n"
    assert process.wait(timeout=10) == 0
    assert project.cicdctl("stop").passes().stdout == "no orchestrator watches this repository\n"


def test_daemon(make_project, wait_for_quiet):
    project = make_project(config=CONFIG)
    try:
        assert "watching in the background, pid " in project.cicdctl("watch", "--daemon").passes().stdout
        project.cicdctl("watch", "--daemon").fails(3)
    finally:
        assert "stopped, pid " in project.cicdctl("stop").passes().stdout


def test_daemon_that_does_not_come_up_says_why(make_project):
    project = make_project(config=CONFIG + 'monitoring = { method = "pollnig" }\n')
    done = project.cicdctl("watch", "--daemon").fails(3)
    assert 'no monitor kind "pollnig", did you mean "polling"?' in done.stderr


def test_ending_it_leaves_runners_alone(make_project, watching, wait_for_quiet, wait_until, tmp_path):
    project = make_project(
        config=CONFIG.replace('unit = "true"', f"unit = 'until test -e {tmp_path}/go; do sleep 0.05; done'")
    )
    process = watching(project)
    project.cicdctl("trigger", "build", "--wait", "start").passes()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert "run #1" in project.cicdctl("history").passes().stdout or True
    again = watching(project)
    (tmp_path / "go").touch()
    assert told(wait_for_quiet(project, 1)) == [("build", MAIN, "passed")]
    again.terminate()
    assert "run #1 (build) goes on" in again.communicate(timeout=10)[1]


def test_kill_loses_nothing(make_project, watching, wait_for_quiet, wait_until, runs):
    """Killed again and again while commits come: every tip that stays is run once."""
    project = make_project(config=CONFIG)
    project.cicdctl("watch", "--once").passes()
    for number in range(3):
        process = watching(project)
        project.commit(f"commit {number}")
        process.kill()
        process.wait()
    watching(project)
    tip = project.git("rev-parse", "HEAD")
    wait_until(lambda: tip in {run["commit"] for run in runs(project)})
    commits = [run["commit"] for run in wait_for_quiet(project)]
    assert len(commits) == len(set(commits))


@pytest.mark.parametrize(
    "point", ["intake-pinned", "state_before_commit", "queue-accept", "intake-recorded", "queue-claim"]
)
def test_killed_while_it_takes_a_change_in(make_project, allow_failpoints, wait_for_quiet, point):
    project = make_project(config=CONFIG)
    allow_failpoints(project.path)
    project.cicdctl("watch", "--once").passes()
    project.commit("second")
    project.cicdctl("watch", "--once", env={"CICDCTL_FAILPOINT": point}).fails(137)
    project.cicdctl("watch", "--once").passes()
    project.cicdctl("drain").passes()
    assert told(wait_for_quiet(project, 1)) == [("build", MAIN, "passed")]


def test_push_hook_and_orchestrator_together(make_project, watching, wait_for_quiet, wait_until, runs):
    """Both notice a push; it is run once."""
    home = make_project(config=CONFIG.replace("0.2", "0.05"))
    home.git("config", "receive.denyCurrentBranch", "ignore")
    home.cicdctl("hook", "install", "post-receive").passes()
    watching(home)
    work = make_project(config=CONFIG)
    for number in range(4):
        work.commit(f"commit {number}")
        work.git("push", "-q", str(home.path), f"main:b{number}")
    wait_until(lambda: len(runs(home)) >= 4)
    assert sorted(run["ref"] for run in wait_for_quiet(home)) == [f"refs/heads/b{number}" for number in range(4)]


def test_reload_keeps_what_was_when_the_new_is_broken(make_project, watching, wait_until, tmp_path):
    log = tmp_path / "watch.log"
    logging = f"""
[logging]
level = "INFO"
format = "%(levelname)s %(run)s %(name)s %(message)s"
handlers = [{{ type = "file", filename = "{log}" }}]
"""
    project = make_project(config=CONFIG + logging)
    process = watching(project)
    project.write(".cicd.toml", CONFIG + "max_parallel_pipelnes = 1\n")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "ERROR - cicdctl.orchestrator the configuration is as it was: " in log.read_text())
    assert 'did you mean "max_parallel_pipelines"?' in log.read_text()
    project.write(".cicd.toml", CONFIG + logging.replace("%(run)s", "again"))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "INFO again cicdctl.orchestrator the configuration is read again" in log.read_text())
    process.terminate()
    assert process.communicate(timeout=10)[1] == ""


# --- a repository elsewhere


def test_remote_is_fetched_and_run_here(make_project, wait_for_quiet, runs, tmp_path):
    away = make_project(config=CONFIG)
    project = make_project(config=CONFIG + f'[project]\nrepository = "file://{away.path}"\n')
    assert "file://" in project.cicdctl("watch", "--once").passes().stderr
    assert runs(project) == []
    away.commit("second")
    away.git("tag", "-a", "-m", "one", "v1")
    project.cicdctl("watch", "--once").passes()
    found = wait_for_quiet(project, 2)
    assert told(found) == [("build", MAIN, "passed"), ("release", "refs/tags/v1", "passed")]
    assert {run["commit"] for run in found} == {away.git("rev-parse", "HEAD")}
    away.git("reset", "-q", "--hard", "HEAD~1")
    away.git("tag", "-d", "v1")
    project.cicdctl("watch", "--once").passes()
    assert len(wait_for_quiet(project, 3)) == 3
    assert "v1" not in project.git("for-each-ref", "refs/cicd/remote")


def test_remote_that_does_not_answer_is_told_and_tried_again(
    make_project, watching, wait_for_quiet, wait_until, tmp_path
):
    away = tmp_path / "away"
    project = make_project(config=CONFIG + f'[project]\nrepository = "file://{away}"\n')
    assert "git ls-remote" in project.cicdctl("watch", "--once").fails(3).stderr
    process = watching(project)
    other = make_project(config=CONFIG)
    other.path.rename(away)
    other.path = away
    wait_until(lambda: "refs" in project.git("for-each-ref") and seen(project), what="the first look")
    other.commit("second")
    assert told(wait_for_quiet(project, 1)) == [("build", MAIN, "passed")]
    process.terminate()
    assert " - cicdctl.orchestrator - WARNING - file://" in process.communicate(timeout=10)[1]


def seen(project) -> bool:
    import sqlite3

    with sqlite3.connect(project.path / ".git/cicdctl/state.db") as connection:
        return bool(connection.execute("SELECT 1 FROM seen_ref").fetchall())


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "ext::sh -c touch% x"])
def test_address_that_would_run_something_is_refused(make_project, url):
    project = make_project(config=CONFIG + f"[project]\nrepository = '{url}'\n")
    assert project.cicdctl("watch", "--once").status in (2, 3)
    assert not (project.path / "x").exists()


PLUGIN = """
from pathlib import Path
from cicdctl.plugin_api import MonitorKind, Sighting, Value, hookimpl

class Options(Value, frozen=True, kw_only=True):
    file: str

class FromFile:
    def __init__(self, options):
        self._path = Path(options.file)

    def look(self):
        for line in self._path.read_text().splitlines():
            ref, new = line.split()
            yield Sighting(ref=ref, old=None, new=new, id=line)

    def close(self):
        pass

@hookimpl
def cicdctl_monitors():
    return [MonitorKind(name="file", options_type=Options, open=FromFile)]
"""


def test_monitor_of_a_plugin_is_a_hint_to_look(make_project, wait_for_quiet, runs, tmp_path):
    """What it says of a ref is not believed: git is asked, and nothing is run twice."""
    told_of = tmp_path / "told"
    told_of.write_text("")
    method = f'monitoring = {{ method = "file", options = {{ file = "{told_of}" }} }}\n'
    project = make_project(config='plugins = ["ci/monitor.py"]\n' + CONFIG + method, files={"ci/monitor.py": PLUGIN})
    project.cicdctl("watch", "--once").passes()
    told_of.write_text(f"refs/heads/main {'1' * 40}\nrefs/heads/gone {'2' * 40}\n")
    for _ in range(2):
        project.cicdctl("watch", "--once").passes()
    (run,) = wait_for_quiet(project, 1)
    assert run["commit"] == project.git("rev-parse", "HEAD")
