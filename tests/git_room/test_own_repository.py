"""A checkout that is a repository of its own: whole for git, and no way from it to the user's."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from cicdctl.git import WorktreePool, open_repository

HOSTILE = r"""
common=$(git rev-parse --path-format=absolute --git-common-dir)
mkdir -p "$common/hooks"
for hook in post-checkout pre-commit reference-transaction; do
    printf '#!/bin/sh\ntouch "$HOME/owned"\n' > "$common/hooks/$hook"; chmod +x "$common/hooks/$hook"
done
git config core.fsmonitor 'touch "$HOME/owned"'
git config remote.origin.url https://evil.test
git update-ref refs/heads/evil HEAD
git update-ref -d refs/heads/main
git tag -f v1 HEAD
find "$common/objects" -type f | while read -r file; do chmod u+w "$file" && echo junk > "$file"; done
echo "$common"
"""


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder by its content, mode and time."""
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mode} {path.stat().st_mtime_ns} "
        + hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def acquire(tmp_path, run_git):
    """Take a slot of a commit; gives pool and slot, which the end of the test closes."""
    opened = []

    def take(git, commit: str, **options):
        repository = open_repository(git.path, git_program=run_git, environ={"PATH": os.environ["PATH"]})
        pool = WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=2)
        opened.extend((pool, repository))
        return pool, pool.acquire(commit, repository.tree_of(commit), **options)

    yield take
    for one in opened:
        one.close()


def fill(git) -> str:
    git.write("a", "1\n"), git.write("src/deep/b", "2\n" * 1000), git.write("run").chmod(0o755), git.write("empty")
    (git.path / "link").symlink_to("a")
    git.commit("first")
    git.write("a", os.urandom(100_000))
    git.run("tag", "v1")
    return git.commit("second")


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",)], ids=["sha1", "sha256"])
@pytest.mark.parametrize("packed", [False, True])
def test_it_is_whole_and_alone(make_git, acquire, git_at, options, packed):
    """git finds nothing missing, nothing changed, no history, and no file that anybody else has."""
    git = make_git("repo", *options)
    commit = fill(git)
    if packed:
        git.run("gc", "-q")
    _, slot = acquire(git, commit, own=True)
    inside = git_at(slot.path)

    assert inside.text("rev-parse", "--path-format=absolute", "--git-common-dir") == str(slot.path / ".git")
    inside.run("fsck", "--full", "--strict")
    assert inside.run("status", "--porcelain", "--ignored") == b""
    assert inside.text("log", "--format=%H %s") == f"{commit} second"
    assert inside.text("for-each-ref") == ""
    assert inside.text("remote") == ""
    files = [path for path in (slot.path / ".git").rglob("*") if path.is_file()]
    assert [path for path in files if path.stat().st_nlink != 1] == []
    assert [path for path in files if os.fsencode(git.path) in path.read_bytes()] == []
    assert (slot.admin_folders, slot.shared_folders) == ((), ())
    # What a plain slot has in its place: the very files of the user's objects.
    _, plain = acquire(git, commit)
    (mirror,) = plain.shared_folders
    assert any(path.stat().st_nlink > 1 for path in (mirror / "objects").rglob("*") if path.is_file())
    for held in (slot, plain):
        held.release(reusable=True)


def test_hostile_code_reaches_nothing(make_git, acquire, run_git, tmp_path):
    """Whatever is written through the common folder, hooks, refs, settings and objects of the user stay as they are."""
    git = make_git()
    commit = fill(git)
    _, slot = acquire(git, commit, own=True)
    before = digests(git.path)

    status, said, errors = run_git(
        ["sh", "-ec", HOSTILE], cwd=slot.path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    )

    assert (status, errors) == (0, b"")
    assert said.decode().strip() == str(slot.path / ".git")
    assert (slot.path / ".git/hooks/pre-commit").is_file(), "it did write"
    assert digests(git.path) == before
    git.run("fsck", "--full", "--strict")
    slot.release(reusable=True)
    assert digests(git.path) == before


def test_it_serves_once(make_git, acquire, tmp_path):
    """It is never handed on, and leaves nothing; nor does one whose process has died."""
    git = make_git()
    commit = fill(git)
    pool, slot = acquire(git, commit, own=True)
    first = slot.path
    slot.release(reusable=True)
    assert not first.exists()
    assert list((tmp_path / "cache").glob("mirror-*")) == [], "no mirror was needed"
    _, dead = acquire(git, commit, own=True)
    assert dead.path != first
    os.close(dead._lock)  # as the kernel does for a process that is killed
    assert pool.reap() == 1
    assert os.listdir(tmp_path / "cache/worktrees") == os.listdir(tmp_path / "cache/slots") == []
    dead._lock = None


def test_what_only_git_can_write_is_written_by_git(make_git, acquire, git_at):
    """Line ends are those that attributes ask for."""
    git = make_git()
    git.write(".gitattributes", "*.bat eol=crlf\n"), git.write("run.bat", "one\ntwo\n")
    commit = git.commit()
    _, slot = acquire(git, commit, own=True)
    assert (slot.path / "run.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert git_at(slot.path).run("status", "--porcelain") == b""
    assert (slot.path / ".git").is_dir()
    slot.release(reusable=True)


def test_a_submodule_is_an_empty_folder(make_git, acquire, git_at):
    """Its commit is nobody's object here."""
    git = make_git()
    git.write("a", "1\n")
    git.run("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git.run("commit", "-qm", "module")
    _, slot = acquire(git, git.text("rev-parse", "HEAD"), own=True)
    assert (slot.path / "module").is_dir()
    git_at(slot.path).run("fsck", "--full")
    slot.release(reusable=True)
