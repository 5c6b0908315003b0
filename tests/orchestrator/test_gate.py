"""The pre-receive gate with the real git: a guarded branch moves only when what it would hold is green."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "test ! -e broken && cat slow 2>/dev/null | xargs -r sleep"
"""
OPERATOR = """
[orchestrator]
trust = { refs = ["**"] }
gate = { branches = ["main"], budget = "BUDGET" }
"""


class Guarded:
    """A bare repository with the gate, and a clone that pushes to it."""

    def __init__(self, work, path: Path) -> None:
        self.work = work
        self.path = path

    def cicdctl(self, *argv: str, **more):
        return self.work.cicdctl("-C", str(self.path), *argv, **more)

    def start_push(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["git", "push", "-q", str(self.path), *argv],
            cwd=self.work.path,
            env=self.work.env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def push(self, *argv: str) -> tuple[bool, str]:
        """Push; return whether it was accepted, and what the server said."""
        process = self.start_push(*argv)
        _, told = process.communicate(timeout=60)
        said = [line.removeprefix("remote: ").rstrip() for line in told.splitlines() if line.startswith("remote: ")]
        return process.returncode == 0, "\n".join(line for line in said if line)

    def git(self, *argv: str) -> str:
        return self.work.git("--git-dir", str(self.path), *argv)

    def refs(self) -> str:
        return self.git("for-each-ref", "--format=%(refname)")

    def runs(self) -> list[dict]:
        return json.loads(self.cicdctl("history", "--json").passes().stdout)["runs"]

    def is_sound(self) -> None:
        self.git("fsck", "--strict", "--no-dangling")
        self.git("gc", "-q", "--prune=now")
        self.git("fsck", "--strict")


@pytest.fixture
def guarded(make_project, tmp_path):
    def make(budget: str = "20s") -> Guarded:
        work = make_project(config=CONFIG)
        path = tmp_path / "server.git"
        work.git("init", "-q", "--bare", "-b", "main", str(path))
        (path / "cicdctl").mkdir(mode=0o700)
        (path / "cicdctl/config.toml").write_text(OPERATOR.replace("BUDGET", budget))
        server = Guarded(work, path)
        server.cicdctl("hook", "install", "pre-receive").passes()
        return server

    return make


def test_green_gets_in_and_red_does_not(guarded):
    server = guarded()
    assert server.push("main") == (True, "")
    assert [(run["trigger"], run["verdict"]) for run in server.runs()] == [("push", "passed")]

    server.work.write("broken", "")
    server.work.commit("breaks it")
    accepted, said = server.push("main")
    assert not accepted
    assert said.splitlines()[0] == "error: main: build failed in #2"
    assert "cicdctl logs 2 shows why" in said
    assert server.git("rev-parse", "main") == server.work.git("rev-parse", "main~1")
    server.is_sound()


def test_the_tree_is_what_counts(guarded):
    """A verdict is of the files: reworded, the commit is known; a red tree is known as well, until it is rerun."""
    server = guarded()
    server.push("main")
    server.work.git("commit", "-q", "--amend", "-m", "better words")
    assert server.push("-f", "main") == (True, "")
    assert len(server.runs()) == 1

    server.work.write("broken", "")
    server.work.commit("breaks it")
    assert not server.push("main")[0]
    assert not server.push("main")[0]
    assert len(server.runs()) == 2


def test_other_branches_tags_and_deletions_pass_by(guarded):
    server = guarded()
    server.work.write("broken", "")
    server.work.commit("breaks it")
    server.work.git("tag", "v1")
    assert server.push("main:refs/heads/topic", "v1") == (True, "")
    assert server.push(":refs/heads/topic") == (True, "")
    assert server.runs() == []


def test_beyond_the_budget_it_is_queued(guarded):
    """The push is refused in time; the run goes on without it, and the next push finds its verdict."""
    server = guarded(budget="1s")
    server.work.write("slow", "3\n")
    server.work.commit("slow")
    accepted, said = server.push("main")
    assert (accepted, said) == (False, "error: main: queued as #1; push again when green")
    server.is_sound()

    end = time.monotonic() + 20
    while server.runs()[0]["verdict"] is None and time.monotonic() < end:
        time.sleep(0.2)
    assert server.runs()[0]["verdict"] == "passed"
    assert server.push("main") == (True, "")
    assert len(server.runs()) == 1
    assert "refs/cicd/keep" not in server.refs()


def test_pusher_that_goes_away(guarded):
    """Killed while it waits: nothing moves, nothing hangs, the run ends by itself."""
    server = guarded()
    server.work.write("slow", "2\n")
    server.work.commit("slow")
    process = server.start_push("main")
    end = time.monotonic() + 20
    while not (server.path / "cicdctl/state.db").exists() or not server.runs():
        assert time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    while server.runs()[0]["verdict"] is None and time.monotonic() < end:
        time.sleep(0.2)
    assert server.runs()[0]["verdict"] == "passed"
    server.cicdctl("hook", "drain").passes()
    server.is_sound()


def test_what_cannot_be_judged_is_refused(guarded):
    """A broken file says where; one without any is nobody's to judge."""
    server = guarded()
    server.work.write(".cicd.toml", "[pipelines.build\n")
    server.work.commit("broken file")
    accepted, said = server.push("main")
    assert not accepted
    assert said.startswith("error: main: .cicd.toml:1:")
    server.work.git("rm", "-q", ".cicd.toml")
    server.work.commit("no file")
    assert server.push("main") == (True, "")


def test_hook_that_was_there_decides_first(guarded):
    server = guarded()
    server.cicdctl("hook", "uninstall", "pre-receive").passes()
    hook = server.path / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho no entry\nexit 1\n")
    hook.chmod(0o755)
    server.cicdctl("hook", "install", "pre-receive").passes()
    assert server.push("main") == (False, "no entry")
    assert server.runs() == []
    status = json.loads(server.cicdctl("hook", "status", "--json").passes().stdout)
    assert {one["name"]: one["state"] for one in status["hooks"]}["pre-receive"] == "installed"
    server.cicdctl("hook", "uninstall", "pre-receive").passes()
    assert server.push("main") == (False, "no entry")


def test_hundred_branches_in_one_push(guarded):
    """Only guarded ones are judged."""
    server = guarded()
    for number in range(100):
        server.work.git("branch", f"b{number}")
    assert server.push("main", "refs/heads/b*:refs/heads/b*") == (True, "")
    assert len(server.runs()) == 1


def test_what_deploys_waits_for_the_push(guarded):
    """No environment gets what nobody has accepted yet."""
    server = guarded()
    deploy = CONFIG + f'[pipelines.ship]\ntrigger = "on_commit"\nenvironment = "live"\nstages = {{ go = "touch {server.path}/shipped" }}\n'
    server.work.write(".cicd.toml", deploy)
    server.work.commit("deploys")
    assert server.push("main") == (True, "")
    assert [run["pipeline"] for run in server.runs()] == ["build"]
    assert not (server.path / "shipped").exists()
