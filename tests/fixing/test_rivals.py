"""Fixes and people at work on the same branch: nobody loses anything, and nothing is made twice."""

from __future__ import annotations

import json

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "{before}printf '<testsuite><testcase classname=\\"a\\" name=\\"b\\"/></testsuite>' > r.xml"
reports = {{ junit = ["r.xml"] }}
[pipelines.build.stages.lint]
run = "! grep -rn BAD src"
[fixers.good]
run = "sed -i s/BAD/good/ src/app"
stages = ["lint"]
paths = ["src/**"]
"""
FILES = {"src/app": "BAD\n"}


def told(project, which: str) -> dict:
    return json.loads(project.cicdctl("fix", "show", which, "--json").passes().stdout)


def offers(project) -> list[str]:
    return project.git("for-each-ref", "--format=%(refname:short)", "refs/heads/cicdctl").split()


def test_one_failure_is_fixed_by_one_of_two(make_project):
    """50: both commands end well and name the same commit; the later one has waited and has done nothing."""
    project = make_project(config=CONFIG.format(before=""), files=FILES)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    both = [project.start("fix", "1", "--json") for _ in range(2)]
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    commits = {json.loads(out)["commit"] for out, _ in ended}
    assert (len(commits), offers(project)) == (1, ["cicdctl/fix/1-lint"])
    assert sum("waiting for another fix of this branch" in errors for _, errors in ended) == 1
    assert len(told(project, "1")["attempts"]) == 1


def test_two_failures_of_a_branch_are_fixed_one_after_the_other(make_project):
    """50: of one branch no two fixes are worked on at once, whichever runs they are of."""
    project = make_project(config=CONFIG.format(before=""), files=FILES)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    project.write("src/app", "BAD, still\n")
    project.commit("still bad")
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    both = [project.start("fix", number) for number in ("1", "2")]
    assert [(process.communicate() and process.returncode) for process in both] == [0, 0]
    assert offers(project) == ["cicdctl/fix/1-lint", "cicdctl/fix/2-lint"]
    first, second = sorted((told(project, number)["events"] for number in ("1", "2")), key=lambda one: one[0]["at"])
    assert first[-1]["kind"] == "done" and first[-1]["at"] <= second[0]["at"]


def test_branch_that_moves_meanwhile_is_not_moved_by_us(make_project, tmp_path):
    """51: the fix of a branch that has got a commit while it was verified stays an offer."""
    path = tmp_path / "project1"
    moving = f"test $CICD_TRIGGER != fix || git -C {path} update-ref refs/heads/topic other; "
    project = make_project(config=CONFIG.format(before=moving) + '[fix]\nmode = "auto"\n', files=FILES)
    project.git("branch", "topic")
    project.git("checkout", "-q", "-b", "other")
    other = project.commit("somebody's work")
    run = project.cicdctl("run", "build", "topic").fails(1)
    assert "has moved: the fix stays an offer" in run.stdout + run.stderr
    assert project.git("rev-parse", "topic") == other
    assert told(project, "1")["outcome"] == "fixed" and told(project, "1")["applied_to"] is None
    refused = project.cicdctl("fix", "apply", "1", "--branch", "topic").fails(2).stderr
    assert '"topic" is not at' in refused
    assert (project.git("rev-parse", "topic"), offers(project)) == (other, ["cicdctl/fix/1-lint"])


def test_apply_over_what_is_being_edited(make_project):
    """51: a file that the user is editing is neither overwritten nor lost; the offer stays."""
    project = make_project(config=CONFIG.format(before=""), files=FILES)
    project.cicdctl("run", "build", "HEAD").fails(1)
    tip = project.git("rev-parse", "HEAD")
    project.write("src/app", "being edited\n")
    project.cicdctl("fix", "apply", "1").fails(3)
    assert (project.path / "src/app").read_text() == "being edited\n"
    assert (project.git("rev-parse", "HEAD"), offers(project)) == (tip, ["cicdctl/fix/1-lint"])
    project.git("checkout", "src/app")
    project.cicdctl("fix", "apply", "1").passes()


def test_name_that_is_taken_gets_a_suffix(make_project):
    """55: a branch of somebody else under the name of the fix stays where it is."""
    project = make_project(config=CONFIG.format(before=""), files=FILES)
    project.git("branch", "cicdctl/fix/1-lint")
    tip = project.git("rev-parse", "HEAD")
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "fix ready  cicdctl/fix/1-lint-2 " in run.stdout + run.stderr
    assert project.git("rev-parse", "cicdctl/fix/1-lint") == tip
    assert project.git("rev-parse", "cicdctl/fix/1-lint-2^") == tip
    project.cicdctl("fix", "reject", "1").passes()
    assert offers(project) == ["cicdctl/fix/1-lint"]


def remote_of(project, tmp_path, settings: str):
    """Give a repository a remote and the operator's wish to push; returns a function that lists what it has got."""
    remote = tmp_path / "remote.git"
    project.git("init", "-q", "--bare", str(remote))
    project.git("remote", "add", "origin", str(remote))
    (project.path / ".git/cicdctl").mkdir(mode=0o700, exist_ok=True)
    (project.path / ".git/cicdctl/config.toml").write_text(f"[fix]\npush = true\n{settings}")
    return lambda: project.git("--git-dir", str(remote), "for-each-ref", "--format=%(refname)").split()


def test_protected_names_are_not_pushed(make_project, tmp_path):
    """56: not even our own branch, where the operator protects its name."""
    project = make_project(config=CONFIG.format(before=""), files=FILES)
    pushed = remote_of(project, tmp_path, 'protected_branches = ["cicdctl/fix/*"]\n')
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert (offers(project), pushed()) == (["cicdctl/fix/1-lint"], [])


def test_fix_of_a_snapshot_is_never_pushed(make_project, tmp_path):
    """52: it stands on a commit that nobody has made."""
    project = make_project(config=CONFIG.format(before=""), files={"src/app": "good\n"})
    pushed = remote_of(project, tmp_path, "")
    project.write("src/app", "BAD\n")
    project.cicdctl("run", "build").fails(1)
    assert (offers(project), pushed()) == (["cicdctl/fix/1-lint"], [])


def test_fixes_are_not_fixed(make_project):
    """57: neither on a branch of fixes nor a run that only tried one out; the trailer is another test's matter."""
    project = make_project(config=CONFIG.format(before=""), files=FILES)
    project.git("checkout", "-q", "-b", "cicdctl/fix/mine")
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "is a fix that was offered" in run.stdout + run.stderr
    assert offers(project) == ["cicdctl/fix/mine"]
    project.cicdctl("fix", "1", "--again").passes()
    everything = json.loads(project.cicdctl("history", "--all", "--json").passes().stdout)["runs"]
    tried = [one["number"] for one in everything if one["trigger"] == "fix" and one["verdict"] == "failed"]
    assert tried
    for more in ((), ("--again",)):
        refused = project.cicdctl("fix", f"{tried[0]}/lint", *more).fails(4)
        assert f"run #{tried[0]} belongs to a fix itself" in refused.stdout
