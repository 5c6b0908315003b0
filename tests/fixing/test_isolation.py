"""`fix.isolation = "clone"`: what a fix executes has no way through git to the user's repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest
from messages_api import tool
from messages_api.fixture import messages_api  # noqa: F401

# Acts only where a fix tries something: the run that fails is an ordinary one.
HOSTILE = r"""
if [ "$CICD_TRIGGER" = fix ]; then
    common=$(git rev-parse --path-format=absolute --git-common-dir)
    echo "common folder: $common"
    mkdir -p "$common/hooks"
    printf '#!/bin/sh\ntouch "$HOME/owned"\n' > "$common/hooks/post-checkout"
    chmod +x "$common/hooks/post-checkout"
    git config user.name Mallory
    git update-ref refs/heads/evil HEAD
    git update-ref refs/heads/main HEAD
    find "$common/objects" -type f | while read -r file; do chmod u+w "$file" && echo junk > "$file"; done
    test -e "$common/config.changed" && echo "used before"
    touch "$common/config.changed"
fi
if grep -q '	' src/app.py; then
    echo "src/app.py:2:1: W191 indentation contains tabs"
    exit 1
fi
"""
FIXER = '[fixers.untab]\nrun = "sed -i \'s/\\\\t/    /g\' src/app.py"\npaths = ["src/**"]\n'
CLONE = '[fix]\nisolation = "clone"\n'
CONFIG = "[pipelines.build.stages]\nlint = 'sh ci/lint.sh'\nother = 'true'\n"
FILES = {"ci/lint.sh": HOSTILE, "src/app.py": "def one():\n\treturn 1\n"}


def seen(project) -> dict[str, str]:
    """What git keeps for the user, by content; objects and refs that the fix itself has added are left out."""
    git = project.path / ".git"
    own = {"cicdctl"}
    found = {}
    for path in sorted(git.rglob("*")):
        parts = path.relative_to(git).parts
        if path.is_file() and parts[0] not in own and parts[:3] not in (("refs", "heads", "cicdctl"), ("refs", "cicd")):
            found["/".join(parts)] = (
                f"{stat.S_IMODE(path.stat().st_mode)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            )
    return found


def without_bwrap(tmp_path: Path) -> dict[str, str]:
    """Return a PATH of everything here but bubblewrap."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "grep", "git", "true", "find", "chmod", "mkdir", "touch", "test", "cat", "python3"):
        (folder / name).symlink_to(shutil.which(name))
    return {"PATH": str(folder)}


@pytest.mark.parametrize("has_bwrap", [pytest.param(True, marks=pytest.mark.campaign), False])
def test_hostile_check_cannot_touch_the_repository(make_project, tmp_path, has_bwrap):
    """Hooks, settings, refs and objects are as before, the fix is offered all the same, and nothing is left.

    It is the file of the commit that asks for it: it is stricter.
    """
    project = make_project(config=CONFIG + FIXER + CLONE, files=FILES)
    env = {} if has_bwrap else without_bwrap(tmp_path)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    before = seen(project)

    project.cicdctl("fix", "1", env=env).passes()

    after = seen(project)
    assert {name: after.get(name) for name in before} == before
    assert [name for name in after.keys() - before.keys() if not name.startswith("objects/")] == []
    project.git("fsck", "--full", "--strict")
    branches = project.git("for-each-ref", "--format=%(refname)", "refs/heads").split()
    assert branches == ["refs/heads/cicdctl/fix/1-lint", "refs/heads/main"]
    assert project.git("diff", "--name-only", "HEAD", "cicdctl/fix/1-lint") == "src/app.py"

    log = project.cicdctl("logs", "2", "lint").passes().stdout
    cache = Path(project.env["XDG_CACHE_HOME"]) / "cicdctl"
    folders = [line.partition(": ")[2] for line in log.splitlines() if "common folder" in line]
    assert len(folders) == 1, log
    assert folders[0].startswith(str(cache))
    assert folders[0].endswith("/.git")
    (repository,) = cache.iterdir()
    assert "used before" not in log
    assert [
        name for name in os.listdir(repository / "worktrees") if (repository / "worktrees" / name / ".git").is_dir()
    ] == []


def test_attempt_of_a_fixer_is_isolated_too(make_project):
    """A command that asks git for its folder is told one of its own, with the commit and nothing else.

    The operator wants it, and no file of a commit takes it back.
    """
    ask = "git rev-parse --git-common-dir; git log --format=%s; git for-each-ref; git config --get remote.origin.url"
    script = f"( {ask} ) > src/told.txt 2>&1; sed -i 's/\\t/    /g' src/app.py"
    fixer = "[fixers.untab]\nrun = 'sh ci/untab.sh'\npaths = ['src/**']\n"
    files = {"ci/untab.sh": script, "ci/lint.sh": "! grep -n '	' src/app.py", "src/app.py": FILES["src/app.py"]}
    project = make_project(config=CONFIG + fixer + CLONE.replace("clone", "worktree"), files=files)
    folder = project.path / ".git/cicdctl"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(CLONE)
    project.git("commit", "-q", "--allow-empty", "-m", "second")
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert project.git("show", "cicdctl/fix/1-lint:src/told.txt") == ".git\nsecond"


@pytest.mark.campaign
def test_model_works_in_it(make_project, messages_api):  # noqa: F811
    """The way of a model is the same: confined checks in repositories of their own."""
    project = make_project(config=CONFIG + CLONE, files=FILES)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    before = seen(project)
    messages_api.says(tool("str_replace", path="src/app.py", old_str="\treturn", new_str="    return"))
    messages_api.says(tool("run_check"))
    messages_api.says(tool("submit", root_cause="a tab", explanation="use spaces", confidence="high"))

    env = {"ANTHROPIC_API_KEY": "sk-ant-test-0123456789abcdef", "ANTHROPIC_BASE_URL": messages_api.url}
    project.cicdctl("fix", "1", "--fixer", "claude", env=env).passes()

    after = seen(project)
    assert {name: after.get(name) for name in before} == before
    assert project.git("diff", "--name-only", "HEAD", "cicdctl/fix/1-lint") == "src/app.py"
    assert "/.git\n" in project.cicdctl("logs", "3", "lint").passes().stdout
