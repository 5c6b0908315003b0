"""Checkouts of a large repository beside git's own, in turns; prints medians and ratios.

    python tests/benchmarks/checkout.py [--files 50000] [--rounds 7] [--folder DIR]

The targets are those of the design: cold ≤ 1.2, move of 1/500/5,000 files ≤ 0.15/0.5/1.0, scan ≤ 1.2,
restore ≤ 1.2 times git's time in the same round.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cicdctl.git import Slot, WorktreePool, open_repository

GIT_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C",
}
TARGETS = {"cold": 1.2, "move 1": 0.15, "move 500": 0.5, "move 5000": 1.0, "scan": 1.2, "restore": 1.2}
MB = 1_000_000
MOST_BYTES = 200 * MB  # of this process, which holds the pool: mapped packs count too
BRANCHES = {"base": 0, "one": 1, "some": 500, "many": 5000}


def git(*argv: str, cwd: Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(["git", *argv], cwd=cwd, env=GIT_ENV, input=stdin, stdout=subprocess.PIPE, check=True).stdout


def make_repository(folder: Path, files: int) -> Path:
    """About 4 KB of source-like text a file, 20 files a folder; branches that change 1, 500, 5,000 of them."""
    repository = folder / f"repository-{files}"
    if (repository / "ready").exists():
        return repository
    shutil.rmtree(repository, ignore_errors=True)
    repository.mkdir(parents=True)
    git("init", "-q", "-b", "base", "--bare", ".", cwd=repository)
    chance = random.Random(5)
    words = [("".join(chance.choices("abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 12)))) for _ in range(4000)]
    names = [f"area{n % 25}/part{n // 20 % 100}/module_{n}.py" for n in range(files)]
    with subprocess.Popen(
        ["git", "fast-import", "--quiet"], cwd=repository, env=GIT_ENV, stdin=subprocess.PIPE
    ) as pipe:
        assert pipe.stdin is not None
        for number, (branch, changes) in enumerate(BRANCHES.items()):
            chosen = names if branch == "base" else chance.sample(names, min(changes, files))
            head = f"commit refs/heads/{branch}\ncommitter A <a@example.org> {1700000000 + number} +0000\ndata 1\nx\n"
            head += "" if branch == "base" else "from refs/heads/base\n"
            pipe.stdin.write(head.encode())
            for name in chosen:
                text = " ".join(chance.choices(words, k=chance.randint(200, 880))).replace(" e", "\n    e").encode()
                pipe.stdin.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(text), text))
    assert pipe.returncode == 0
    (repository / "ready").touch()
    return repository


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Bench:
    """One git worktree and one pool on the same repository."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.source = source
        self.folder = folder
        self.repository = open_repository(source)
        self.pool = WorktreePool(self.repository, folder / "cache", folder / "locks", capacity=4)
        self.commits = {name: self.repository.resolve(name) for name in BRANCHES}
        self.times: dict[str, list[tuple[float, float]]] = {}
        self.cold = 0

    def acquire(self, branch: str) -> Slot:
        commit = self.commits[branch]
        return self.pool.acquire(commit.oid, commit.tree)

    def compare(self, name: str, theirs: Callable[[], object], ours: Callable[[], object]) -> None:
        """Time both; who begins changes each time. What was written before is on the disk before the clock starts."""
        seconds = {}
        for side in (theirs, ours) if len(self.times.setdefault(name, [])) % 2 else (ours, theirs):
            os.sync()
            seconds[side] = timed(side)
        self.times[name].append((seconds[theirs], seconds[ours]))
        shown = f"git {seconds[theirs] * 1000:8.1f} ms   ours {seconds[ours] * 1000:8.1f} ms"
        print(f"  {name:10} {shown}", file=sys.stderr)

    def compare_acquire(self, name: str, branch: str, *theirs: str, cwd: Path) -> None:
        """A git command against a slot that moves to `branch`; the slot goes back outside the clock."""
        held: list[Slot] = []
        self.compare(name, partial(git, *theirs, cwd=cwd), lambda: held.append(self.acquire(branch)))
        held[0].release(reusable=True)

    def cold_checkouts(self) -> Path:
        """Leave git's worktree for the other measurements."""
        self.cold += 1
        reference = self.folder / f"reference{self.cold}"
        add = ("worktree", "add", "-q", "--detach", str(reference), "base")
        self.compare_acquire("cold", "base", *add, cwd=self.source)
        return reference

    def warm_moves(self, reference: Path) -> None:
        for branch, name in (("one", "move 1"), ("some", "move 500"), ("many", "move 5000")):
            for target in (branch, "base"):
                self.compare_acquire(name, target, "checkout", "-q", "--detach", target, cwd=reference)

    def scans(self, reference: Path) -> None:
        slot = self.acquire("base")
        self.compare("scan", partial(git, "status", "--porcelain", "--ignored", cwd=reference), slot.changed)
        for root in (reference, slot.path):
            for number in range(10):
                name = git("ls-files", "-z", cwd=reference).split(b"\0")[number * 17]
                (root / os.fsdecode(name)).write_text("soiled")
            for number in range(200):
                (root / f"area1/new{number}").write_text("x")
        reset = ("reset", "-q", "--hard"), ("clean", "-ffdxq")
        self.compare(
            "restore",
            lambda: [git(*argv, cwd=reference) for argv in reset],
            lambda: slot.release(reusable=True),
        )

    def quick_path(self) -> float:
        """Acquire and release of an untouched slot of a few files, median of 200, seconds."""
        small = self.folder / "small"
        small.mkdir()
        git("init", "-q", "-b", "main", cwd=small)
        for number in range(6):
            (small / f"f{number}").write_text(str(number))
        git("add", "-A", cwd=small)
        git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "x", cwd=small)
        with open_repository(small) as repository:
            commit = repository.resolve("HEAD")
            with WorktreePool(repository, self.folder / "small-cache", self.folder / "small-locks", capacity=2) as pool:
                return statistics.median(
                    timed(lambda: pool.acquire(commit.oid, commit.tree).release(reusable=True)) for _ in range(200)
                )

    def report(self) -> bool:
        good = True
        print(f"{'operation':12}{'git':>10}{'ours':>10}{'ratio':>8}{'target':>8}")
        for name, pairs in self.times.items():
            theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(ours / theirs for theirs, ours in pairs)
            good = good and ratio <= TARGETS[name]
            mark = "" if ratio <= TARGETS[name] else "  missed"
            print(f"{name:12}{theirs * 1000:8.1f}ms{ours * 1000:8.1f}ms{ratio:8.2f}{TARGETS[name]:8.2f}{mark}")
        print(f"acquire and release, 6 files: {self.quick_path() * 1000:.2f} ms (target 3)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        mark = "" if peak <= MOST_BYTES else "  missed"
        print(f"peak memory: {peak / MB:.0f} MB (target {MOST_BYTES / MB:.0f}){mark}")
        return good and peak <= MOST_BYTES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "cicdctl-benchmark")
    options = parser.parse_args()
    source = make_repository(options.folder, options.files)
    work = Path(tempfile.mkdtemp(dir=options.folder))
    bench = Bench(work, source)
    try:
        for number in range(options.rounds):
            print(f"round {number + 1}", file=sys.stderr)
            reference = bench.cold_checkouts()
            bench.warm_moves(reference)
            bench.scans(reference)
            # The next round begins cold again: idle slots and worktrees go, deleted before the clock starts.
            git("worktree", "remove", "--force", str(reference), cwd=source)
            slot = bench.acquire("base")
            slot.release(reusable=False)
            bench.pool.trash.wait()
        return 0 if bench.report() else 1
    finally:
        bench.pool.close()
        shutil.rmtree(work, ignore_errors=True)
        git("worktree", "prune", cwd=source)


if __name__ == "__main__":
    sys.exit(main())
