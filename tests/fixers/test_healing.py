"""From a red run to an offered repair by the tools of the repository, as a user sees it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

BIN = str(Path(sys.executable).parent)


@pytest.fixture
def tooled(make_project):
    """Make a repository with one stage `lint`; the tools of this Python are on PATH."""

    def make(lint: str, files: dict[str, str], extra: str = ""):
        config = f"[pipelines.build.stages]\nlint = {json.dumps(lint)}\n{extra}"
        project = make_project(config=config, files=files)
        project.env["PATH"] = f"{BIN}:{project.env['PATH']}"
        return project

    return make


def outcome(project) -> dict:
    return json.loads(project.cicdctl("fix", "show", "1", "--json").stdout)


def test_ruff_repairs_and_formats_in_one_go(tooled):
    """Both commands of the stage are answered at once; the test file keeps its assert; what was fine stays."""
    files = {
        "src/a.py": "import os\nx = {  'a':1 }\n",
        "tests/test_a.py": "import os\n\n\ndef test_a(one=1):\n    assert one==1\n",
        "src/fine.py": "x = {  'a':1 }  # fmt: skip\n",
        "pyproject.toml": "[tool.ruff]\n",
    }
    project = tooled("ruff check --output-format concise . && ruff format --check .", files)
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "fix ready  cicdctl/fix/1-lint" in run.stdout + run.stderr
    assert project.git("diff", "--name-only", "HEAD", "cicdctl/fix/1-lint") == "src/a.py\ntests/test_a.py"
    assert project.git("show", "cicdctl/fix/1-lint:tests/test_a.py").endswith("def test_a(one=1):\n    assert one == 1")


BEHIND = {
    "make": ("make lint", {"Makefile": "lint:\n\truff check --output-format concise .\n"}),
    "npm": ("npm run lint", {"package.json": '{"name": "a", "scripts": {"lint": "ruff check --output-format=full ."}}'}),
}


@pytest.mark.parametrize("program", BEHIND)
def test_tool_behind_another_command(tooled, program):
    """The log shows that it was ruff, and the repository names it: a fix starts by itself."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    lint, files = BEHIND[program]
    project = tooled(lint, files | {"a.py": "import os\nx = 1\n"})
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "fix ready  cicdctl/fix/1-lint" in run.stdout + run.stderr
    assert project.git("show", "cicdctl/fix/1-lint:a.py") == "x = 1"


@pytest.mark.parametrize(
    ("said", "files"),
    [
        ("a.py:1:8: F401 [*] `os` imported but unused", {}),  # nobody here uses ruff
        ("42 tests failed", {"ruff.toml": ""}),  # and here it has not complained
    ],
)
def test_what_only_looks_like_a_tool_starts_nothing(tooled, said, files):
    project = tooled("cat said; false", files | {"a.py": "import os\n", "said": said + "\n"})
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert json.loads(project.cicdctl("fix", "list", "--json").passes().stdout)["fixes"] == []


def test_pre_commit_repairs(tooled):
    """The stage runs it, it rewrites and fails; its second run is content, and that is the fix."""
    hooks = """
repos:
- repo: local
  hooks:
  - {id: untab, name: untab, language: system, entry: sed -i "s/\\t/    /g", files: \\.py$}
"""
    files = {".pre-commit-config.yaml": hooks, "a.py": "if 1:\n\tx = 1\n"}
    project = tooled("pre-commit run --all-files", files)
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "fix ready  cicdctl/fix/1-lint" in run.stdout + run.stderr
    assert project.git("show", "cicdctl/fix/1-lint:a.py") == "if 1:\n    x = 1"


CHECK = "! grep -n bad src/*.txt"
FIXER = '[fixers.good]\nrun = "sed -i s/bad/good/ src/*.txt {more}"\npaths = ["src/**"]\n'


def test_fixer_that_changes_nothing_makes_room_for_the_next(tooled):
    """The first has nothing to say; the second repairs."""
    idle = '[fixers.a-idle]\nrun = "true"\n'
    project = tooled(CHECK, {"src/a.txt": "bad\n"}, idle + FIXER.format(more=""))
    project.cicdctl("run", "build", "HEAD").fails(1)
    shown = project.cicdctl("fix", "show", "1").stdout
    assert "changed nothing" in shown
    assert project.git("show", "cicdctl/fix/1-lint:src/a.txt") == "good"


def test_write_outside_the_paths_is_blocked(tooled):
    """Also when all it did besides is right: no branch is made."""
    project = tooled(CHECK, {"src/a.txt": "bad\n", "lib/b.txt": "bad\n"}, FIXER.format(more="lib/b.txt"))
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert "outside the paths of good" in project.cicdctl("fix", "show", "1").stdout
    assert "cicdctl/fix" not in project.git("for-each-ref", "refs/heads")


@pytest.mark.skipif(shutil.which("npm") is None, reason="Node is not installed here")
def test_lock_file_waits_for_a_person(tooled):
    """A stale lock file is written anew, verified and offered; it is applied when somebody has looked."""
    said = "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync."
    files = {
        "package.json": '{"name": "a", "version": "2.0.0"}',
        "package-lock.json": '{"name": "a", "version": "1.0.0", "lockfileVersion": 3, "packages": {}}',
        "ci.sh": f"grep -q 2.0.0 package-lock.json || {{ echo '{said}'; exit 1; }}\n",
    }
    project = tooled("sh ci.sh  # as npm ci does", files)
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert project.git("diff", "--name-only", "HEAD", "cicdctl/fix/1-lint") == "package-lock.json"
    assert "dependencies" in project.cicdctl("fix", "apply", "1").fails(6).stderr


def test_required_sandbox_is_not_waived(tooled, tmp_path):
    """Where none can be had nothing of a fixer runs, and it is said why."""
    project = tooled(
        CHECK, {"src/a.txt": "bad\n"}, '[fix]\nsandbox = "required"\n' + FIXER.format(more="; touch ../ran")
    )
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "grep", "git", "true", "touch"):
        (folder / name).symlink_to(shutil.which(name))
    project.cicdctl("run", "build", "HEAD", env={"PATH": str(folder)}).fails(1)
    assert "bwrap is not installed" in project.cicdctl("fix", "show", "1").stdout
    assert "cicdctl/fix" not in project.git("for-each-ref", "refs/heads")
