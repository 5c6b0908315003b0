"""Git hooks with the real git: a push is acknowledged at once, queued once, and never fails for our sake."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

CONFIG = """
[pipelines.build]
trigger = "on_commit"
params = { LEVEL = { default = "low" } }
[pipelines.build.stages]
unit = "echo $CICD_PARAM_LEVEL"
[pipelines.lint]
trigger = "on_commit"
when = { branches = ["main"], paths = ["src/**"] }
[pipelines.lint.stages]
check = "true"
[pipelines.test]
trigger = "after_build"
[pipelines.test.stages]
unit = "true"
[pipelines.release]
trigger = { on_tag = ["v*"] }
[pipelines.release.stages]
pack = "true"
[pipelines.never]
[pipelines.never.stages]
unit = "true"
"""
OPERATOR = '[orchestrator]\ntrust = { refs = ["**"] }\n'


class Server:
    """A bare repository with the hook, and a clone that pushes to it."""

    def __init__(self, work, path: Path) -> None:
        self.work = work
        self.path = path

    def cicdctl(self, *argv: str, **more):
        return self.work.cicdctl("-C", str(self.path), *argv, **more)

    def push(self, *argv: str) -> str:
        """Push; return what the server said, a line each."""
        done = subprocess.run(
            ["git", "push", "-q", str(self.path), *argv],
            cwd=self.work.path,
            env=self.work.env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said = [line.removeprefix("remote: ").rstrip() for line in done.stderr.splitlines()]
        return "\n".join(line for line in said if line)

    def git(self, *argv: str) -> str:
        return self.work.git("--git-dir", str(self.path), *argv)


@pytest.fixture
def server(make_project, tmp_path) -> Server:
    work = make_project(config=CONFIG, files={"src/a": "a"})
    path = tmp_path / "server.git"
    work.git("init", "-q", "--bare", "-b", "main", str(path))
    (path / "cicdctl").mkdir(mode=0o700)
    (path / "cicdctl/config.toml").write_text(OPERATOR)
    server = Server(work, path)
    server.cicdctl("hook", "install", "post-receive").passes()
    return server


@pytest.fixture
def ended(server, wait_for_quiet):
    """Wait for so many runs; give (pipeline, ref, verdict) of each."""

    def wait(count: int) -> list[tuple[str, str, str]]:
        server.cicdctl("hook", "drain").passes()
        return sorted((run["pipeline"], run["ref"], run["verdict"]) for run in wait_for_quiet(server, count))

    return wait


MAIN = "refs/heads/main"


def test_push_starts_what_the_commit_says(server, ended):
    said = server.push("main")
    assert said == "cicdctl: 1 ref received\nhint: follow with: cicdctl status"
    assert ended(3) == [("build", MAIN, "passed"), ("lint", MAIN, "passed"), ("test", MAIN, "passed")]
    assert server.git("for-each-ref", "refs/cicd") == ""
    assert (server.path / "cicdctl/hook.log").read_text() == ""
    assert [path.name for path in (server.path / "cicdctl/spool").iterdir()] == []


def test_tags_and_branches_start_what_is_theirs(server, ended):
    server.push("main")
    ended(3)
    for tag in ("v1", "x1"):
        server.work.git("tag", tag)
    server.work.git("tag", "-a", "-m", "two", "v2")
    assert server.push("--tags").startswith("cicdctl: 3 refs received\n")
    assert [run for run in ended(5) if run[0] == "release"] == [
        ("release", "refs/tags/v1", "passed"),
        ("release", "refs/tags/v2", "passed"),
    ]
    server.work.write("docs", "d")
    server.work.commit("docs only")
    server.push("main:topic")
    assert ("lint", "refs/heads/topic", "skipped") in ended(7)


def test_path_conditions_compare_with_the_last_tip(server, ended, runs):
    server.push("main")
    ended(3)
    server.work.write("src/a", "b")
    server.work.commit("source")
    server.work.write("docs", "d")
    server.work.commit("docs")
    server.push("main")
    ended(6)
    assert [run["verdict"] for run in runs(server) if run["pipeline"] == "lint"] == ["passed", "passed"]
    server.work.write("docs", "e")
    server.work.commit("docs again")
    server.push("main")
    ended(9)
    (lint,) = [run for run in runs(server)[6:] if run["pipeline"] == "lint"]
    assert (lint["verdict"], lint["reason"]) == ("skipped", "no changed file matches src/**")


def test_skip_by_option_and_by_message_is_recorded(server, ended, runs):
    server.push("main", "-o", "ci.skip")
    assert ended(2) == [("build", MAIN, "skipped"), ("lint", MAIN, "skipped")]
    assert {run["reason"] for run in runs(server)} == {"the push option ci.skip"}
    server.work.commit("words only [Skip CI]")
    server.push("main")
    assert [verdict for _, _, verdict in ended(4)] == ["skipped"] * 4
    server.work.git("tag", "v1")
    server.push("v1")
    assert ("release", "refs/tags/v1", "passed") in ended(5)


def test_options_choose_pipelines_and_params(server, ended, runs):
    said = server.push("main", "-o", "ci.pipeline=build", "-o", "ci.variable=LEVEL=high", "-o", "ci.whatever")
    assert said.splitlines()[0] == "warning: cicdctl knows no push option ci.whatever"
    assert ended(2) == [("build", MAIN, "passed"), ("test", MAIN, "passed")]
    assert runs(server)[0]["params"] == {"LEVEL": "high"}


def test_no_fix_is_recorded_and_handed_on(server, ended, runs):
    server.push("main", "-o", "ci.no-fix", "-o", "ci.pipeline=build")
    ended(2)
    shown = [server.cicdctl("show", number).passes().stdout for number in ("1", "2")]
    assert all("\n  fixes   none by themselves (ci.no-fix)\n" in text for text in shown)
    server.cicdctl("rerun", "1").passes()
    assert "ci.no-fix" in server.cicdctl("show", "3").passes().stdout


def test_option_that_does_not_fit_is_recorded_as_an_error(server, ended, runs):
    server.push("main", "-o", "ci.pipeline=biuld")
    assert ended(1) == [("biuld", MAIN, "error")]
    assert 'did you mean "build"?' in runs(server)[0]["reason"]


def test_broken_configuration_is_recorded_as_an_error(server, ended, runs):
    server.work.write(".cicd.toml", "[pipelines.build]\nstagse = 1\n")
    server.work.commit("broken")
    server.push("main")
    assert ended(1) == [(".cicd.toml", MAIN, "error")]
    assert 'did you mean "stages"?' in runs(server)[0]["reason"]


def test_pushed_commit_can_wait_in_the_push(server):
    said = server.push("main", "-o", "ci.wait", "-o", "ci.pipeline=never").splitlines()
    assert said[0] == "cicdctl: 1 ref received"
    assert said[1].startswith("cicdctl: #1 never passed in ")
    assert len(said) == 2


def test_deletion_notes_and_own_refs_start_nothing(server, ended, runs):
    server.push("main", "main:topic")
    before = len(ended(4))
    assert server.push("--delete", "topic") == ""
    server.work.git("notes", "add", "-m", "n")
    assert server.push("refs/notes/commits") == ""
    assert len(ended(before)) == before
    assert server.push("main:topic").startswith("cicdctl: 1 ref")
    assert len(ended(before + 1)) > before


def test_same_push_is_taken_in_once(server, ended):
    """A spool file that comes back, as after a kill between recording and removing it, brings nothing."""
    server.push("main")
    ended(3)
    zero = "0" * 40
    line = f"ref {zero} {server.work.git('rev-parse', 'main')} {MAIN}\n"
    (server.path / "cicdctl/spool/1.1").write_text(line)
    assert len(ended(3)) == 3


def test_rollback_by_push_runs_again(server, ended, runs):
    first = server.work.git("rev-parse", "main")
    server.push("main")
    ended(3)
    server.work.write("src/a", "b")
    server.work.commit("second")
    server.push("main")
    ended(6)
    server.push("-f", f"{first}:{MAIN}")
    ended(9)
    builds = [run["commit"] for run in runs(server) if run["pipeline"] == "build"]
    assert builds == [first, server.work.git("rev-parse", "main"), first]


def test_superseded_push_is_recorded_and_not_run(server, ended, runs):
    """Two pushes before anybody looks: the first commit is cancelled, the second one runs."""
    server.cicdctl("pause").passes()
    for text in ("b", "c"):
        server.work.write("src/a", text)
        server.work.commit(text)
        server.push("main")
    server.cicdctl("hook", "drain").passes()
    server.cicdctl("resume").passes()
    found = [(run["pipeline"], run["verdict"]) for run in runs(server)]
    ended(5)
    verdicts = [(run["pipeline"], run["verdict"]) for run in runs(server)]
    assert verdicts.count(("build", "cancelled")) == 1, found
    assert verdicts.count(("build", "passed")) == 1
    (gone,) = [run for run in runs(server) if (run["pipeline"], run["verdict"]) == ("build", "cancelled")]
    assert "superseded" in gone["reason"]


def test_many_refs_in_one_push(server, ended, runs):
    """A hundred branches at as many commits: all are recorded, twenty run, the others say why not."""
    server.work.git("config", "core.logAllRefUpdates", "false")
    tree = server.work.git("rev-parse", "main^{tree}")
    lines = []
    for number in range(100):
        commit = server.work.git("commit-tree", tree, "-p", "main", "-m", f"branch {number}")
        lines.append(f"create refs/heads/b{number} {commit}")
    server.work.git("update-ref", "--stdin", stdin="\n".join(lines) + "\n")
    assert server.push("--all").startswith("cicdctl: 101 refs received\n")
    server.cicdctl("hook", "drain").passes()
    found = runs(server)
    assert len([run for run in found if run["pipeline"] in ("build", "lint")]) == 202
    late = [run for run in found if run["reason"] == "not queued: more than 20 runs of one push"]
    queued = [run for run in found if run["pipeline"] == "build" and run not in late]
    assert (len(queued), len(late)) == (20, 82)
    server.cicdctl("drain").passes()


def test_spool_that_cannot_be_written_does_not_fail_the_push(server):
    spool = server.path / "cicdctl/spool"
    spool.rmdir()
    spool.write_text("in the way")
    assert server.push("main").startswith("warning: cicdctl cannot write to ")
    assert server.git("rev-parse", "main") == server.work.git("rev-parse", "main")


def test_full_disk_does_not_fail_the_push(server):
    """`/dev/full` stands for the spool's disk."""
    hook = server.path / "hooks/post-receive"
    hook.write_text(hook.read_text().replace('>"$aside"', ">/dev/full"))
    assert server.push("main").startswith("warning: cicdctl cannot write to ")


def test_log_of_hooks_is_kept_short(server, ended):
    log = server.path / "cicdctl/hook.log"
    log.write_text("x" * 1_000_001)
    server.push("main")
    ended(3)
    assert log.with_name("hook.log.1").stat().st_size >= 1_000_001
    server.push("main:other")
    ended(4)
    assert log.stat().st_size < 1000


def test_python_that_is_gone_does_not_fail_the_push(server, ended):
    hook = server.path / "hooks/post-receive"
    lines = [
        f"python={server.path}/gone" if line.startswith("python=") else line for line in hook.read_text().split("\n")
    ]
    hook.write_text("\n".join(lines))
    assert "gone is gone" in server.push("main")
    assert "broken     its Python is gone" in server.cicdctl("hook", "status").fails(1).stdout
    server.cicdctl("hook", "install", "post-receive").passes()
    assert len(ended(3)) == 3


def test_previous_hook_is_kept_and_comes_back(server, tmp_path, ended):
    hook = server.path / "hooks/post-receive"
    server.cicdctl("hook", "uninstall", "post-receive").passes()
    assert not hook.exists()
    assert server.git("config", "--local", "--list").count("advertise") == 0
    text = f"#!/bin/sh\ncat > {tmp_path}/fed; env | grep ^GIT_DIR >> {tmp_path}/fed; echo mine\n"
    hook.write_text(text)
    hook.chmod(0o755)
    for _ in range(2):  # twice is once
        server.cicdctl("hook", "install", "post-receive").passes()
    said = server.push("main").splitlines()
    assert said == ["cicdctl: 1 ref received", "hint: follow with: cicdctl status", "mine"]
    oid = server.work.git("rev-parse", "main")
    assert (tmp_path / "fed").read_text() == f"{'0' * 40} {oid} {MAIN}\nGIT_DIR=.\n"
    ended(3)
    server.cicdctl("hook", "uninstall", "post-receive").passes()
    assert hook.read_text() == text
    assert [path.name for path in hook.parent.glob("post-receive*")] == ["post-receive"] + [
        path.name for path in hook.parent.glob("post-receive*.sample")
    ]


def test_hooks_path_is_honoured(server, tmp_path, ended):
    """A folder that serves other repositories, too: the hook works for its own, and leaves the others alone."""
    server.cicdctl("hook", "uninstall", "post-receive").passes()
    server.git("config", "core.hooksPath", str(tmp_path / "shared hooks"))
    server.cicdctl("hook", "install", "post-receive").passes()
    assert (tmp_path / "shared hooks/post-receive").stat().st_mode & stat.S_IXUSR
    assert server.push("main").startswith("cicdctl: 1 ref")
    ended(3)
    other = Server(server.work, tmp_path / "other.git")
    server.work.git("init", "-q", "--bare", str(other.path))
    other.git("config", "core.hooksPath", str(tmp_path / "shared hooks"))
    assert other.push("main") == ""


def test_push_into_a_repository_with_a_working_tree(server, make_project, wait_for_quiet, runs):
    home = make_project(config=CONFIG + OPERATOR)
    home.git("config", "receive.denyCurrentBranch", "ignore")
    home.cicdctl("hook", "install", "post-receive").passes()
    here = Server(server.work, home.path)
    assert here.push("main:topic").startswith("cicdctl: 1 ref received")
    found = wait_for_quiet(home, 3)
    assert {run["ref"] for run in found} == {"refs/heads/topic"}


def test_untrusted_is_what_the_operator_does_not_vouch_for(server, ended, runs):
    (server.path / "cicdctl/config.toml").write_text('[orchestrator]\ntrust = { refs = ["main"] }\n')
    server.push("main", "main:topic")
    ended(6)
    assert {(run["ref"], run["trust"]) for run in runs(server) if run["pipeline"] == "lint"} == {
        (MAIN, "trusted"),
        ("refs/heads/topic", "untrusted"),
    }


@pytest.mark.parametrize("name", ["a;touch${IFS}x", "$(touch${IFS}x)", "-x", "üä"])
def test_strange_ref_names_are_only_names(server, ended, name):
    server.push(f"main:refs/heads/{name}")
    assert (f"refs/heads/{name}") in {ref for _, ref, _ in ended(3)}
    assert not list(server.path.parent.rglob("x"))


def test_status_of_hooks_as_json(server):
    told = server.cicdctl("hook", "status", "--json").passes().stdout
    assert '"advertises_options": true' in told
    assert '"state": "installed"' in told


def test_pre_push_stops_a_push_that_fails_and_uses_the_cache(make_project, tmp_path):
    config = '[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "test ! -e bad"\n'
    project = make_project(config=config)
    project.git("init", "-q", "--bare", str(tmp_path / "there.git"))
    project.cicdctl("hook", "install", "pre-push").passes()

    def push() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "push", str(tmp_path / "there.git"), "main"],
            cwd=project.path, env=project.env | {"GIT_CONFIG_NOSYSTEM": "1"}, capture_output=True, text=True,
        )  # fmt: skip

    assert push().returncode == 0
    project.write("bad", "")
    project.commit("bad")
    refused = push()
    assert refused.returncode != 0
    assert "push stopped by cicdctl; --no-verify does it all the same" in refused.stderr
    project.git("rm", "-q", "bad")
    project.git("commit", "-q", "-m", "good")
    done = push()
    assert done.returncode == 0, done.stderr
    assert "unit  cached" in done.stdout + done.stderr


def test_pre_commit_looks_at_the_working_tree(make_project):
    config = '[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "test ! -e bad"\n'
    project = make_project(config=config)
    project.cicdctl("hook", "install", "pre-commit").passes()
    project.write("bad", "")
    project.git("add", "-A")
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "bad"],
        cwd=project.path, env=project.env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "commit stopped by cicdctl" in done.stderr
    project.git("rm", "-q", "--cached", "bad")
    os.unlink(project.path / "bad")
    project.commit("good")


def test_unknown_hook_is_a_usage_error(make_project):
    assert (
        'did you mean "post-receive"?'
        in make_project(unit="true").cicdctl("hook", "install", "post-recieve").fails(2).stderr
    )


def test_push_that_cannot_be_recorded_yet_stays_in_the_spool(server, ended):
    """No pin can be made: the push is told, kept, and taken in when it can be."""
    in_the_way = server.path / "refs/cicd"
    in_the_way.write_text("")
    server.push("main")
    log = server.path / "cicdctl/hook.log"
    server.cicdctl("pause").passes()
    for _ in range(100):
        if "is not queued yet" in log.read_text():
            break
        time.sleep(0.05)
    assert "is not queued yet" in log.read_text()
    assert len(list((server.path / "cicdctl/spool").iterdir())) == 1
    in_the_way.unlink()
    server.cicdctl("resume").passes()
    assert ended(3) == [("build", MAIN, "passed"), ("lint", MAIN, "passed"), ("test", MAIN, "passed")]
