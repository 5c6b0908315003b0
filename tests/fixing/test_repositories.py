"""Repositories of every shape: a fix works in them, or says why it does not."""

from __future__ import annotations

import subprocess

import pytest

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.lint]
run = "echo more >> data/fixture; echo x > left.over; ! grep -rn BAD src"
[fixers.good]
run = "sed -i s/BAD/good/ src/app; echo x > by.hand; mkdir -p .tool-cache && echo x > .tool-cache/x"
paths = ["src/**"]
"""
FILES = {"src/app": "BAD\n", "data/fixture": "1\n"}


def detach(project) -> None:
    project.git("checkout", "-q", "--detach")


def make_shallow(project) -> None:
    project.commit("second")
    project.git("clone", "-q", "--depth", "1", f"file://{project.path}", str(project.path / "../shallow"))
    project.path = project.path.parent / "shallow"
    assert project.git("rev-parse", "--is-shallow-repository") == "true"


def add_submodule(project) -> None:
    project.git("update-index", "--add", "--cacheinfo", f"160000,{project.git('rev-parse', 'HEAD')},vendor")
    project.write(".gitmodules", '[submodule "vendor"]\n\tpath = vendor\n\turl = ../vendor\n')
    project.git("add", ".gitmodules")
    project.git("commit", "-qm", "a submodule")


@pytest.mark.parametrize("shape", [detach, make_shallow, add_submodule])
def test_shape(make_project, shape):
    """53, 59: the offer stands on the tip and changes one file: no leftover, no edited fixture, no submodule."""
    project = make_project(config=CONFIG, files=FILES)
    shape(project)
    tip = project.git("rev-parse", "HEAD")
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "fix ready  cicdctl/fix/1-lint   1 file, +1 -1" in run.stdout + run.stderr
    assert project.git("rev-parse", "cicdctl/fix/1-lint^") == tip
    assert project.git("diff", "--raw", "HEAD", "cicdctl/fix/1-lint").splitlines()[0].endswith("M\tsrc/app")
    project.cicdctl("fix", "apply", "1").passes()
    assert project.git("rev-parse", "HEAD") == project.git("rev-parse", "cicdctl/fix/1-lint")
    project.cicdctl("fix", "undo", "1").passes()
    assert project.git("rev-parse", "HEAD") == tip


def test_without_any_commit(make_project):
    """59: there is nothing to fix, and it is said."""
    project = make_project(config=CONFIG)
    subprocess.run(["rm", "-rf", project.path / ".git"], check=True)
    project.git("init", "-q")
    for argv in (("fix",), ("fix", "1"), ("fix", "apply")):
        refused = project.cicdctl(*argv)
        assert refused.status in (2, 3)
        assert refused.stderr.startswith("error: ") and "Traceback" not in refused.stderr
