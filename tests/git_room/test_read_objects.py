"""Objects, packs and alternates give the bytes `git cat-file` gives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import zlib
from pathlib import Path

import pytest

from cicdctl.errors import GitError
from cicdctl.git import deltas
from cicdctl.git.objects import MissingObject
from cicdctl.git.repository import open_repository


def grow(git, commits: int = 6) -> None:
    """Commits that make long delta chains: one large file that changes a little."""
    rows = [f"line {number} {hashlib.md5(str(number).encode()).hexdigest()}\n" for number in range(400)]
    for step in range(commits):
        rows[step * 7] = f"changed in step {step}\n"
        git.write("large.txt", "".join(rows))
        git.write(f"folder/file{step}", f"{step}")
        git.commit(f"step {step}", 1700000000 + step)
    git.run("tag", "-a", "v1", "-m", "first")


def assert_all_equal(git, repository) -> int:
    listing = git.text("cat-file", "--batch-all-objects", "--batch-check").splitlines()
    for line in listing:
        oid, kind, size = line.split()
        read_kind, data = repository.read_object(oid)
        assert (read_kind.decode(), len(data)) == (kind, int(size))
        head = f"{kind} {size}\0".encode()
        assert getattr(hashlib, repository.object_format)(head + data).hexdigest() == oid
        assert repository.objects.kind_and_size(oid) == (read_kind, len(data))
        assert b"".join(repository.objects.stream(oid)) == data
    oids = [line.split()[0] for line in listing if line.split()[1] == "blob"]
    assert {oid: repository.read_object(oid)[1] for oid in oids} == dict(repository.read_blobs(oids))
    return len(listing)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("pack", ["loose", "packed", "ref deltas", "index v1", "many packs"])
def test_objects_equal_git(make_git, object_format, pack):
    git = make_git("repo", f"--object-format={object_format}")
    grow(git)
    if pack == "many packs":
        git.run("repack", "-d", "-q")
        git.write("more", "more")
        git.commit("more")
    if pack == "ref deltas":
        git.run("config", "repack.useDeltaBaseOffset", "false")
    if pack == "index v1":
        git.run("config", "pack.indexVersion", "1")
    if pack != "loose":
        git.run("repack", "-d", "-q", *(["-a", "-f", "--depth=50"] if pack != "many packs" else []))
    with open_repository(git.path) as repository:
        assert assert_all_equal(git, repository) > 20


def test_objects_survive_gc_while_open(make_git):
    git = make_git()
    grow(git)
    git.run("repack", "-a", "-d", "-q")
    with open_repository(git.path) as repository:
        first = git.text("rev-parse", "HEAD")
        repository.read_object(first)
        git.write("new", "new")
        second = git.commit("second")
        git.run("gc", "-q", "--prune=now")
        assert repository.read_object(second)[0] == b"commit"
        assert assert_all_equal(git, repository) > 20


def test_new_pack_is_found_on_miss(make_git):
    git = make_git()
    grow(git, 1)
    with open_repository(git.path) as repository:
        repository.read_object(git.text("rev-parse", "HEAD"))
        git.write("new", "new")
        oid = git.commit("second")
        git.run("repack", "-a", "-d", "-q")
        assert repository.commit(oid).message == "second\n"


def test_nested_alternates_are_read(make_git, tmp_path, git_at):
    git = make_git("first")
    grow(git, 2)
    git.run("clone", "-q", "--shared", str(git.path), str(tmp_path / "second"))
    git.run("clone", "-q", "--shared", str(tmp_path / "second"), str(tmp_path / "third"))
    # A relative path and a circle: git allows both.
    (git.path / ".git/objects/info/alternates").write_text("../../../third/.git/objects\n")
    with open_repository(tmp_path / "third") as repository:
        assert assert_all_equal(git_at(tmp_path / "third"), repository) > 5
        assert len(repository.objects.folders()) == 3


def test_missing_object_says_so(make_git):
    git = make_git()
    git.commit()
    with open_repository(git.path) as repository:
        assert not repository.objects.has("a" * 40)
        with pytest.raises(MissingObject, match="a" * 40):
            repository.read_object("a" * 40)
        with pytest.raises(GitError, match="not an object id"):
            repository.read_object("zz")


def test_declared_size_above_limit_is_refused(make_git):
    git = make_git()
    git.write("big", b"\0" * 3_000_000)
    git.commit()
    oid = git.text("rev-parse", "HEAD:big")
    for _ in range(2):
        with open_repository(git.path) as repository:
            with pytest.raises(GitError, match="above the limit"):
                repository.objects.read(oid, 1_000_000)
            assert sum(map(len, repository.objects.stream(oid))) == 3_000_000
        git.run("repack", "-a", "-d", "-q")


def test_loose_object_that_inflates_beyond_its_size_is_refused(make_git):
    git = make_git()
    git.write("file", "text")
    git.commit()
    oid = git.text("rev-parse", "HEAD:file")
    path = git.path / ".git/objects" / oid[:2] / oid[2:]
    os.chmod(path, 0o644)
    path.write_bytes(zlib.compress(b"blob 4\0" + b"x" * 50_000_000))
    with open_repository(git.path) as repository, pytest.raises(GitError, match="cannot be read"):
        repository.read_object(oid)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_packs_never_crash(make_git, seed):
    """Any flipped byte gives a right answer or GitError, in bounded time."""
    git = make_git()
    grow(git, 3)
    git.run("repack", "-a", "-d", "-q")
    oids = [line.split()[0] for line in git.text("cat-file", "--batch-all-objects", "--batch-check").splitlines()]
    dice = random.Random(seed)
    for suffix in ("pack", "idx"):
        (path,) = (git.path / ".git/objects/pack").glob(f"*.{suffix}")
        whole = path.read_bytes()
        os.chmod(path, 0o644)
        for _ in range(30):
            data = bytearray(whole)
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            path.write_bytes(data[: dice.randrange(len(data))] if dice.random() < 0.1 else data)
            with open_repository(git.path) as repository:
                for oid in oids:
                    with contextlib.suppress(GitError):
                        repository.read_object(oid)
                    with contextlib.suppress(GitError):
                        list(repository.read_blobs([oid]))
        path.write_bytes(whole)


def test_deltas_in_python_equal_rust():
    from dulwich._pack import apply_delta as fast
    from dulwich._pack import create_delta

    dice = random.Random(5)
    base = bytes(dice.randrange(256) for _ in range(3_000))
    for _ in range(30):
        at, size = dice.randrange(2_500), dice.randrange(1_000)
        target = base[at : at + size] + bytes(dice.randrange(256) for _ in range(30)) + base[: dice.randrange(3_000)]
        delta = bytes(create_delta(base, target))
        assert deltas._apply_in_python(base, delta) == target == b"".join(fast(base, delta))
        broken = bytearray(delta)
        broken[dice.randrange(len(broken))] ^= 0xFF
        with contextlib.suppress(deltas.DamagedDelta):
            deltas._apply_in_python(base, bytes(broken))


def test_reading_switches_to_rust_after_many_deltas(make_git, monkeypatch):
    git = make_git()
    grow(git)
    git.run("repack", "-a", "-d", "-f", "-q", "--depth=50")
    monkeypatch.setattr(deltas, "_fast", None)
    monkeypatch.setattr(deltas, "_applied", deltas._MANY - 2)
    with open_repository(git.path) as repository:
        assert_all_equal(git, repository)
    assert deltas._fast is not None


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_bulk_read_leaves_no_pack_in_memory(make_git):
    """Neither its pages nor contents that are no base of anything."""
    git = make_git()
    for number in range(12):
        git.write(f"f{number}", random.Random(number).randbytes(2 << 20))
    git.run("config", "core.compression", "0")
    commit = git.commit()
    git.run("repack", "-adq")
    with open_repository(git.path) as repository:
        oids = [entry.oid for entry in repository.walk(repository.tree_of(commit))]
        before = resident_bytes()
        assert sum(len(data) for _, data in repository.read_blobs(oids)) == 24 << 20
        assert resident_bytes() - before < 8 << 20
        # Pages come back when they are asked for.
        assert sum(len(data) for _, data in repository.read_blobs(reversed(oids))) == 24 << 20


@pytest.mark.parametrize("wanted", [1, 30, 300])
def test_few_and_many_of_a_pack_are_found(make_git, wanted):
    git = make_git()
    for number in range(300):
        git.write(f"f{number}", f"{number}\n")
    commit = git.commit()
    git.run("repack", "-adq")
    git.write("loose", "loose\n")
    loose = git.text("hash-object", "-w", "loose")
    with open_repository(git.path) as repository:
        entries = [entry for entry in repository.walk(repository.tree_of(commit))][:wanted]
        found = dict(repository.read_blobs([*(entry.oid for entry in entries), loose]))
    assert found == {**{entry.oid: entry.path[1:] + b"\n" for entry in entries}, loose: b"loose\n"}
