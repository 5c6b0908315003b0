"""Where a workload may write, the programs under test, and what it is made of."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Side, WrongResult, run_once
from peers import Peers
from projects import Stage, commit_all, write_cicdctl, write_files
from proofs import says

Writer = Callable[[Path, Sequence[Stage]], None]


@dataclass(frozen=True, kw_only=True)
class Target:
    """`side` may take at most `at_most` times what `against` takes in the same round, by the median of the rounds."""

    side: str
    against: str
    at_most: float | None  # None: shown, not judged


@dataclass(frozen=True, kw_only=True)
class Workload:
    sides: Sequence[Side]
    targets: Sequence[Target]
    rounds: int
    warm_ups: int = 1
    peak_at_most: tuple[str, int] | None = None  # side, and bytes of the largest of its processes


@dataclass(frozen=True, kw_only=True)
class Lab:
    root: Path
    env: dict[str, str]
    cicdctl: str
    peers: Peers | None

    @property
    def installed(self) -> Peers:
        assert self.peers is not None, "this workload needs the peers"
        return self.peers

    @property
    def run(self) -> list[str]:
        return [self.cicdctl, "run", "build"]

    def repository(self, name: str, write: Writer, stages: Sequence[Stage], *, files: int = 1) -> Path:
        folder = self.root / name
        folder.mkdir()
        write_files(folder, files)
        write(folder, stages)
        commit_all(folder, self.env, self.installed.modules if write is not write_cicdctl else None)
        return folder

    def side(
        self, name: str, folder: Path, argv: Sequence[str], said: str, *, env: Mapping[str, str] = {}, **more: object
    ) -> Side:
        return Side(name=name, argv=argv, folder=folder, env=self.env | env, check=says(said), **more)  # type: ignore[arg-type]

    def forget_cicdctl(self, folder: Path) -> None:
        """Leave the repository as if cicdctl had never run in it: state, logs, results, worktrees."""
        remove(folder / ".git/cicdctl", folder / ".git/refs/cicd", Path(self.env["XDG_CACHE_HOME"]) / "cicdctl")

    def forget_nx(self, folder: Path) -> None:
        """End the daemon of this workspace, if there is one, and leave it as if nx had never run in it."""
        reset = [self.installed.nx, "reset"]
        subprocess.run(reset, cwd=folder, env=self.env, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        remove(folder / ".nx", Path(self.env["HOME"]) / ".nx")


def prime(sides: Sequence[Side]) -> None:
    """Run each side once with nothing to check but its exit status: this fills the caches."""
    for side in sides:
        run_once(Side(name=side.name, argv=side.argv, folder=side.folder, env=side.env, check=lambda _: None))


def touch(folder: Path) -> None:
    """Change the one file that every stage of `wide` reads."""
    (folder / "src/part0/file0.txt").write_text(random.randbytes(16).hex())


def remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            raise WrongResult(f"{path} could not be removed")
