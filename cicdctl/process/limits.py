"""Limits without a cgroup: memory by looking, cores by affinity, the rest by rlimits."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cicdctl.model import Value
from cicdctl.process import procfs
from cicdctl.process.procfs import Stat
from cicdctl.process.spec import Limits
from cicdctl.units import format_size

_FAR_S = 0.1
_NEAR_S = 0.02
_IDLE_MAX_S = 1.0
_NEAR_SHARE = 0.8


class Measured(Protocol):
    """What a meter can look at."""

    def processes(self) -> list[Stat]:
        """The living processes of the tree, its leader too."""

    def memory_peak(self) -> int | None:
        """The exact peak in bytes where a cgroup counts it, else None."""

    def was_out_of_memory(self) -> bool:
        """Whether the kernel killed the tree for its memory limit."""


class Meter:
    """Adds up the memory of a tree now and then; the first look comes late enough to cost short stages nothing."""

    def __init__(self, measured: Measured, limit_bytes: int | None, started_at: float) -> None:
        self._measured = measured
        self._limit = limit_bytes
        self._own_peak = _own_peak_bytes()
        self._pause_s = _FAR_S
        self._last = started_at, 0
        self.peak_bytes = 0
        self.next_at = started_at + (_FAR_S if limit_bytes is None else _NEAR_S)

    def sample(self) -> bool:
        """Look once and plan the next look; True when the limit is passed."""
        stats = self._measured.processes()
        sizes = [procfs.resident_bytes(stat.pid) for stat in stats]
        total = sum(sizes)
        if self._limit is not None and total > self._limit and max(sizes) <= self._limit:
            # Forked workers share pages: the plain sum counts them once for each.
            total = sum(procfs.shared_out_bytes(stat.pid) for stat in stats)
        self.peak_bytes = max(self.peak_bytes, total)
        now = time.monotonic()
        if self._limit is None:
            self._pause_s = min(self._pause_s * 1.5, _IDLE_MAX_S)
        else:
            self._pause_s = _pause_before(self._limit, total, total - self._last[1], now - self._last[0])
        self._last = now, total
        self.next_at = now + self._pause_s
        return self._limit is not None and total > self._limit

    def take_largest(self, largest_bytes: int) -> None:
        """Learn what the kernel saw: the peak of the largest single process, or of the cgroup."""
        exact = self._measured.memory_peak()
        if exact is not None:
            self.peak_bytes = exact
        # A child starts with the peak of the process that started it: below that it says nothing.
        elif largest_bytes > self._own_peak:
            self.peak_bytes = max(self.peak_bytes, largest_bytes)

    def describe(self) -> str:
        """What to tell people when the limit was passed."""
        return f"memory limit {format_size(self._limit or 0)}, peak {format_size(self.peak_bytes)}"


def _pause_before(limit: int, total: int, grown: int, in_s: float) -> float:
    """Seconds to the next look: soon near the limit, and before a tree that grows as it did has got half way."""
    if total > limit * _NEAR_SHARE:
        return _NEAR_S
    if grown <= 0:
        return _FAR_S
    return min(_FAR_S, max(_NEAR_S / 2, (limit - total) * in_s / grown / 2))


def _own_peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def set_rlimits(pid: int, limits: Limits) -> None:
    """Set the limits that hold for single processes on one that has just started."""
    import resource

    wanted = [
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_size_bytes),
        (resource.RLIMIT_NPROC, _process_limit(limits.processes)),
    ]
    for which, value in wanted:
        if value is None:
            continue
        try:
            _, hard = resource.prlimit(pid, which)
            ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, which, (ceiling, ceiling))
        except ProcessLookupError:
            return


def _process_limit(processes: int | None) -> int | None:
    """RLIMIT_NPROC counts all threads of the user, so what runs on the machine already comes on top."""
    if processes is None or os.geteuid() == 0:
        return None
    line = procfs.read_bytes("/proc/loadavg")
    running = int(line.split()[3].split(b"/")[1]) if line else 4096
    return processes + running


_core_users: dict[int, int] = {}
_core_lock = threading.Lock()


def take_cores(cpus: float | None) -> tuple[int, ...]:
    """Choose the least used whole cores for a tree; `give_back_cores` them. Empty means no restriction."""
    allowed = sorted(os.sched_getaffinity(0))
    count = len(allowed) if cpus is None else max(1, math.ceil(cpus))
    if count >= len(allowed):
        return ()
    with _core_lock:
        cores = tuple(sorted(allowed, key=lambda core: _core_users.get(core, 0))[:count])
        for core in cores:
            _core_users[core] = _core_users.get(core, 0) + 1
    return cores


def give_back_cores(cores: tuple[int, ...]) -> None:
    """Say that a tree of `take_cores` has ended."""
    with _core_lock:
        for core in cores:
            _core_users[core] -= 1


@contextmanager
def on_cores(cores: tuple[int, ...]) -> Iterator[None]:
    """Put this thread on some cores while it starts a child, which inherits them from its first moment."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class LimitSupport(Value, frozen=True, kw_only=True):
    """What holds limits here: "cgroup", "polling", "affinity", "rlimit" or "none", and why not better."""

    memory: str
    cpu: str
    processes: str
    reason: str = ""

    @property
    def detail(self) -> str:
        """One line for people."""
        why = f" ({self.reason})" if self.reason else ""
        return f"memory by {self.memory}, cpu by {self.cpu}, processes by {self.processes}{why}"


def probe_limits() -> LimitSupport:
    """Find out by doing which backend holds each limit here."""
    from cicdctl.process.cgroup import probe_cgroup

    support = probe_cgroup()
    return LimitSupport(
        memory="cgroup" if "memory" in support.controllers else "polling",
        cpu="cgroup" if "cpu" in support.controllers else "affinity",
        processes="cgroup" if "pids" in support.controllers else "none" if os.geteuid() == 0 else "rlimit",
        reason=support.reason,
    )
