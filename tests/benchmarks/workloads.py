"""What is compared: each workload prepares equal work for every tool and says which ratio is the target."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab import Lab, Target, Workload, prime, remove, touch
from measure import Side
from peers import NX_AS_ON_A_DESK, NX_TUNED
from projects import Stage, commit_all, wide, write_cicdctl, write_moon, write_nx, write_turbo
from proofs import LINE, MAKE, MB, TALK_BYTES, log_is_whole, same_bytes, says

THREE = [
    Stage(name="build", run="mkdir -p dist && cat src/*/*.txt > dist/all.txt", outputs=["dist"]),
    Stage(name="test", run="test -d src", needs=["build"]),
    Stage(name="package", run="mkdir -p packaged && ls src > packaged/list.txt", outputs=["packaged"], needs=["test"]),
]
TALK = [Stage(name="talk", run=f"yes '{LINE}' | head -c {TALK_BYTES}")]
NX: Mapping[str, Mapping[str, str]] = {"nx": NX_AS_ON_A_DESK, "nx, tuned": NX_TUNED}


def noop(lab: Lab) -> Workload:
    """Second run of build → test → package over 1,000 files: everything is known."""
    peers = lab.installed
    turbo = lab.repository("t", write_turbo, THREE, files=1000)
    moon = lab.repository("m", write_moon, THREE, files=1000)
    sides = [
        lab.side("cicdctl", lab.repository("c", write_cicdctl, THREE, files=1000), lab.run, "3 cached"),
        lab.side("turbo", turbo, [peers.turbo, "run", "package"], "3 cached, 3 total"),
        lab.side("moon", moon, [peers.moon, "run", "bench:package"], "3 completed (3 cached)"),
    ]
    prime(sides)
    targets = [_judge("cicdctl", "turbo", 1.0), _judge("cicdctl", "moon", 0.3)]
    return Workload(sides=sides, targets=targets, rounds=15)


def cold(count: int, lab: Lab) -> Workload:
    """Independent stages that run `true`, then one join; no state of an earlier run on any side."""
    stages = wide(count)
    ours = lab.repository("c", write_cicdctl, stages)

    def forget_ours() -> None:
        lab.forget_cicdctl(ours)

    sides = [lab.side("cicdctl", ours, lab.run, f"{count + 1} passed", prepare=forget_ours, after=forget_ours)]
    for number, (name, env) in enumerate(NX.items()):
        theirs = lab.repository(f"n{number}", write_nx, stages)
        forget = functools.partial(lab.forget_nx, theirs)
        command = [lab.installed.nx, "run", "bench:join"]
        # After as well as before: a daemon that has just been started must not work while another side is timed.
        sides.append(lab.side(name, theirs, command, f"0/{count + 1} hit", env=env, prepare=forget, after=forget))
    return Workload(sides=sides, targets=[_judge("cicdctl", name, 1.0) for name in NX], rounds=7)


def changed(count: int, lab: Lab) -> Workload:
    """The same after one file that every stage reads has changed: nothing is cached, but the tools have run here before."""
    stages = wide(count)
    ours = lab.repository("c", write_cicdctl, stages)
    prepare = functools.partial(touch, ours)
    sides = [lab.side("cicdctl", ours, lab.run, f"{count + 1} passed", prepare=prepare)]
    for number, (name, env) in enumerate(NX.items()):
        theirs = lab.repository(f"n{number}", write_nx, stages)
        command = [lab.installed.nx, "run", "bench:join"]
        prepare = functools.partial(touch, theirs)
        sides.append(lab.side(name, theirs, command, f"0/{count + 1} hit", env=env, prepare=prepare))
    return Workload(sides=sides, targets=[_judge("cicdctl", name, None) for name in NX], rounds=7)


def cached(count: int, lab: Lab) -> Workload:
    """The same, with every result known."""
    stages, peers = wide(count), lab.installed
    turbo = lab.repository("t", write_turbo, stages)
    sides = [
        lab.side("cicdctl", lab.repository("c", write_cicdctl, stages), lab.run, f"{count + 1} cached"),
        lab.side("turbo", turbo, [peers.turbo, "run", "join"], f"{count + 1} cached, {count + 1} total"),
    ]
    for number, (name, env) in enumerate(NX.items()):
        theirs = lab.repository(f"n{number}", write_nx, stages)
        command = [peers.nx, "run", "bench:join"]
        sides.append(lab.side(name, theirs, command, f"{count + 1}/{count + 1} hit", env=env))
    prime(sides)
    targets = [_judge("cicdctl", "turbo", 2.0), *(_judge("cicdctl", name, None) for name in NX)]
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
    prime([lab.side("cicdctl", ours, lab.run, "1 passed"), lab.side("turbo", theirs, turbo, "0 cached, 1 total")])
    target = lab.root / "restored"
    sides = [
        Side(
            name="cicdctl",
            folder=ours,
            env=lab.env,
            argv=[lab.cicdctl, "artifacts", "1", "build", "--to", str(target)],
            prepare=lambda: remove(target),
            check=lambda _: same_bytes(target / "dist"),
        ),
        Side(
            name="turbo",
            folder=theirs,
            env=lab.env,
            argv=turbo,
            prepare=lambda: remove(theirs / "dist"),
            check=lambda sample: (says("1 cached, 1 total")(sample), same_bytes(theirs / "dist"))[0],
        ),
    ]
    return Workload(sides=sides, targets=[_judge("cicdctl", "turbo", 1.0)], rounds=9)


def log(lab: Lab) -> Workload:
    """A stage prints 200 MB of lines; both keep all of it as a log. Once told briefly, once passed on to the terminal."""
    ours, theirs = lab.repository("c", write_cicdctl, TALK), lab.repository("t", write_turbo, TALK)
    turbo = [lab.installed.turbo, "run", "talk"]

    def side(name: str, argv: Sequence[str]) -> Side:
        folder = ours if name.startswith("cicdctl") else theirs
        return Side(
            name=name,
            folder=folder,
            env=lab.env,
            argv=argv,
            peak=True,
            discard=True,
            prepare=lambda: lab.forget_cicdctl(ours) if folder is ours else remove(theirs / ".turbo"),
            check=lambda _: log_is_whole(folder),
        )

    sides = [
        side("cicdctl", lab.run),
        side("turbo, brief", [*turbo, "--output-logs=none"]),
        side("cicdctl -v", [lab.cicdctl, "-v", "run", "build"]),
        side("turbo", turbo),
    ]
    targets = [
        _judge("cicdctl", "turbo, brief", 0.8),
        _judge("cicdctl", "turbo", 0.8),
        _judge("cicdctl -v", "turbo", None),
    ]
    return Workload(sides=sides, targets=targets, rounds=7, peak_at_most=("cicdctl", 60 * MB))


def version(lab: Lab) -> Workload:
    """`cicdctl --version` against the interpreter that only imports the library of the command line."""
    python = str(Path(lab.cicdctl).parent / "python")
    sides = [
        lab.side("cicdctl", lab.root, [lab.cicdctl, "--version"], "cicdctl "),
        lab.side("import typer", lab.root, [python, "-c", "import typer; print('ready')"], "ready"),
    ]
    return Workload(sides=sides, targets=[_judge("cicdctl", "import typer", 1.5)], rounds=31)


WORKLOADS: dict[str, Callable[[Lab], Workload]] = {
    "noop": noop,
    "cold-200": functools.partial(cold, 200),
    "changed-200": functools.partial(changed, 200),
    "cached-200": functools.partial(cached, 200),
    "cold-1000": functools.partial(cold, 1000),
    "restore": restore,
    "log": log,
    "version": version,
}
WITHOUT_PEERS = {"version"}


def _judge(side: str, against: str, at_most: float | None) -> Target:
    return Target(side=side, against=against, at_most=at_most)
