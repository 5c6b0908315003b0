"""Runs that follow the files: each state that settles is run, a newer one supersedes, red ends nothing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "test ! -e bad"
[pipelines.build.stages.lint]
run = "true"
needs = []
[pipelines.slow]
[pipelines.slow.stages]
wait = "if test -e slow; then sleep 60; fi"
"""


@pytest.fixture
def following(wait_until, tmp_path):
    """Start `cicdctl watch --files`; give a function that waits for a text in what it says."""
    started = []

    def start(project, *names: str):
        out = tmp_path / f"out{len(started)}"
        with out.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cicdctl", "watch", "--files", *names],
                cwd=project.path, env=project.env, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        started.append((project, process))

        def says(text: str) -> None:
            wait_until(lambda: text in out.read_text(), what=f"{text!r} in {out.read_text()!r}")

        return says

    yield start
    for project, process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        project.cicdctl("drain")  # its run ends soon after


def test_says_what_changed_and_goes_on_after_red(make_project, following):
    project = make_project(config=CONFIG)
    says = following(project)
    says("#1 build passed in ")
    project.write("bad", "")
    says("#2 build failed in ")
    says("  unit: passed → failed\n")
    (project.path / "bad").unlink()
    says("  unit: failed → passed\n")
    project.write(".cicd.toml", CONFIG.replace("stages]", "stagse]"))
    says('did you mean "stages"?')
    project.write(".cicd.toml", CONFIG + "# again\n")
    says("#4 build passed in ")
    assert "lint:" not in project.cicdctl("history").stdout
    assert project.git("status", "--porcelain") == "M .cicd.toml"


def test_newer_files_supersede_the_run_that_goes_on(make_project, following, wait_until, runs):
    project = make_project(config=CONFIG)
    project.write("slow", "")
    says = following(project, "slow")
    wait_until(lambda: [run["state"] for run in runs(project)] == ["running"])
    (project.path / "slow").unlink()
    says("#2 slow passed in ")
    (first, _) = runs(project)
    assert (first["verdict"], first["reason"]) == ("cancelled", "superseded: the files have changed")
    wait_until(lambda: project.git("for-each-ref", "refs/cicd") == "", what="no pin")


def test_ending_it_ends_its_run(make_project, following, wait_until, runs):
    """The fixture ends it, and no process may be left."""
    project = make_project(config=CONFIG)
    project.write("slow", "")
    following(project, "slow")
    wait_until(lambda: [run["state"] for run in runs(project)] == ["running"])


def test_options_that_do_not_go_together(make_project):
    project = make_project(config=CONFIG)
    project.cicdctl("watch", "--files", "--once").fails(2)
    project.cicdctl("watch", "build").fails(2)
    project.cicdctl("watch", "--once", "--daemon").fails(2)
