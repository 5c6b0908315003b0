"""Several repositories in one process: each with a lock of its own, none delayed by another."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import pytest

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
"""
OPERATOR = """
[orchestrator]
polling_interval = 0.2
trust = { refs = ["**"] }
"""
MAIN = "refs/heads/main"


def projects_file(folder, *repositories, more="") -> str:
    tables = "".join(f'[[projects]]\nrepository = "{one}"\n' for one in repositories)
    path = folder / "ci.toml"
    path.write_text(OPERATOR + more + tables)
    return str(path)


def has_looked(project) -> bool:
    state = project.path / ".git/cicdctl/state.db"
    if not state.exists():
        return False
    with closing(sqlite3.connect(state)) as connection:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'seen_ref'").fetchall()) and bool(
            connection.execute("SELECT 1 FROM seen_ref").fetchall()
        )


@pytest.fixture
def watch(wait_until):
    """Start `cicdctl watch --config FILE`; it is ended with the test."""
    started = []

    def start(project, file, *projects):
        process = project.start("watch", "--config", file)
        started.append(process)
        pid = f"pid {process.pid} "
        locks = [one.path / ".git/cicdctl/locks/orchestrator" for one in projects]
        wait_until(lambda: all(lock.exists() and lock.read_text().startswith(pid) for lock in locks), what="watching")
        wait_until(lambda: all(map(has_looked, projects)), what="the first look")
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def test_each_runs_its_own_changes_by_the_settings_of_the_file(make_project, watch, wait_for_quiet, tmp_path):
    """Two repositories, a relative path and an absolute one; trust and interval come from the file."""
    one, two = make_project(config=CONFIG), make_project(config=CONFIG)
    process = watch(one, projects_file(tmp_path, "project1", two.path), one, two)
    for project in (one, two):
        project.commit("second")
        (run,) = wait_for_quiet(project, 1)
        assert (run["ref"], run["verdict"], run["trust"]) == (MAIN, "passed", "trusted")
    process.terminate()
    told = process.communicate(timeout=20)[1]
    assert " - project1 - cicdctl.orchestrator - INFO - watching " in told
    assert " - project2 - cicdctl.orchestrator - INFO - run #1 passed" in told


def test_broken_ones_do_not_delay_the_others(make_project, watch, wait_for_quiet, wait_until, tmp_path):
    """One is no repository, one has a broken file, one is watched already; the good one runs; repaired ones join."""
    good, broken, taken = (make_project(config=CONFIG) for _ in range(3))
    broken.write(".cicd.toml", "pipelnes = 1\n")
    other = taken.start("watch")
    try:
        wait_until(lambda: (taken.path / ".git/cicdctl/locks/orchestrator").exists())
        file = projects_file(tmp_path, tmp_path / "nowhere", broken.path, taken.path, good.path)
        process = watch(good, file, good)
        good.commit("second")
        wait_for_quiet(good, 1)
        broken.write(".cicd.toml", CONFIG)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: (broken.path / ".git/cicdctl/locks/orchestrator").exists())
        process.terminate()
        told = process.communicate(timeout=20)[1]
    finally:
        other.terminate()
        other.communicate(timeout=20)
    assert f'nowhere - cicdctl.orchestrator - ERROR - "{tmp_path}/nowhere" is not a folder; tried again in ' in told
    assert 'unknown key, did you mean "pipelines"?' in told
    assert f"an orchestrator watches this repository already: pid {other.pid} " in told


def test_stop_in_one_leaves_the_others(make_project, watch, wait_for_quiet, wait_until, tmp_path):
    one, two = make_project(config=CONFIG), make_project(config=CONFIG)
    file = projects_file(tmp_path, one.path, two.path)
    process = watch(one, file, one, two)
    assert one.cicdctl("stop").passes().stdout == f"stopped, pid {process.pid}\n"
    assert one.cicdctl("stop").passes().stdout == "no orchestrator watches this repository\n"
    two.commit("second")
    wait_for_quiet(two, 1)
    one.cicdctl("watch", "--once").passes()  # its lock is free
    assert f"are watched already: pid {process.pid} " in two.cicdctl("watch", "--config", file).fails(3).stderr
    assert one.cicdctl("stop", "--config", file).passes().stdout == f"stopped, pid {process.pid}\n"
    assert one.cicdctl("stop", "--config", file).passes().stdout == f'no orchestrator watches "{file}"\n'
    assert process.wait(timeout=20) == 0


def test_reload_takes_up_new_projects_and_lets_go_of_others(make_project, watch, wait_until, tmp_path):
    one, two = make_project(config=CONFIG), make_project(config=CONFIG)
    process = watch(one, projects_file(tmp_path, one.path), one)
    projects_file(tmp_path, two.path)
    process.send_signal(signal.SIGHUP)
    lock = two.path / ".git/cicdctl/locks/orchestrator"
    wait_until(lambda: lock.exists() and lock.read_text().startswith(f"pid {process.pid} "))
    wait_until(lambda: one.cicdctl("stop").stdout == "no orchestrator watches this repository\n")
    (tmp_path / "ci.toml").write_text("projcts = 1\n")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    process.terminate()
    assert "the projects are as they were: " in process.communicate(timeout=20)[1]


def test_daemon_and_stop_as_the_guide_writes_them(make_project, tmp_path):
    one, two = make_project(config=CONFIG), make_project(config=CONFIG)
    file = projects_file(tmp_path, one.path, two.path, tmp_path / "nowhere")
    said = one.cicdctl("watch", "--config", file, "--daemon").passes()
    assert "watching 2 of 3 projects in the background, pid " in said.stdout
    assert f'nowhere: "{tmp_path}/nowhere" is not a folder' in said.stderr
    assert "stopped, pid " in one.cicdctl("stop", "--config", file).passes().stdout
    assert one.cicdctl("config", "validate", "--config", file).passes().stdout.endswith(" is valid: 3 projects\n")


def test_once_looks_at_all_and_tells_of_failures(make_project, wait_for_quiet, tmp_path):
    one = make_project(config=CONFIG)
    file = projects_file(tmp_path, tmp_path / "nowhere", one.path)
    one.cicdctl("watch", "--config", file, "--once").fails(3)
    one.commit("second")
    done = one.cicdctl("--config", file, "watch", "--once").fails(3)
    assert "1 project cannot be looked at: nowhere" in done.stderr
    wait_for_quiet(one, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[projects]]\nrepositry = "x"\n', 'projects[0].repositry: unknown key, did you mean "repository"?'),
        ('[[projects]]\nname = "x"\n', 'projects[0]: needs "repository"'),
        ('[[projects]]\nrepository = "x"\n' * 2, "projects[1].repository: is there twice"),
        ("projects = []\n", "projects: must not be empty"),
        ('[project]\nrepository = "x"\n[[projects]]\nrepository = "y"\n', 'cannot stand beside "projects"'),
        (CONFIG + '[[projects]]\nrepository = "x"\n', "several projects belong in a file of their own"),
        ('[[projects]]\nrepository = "${NO_SUCH}"\n', 'the environment variable "NO_SUCH" is not set'),
    ],
)
def test_wrong_files(make_project, tmp_path, text, problem):
    project = make_project(config=CONFIG)
    (tmp_path / "ci.toml").write_text(text)
    for words in (("watch", "--once"), ("config", "validate")):
        assert problem in project.cicdctl(*words, "--config", str(tmp_path / "ci.toml")).fails(2).stderr
