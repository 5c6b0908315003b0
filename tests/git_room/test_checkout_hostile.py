"""Trees built by hand: git's verdict or stricter, and nothing outside the target changes."""

from __future__ import annotations

import os

import pytest

from cicdctl.errors import GitError
from cicdctl.git import WorktreePool, export, open_repository

FILE, PROGRAM, LINK, FOLDER, MODULE = b"100644", b"100755", b"120000", b"40000", b"160000"
ZWNJ = "\u200c".encode()

REFUSED_NAMES = [
    b".git", b".GIT", b".Git", b"git~1", b"GIT~1", b".git ", b".git.", b".git . .", b".git::$INDEX_ALLOCATION",
    b".g" + ZWNJ + b"it", "\ufeff.git".encode(), b".git\\hooks", b"a\\.git", b"..", b".",
]  # fmt: skip
LEGAL_NAMES = [b".gitx", b"git", b"...", b"x.git", b"git~", b".gitignore", b"a\\b", b"c:", b"aux", b"cr\r", b"nl\n"]


class Builder:
    """Writes objects without any check."""

    def __init__(self, git) -> None:
        self.git = git

    def blob(self, data: bytes = b"evil") -> bytes:
        return self._add("blob", data)

    def tree(self, *rows: tuple[bytes, bytes, bytes]) -> bytes:
        return self._add("tree", b"".join(mode + b" " + name + b"\0" + oid for mode, name, oid in rows))

    def _add(self, kind: str, data: bytes) -> bytes:
        text = self.git.run("hash-object", "-t", kind, "--literally", "-w", "--stdin", stdin=data)
        return bytes.fromhex(text.decode().strip())


@pytest.fixture
def hostile(make_git):
    return Builder(make_git())


def refused(hostile, tmp_path, tree: bytes, words: str | None = None) -> None:
    """The tree is refused by export and pool, and only the target was touched."""
    before = set(os.listdir(tmp_path)) | {"out", "cache", "locks"}
    with open_repository(hostile.git.path) as repository:
        with pytest.raises(GitError, match=words):
            export(repository, tree.hex(), tmp_path / "out")
        with WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=1) as pool:
            with pytest.raises(GitError, match=words):
                pool.acquire("1" * 40, tree.hex())
            assert os.listdir(tmp_path / "cache" / "worktrees") == []
            assert os.listdir(tmp_path / "cache" / "slots") == []
    assert set(os.listdir(tmp_path)) <= before
    if (tmp_path / "out").exists():
        assert not any(name.lower().startswith((".g", "git~")) for name in os.listdir(tmp_path / "out"))


@pytest.mark.parametrize("name", REFUSED_NAMES)
@pytest.mark.parametrize("mode", [FILE, FOLDER, MODULE])
def test_names_git_would_take_for_its_own_are_refused(hostile, tmp_path, name, mode):
    blob = hostile.blob()
    inner = hostile.tree((FILE, b"hooks", blob)) if mode == FOLDER else blob
    refused(hostile, tmp_path, hostile.tree((mode, name, inner)), "refused")
    refused(hostile, tmp_path, hostile.tree((FOLDER, b"deep", hostile.tree((mode, name, inner)))), "refused")


@pytest.mark.parametrize("name", LEGAL_NAMES)
def test_legal_names_that_look_odd_are_written(hostile, tmp_path, name):
    tree = hostile.tree((FILE, name, hostile.blob(b"fine")))
    with open_repository(hostile.git.path) as repository:
        export(repository, tree.hex(), tmp_path / "out")
    assert os.listdir(os.fsencode(tmp_path / "out")) == [name]


def test_empty_names_and_slashes_are_refused(hostile, tmp_path):
    blob = hostile.blob()
    for name in (b"", b"a/b", b"../x", b"/abs"):
        refused(hostile, tmp_path, hostile.tree((FILE, name, blob)))


def test_a_path_that_appears_twice_is_refused(hostile, tmp_path):
    blob, link = hostile.blob(), hostile.blob(b"/tmp")
    inner = hostile.tree((FILE, b"x", blob))
    refused(hostile, tmp_path, hostile.tree((FILE, b"a", blob), (FILE, b"a", blob)), "twice")
    refused(hostile, tmp_path, hostile.tree((LINK, b"a", link), (FOLDER, b"a", inner)), "twice")
    refused(hostile, tmp_path, hostile.tree((LINK, b"a", link), (FILE, b"b", blob), (FOLDER, b"a", inner)), "twice")


@pytest.mark.parametrize("mode", [b"20666", b"10644", b"60660", b"140755", b"0", b"1"])
def test_unknown_modes_are_refused(hostile, tmp_path, mode):
    refused(hostile, tmp_path, hostile.tree((mode, b"a", hostile.blob())))


@pytest.mark.parametrize(("mode", "wanted"), [(b"100664", 0o644), (b"104755", 0o755), (b"100777", 0o755)])
def test_odd_file_modes_are_reduced(hostile, tmp_path, mode, wanted):
    tree = hostile.tree((mode, b"a", hostile.blob()))
    with open_repository(hostile.git.path) as repository:
        export(repository, tree.hex(), tmp_path / "out")
    assert os.stat(tmp_path / "out" / "a").st_mode & 0o7777 == wanted


@pytest.mark.parametrize("name", [b".gitmodules", b".GITMODULES", b"gitmod~1", b".gitmodules "])
def test_a_linked_gitmodules_is_refused(hostile, tmp_path, name):
    refused(hostile, tmp_path, hostile.tree((LINK, name, hostile.blob(b"x"))), "gitmodules")


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 5000])
def test_impossible_link_targets_are_refused(hostile, tmp_path, target):
    refused(hostile, tmp_path, hostile.tree((LINK, b"l", hostile.blob(target))), "link")


def test_links_are_written_last_and_never_written_through(hostile, tmp_path):
    """`A` is a link, `a/x` a file: on a file system that folds case git once wrote through it."""
    (tmp_path / "victim").mkdir()
    link = hostile.blob(str(tmp_path / "victim").encode())
    tree = hostile.tree((LINK, b"A", link), (FOLDER, b"a", hostile.tree((FILE, b"x", hostile.blob()))))
    with open_repository(hostile.git.path) as repository:
        export(repository, tree.hex(), tmp_path / "out")
    assert os.listdir(tmp_path / "victim") == []
    assert os.readlink(tmp_path / "out" / "A") == str(tmp_path / "victim")


def test_a_bottomless_tree_is_refused(hostile, tmp_path):
    tree = hostile.tree((FILE, b"x", hostile.blob()))
    for _ in range(45):
        tree = hostile.tree((FOLDER, b"n" * 100, tree))
    refused(hostile, tmp_path, tree, "4,095")


def test_a_missing_blob_leaves_nothing_behind(hostile, tmp_path):
    tree = hostile.tree((FILE, b"a", hostile.blob()), (FILE, b"b", b"\1" * 20))
    refused(hostile, tmp_path, tree, "not in this repository")


def test_git_agrees_with_what_is_refused(hostile, tmp_path):
    """Nothing that git refuses is written by us."""
    blob = hostile.blob()
    with open_repository(hostile.git.path) as repository:
        for number, name in enumerate([*REFUSED_NAMES, *LEGAL_NAMES]):
            tree = hostile.tree((FILE, name, blob))
            index = tmp_path / f"index{number}"
            strict = ("-c", "core.protectHFS=true", "-c", "core.protectNTFS=true")
            hostile.git.run(*strict, "read-tree", tree.hex(), check=False, GIT_INDEX_FILE=str(index))
            git_takes = index.exists()
            try:
                export(repository, tree.hex(), tmp_path / f"out{number}")
                ours_takes = True
            except GitError:
                ours_takes = False
            assert not (ours_takes and not git_takes), name
