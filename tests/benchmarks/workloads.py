"""What is compared: each workload prepares equal work for every tool and says which ratio is the target."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import Sample, Side, WrongResult, run_once
from peers import Peers
from projects import Stage, commit_all, wide, write_cicdctl, write_files, write_moon, write_nx, write_turbo

MB = 1_000_000
Writer = Callable[[Path, Sequence[Stage]], None]
THREE = [
    Stage(name="build", run="mkdir -p dist && cat src/*/*.txt > dist/all.txt", outputs=["dist"]),
    Stage(name="test", run="test -d src", needs=["build"]),
    Stage(name="package", run="mkdir -p packaged && ls src > packaged/list.txt", outputs=["packaged"], needs=["test"]),
]
LINE = "[1234/5678] Compiling package number-42 v1.2.3 (/home/user/project/crates/number-42)"
TALK_BYTES = 200 * MB
TALK = [Stage(name="talk", run=f"yes '{LINE}' | head -c {TALK_BYTES}")]
FILES, FILE_BYTES = 2000, 100_000
MAKE = f"""import os, random
numbers = random.Random(1)
for number in range({FILES}):
    folder = f"dist/part{{number // 100}}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{{folder}}/file{{number}}.bin", "wb") as file:
        file.write(numbers.randbytes({FILE_BYTES}))
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """`side` may take at most `at_most` times the median of `against`."""

    side: str
    against: str
    at_most: float | None  # None: shown, not judged


@dataclass(frozen=True, kw_only=True)
class Workload:
    sides: Sequence[Side]
    targets: Sequence[Target]
    rounds: int
    warm_ups: int = 1
    peak_at_most: tuple[str, int] | None = None  # of this side's own process, in bytes


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Where a workload may write, and the programs under test."""

    root: Path
    env: dict[str, str]
    cicdctl: str
    peers: Peers | None
    made: list[Path] = field(default_factory=list)

    @property
    def installed(self) -> Peers:
        assert self.peers is not None, "this workload needs the peers"
        return self.peers

    def repository(self, name: str, write: Writer, stages: Sequence[Stage], *, files: int = 1) -> Path:
        folder = self.root / name
        folder.mkdir()
        write_files(folder, files)
        write(folder, stages)
        commit_all(folder, self.env, self.installed.modules if write is not write_cicdctl else None)
        return folder

    def side(self, name: str, folder: Path, argv: Sequence[str], says: str, **more: object) -> Side:
        return Side(name=name, argv=argv, folder=folder, env=self.env, check=_says(says), **more)  # type: ignore[arg-type]

    def forget_cicdctl(self, folder: Path) -> None:
        """Leave the repository as if cicdctl had never run in it: state, logs, results, worktrees."""
        _remove(folder / ".git/cicdctl", folder / ".git/refs/cicd", Path(self.env["XDG_CACHE_HOME"]) / "cicdctl")

    def forget_nx(self, folder: Path) -> None:
        _remove(folder / ".nx", Path(self.env["HOME"]) / ".nx")


def noop(lab: Lab) -> Workload:
    """Second run of build → test → package over 1,000 files: everything is known."""
    peers = lab.installed
    sides = [
        lab.side("cicdctl", lab.repository("c", write_cicdctl, THREE, files=1000), _run(lab), "3 cached"),
        lab.side(
            "turbo", lab.repository("t", write_turbo, THREE, files=1000), [peers.turbo, "run", "package"],
            "3 cached, 3 total",
        ),
        lab.side(
            "moon", lab.repository("m", write_moon, THREE, files=1000), [peers.moon, "run", "bench:package"],
            "3 completed (3 cached)",
        ),
    ]
    _prime(sides)
    targets = [Target(side="cicdctl", against="turbo", at_most=1.0), Target(side="cicdctl", against="moon", at_most=0.3)]
    return Workload(sides=sides, targets=targets, rounds=15)


def cold(count: int, rounds: int, lab: Lab) -> Workload:
    """`count` independent stages that run `true`, then one join; no state of an earlier run on either side."""
    stages = wide(count)
    ours, theirs = lab.repository("c", write_cicdctl, stages), lab.repository("n", write_nx, stages)
    command = [lab.installed.nx, "run", "bench:join"]
    sides = [
        lab.side("cicdctl", ours, _run(lab), f"{count + 1} passed", prepare=lambda: lab.forget_cicdctl(ours)),
        lab.side("nx", theirs, command, f"0/{count + 1} hit", prepare=lambda: lab.forget_nx(theirs)),
    ]
    return Workload(sides=sides, targets=[Target(side="cicdctl", against="nx", at_most=1.0)], rounds=rounds)


def changed(count: int, lab: Lab) -> Workload:
    """The same after one file that every stage reads has changed: nothing is cached, but the tools have run here before."""
    stages = wide(count)
    ours, theirs = lab.repository("c", write_cicdctl, stages), lab.repository("n", write_nx, stages)
    command = [lab.installed.nx, "run", "bench:join"]
    sides = [
        lab.side("cicdctl", ours, _run(lab), f"{count + 1} passed", prepare=lambda: _touch(ours)),
        lab.side("nx", theirs, command, f"0/{count + 1} hit", prepare=lambda: _touch(theirs)),
    ]
    return Workload(sides=sides, targets=[Target(side="cicdctl", against="nx", at_most=None)], rounds=7)


def cached(count: int, lab: Lab) -> Workload:
    """The same, with every result known."""
    stages, peers = wide(count), lab.installed
    sides = [
        lab.side("cicdctl", lab.repository("c", write_cicdctl, stages), _run(lab), f"{count + 1} cached"),
        lab.side(
            "turbo", lab.repository("t", write_turbo, stages), [peers.turbo, "run", "join"],
            f"{count + 1} cached, {count + 1} total",
        ),
        lab.side(
            "nx", lab.repository("n", write_nx, stages), [peers.nx, "run", "bench:join"], f"{count + 1}/{count + 1} hit"
        ),
    ]
    _prime(sides)
    targets = [Target(side="cicdctl", against="turbo", at_most=2.0), Target(side="cicdctl", against="nx", at_most=None)]
    return Workload(sides=sides, targets=targets, rounds=11)


def restore(lab: Lab) -> Workload:
    """2,000 files of 100 kB, which do not compress, are deleted and brought back from the cache; each byte is compared."""
    stages = [Stage(name="build", run=f"{sys.executable} src/make.py", outputs=["dist"])]
    ours, theirs = lab.root / "c", lab.root / "t"
    for folder, write in ((ours, write_cicdctl), (theirs, write_turbo)):
        (folder / "src").mkdir(parents=True)
        (folder / "src/make.py").write_text(MAKE)
        write(folder, stages)
        commit_all(folder, lab.env, lab.installed.modules if write is write_turbo else None)
    turbo = [lab.installed.turbo, "run", "build"]
    _prime([lab.side("cicdctl", ours, _run(lab), "1 passed"), lab.side("turbo", theirs, turbo, "0 cached, 1 total")])
    target = lab.root / "restored"
    sides = [
        Side(
            name="cicdctl", folder=ours, env=lab.env, argv=[lab.cicdctl, "artifacts", "1", "build", "--to", str(target)],
            prepare=lambda: _remove_and_sync(target), check=lambda _: _same_bytes(target / "dist"),
        ),
        Side(
            name="turbo", folder=theirs, env=lab.env, argv=turbo, prepare=lambda: _remove_and_sync(theirs / "dist"),
            check=lambda sample: (_says("1 cached, 1 total")(sample), _same_bytes(theirs / "dist"))[0],
        ),
    ]
    return Workload(sides=sides, targets=[Target(side="cicdctl", against="turbo", at_most=1.0)], rounds=9)


def log(lab: Lab) -> Workload:
    """A stage prints 200 MB of lines; both keep all of it as a log. Once told briefly, once passed on to the terminal."""
    ours, theirs = lab.repository("c", write_cicdctl, TALK), lab.repository("t", write_turbo, TALK)
    turbo = [lab.installed.turbo, "run", "talk"]

    def forget_turbo() -> None:
        _remove(theirs / ".turbo")
        os.sync()

    def forget_ours() -> None:
        lab.forget_cicdctl(ours)
        os.sync()

    def side(name: str, argv: Sequence[str]) -> Side:
        mine = name.startswith("cicdctl")
        folder = ours if mine else theirs
        return Side(
            name=name, folder=folder, env=lab.env, argv=argv, peak=True, discard=True,
            prepare=forget_ours if mine else forget_turbo, check=lambda _: _log_is_whole(folder),
        )

    sides = [
        side("cicdctl", _run(lab)),
        side("turbo, brief", [*turbo, "--output-logs=none"]),
        side("cicdctl -v", [lab.cicdctl, "-v", "run", "build"]),
        side("turbo", turbo),
    ]
    targets = [
        Target(side="cicdctl", against="turbo, brief", at_most=0.8),
        Target(side="cicdctl", against="turbo", at_most=0.8),
        Target(side="cicdctl -v", against="turbo", at_most=None),
    ]
    return Workload(sides=sides, targets=targets, rounds=7, peak_at_most=("cicdctl", 60 * MB))


def version(lab: Lab) -> Workload:
    """`cicdctl --version` against the interpreter that only imports the library of the command line."""
    python = str(Path(lab.cicdctl).parent / "python")
    sides = [
        lab.side("cicdctl", lab.root, [lab.cicdctl, "--version"], "cicdctl "),
        lab.side("import typer", lab.root, [python, "-c", "import typer; print('ready')"], "ready"),
    ]
    return Workload(sides=sides, targets=[Target(side="cicdctl", against="import typer", at_most=1.5)], rounds=31)


WORKLOADS: dict[str, Callable[[Lab], Workload]] = {
    "noop": noop,
    "cold-200": functools.partial(cold, 200, 7),
    "changed-200": functools.partial(changed, 200),
    "cached-200": functools.partial(cached, 200),
    "cold-1000": functools.partial(cold, 1000, 5),
    "restore": restore,
    "log": log,
    "version": version,
}
WITHOUT_PEERS = {"version"}


def _run(lab: Lab) -> list[str]:
    return [lab.cicdctl, "run", "build"]


def _prime(sides: Sequence[Side]) -> None:
    """Run each side once with nothing to check but its exit status: this fills the caches."""
    for side in sides:
        run_once(Side(name=side.name, argv=side.argv, folder=side.folder, env=side.env, check=lambda _: None))


def _says(words: str) -> Callable[[Sample], None]:
    def check(sample: Sample) -> None:
        if words not in sample.output:
            raise WrongResult(f'did not say "{words}"')

    return check


def _touch(folder: Path) -> None:
    (folder / "src/part0/file0.txt").write_text(random.randbytes(16).hex())


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            raise WrongResult(f"{path} could not be removed")


def _remove_and_sync(path: Path) -> None:
    _remove(path)
    os.sync()  # what the previous side left to the disk is not charged to the next


@functools.cache
def _expected() -> dict[str, str]:
    numbers = random.Random(1)
    return {
        f"part{number // 100}/file{number}.bin": hashlib.sha1(numbers.randbytes(FILE_BYTES)).hexdigest()
        for number in range(FILES)
    }


def _same_bytes(folder: Path) -> None:
    found = {
        str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() for path in folder.rglob("*.bin")
    }
    if found != _expected():
        raise WrongResult(f"{folder} holds {len(found)} files, not the {FILES} that were made")


def _log_is_whole(folder: Path) -> None:
    logs = [*folder.glob(".git/cicdctl/logs/*/talk.*.log"), *folder.glob(".turbo/turbo-talk.log")]
    sizes = [path.stat().st_size for path in logs]
    if len(sizes) != 1 or not TALK_BYTES <= sizes[0] <= TALK_BYTES + 1000:
        raise WrongResult(f"the log holds {sizes} bytes, not {TALK_BYTES}")
