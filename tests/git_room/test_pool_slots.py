"""The pool: who gets which slot, what survives, and what a stage can do to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cicdctl.errors import GitError
from cicdctl.git import WorktreePool, open_repository


class Site:
    """A repository with two commits and a pool on it."""

    def __init__(self, git, tmp_path: Path, *, capacity: int = 3, git_program=None) -> None:
        self.git = git
        self.base = tmp_path
        self.repository = open_repository(git.path, git_program=git_program)
        self.pool = WorktreePool(self.repository, tmp_path / "cache", tmp_path / "locks", capacity=capacity)

    def acquire(self, commit: str, **options):
        return self.pool.acquire(commit, self.repository.tree_of(commit), **options)

    def worktrees(self) -> set[str]:
        return set(os.listdir(self.base / "cache" / "worktrees"))

    def close(self) -> None:
        self.pool.close()
        self.repository.close()


@pytest.fixture
def commits(make_git):
    git = make_git()
    git.write("a", "1\n"), git.write("src/b", "1\n"), git.write("src/deep/c", "1\n"), git.write("run").chmod(0o755)
    first = git.commit("first")
    git.write("a", "2\n"), git.write("src/new", "n\n")
    (git.path / "src/deep/c").unlink()
    second = git.commit("second")
    return git, first, second


@pytest.fixture
def site(commits, tmp_path):
    site = Site(commits[0], tmp_path)
    yield site
    site.close()


def test_one_slot_serves_stage_after_stage(site, commits):
    _, first, second = commits
    paths = set()
    for commit in (first, second, first, first):
        slot = site.acquire(commit)
        assert (slot.path / "a").read_text() == ("1\n" if commit == first else "2\n")
        paths.add(slot.path)
        slot.release(reusable=True)
        slot.release(reusable=True)
    assert len(paths) == 1
    assert site.worktrees() == {slot.path.name}


def test_held_slots_are_never_shared(site, commits):
    slots = [site.acquire(commits[1]) for _ in range(5)]
    assert len({slot.path for slot in slots}) == 5
    for slot in slots:
        slot.release(reusable=True)
    assert site.acquire(commits[1]).path in {slot.path for slot in slots}


def test_a_slot_that_is_not_reusable_is_thrown_away(site, commits):
    slot = site.acquire(commits[1])
    slot.release(reusable=False)
    assert site.worktrees() == set()
    assert not (site.base / "cache" / "mirror-trusted.git" / "worktrees" / slot.path.name).exists()
    assert site.acquire(commits[1]).path != slot.path


def test_reap_leaves_alone_what_is_being_written(site, commits):
    """The admin folder of a slot that is just being made has no record; once its maker is dead it is thrown away."""
    held, free = site.acquire(commits[1]), site.acquire(commits[2])
    folder = site.base / "cache" / "mirror-trusted.git" / "worktrees"
    for slot in (held, free):
        (folder / f"{slot.path.name}.new").mkdir()
    (folder / "stray.new").mkdir()
    free.release(reusable=True)
    site.pool.reap()
    assert {path.name for path in folder.iterdir()} == {
        held.path.name,
        f"{held.path.name}.new",
        free.path.name,
    }
    assert not list((site.base / "cache").rglob("*stray*"))
    held.release(reusable=True)
    site.pool.reap()
    assert {path.name for path in folder.iterdir()} == {held.path.name, free.path.name}


def test_an_amended_commit_only_moves_head(site, commits, git_at):
    git, _, second = commits
    slot = site.acquire(second)
    before = os.stat(slot.path / "a").st_ctime_ns
    slot.release(reusable=True)
    git.run("commit", "-q", "--amend", "-m", "better words")
    amended = git.text("rev-parse", "HEAD")
    slot = site.acquire(amended)
    assert os.stat(slot.path / "a").st_ctime_ns == before
    assert git_at(slot.path).text("log", "-1", "--format=%s") == "better words"
    assert git_at(slot.path).run("status", "--porcelain", "--ignored") == b""
    slot.release(reusable=True)


def test_changed_names_every_difference(site, commits):
    slot = site.acquire(commits[1])
    assert slot.changed() == ()
    (slot.path / "a").write_text("3\n")
    (slot.path / "src/deep/c").unlink()
    (slot.path / "node_modules/x").mkdir(parents=True)
    (slot.path / "src/\n").write_text("")
    assert slot.changed() == (b"a", b"node_modules", b"src/\n", b"src/deep/c")
    slot.release(reusable=True)


def test_an_edit_of_same_size_with_forged_times_is_noticed(site, commits):
    slot = site.acquire(commits[1])
    before = os.stat(slot.path / "a")
    with open(slot.path / "a", "r+b") as file:
        file.write(b"9")
    os.utime(slot.path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert slot.changed() == (b"a",)
    slot.release(reusable=True)
    slot = site.acquire(commits[1])
    assert (slot.path / "a").read_text() == "1\n"
    slot.release(reusable=True)


def test_incremental_slots_keep_untracked_files_and_restore_tracked_ones(site, commits):
    _, first, second = commits
    slot = site.acquire(first, sticky="build")
    (slot.path / "out").mkdir()
    (slot.path / "out/cache.o").write_text("object")
    (slot.path / "a").write_text("soiled")
    (slot.path / "src/new").write_text("in the way of the next commit")
    slot.release(reusable=True)
    plain, other = site.acquire(first), site.acquire(first, sticky="other")
    assert not (plain.path / "out").exists() and not (other.path / "out").exists()
    again = site.acquire(second, sticky="build")
    assert again.path == slot.path
    assert (again.path / "out/cache.o").read_text() == "object"
    assert (again.path / "a").read_text() == "2\n"
    assert (again.path / "src/new").read_text() == "n\n"
    for held in (plain, other, again):
        held.release(reusable=True)


def test_untracked_folders_give_way_to_files_of_the_next_commit(site, commits):
    _, first, second = commits
    slot = site.acquire(first, sticky="build")
    (slot.path / "src/new/below").mkdir(parents=True)
    slot.release(reusable=True)
    slot = site.acquire(second, sticky="build")
    assert (slot.path / "src/new").read_text() == "n\n"
    slot.release(reusable=True)


def test_trust_levels_share_neither_slot_nor_mirror(site, commits):
    slot = site.acquire(commits[1], trust="untrusted")
    slot.release(reusable=True)
    trusted = site.acquire(commits[1])
    assert trusted.path != slot.path
    assert trusted.shared_folders != slot.shared_folders
    trusted.release(reusable=True)
    assert site.acquire(commits[1], trust="untrusted").path == slot.path


def test_the_least_recently_used_idle_slot_goes_first(commits, tmp_path):
    site = Site(commits[0], tmp_path, capacity=2)
    first = [site.acquire(commits[1]) for _ in range(2)]
    for slot in first:
        slot.release(reusable=True)
        time.sleep(0.02)  # file systems stamp times by the tick
    site.acquire(commits[1], trust="untrusted").release(reusable=True)
    assert first[0].path.name not in site.worktrees()
    assert first[1].path.name in site.worktrees()
    site.close()


def test_threads_get_clean_slots_of_their_own(site, commits):
    _, first, second = commits
    held: set[Path] = set()
    failures: list[str] = []

    def work(number: int) -> None:
        for step in range(8):
            commit = (first, second)[(number + step) % 2]
            slot = site.acquire(commit)
            if slot.path in held:
                failures.append("shared")
            held.add(slot.path)
            if slot.changed() or (slot.path / "a").read_text() != ("1\n" if commit == first else "2\n"):
                failures.append("not clean")
            (slot.path / "a").write_text("soiled")
            held.discard(slot.path)
            slot.release(reusable=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(site.worktrees()) <= 4


# What a stage does to its slot


def test_nothing_is_written_or_deleted_through_links(site, commits):
    victim = site.base / "victim"
    (victim / "deep").mkdir(parents=True)
    (victim / "b").write_text("precious"), (victim / "deep/c").write_text("precious"), (victim / "new").write_text("p")
    slot = site.acquire(commits[1])
    subprocess.run(["rm", "-r", "src"], cwd=slot.path, check=True)
    (slot.path / "src").symlink_to(victim)
    (slot.path / "a").unlink()
    (slot.path / "a").symlink_to(victim / "b")
    slot.release(reusable=True)
    slot = site.acquire(commits[2])
    assert not (slot.path / "src").is_symlink() and (slot.path / "src/b").read_text() == "1\n"
    assert (slot.path / "a").read_text() == "2\n"
    assert sorted(path.name for path in victim.rglob("*")) == ["b", "c", "deep", "new"]
    assert (victim / "b").read_text() == "precious"
    slot.release(reusable=True)


@pytest.mark.parametrize("forged", ["file", "folder", "link", "gone", "fifo"])
def test_a_forged_git_file_is_replaced(site, commits, git_at, forged):
    slot = site.acquire(commits[1])
    dot_git = slot.path / ".git"
    text = dot_git.read_bytes()
    dot_git.unlink()
    if forged == "file":
        dot_git.write_text("gitdir: /tmp/evil\n")
    elif forged == "folder":
        git_at(slot.path).run("init", "-q")
    elif forged == "link":
        (site.base / "copy").write_bytes(text)
        dot_git.symlink_to(site.base / "copy")
    elif forged == "fifo":
        os.mkfifo(dot_git)
    slot.release(reusable=True)
    slot = site.acquire(commits[1])
    assert stat.S_ISREG(dot_git.lstat().st_mode) and dot_git.read_bytes() == text
    assert git_at(slot.path).run("status", "--porcelain", "--ignored") == b""
    slot.release(reusable=True)


def test_a_worktree_that_became_a_link_is_thrown_away(site, commits):
    (site.base / "victim").mkdir()
    slot = site.acquire(commits[1])
    slot.path.rename(site.base / "moved")
    slot.path.symlink_to(site.base / "victim")
    slot.release(reusable=True)
    assert slot.path.name not in site.worktrees()
    assert os.listdir(site.base / "victim") == []
    assert site.acquire(commits[1]).changed() == ()


def test_a_forged_index_hides_nothing(site, commits, git_at):
    slot = site.acquire(commits[1])
    inside = git_at(slot.path)
    (slot.path / "a").write_text("hidden")
    inside.run("update-index", "--assume-unchanged", "a")
    inside.run("rm", "-q", "--cached", "src/b")
    (slot.path / "run").chmod(0o644)
    slot.release(reusable=True)
    slot = site.acquire(commits[1])
    assert (slot.path / "a").read_text() == "1\n"
    assert os.access(slot.path / "run", os.X_OK)
    assert inside.run("ls-files", "-v") == b"H a\nH run\nH src/b\nH src/deep/c\n"
    slot.release(reusable=True)


def test_git_in_a_slot_reaches_only_the_mirror_and_is_undone(site, commits, git_at):
    git, first, _ = commits
    before = git.text("for-each-ref"), (git.path / ".git/config").read_bytes(), git.text("worktree", "list")
    slot = site.acquire(first)
    inside = git_at(slot.path)
    (slot.path / "a").write_text("by a stage")
    inside.run("commit", "-qam", "mine"), inside.run("tag", "mine"), inside.run("branch", "theirs")
    (slot.path / "a").write_text("stashed")
    inside.run("stash"), inside.run("config", "core.hooksPath", "/tmp/evil")
    hook = slot.shared_folders[0] / "hooks" / "post-checkout"
    hook.parent.mkdir(), hook.write_text("#!/bin/sh\ntouch /tmp/evil\n"), hook.chmod(0o755)
    slot.release(reusable=True)
    assert (git.text("for-each-ref"), (git.path / ".git/config").read_bytes(), git.text("worktree", "list")) == before
    slot = site.acquire(first)
    assert inside.text("tag") == "" and inside.text("stash", "list") == ""
    assert inside.text("rev-parse", "HEAD") == first
    assert inside.run("config", "core.hooksPath", check=False) == b""
    assert not hook.exists()
    slot.release(reusable=True)


def test_a_mirror_changed_by_untrusted_code_goes_with_all_its_slots(site, commits, git_at):
    slots = [site.acquire(commits[1], trust="untrusted") for _ in range(2)]
    git_at(slots[0].path).run("tag", "evil")
    slots[0].release(reusable=True)
    assert site.worktrees() == {slot.path.name for slot in slots}
    slots[1].release(reusable=True)
    assert site.worktrees() == set()
    slot = site.acquire(commits[1], trust="untrusted")
    assert git_at(slot.path).text("tag") == ""
    slot.release(reusable=True)


def test_read_only_and_very_deep_leftovers_are_removed(site, commits):
    slot = site.acquire(commits[1])
    deep = "import os\nfor _ in range(3000):\n    os.mkdir('d'); os.chdir('d')\n"
    subprocess.run([sys.executable, "-c", deep], cwd=slot.path, check=True)
    (slot.path / "mod/pkg").mkdir(parents=True)
    (slot.path / "mod/pkg/file").write_text("x")
    for path in ("mod/pkg/file", "mod/pkg", "mod", "src"):
        (slot.path / path).chmod(0o555)
    slot.release(reusable=True)
    slot = site.acquire(commits[1])
    assert slot.changed() == () and stat.S_IMODE((slot.path / "src").stat().st_mode) == 0o755
    slot.release(reusable=True)
    site.pool.trash.empty()
    assert os.listdir(site.base / "cache" / "trash") == []


# Attributes


def test_a_tree_that_needs_git_is_refused_without_it(make_git, tmp_path):
    git = make_git()
    git.write(".gitattributes", "*.bat eol=crlf\n"), git.write("win/run.bat", "a\n")
    site = Site(git, tmp_path)
    with pytest.raises(GitError, match=r"'win/run.bat' has the attribute 'eol=crlf', which needs git"):
        site.acquire(git.commit())
    assert site.worktrees() == set()
    site.close()


def test_git_that_is_not_installed_is_told(make_git, tmp_path, run_git):
    git = make_git()
    git.write(".gitattributes", "*.bat eol=crlf\n"), git.write("run.bat", "a\n")
    commit = git.commit()
    with (
        open_repository(git.path, git_program=run_git, environ={"PATH": "/nonexistent"}) as repository,
        WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=1) as pool,
        pytest.raises(GitError, match=r"'run.bat' has the attribute 'eol=crlf', which needs git"),
    ):
        pool.acquire(commit, repository.tree_of(commit))


def test_a_tree_that_needs_git_is_written_by_git(make_git, git_at, tmp_path, run_git):
    git = make_git()
    git.write("plain", "1\n")
    plain = git.commit()
    git.write(".gitattributes", "*.bat eol=crlf\n*.id ident\n*.u working-tree-encoding=UTF-16LE\n")
    git.write("run.bat", "a\nb\n"), git.write("x.id", "$Id$\n"), git.write("t.u", "text\n".encode("utf-16-le"))
    commit = git.commit()
    git.run("worktree", "add", "-q", "--detach", str(tmp_path / "reference"), commit)
    site = Site(git, tmp_path, git_program=run_git)
    site.acquire(plain).release(reusable=True)
    slot = site.acquire(commit)
    names = {"plain", ".gitattributes", "run.bat", "x.id", "t.u"}
    assert {name: (slot.path / name).read_bytes() for name in names} == {
        name: (tmp_path / "reference" / name).read_bytes() for name in names
    }
    assert git_at(slot.path).run("status", "--porcelain", "--ignored") == b""
    assert slot.changed() == ()
    slot.release(reusable=True)
    assert slot.path.name not in site.worktrees()
    site.close()


def test_harmless_attributes_need_no_git(make_git, git_at, tmp_path):
    git = make_git()
    git.write(".gitattributes", "* text=auto\n*.sh eol=lf\n*.png binary\n*.psd filter=lfs\n*.c ident=\n")
    git.write("a.sh", "a\n"), git.write("b.png", b"\r\n\0"), git.write("p.psd", "pointer\n")
    site = Site(git, tmp_path)
    slot = site.acquire(git.commit())
    assert git_at(slot.path).run("status", "--porcelain", "--ignored") == b""
    slot.release(reusable=True)
    site.close()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
NOT_APPLIED = "which is not applied: stages see"


def test_filters_are_not_applied_and_that_is_told(make_git, tmp_path, run_git):
    """Also where the user has set the filter up: equal trees give equal bytes everywhere."""
    git = make_git()
    git.write("a", "1\n")
    without = git.commit()
    git.write("art/a.psd", POINTER), git.write("art/b.psd", POINTER)
    git.write("art/.gitattributes", "*.psd filter=lfs diff=lfs -text\n")
    large = git.commit()
    git.write("b", "2\n")
    later = git.commit()
    git.write("art/.gitattributes"), git.write(".gitattributes", "secret filter=git-crypt\n")
    git.write("secret", "\0GITCRYPT\0")
    sealed = git.commit()
    git.write(".gitattributes", "secret filter=git-crypt\n*.bat eol=crlf\n"), git.write("x.bat", "x\n")
    mixed = git.commit()
    for name in ("lfs", "git-crypt"):
        git.run("config", f"filter.{name}.smudge", f"touch {tmp_path}/ran; cat")
    lfs = f"'art/a.psd' and 1 more have the attribute 'filter=lfs', {NOT_APPLIED} pointer files of git-lfs"
    crypt = f"'secret' has the attribute 'filter=git-crypt', {NOT_APPLIED} the bytes as they are stored"
    expected = {without: "", large: lfs, later: lfs, sealed: crypt, mixed: crypt}
    site = Site(git, tmp_path, git_program=run_git)
    # New, found again as it is, moved there and back, written by git.
    for commit in (large, large, without, later, large, sealed, mixed, without):
        slot = site.acquire(commit)
        assert slot.warning == expected[commit]
        if commit in (large, later):
            assert (slot.path / "art/a.psd").read_text() == POINTER
        if commit in (sealed, mixed):
            assert (slot.path / "secret").read_bytes() == b"\0GITCRYPT\0"
        slot.release(reusable=True)
    assert not (tmp_path / "ran").exists()
    site.close()
