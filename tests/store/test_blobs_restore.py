"""Artifacts go out as they came in, and no path or planted link leads anywhere else."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from cicdctl.errors import StoreError
from cicdctl.model import Artifact
from cicdctl.store.blobs import BlobStore, MissingBlob
from cicdctl.store.collect import literal_folders


@pytest.fixture
def store(tmp_path):
    opened = BlobStore(tmp_path / "cache")
    yield opened
    opened.close()


@pytest.fixture
def worktree(tmp_path):
    folder = tmp_path / "worktree"
    folder.mkdir()
    return folder


def everything(path: bytes) -> bool:
    return True


def listing(root: Path) -> dict[str, tuple[int, bytes | str | None]]:
    """Every name below with its mode and content."""
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (mode, content)
    return found


def make_tree(root: Path) -> None:
    (root / "dist/sub").mkdir(parents=True)
    (root / "dist/empty").mkdir()
    (root / "dist/sub/plain").write_bytes(b"plain\0bytes")
    (root / "dist/sub/plain").chmod(0o644)
    (root / "dist/program").write_bytes(b"#!/bin/sh\n")
    (root / "dist/program").chmod(0o755)
    (root / "dist/large").write_bytes(os.urandom(3_000_000))
    (root / "dist/large").chmod(0o644)
    (root / "dist/nothing").write_bytes(b"")
    (root / "dist/nothing").chmod(0o644)
    (root / "dist/up").symlink_to("../../../etc/passwd")
    (root / "dist/absolute").symlink_to("/nowhere")
    (root / os.fsdecode(b"dist/\xff\xfe")).write_bytes(b"name is no utf-8")
    (root / os.fsdecode(b"dist/\xff\xfe")).chmod(0o644)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_tree_makes_the_round_trip(store, tmp_path, worktree, umask) -> None:
    """Content, modes, links, empty folders, strange names; whatever the umask."""
    make_tree(tmp_path / "source")
    artifacts = store.add_tree(tmp_path / "source", everything)

    before = os.umask(umask)
    try:
        store.restore(artifacts, worktree)
    finally:
        os.umask(before)

    strip = {name: facts for name, facts in listing(worktree).items() if facts[1] is not None}
    assert strip == {name: facts for name, facts in listing(tmp_path / "source").items() if facts[1] is not None}
    assert (worktree / "dist/empty").is_dir()
    assert [artifact.path for artifact in artifacts] == sorted(artifact.path for artifact in artifacts)


def test_many_files_go_through_threads(store, tmp_path, worktree) -> None:
    for number in range(450):
        path = tmp_path / f"source/d{number % 7}/e/f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    artifacts = store.add_tree(tmp_path / "source", everything)
    store.restore(artifacts, worktree)

    assert listing(worktree) == listing(tmp_path / "source")
    assert len(artifacts) == 450


def test_blobs_are_read_only_and_not_shared_with_the_stage(store, tmp_path, worktree) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a").write_bytes(b"content")
    (artifact,) = store.add_tree(tmp_path / "source", everything)
    store.restore([artifact], worktree)
    (worktree / "a").write_bytes(b"changed by the stage")

    blob = tmp_path / "cache/cas" / artifact.digest[:2] / artifact.digest
    assert blob.read_bytes() == b"content"
    assert blob.stat().st_mode & 0o777 == 0o444
    assert blob.stat().st_nlink == 1
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_what_is_there_is_replaced_and_later_artifacts_win(store, worktree) -> None:
    (worktree / "hard").write_bytes(b"old")
    os.link(worktree / "hard", worktree / "other name")
    (worktree / "folder").mkdir()
    rows = [Artifact(path=b"hard", mode=0o100644, digest=store.add_bytes(b"first"), size_bytes=5)]
    rows += [Artifact(path=b"hard", mode=0o100755, digest=store.add_bytes(b"second"), size_bytes=6)]
    rows += [Artifact(path=b"folder", mode=0o100644, digest=store.add_bytes(b"file"), size_bytes=4)]
    store.restore(rows, worktree)

    assert (worktree / "hard").read_bytes() == b"second"
    assert (worktree / "other name").read_bytes() == b"old"
    assert (worktree / "folder").read_bytes() == b"file"


def test_full_folder_is_not_removed_for_a_file(store, worktree) -> None:
    (worktree / "folder").mkdir()
    (worktree / "folder/precious").write_bytes(b"x")
    row = Artifact(path=b"folder", mode=0o100644, digest=store.add_bytes(b"file"), size_bytes=4)

    with pytest.raises(StoreError, match="not empty"):
        store.restore([row], worktree)
    assert (worktree / "folder/precious").exists()


@pytest.mark.parametrize("where", ["file", "folder", "deep"])
def test_planted_link_is_never_written_through(store, tmp_path, worktree, where) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "file").write_bytes(b"untouched")
    if where == "file":
        (worktree / "out").mkdir()
        (worktree / "out/file").symlink_to(outside / "file")
    elif where == "folder":
        (worktree / "out").symlink_to(outside)
    else:
        (worktree / "out").mkdir()
        (worktree / "out/sub").symlink_to(outside / "sub")
    digest = store.add_bytes(b"artifact")
    rows = [
        Artifact(path=path, mode=0o100644, digest=digest, size_bytes=8)
        for path in (b"out/file", b"out/sub/new", b"out/x")
    ]
    store.restore(rows, worktree)

    assert listing(outside) == {
        "file": ((outside / "file").lstat().st_mode, b"untouched"),
        "sub": ((outside / "sub").lstat().st_mode, None),
    }
    assert (worktree / "out/sub/new").read_bytes() == b"artifact"


def test_link_of_one_restore_is_not_followed_by_the_next(store, tmp_path, worktree) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = str(outside).encode()
    link = Artifact(path=b"out", mode=0o120000, digest=store.add_bytes(target), size_bytes=len(target))
    store.restore([link], worktree)
    assert os.readlink(worktree / "out") == str(outside)

    store.restore([Artifact(path=b"out/x", mode=0o100644, digest=store.add_bytes(b"x"), size_bytes=1)], worktree)
    assert list(outside.iterdir()) == []
    assert (worktree / "out/x").read_bytes() == b"x"


HOSTILE = [
    b"",
    b"/etc/passwd",
    b"../up",
    b"a/../../up",
    b"a/./b",
    b"a//b",
    b"a/",
    b"nul\0byte",
    b".git/hooks/post-commit",
    b"sub/.git/config",
    b".GIT/config",
    b"git~1/config",
    ".g\u200cit/config".encode(),
    b".git. /x",
    b".git::$INDEX_ALLOCATION/x",
    b"a/" * 150 + b"a",
    b"n" * 256,
    b"p/" * 2100,
]


@pytest.mark.parametrize("path", HOSTILE, ids=[repr(path[:20]) for path in HOSTILE])
def test_hostile_path_is_refused_before_anything_is_written(store, worktree, path) -> None:
    digest = store.add_bytes(b"x")
    good = Artifact(path=b"good", mode=0o100644, digest=digest, size_bytes=1)
    for mode in (0o100644, 0o120000, 0o040000):
        with pytest.raises(StoreError, match="refused artifact path"):
            store.restore([good, Artifact(path=path, mode=mode, digest=digest, size_bytes=1)], worktree)
    assert list(worktree.iterdir()) == []


def test_file_that_is_also_a_folder_is_refused(store, worktree) -> None:
    digest = store.add_bytes(b"x")
    for mode in (0o100644, 0o120000):
        rows = [
            Artifact(path=b"a", mode=mode, digest=digest, size_bytes=1),
            Artifact(path=b"a-between", mode=0o100644, digest=digest, size_bytes=1),
            Artifact(path=b"a/b", mode=0o100644, digest=digest, size_bytes=1),
        ]
        with pytest.raises(StoreError, match="at once"):
            store.restore(rows, worktree)
    with pytest.raises(StoreError, match="unknown mode"):
        store.restore([Artifact(path=b"device", mode=0o060000, digest=digest)], worktree)
    assert list(worktree.iterdir()) == []


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_flipped_bit_is_a_miss_and_goes_to_quarantine(store, tmp_path, worktree, size) -> None:
    data = os.urandom(size)
    artifact = Artifact(path=b"a", mode=0o100644, digest=store.add_bytes(data), size_bytes=size)
    blob = tmp_path / "cache/cas" / artifact.digest[:2] / artifact.digest
    blob.chmod(0o644)
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    with pytest.raises(MissingBlob):
        store.restore([artifact], worktree)
    assert not (worktree / "a").exists()
    assert not store.has(artifact.digest)
    assert [path.name[-64:] for path in (tmp_path / "cache/quarantine").iterdir()] == [artifact.digest]
    assert "damaged" in store.warnings[0]
    # What made it runs again, and all is well.
    assert store.add_bytes(data) == artifact.digest
    assert store.read(artifact.digest) == data


@pytest.mark.parametrize("call", ["read", "open", "manifest"])
def test_every_read_is_checked(store, tmp_path, call) -> None:
    digest = store.add_bytes(b"[]")
    blob = tmp_path / "cache/cas" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"{}")

    with pytest.raises(MissingBlob):
        {"read": store.read, "open": store.open, "manifest": store.read_manifest}[call](digest)


@pytest.mark.parametrize("digest", ["../../secret", "", "A" * 64, "0" * 63, "..%2f", "0" * 63 + "\u0665"])
def test_only_digests_are_opened(store, digest) -> None:
    for call in (store.read, store.open, store.read_manifest):
        with pytest.raises(MissingBlob):
            call(digest)
    assert not store.has(digest)


def test_short_blob_after_a_power_loss_is_written_again(store, tmp_path) -> None:
    digest = store.add_bytes(b"all of it")
    blob = tmp_path / "cache/cas" / digest[:2] / digest
    blob.chmod(0o644)
    blob.write_bytes(b"")

    assert store.add_bytes(b"all of it") == digest
    assert store.read(digest) == b"all of it"


def test_collect_takes_what_matches_and_nothing_else(store, tmp_path) -> None:
    make_tree(tmp_path / "source")
    (tmp_path / "source/.git").mkdir()
    (tmp_path / "source/.git/config").write_bytes(b"secret")
    (tmp_path / "source/other").write_bytes(b"no")
    os.mkfifo(tmp_path / "source/dist/fifo")
    (tmp_path / "source/dist/linked folder").symlink_to("/etc")

    taken = {one.path for one in store.add_tree(tmp_path / "source", lambda path: path.startswith((b"dist/", b".git")))}
    assert b"dist/linked folder" in taken
    assert not any(path.startswith((b".git", b"other", b"dist/linked folder/", b"dist/fifo")) for path in taken)
    assert store.warnings == ["artifact 'dist/fifo' is neither file, link nor folder: left out"]


def test_globs_spare_the_walk_and_change_nothing(store, tmp_path) -> None:
    make_tree(tmp_path / "source")
    (tmp_path / "source/huge").mkdir()
    seen: list[bytes] = []

    def matches(path: bytes) -> bool:
        seen.append(path)
        return path.startswith(b"dist/sub/")

    with_globs = store.add_tree(tmp_path / "source", matches, globs=["dist/sub/**"])
    assert seen == [b"dist/sub/plain"]
    assert with_globs == store.add_tree(tmp_path / "source", matches)
    assert store.add_tree(tmp_path / "source", everything, globs=["gone/deep/*"]) == ()


@pytest.mark.parametrize(
    ("globs", "folders"),
    [
        (["dist/**"], [b"dist"]),
        (["/dist/a/*.js", "dist/**"], [b"dist"]),
        (["dist/"], [b""]),
        (["*.whl", "dist/**"], [b""]),
        (["a/b/c.txt", "x/[ab]/y", "!z/**"], [b"a/b", b"x"]),
        (["**/x"], [b""]),
        (["/top"], [b""]),
        ([], [b""]),
    ],
)
def test_literal_folders(globs, folders) -> None:
    assert literal_folders(globs) == folders


def test_manifest_is_equal_for_equal_artifacts(store, tmp_path) -> None:
    make_tree(tmp_path / "source")
    artifacts = store.add_tree(tmp_path / "source", everything)

    digest = store.add_manifest(artifacts)
    assert store.add_manifest(tuple(reversed(artifacts))) == digest
    assert store.read_manifest(digest) == artifacts
    assert store.add_manifest(()) is None


def test_log_becomes_a_blob_without_a_second_copy(store, tmp_path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"output\n")
    digest = store.link_in(log)

    assert store.read(digest) == b"output\n"
    assert log.stat().st_nlink == 2
    assert store.link_in(log, digest) == digest


def test_link_is_no_file_to_add(store, tmp_path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(StoreError):
        store.add_file(tmp_path / "link")
    with pytest.raises(StoreError):
        store.link_in(tmp_path / "link")
    (tmp_path / "file").write_bytes(b"f" * 10)
    assert store.add_file(tmp_path / "file") == (store.add_bytes(b"f" * 10), 10)


def test_link_in_never_acts_through_a_link(tmp_path: Path) -> None:
    """A stage may put a link, or a pipe, in the place of its log: what it leads to keeps its mode and its content."""
    foreign = tmp_path / "foreign"
    foreign.write_text("not ours")
    foreign.chmod(0o640)
    log, pipe = tmp_path / "log", tmp_path / "pipe"
    log.symlink_to(foreign)
    os.mkfifo(pipe)
    with closing(BlobStore(tmp_path / "cache", warnings=[])) as blobs:
        for path in (log, pipe):
            with pytest.raises(StoreError):
                blobs.link_in(path)
            with pytest.raises(StoreError):
                blobs.link_in(path, hashlib.sha256(b"told to be this").hexdigest())
        assert not blobs.has(hashlib.sha256(b"not ours").hexdigest())
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o640
