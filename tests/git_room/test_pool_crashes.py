"""Processes that die, run beside each other, or see gc: the next slot is clean all the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cicdctl.git import WorktreePool, open_repository

ROOT = Path(__file__).resolve().parents[2]

# Takes slots for ever, soils them and gives them back; says "ready" when the first is in its hands.
WORKER = """
import random, sys
from pathlib import Path
from cicdctl.git import WorktreePool, open_repository

repo, base, seed, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
commits = sys.argv[5:]
chance = random.Random(seed)
repository = open_repository(repo)
pool = WorktreePool(repository, base / "cache", base / "locks", capacity=3)
for step in range(rounds):
    commit = chance.choice(commits)
    slot = pool.acquire(commit, repository.tree_of(commit))
    if not step:
        print("ready", slot.path.name, flush=True)
    assert slot.changed() == (), slot.changed()
    for path in sorted(slot.path.rglob("*")):
        if ".git" not in path.parts and path.is_file() and chance.random() < 0.3:
            path.write_text("soiled") if chance.random() < 0.5 else path.unlink()
    (slot.path / "junk" / str(step)).mkdir(parents=True)
    slot.release(reusable=True)
pool.close()
print("done", flush=True)
"""


@pytest.fixture
def history(make_git):
    git = make_git()
    chance = random.Random(7)
    commits = []
    for number in range(4):
        for _ in range(40):
            git.write(f"d{chance.randint(0, 5)}/f{chance.randint(0, 20)}", f"{number} {chance.random()}\n")
        commits.append(git.commit())
    return git, commits


def start(git, base: Path, seed: int, rounds: int, commits: list[str]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WORKER, str(git.path), str(base), str(seed), str(rounds), *commits]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    )


def check_all(git, base: Path, commits: list[str], git_at) -> None:
    """Every slot the pool hands out now is exactly its commit."""
    with (
        open_repository(git.path) as repository,
        WorktreePool(repository, base / "cache", base / "locks", capacity=3) as pool,
    ):
        pool.reap()
        assert pool.reap() == 0
        for commit in commits:
            slots = [pool.acquire(commit, repository.tree_of(commit)) for _ in range(3)]
            for slot in slots:
                inside = git_at(slot.path)
                assert slot.changed() == ()
                assert inside.run("status", "--porcelain", "--ignored") == b""
                assert inside.text("rev-parse", "HEAD") == commit
                # Reads every file: stat words alone would not notice wrong bytes.
                wrong = inside.run("-c", "core.trustctime=false", "diff-files", "--name-only")
                assert wrong == b""
                rows = inside.text("ls-files", "-s").splitlines()
                names = "".join(row.split("\t")[1] + "\n" for row in rows)
                hashes = inside.run("hash-object", "--stdin-paths", stdin=names.encode()).decode().split()
                assert hashes == [row.split()[1] for row in rows]
                slot.release(reusable=True)


def test_a_slot_whose_holder_was_killed_is_restored(history, tmp_path, git_at):
    git, commits = history
    hold = WORKER.replace(
        "    slot.release(reusable=True)", "    import time; print('soiled', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", hold, str(git.path), str(tmp_path), "1", "1", *commits]
    worker = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    )
    with worker:
        name = worker.stdout.readline().split()[1]
        assert worker.stdout.readline() == "soiled\n"
        with (
            open_repository(git.path) as repository,
            WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=3) as pool,
        ):
            # While the holder lives its slot is left alone.
            assert pool.reap() == 0
            other = pool.acquire(commits[0], repository.tree_of(commits[0]))
            assert other.path.name != name
            other.release(reusable=True)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert pool.reap() == 1
            assert not (tmp_path / "cache/worktrees" / name / "junk").exists()
    check_all(git, tmp_path, commits, git_at)


def kill_at_random(history, tmp_path, git_at, seed: int, times: int) -> None:
    git, commits = history
    chance = random.Random(seed)
    for number in range(times):
        with start(git, tmp_path, chance.randint(0, 10**6), 10_000, commits) as worker:
            assert worker.stdout.readline().startswith("ready")
            time.sleep(chance.random() * 0.12)
            worker.send_signal(signal.SIGKILL)
        if number % 3 == 2:
            check_all(git, tmp_path, commits, git_at)
    check_all(git, tmp_path, commits, git_at)


def test_killed_anywhere_the_next_slots_are_clean(history, tmp_path, git_at):
    kill_at_random(history, tmp_path, git_at, seed=1, times=3)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(5))
def test_killed_anywhere_many_times(history, tmp_path, git_at, seed):
    kill_at_random(history, tmp_path, git_at, seed=seed + 10, times=30)


def test_processes_share_one_pool(history, tmp_path, git_at):
    git, commits = history
    workers = [start(git, tmp_path, seed, 10, commits) for seed in range(3)]
    for worker in workers:
        with worker:
            assert worker.stdout.read().endswith("done\n")
        assert worker.returncode == 0
    check_all(git, tmp_path, commits, git_at)


def test_debris_without_a_record_is_swept(history, tmp_path):
    git, commits = history
    for folder in ("worktrees/wdead", "slots/wnone", "mirror-trusted.git/worktrees/wgone"):
        (tmp_path / "cache" / folder).mkdir(parents=True)
    (tmp_path / "cache/worktrees/wdead/file").write_text("x")
    with (
        open_repository(git.path) as repository,
        WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=3) as pool,
    ):
        assert pool.reap() == 1
        assert os.listdir(tmp_path / "cache/worktrees") == os.listdir(tmp_path / "cache/slots") == []
        assert os.listdir(tmp_path / "cache/mirror-trusted.git/worktrees") == []
        pool.trash.empty()
        slot = pool.acquire(commits[0], repository.tree_of(commits[0]))
        assert slot.changed() == ()


def test_a_slot_of_another_boot_is_not_believed(history, tmp_path):
    git, commits = history
    with (
        open_repository(git.path) as repository,
        WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=3) as pool,
    ):
        slot = pool.acquire(commits[0], repository.tree_of(commits[0]))
        slot.release(reusable=True)
        record = tmp_path / "cache/slots" / slot.path.name / "record"
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert boot in record.read_text()
        record.write_text(record.read_text().replace(boot, "0" * len(boot)))
        again = pool.acquire(commits[0], repository.tree_of(commits[0]))
        assert again.path != slot.path
        assert pool.reap() == 1
        assert not slot.path.exists()


def test_the_mirror_survives_gc_of_the_source(history, tmp_path, git_at):
    """Objects are linked while `git gc` moves them; afterwards each commit is whole in the mirror."""
    git, commits = history
    with open_repository(git.path) as repository:
        for number in range(3):
            for extra in range(30):
                git.run("hash-object", "-w", "--stdin", stdin=f"{number} {extra}".encode())
            with subprocess.Popen(["git", "gc", "-q", "--prune=now"], cwd=git.path) as gc:
                with WorktreePool(repository, tmp_path / f"cache{number}", tmp_path / "locks", capacity=3) as pool:
                    slot = pool.acquire(commits[number], repository.tree_of(commits[number]))
                    assert git_at(slot.path).run("status", "--porcelain") == b""
                    assert git_at(slot.path).text("rev-list", "--count", "--objects", "HEAD", "--")
                    slot.release(reusable=True)
                gc.wait()
            git.run("fsck", "--strict")


def test_new_commits_and_tags_reach_the_mirror(history, tmp_path, git_at):
    git, commits = history
    with open_repository(git.path) as repository:
        for number in range(3):
            git.write("more", str(number))
            commit = git.commit(f"more {number}")
            git.run("tag", "-a", "-m", "t", f"v{number}")
            if number == 1:
                git.run("gc", "-q")
            # A pool is opened for each run; the mirror stays.
            with WorktreePool(repository, tmp_path / "cache", tmp_path / "locks", capacity=3) as pool:
                slot = pool.acquire(commit, repository.tree_of(commit))
                assert git_at(slot.path).text("describe") == f"v{number}"
                assert git_at(slot.path).run("fsck") == b""
                slot.release(reusable=True)
        assert not [name for name in git_at(slot.path).text("for-each-ref").splitlines() if "refs/cicd" in name]
