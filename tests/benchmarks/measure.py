"""Starts one program at a time and says what it took."""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orphans import children_of

POLL_S = 0.02
OUTPUT_KEPT_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one run of a program took.

    `peak_bytes` is the high-water mark of the largest of the program and its descendants (turbo is started by a small
    script), read from /proc every `POLL_S` seconds; 0 when it was not asked for. Not `ru_maxrss`: it begins with what
    the benchmark itself had when it started the program.
    """

    seconds: float
    cpu_seconds: float
    status: int
    output: str
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Side:
    """One contestant: what is timed, what comes before and after it untimed, and what proves that it did the work."""

    name: str
    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str]
    check: Callable[[Sample], None]
    prepare: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    peak: bool = False
    discard: bool = False  # output to /dev/null: for programs that print hundreds of megabytes


@dataclass(kw_only=True)
class Series:
    """The samples of one side."""

    side: Side
    samples: list[Sample] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def fastest_s(self) -> float:
        return min(sample.seconds for sample in self.samples)

    @property
    def slowest_s(self) -> float:
        return max(sample.seconds for sample in self.samples)

    @property
    def median_cpu_s(self) -> float:
        return statistics.median(sample.cpu_seconds for sample in self.samples)

    @property
    def peak_bytes(self) -> int:
        return max(sample.peak_bytes for sample in self.samples)


class WrongResult(Exception):
    """A program ended, but did not do what is being measured."""


def interleave(sides: Sequence[Side], *, rounds: int, warm_ups: int) -> dict[str, Series]:
    """Run every side once per round, in an order that turns each round. Warm-ups are checked too, but not kept.

    Raises WrongResult as soon as one run did not do its work.
    """
    series = {side.name: Series(side=side) for side in sides}
    for number in range(warm_ups + rounds):
        turn = number % len(sides)
        for side in (*sides[turn:], *sides[:turn]):
            sample = run_once(side)
            if number >= warm_ups:
                series[side.name].samples.append(sample)
    return series


def run_once(side: Side) -> Sample:
    """Prepare, run, check, clear. Raises WrongResult when the exit status is not 0 or the check refuses the result."""
    side.prepare()
    os.sync()  # what the previous side and the preparation left to the disk is not charged to this side's fsync
    sample = timed(side.argv, folder=side.folder, env=side.env, peak=side.peak, discard=side.discard)
    if sample.status != 0:
        raise WrongResult(f"{side.name}: exit status {sample.status}\n{_ending(sample)}")
    try:
        side.check(sample)
    except WrongResult as error:
        raise WrongResult(f"{side.name}: {error}\n{_ending(sample)}") from None
    side.after()
    return sample


def timed(
    argv: Sequence[str], *, folder: Path, env: Mapping[str, str], peak: bool = False, discard: bool = False
) -> Sample:
    """Run a program from its start to its end with output to a file, as when piped, and stdin closed."""
    target = os.open(os.devnull, os.O_WRONLY) if discard else os.memfd_create("output")
    try:
        began = time.perf_counter()
        child = subprocess.Popen(
            argv, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=target, stderr=subprocess.STDOUT
        )
        high_water = _watch(child.pid) if peak else 0
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output = b"" if discard else _tail(target)
    finally:
        os.close(target)
    return Sample(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        status=child.returncode,
        output=output.decode("utf-8", "replace"),
        peak_bytes=high_water,
    )


def _ending(sample: Sample) -> str:
    return "\n".join(sample.output.splitlines()[-30:])


def _watch(pid: int) -> int:
    """Return the largest VmHWM seen, in bytes, once the process has ended; it stays to be waited for."""
    high_water = 0
    pidfd = os.pidfd_open(pid)
    try:
        while not select.select([pidfd], [], [], POLL_S)[0]:
            waiting = [pid]
            while waiting:
                one = waiting.pop()
                high_water = max(high_water, _high_water(one))
                waiting += children_of(one)
    finally:
        os.close(pidfd)
    return high_water


def _high_water(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _tail(target: int) -> bytes:
    size = os.fstat(target).st_size
    return os.pread(target, OUTPUT_KEPT_BYTES, max(0, size - OUTPUT_KEPT_BYTES))
