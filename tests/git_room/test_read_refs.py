"""Refs and revisions are what git says they are; writes are compare-and-swap and survive company."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from cicdctl.errors import GitError
from cicdctl.git.refs import STALE_LOCK_S, RefMoved, check_ref_name
from cicdctl.git.repository import open_repository


def build_history(git) -> None:
    git.write("a", "1")
    git.commit("one", 1700000000)
    git.run("tag", "-a", "v1", "-m", "tagged")
    git.run("branch", "feature/a;b$(id)")
    git.write("a", "2")
    git.commit("two", 1700000100)
    git.run("checkout", "-q", "-b", "side", "HEAD~1")
    git.write("b", "3")
    git.commit("three", 1700000050)
    git.run("checkout", "-q", "main")
    git.run("merge", "-q", "--no-ff", "-m", "merged", "side")
    git.run("tag", "light")
    git.run("update-ref", "refs/remotes/origin/main", "HEAD~1")
    git.run("config", "branch.main.remote", "origin")
    git.run("config", "branch.main.merge", "refs/heads/main")
    git.run("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    git.run("config", "remote.origin.url", "x")


REVISIONS = [
    "HEAD", "@", "main", "heads/main", "refs/heads/main", "v1", "v1^{}", "v1^{commit}", "light", "side", "HEAD~1",
    "HEAD^", "HEAD^2", "HEAD^2~1", "HEAD~2", "@~", "HEAD^0", "main@{upstream}", "@{u}", "@{u}~1", "HEAD@{1}", "@{1}",
    "main@{0}", "@{-1}", "origin/main", "feature/a;b$(id)", "v1~0",
]  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_revisions_equal_git(make_git, packed):
    git = make_git()
    build_history(git)
    if packed:
        git.run("pack-refs", "--all")
    with open_repository(git.path) as repository:
        for revision in REVISIONS:
            assert repository.resolve(revision).oid == git.text("rev-parse", revision + "^{commit}"), revision
        short = git.text("rev-parse", "--short", "HEAD~1")
        assert repository.resolve(short).oid == git.text("rev-parse", "HEAD~1")
        described = git.text("describe", "--long", "--match", "v1", "HEAD")
        assert repository.resolve(described).oid == git.text("rev-parse", described)
        listing = git.text("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        assert {name: oid for oid, name in (line.split(" ", 1) for line in listing)} == repository.refs()
        assert repository.ref_name("main") == "refs/heads/main"
        assert repository.ref_name("v1") == "refs/tags/v1"
        assert repository.ref_name("HEAD") == "refs/heads/main"
        assert repository.ref_name("v1~1") is None
        # Whoever writes a whole object id means the object, whatever a branch is called.
        git.run("update-ref", f"refs/heads/{'a' * 40}", "HEAD")
        assert repository.ref_name("a" * 40) is None
        assert repository.ref_name(f"heads/{'a' * 40}") == f"refs/heads/{'a' * 40}"
        assert repository.default_branch() == "main"


def test_head_of_a_bare_repository_is_its_default_branch(make_git, tmp_path):
    """A name that is usual elsewhere does not win over what a server says."""
    git = make_git()
    build_history(git)
    git.run("branch", "trunk-of-ours", "main")
    git.run("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    git.run(f"--git-dir={tmp_path}/bare.git", "symbolic-ref", "HEAD", "refs/heads/trunk-of-ours")
    with open_repository(tmp_path / "bare.git") as repository:
        assert repository.default_branch() == "trunk-of-ours"


@pytest.mark.parametrize(
    "revision",
    ["nope", "", "HEAD~99", "HEAD^9", "-x", "--all", "HEAD^{tree}", "a\0b", "main@{5000}", "../../x", "^", "~"],
)
def test_unknown_revisions_are_git_errors(make_git, revision):
    git = make_git()
    build_history(git)
    with open_repository(git.path) as repository, pytest.raises(GitError):
        repository.resolve(revision)


def test_near_names_are_offered(make_git):
    git = make_git()
    build_history(git)
    with open_repository(git.path) as repository, pytest.raises(GitError, match="no such revision 'mian'") as caught:
        repository.resolve("mian")
    assert "'main'" in caught.value.hint


@pytest.mark.parametrize("seed", range(4))
def test_ranges_equal_rev_list(make_git, seed):
    """Random histories with merges and clocks that run backwards."""
    git = make_git()
    dice = random.Random(seed)
    tree = git.text("hash-object", "-t", "tree", "-w", "/dev/null")
    commits: list[str] = []
    for number in range(25):
        parents = dice.sample(commits[-6:], min(len(commits), dice.choice([1, 1, 1, 2])))
        options = [word for parent in parents for word in ("-p", parent)]
        when = f"{1700000000 + number * 10 + dice.randrange(-60, 60)} +0000"
        commits.append(git.text("commit-tree", tree, *options, "-m", str(number), GIT_COMMITTER_DATE=when))
    git.run("update-ref", "refs/heads/main", commits[-1])
    with open_repository(git.path) as repository:
        for _ in range(12):
            left, right = dice.choice(commits), dice.choice(commits)
            found = [commit.oid for commit in repository.commits_between(f"{left}..{right}")]
            assert sorted(found) == sorted(git.text("rev-list", f"{left}..{right}").split())
            seen = set()
            for oid in found:
                parents = set(repository.commit(oid).parents) & set(found)
                assert parents <= seen
                seen.add(oid)


def test_shallow_clone_ends_at_its_boundary(make_git, tmp_path, git_at):
    git = make_git()
    build_history(git)
    git.run("clone", "-q", "--depth=1", f"file://{git.path}", str(tmp_path / "shallow"))
    with open_repository(tmp_path / "shallow") as repository:
        head = repository.resolve("HEAD")
        assert repository.parents(head) == ()
        assert len(head.parents) == 2
        with pytest.raises(GitError, match="no such revision"):
            repository.resolve("HEAD~1")
        assert len(list(repository.walk(head.tree))) == 2


def test_many_packed_refs_bisect_like_git(make_git):
    git = make_git()
    oid = git.commit()
    names = sorted({f"refs/tags/{chr(97 + n % 7)}/{n * 7919 % 1000:03}" for n in range(400)})
    git.run("update-ref", "--stdin", stdin="".join(f"create {name} {oid}\n" for name in names).encode())
    git.run("tag", "-a", "b-annotated", "-m", "x")
    git.run("pack-refs", "--all")
    git.run("update-ref", "refs/tags/loose", oid)
    git.run("update-ref", "-d", names[5])
    with open_repository(git.path) as repository:
        refs = repository.refs()
        assert refs == dict(
            line.split(" ", 1)[::-1]
            for line in git.text("for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        )
        for name in [*names, "refs/tags/b-annotated", "refs/heads/main", "refs/zzz/z", "refs/aaa/a"]:
            assert repository.ref_store.read(name) == refs.get(name)
        git.run("update-ref", "-d", names[7])
        assert repository.ref_store.read(names[7]) is None


def test_swap_is_checked(make_git):
    git = make_git()
    first = git.commit("a")
    second = git.commit("b", 1700000001)
    with open_repository(git.path) as repository:
        refs = repository.ref_store
        refs.swap("refs/cicd/x", None, first)
        assert git.text("rev-parse", "refs/cicd/x") == first
        with pytest.raises(RefMoved):
            refs.swap("refs/cicd/x", None, second)
        with pytest.raises(RefMoved):
            refs.swap("refs/cicd/x", second, first)
        refs.swap("refs/cicd/x", first, second)
        git.run("pack-refs", "--all")
        refs.swap("refs/cicd/x", second, first)
        assert git.text("rev-parse", "refs/cicd/x") == first
        refs.swap("refs/cicd/x", first, None)
        assert git.run("for-each-ref", "refs/cicd") == b""
        with pytest.raises(GitError, match="cannot exist"):
            refs.swap("refs/heads/main/below", None, first)
        with pytest.raises(GitError, match="cannot exist"):
            refs.swap("refs/heads/main/x/y", None, first)
    git.run("fsck", "--strict")


def test_conflicting_packed_refs_are_refused(make_git):
    git = make_git()
    oid = git.commit()
    git.run("update-ref", "refs/cicd/a/b", oid)
    git.run("pack-refs", "--all")
    with open_repository(git.path) as repository:
        for name in ("refs/cicd/a", "refs/cicd/a/b/c"):
            with pytest.raises(GitError, match="cannot exist"):
                repository.ref_store.swap(name, None, oid)


def test_held_lock_is_waited_for_and_never_removed(make_git):
    git = make_git()
    oid = git.commit()
    lock = git.write(".git/refs/cicd/x.lock")
    with open_repository(git.path) as repository:
        start = time.monotonic()
        with pytest.raises(GitError, match=r"x\.lock' is held by another process"):
            repository.ref_store.swap("refs/cicd/x", None, oid)
        assert 1.5 < time.monotonic() - start < 4
    assert lock.exists()


@pytest.mark.parametrize(
    "name", ["refs/heads/-x", "refs/heads/$(id)", "refs/heads/a;b", "refs/heads/<x>&|", "refs/heads/ü"]
)
def test_odd_but_valid_names(name):
    check_ref_name(name)


@pytest.mark.parametrize(
    "name", ["main", "refs/x", "refs/heads/../x", "refs/heads/a..b", "refs/heads/a b", "refs/heads/a.lock", "refs/heads/.a",
             "refs/heads/a~1", "refs/heads/", "refs//heads/x", "refs/heads/a@{x", "refs/heads/a\n", "/refs/heads/x"]
)  # fmt: skip
def test_invalid_names_are_refused(name, make_git):
    git = make_git()
    assert git.run("check-ref-format", name, check=False) == b""
    with pytest.raises(GitError, match="not a valid ref name"):
        check_ref_name(name)


def test_keep_and_release(make_git):
    git = make_git()
    git.commit("base")
    oid = git.commit("lost", 1700000005)
    git.run("reset", "-q", "--hard", "HEAD~1")
    git.run("reflog", "expire", "--expire=now", "--all")
    with open_repository(git.path) as repository:
        repository.keep(oid)
        repository.keep(oid)
        git.run("gc", "-q", "--prune=now")
        assert repository.commit(oid).message == "lost\n"
        repository.release(oid)
        repository.release(oid)
        git.run("gc", "-q", "--prune=now")
        assert not git.run("for-each-ref", "refs/cicd")
    with open_repository(git.path) as fresh:
        assert not fresh.objects.has(oid)


def test_quarantine_reads_and_never_writes(make_git, tmp_path):
    git = make_git()
    oid = git.commit()
    quarantine = tmp_path / "incoming"
    quarantine.mkdir()
    blob = git.text(
        "hash-object", "-w", "--stdin", GIT_OBJECT_DIRECTORY=str(quarantine),
        GIT_ALTERNATE_OBJECT_DIRECTORIES=str(git.path / ".git/objects"),
    )  # fmt: skip
    with open_repository(git.path, quarantine=quarantine) as repository:
        assert repository.read_object(blob) == (b"blob", b"")
        repository.keep(oid)
        assert repository.read_object(oid)[0] == b"commit"
        git.write("dirty", "1")
        with pytest.raises(GitError, match="nothing may be written"):
            repository.snapshot()
    with open_repository(git.path) as repository:
        assert not repository.objects.has(blob)
    assert not git.run("for-each-ref", "refs/cicd")


_COUNTER = """
import sys
from pathlib import Path
from cicdctl.git.refs import RefMoved
from cicdctl.git.repository import open_repository
with open_repository(Path(sys.argv[1])) as repository:
    done = 0
    while done < 10:
        old = repository.ref_store.read("refs/cicd/counter")
        time = repository.commit(old).time
        from cicdctl.git.commit import write_commit
        new = write_commit(repository, repository.tree_of(old), (old,), "x", name=sys.argv[2], email="e", time_s=time + 1)
        try:
            repository.ref_store.swap("refs/cicd/counter", old, new)
            done += 1
        except RefMoved:
            pass
"""


def test_processes_on_one_ref_lose_nothing(make_git):
    git = make_git()
    git.run("update-ref", "refs/cicd/counter", git.commit())
    running = [subprocess.Popen([sys.executable, "-c", _COUNTER, str(git.path), str(number)]) for number in range(3)]
    while any(process.poll() is None for process in running):
        git.run("pack-refs", "--all", check=False)
        time.sleep(0.02)
    assert [process.wait() for process in running] == [0, 0, 0]
    assert git.text("rev-list", "--count", "refs/cicd/counter") == "31"


def test_lock_that_a_killed_process_left_on_our_own_ref_is_no_lock(make_git):
    """Nothing needs a manual unlock; locks of the user's refs, and young ones, are respected."""
    work = make_git()
    work.write("a")
    work.commit()
    repository = open_repository(work.path)
    oid = repository.resolve("HEAD").oid
    lock = work.path / f".git/refs/cicd/keep/{oid}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    with pytest.raises(GitError, match="held by another process"):
        repository.keep(oid)
    long_ago = time.time() - STALE_LOCK_S - 1
    os.utime(lock, (long_ago, long_ago))
    repository.keep(oid)
    assert repository.refs()[f"refs/cicd/keep/{oid}"] == oid
    assert not lock.exists()
