"""Slots against `git worktree add --detach` and `git checkout`: bytes, modes, links, index, and what git says."""

from __future__ import annotations

import os
import random
import stat

import pytest

from cicdctl.git import WorktreePool, export, open_repository


def picture(root) -> dict[bytes, tuple[int, bytes]]:
    """Every path but .git with its mode and content; folders too."""
    found = {}
    base = os.fsencode(root)
    for folder, folders, files in os.walk(base):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            below = path[len(base) + 1 :]
            if below == b".git" or below.startswith(b".git/"):
                continue
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[below] = (0o120000, os.readlink(path))
            elif stat.S_ISDIR(mode):
                found[below] = (mode, b"")
            else:
                with open(path, "rb") as file:
                    found[below] = (mode, file.read())
    return found


def write_nasty(git) -> None:
    """Contents and names that break careless checkouts."""
    base = os.fsencode(git.path)

    def put(name: bytes, data: bytes = b"x\n", mode: int = 0o644) -> None:
        path = os.path.join(base, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)

    for name, data in {b"crlf": b"a\r\nb\r\n", b"lf": b"a\nb\n", b"mixed": b"a\r\nb\n\0", b"empty": b""}.items():
        put(name, data)
    for name in (b"a", b"a.b", b"a-b", b"a0", b"ab/c", b"nl\nx", b"tab\tx", b'quo"te', b"back\\slash", b" lead", b"-x"):
        put(b"order/" + name, name)
    for name in (
        b":colon",
        b"nfc-\xc3\xa9",
        b"nfd-e\xcc\x81",
        b"bad-\xff\xfe",
        b"trail ",
        b"n" * 255,
        b"$(id)",
        b"...",
    ):
        put(b"names/" + name, name)
    put(b"Twin/x"), put(b"twin/x"), put(b"TWIN")
    put(b"/".join([b"d"] * 60) + b"/deep")
    put(b"run.sh", b"#!/bin/sh\n", 0o755)
    put(b".gitignore", b"ignored\n"), put(b"ignored", b"tracked all the same")
    put(b".gitattributes", b"*.txt text eol=lf\n*.bin binary\nraw filter=lfs export-ignore\n")
    put(b"a.txt"), put(b"b.bin", bytes(range(256)))
    put(b"raw", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    os.symlink(b"nowhere", base + b"/dangling"), os.symlink(b"/etc/passwd", base + b"/outside")
    os.symlink(b"order", base + b"/folder-link"), os.symlink(b"\xff\n", base + b"/odd-link")


def commit_nasty(git) -> str:
    write_nasty(git)
    git.run("add", "-f", "-A")
    git.run("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module/sub")
    git.run("commit", "-q", "-m", "nasty")
    git.run("tag", "-a", "-m", "one", "v1.0")
    return git.text("rev-parse", "HEAD")


def check_slot(git_at, slot, repository, commit: str, git) -> None:
    """Compare a slot with a fresh worktree of git's own."""
    inside = git_at(slot.path)
    reference = slot.path.parent / f"reference-{commit[:8]}"
    git.run("worktree", "add", "-q", "--detach", str(reference), commit)
    try:
        assert picture(slot.path) == picture(reference)
        assert inside.run("status", "--porcelain", "--ignored") == b""
        assert inside.text("rev-parse", "HEAD") == commit
        assert inside.run("ls-files", "-s", "-z") == git_at(reference).run("ls-files", "-s", "-z")
        assert inside.text("write-tree") == repository.tree_of(commit)
        assert inside.run("diff-index", "--cached", "HEAD") == b""
    finally:
        git.run("worktree", "remove", "--force", str(reference))


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_new_slot_is_what_git_would_write(make_git, git_at, tmp_path, object_format):
    git = make_git("repo", f"--object-format={object_format}")
    if object_format == "sha1":
        commit = commit_nasty(git)
    else:
        write_nasty(git)
        commit = git.commit()
    with (
        open_repository(git.path) as repository,
        WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=2) as pool,
    ):
        slot = pool.acquire(commit, repository.tree_of(commit))
        check_slot(git_at, slot, repository, commit, git)
        if object_format == "sha1":
            assert git_at(slot.path).text("describe") == "v1.0"
        assert git_at(slot.path).run("fsck") == b""
        slot.release(reusable=True)


@pytest.mark.parametrize("mask", [0o077, 0o002, 0o000])
def test_modes_do_not_follow_the_umask(make_git, tmp_path, mask):
    git = make_git()
    git.write("d/file"), git.write("run").chmod(0o755)
    commit = git.commit()
    before = os.umask(mask)
    try:
        with open_repository(git.path) as repository:
            export(repository, repository.tree_of(commit), tmp_path / "out")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in (".", "d", "d/file", "run")}
    assert modes == {".": 0o755, "d": 0o755, "d/file": 0o644, "run": 0o755}


@pytest.mark.parametrize("attributes", ["", "*.bat eol=crlf\n"], ids=["written here", "written by git"])
def test_modes_of_a_slot_are_those_git_gives_under_022(make_git, git_at, tmp_path, run_git, attributes):
    git = make_git()
    git.write("d/e/file"), git.write("d/run").chmod(0o755), git.write("w/x.bat", "x\n"), git.write("top")
    git.write(".gitattributes", attributes)
    (git.path / "link").symlink_to("d")
    commit = git.commit()
    before = os.umask(0o022)
    try:
        git.run("worktree", "add", "-q", "--detach", str(tmp_path / "reference"), commit)
        # As every process of a stage has it.
        os.umask(0o077)
        with (
            open_repository(git.path, git_program=run_git) as repository,
            WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=2) as pool,
        ):
            slot = pool.acquire(commit, repository.tree_of(commit))
            assert picture(slot.path) == picture(tmp_path / "reference")
            assert stat.S_IMODE(slot.path.stat().st_mode) == 0o755
            assert git_at(slot.path).run("status", "--porcelain", "--ignored") == b""
            slot.release(reusable=True)
    finally:
        os.umask(before)


def test_export_has_the_files_and_no_git(make_git, tmp_path):
    git = make_git()
    commit = commit_nasty(git)
    with open_repository(git.path) as repository:
        export(repository, repository.tree_of(commit), tmp_path / "out")
    git.run("worktree", "add", "-q", "--detach", str(tmp_path / "reference"), commit)
    assert picture(tmp_path / "out") == picture(tmp_path / "reference")
    assert not (tmp_path / "out" / ".git").exists()


def test_unchanged_files_keep_their_times(make_git, tmp_path):
    """make and ninja stay incremental when a slot moves."""
    git = make_git()
    git.write("keep"), git.write("d/keep"), git.write("d/change", "1")
    first = git.commit()
    git.write("d/change", "2")
    second = git.commit()
    with (
        open_repository(git.path) as repository,
        WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=2) as pool,
    ):
        slot = pool.acquire(first, repository.tree_of(first))
        before = {name: (slot.path / name).stat() for name in ("keep", "d/keep", "d/change")}
        slot.release(reusable=True)
        moved = pool.acquire(second, repository.tree_of(second))
        assert moved.path == slot.path
        after = {name: (moved.path / name).stat() for name in before}
        # An inode number may be given anew, and seconds are long: only this time is never the same.
        changed = {name for name in before if before[name].st_ctime_ns != after[name].st_ctime_ns}
        assert changed - {"keep", "d/keep"} == {"d/change"} and (moved.path / "d/change").read_text() == "2"
        assert before["keep"].st_mtime_ns == after["keep"].st_mtime_ns
        assert before["keep"].st_ino == after["keep"].st_ino


def make_history(git, chance: random.Random, length: int) -> list[str]:
    """Commits in which files, folders and links turn into each other."""
    names = [f"{a}{b}" for a in ("", "d/", "d/e/", "x/", "x.y/", "x-y/") for b in ("d", "e", "f", "g", "x", "a.b")]
    commits = []
    for _ in range(length):
        for _ in range(chance.randint(1, 12)):
            path = git.path / chance.choice(names)
            for parent in reversed([p for p in path.parents if git.path in p.parents]):
                if parent.is_symlink() or parent.is_file():
                    parent.unlink()
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                git.run("rm", "-rfq", "--cached", "--ignore-unmatch", "--", str(path))
                import shutil

                shutil.rmtree(path)
            kind = chance.random()
            if kind < 0.2:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind < 0.35:
                path.symlink_to(chance.choice(["d", "f", "..", "/etc", "nowhere"]))
            else:
                path.write_bytes(chance.randbytes(chance.choice([0, 1, 40, 3000])))
                path.chmod(chance.choice([0o644, 0o755]))
        commits.append(git.commit())
    return commits


def soil(slot, chance: random.Random, git_at) -> None:
    """What stages do: write, delete, replace, chmod, touch, use git."""
    root = slot.path
    entries = [path for path in root.rglob("*") if path.relative_to(root).parts[0] != ".git"]
    for _ in range(chance.randint(0, 6)):
        act = chance.randint(0, 9)
        try:
            path = chance.choice(entries) if entries else root / "new"
            if act == 0:
                path.unlink()
            elif act == 1:
                path.write_bytes(chance.randbytes(20))
            elif act == 2:
                (root / f"junk{chance.randint(0, 99)}" / "a").mkdir(parents=True, exist_ok=True)
            elif act == 3:
                import shutil

                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                    path.symlink_to(chance.choice([str(root.parent.parent), "/etc", "d"]))
            elif act == 4:
                path.chmod(chance.choice([0o000, 0o600, 0o777, 0o4755, 0o555]))
            elif act == 5:
                os.utime(path, (1, 1))
            elif act == 6:
                path.rename(root / f"moved{chance.randint(0, 99)}")
            elif act == 7:
                (root / ".gitignore").write_text("*\n")
                (root / "ignored").write_text("x")
            elif act == 8:
                git_at(root).run("add", "-A", check=False)
                git_at(root).run("commit", "-q", "-m", "by a stage", check=False)
            else:
                data = path.read_bytes()
                times = path.stat()
                path.write_bytes(bytes(reversed(data)))
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        except OSError:
            continue


def wander(make_git, git_at, tmp_path, seed: int, moves: int, check_each: int) -> None:
    chance = random.Random(seed)
    git = make_git()
    commits = make_history(git, chance, 8)
    reference = {}
    for commit in commits:
        git.run("worktree", "add", "-q", "--detach", str(tmp_path / commit), commit)
        reference[commit] = picture(tmp_path / commit)
    with (
        open_repository(git.path) as repository,
        WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=2) as pool,
    ):
        for step in range(moves):
            commit = chance.choice(commits)
            slot = pool.acquire(commit, repository.tree_of(commit))
            assert picture(slot.path) == reference[commit], (seed, step)
            assert slot.changed() == ()
            if step % check_each == 0:
                inside = git_at(slot.path)
                assert inside.run("status", "--porcelain", "--ignored") == b"", (seed, step)
                assert inside.text("write-tree") == repository.tree_of(commit)
            soil(slot, chance, git_at)
            slot.release(reusable=True)
        assert len(os.listdir(tmp_path / "cache" / "worktrees")) <= 2


@pytest.mark.parametrize("seed", [1, 2])
def test_moves_and_restores_of_soiled_slots_equal_git(make_git, git_at, tmp_path, seed):
    wander(make_git, git_at, tmp_path, seed, moves=20, check_each=5)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 108))
def test_many_moves_and_restores_equal_git(make_git, git_at, tmp_path, seed):
    wander(make_git, git_at, tmp_path, seed, moves=60, check_each=2)
