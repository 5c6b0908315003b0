"""Finds processes by the mark they were started with, for those that no tree leads to any more."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from cicdctl.process import procfs
from cicdctl.process.family import kill_processes
from cicdctl.process.procfs import Stat

_PATIENCE_S = 5.0


def sweep(mark_prefix: str) -> int:
    """Kill every process of our uid whose `CICD_MARK` is `mark_prefix` or lies below it; return how many.

    "ab/7" covers "ab/7/unit/1" and not "ab/70". We and the processes we descend from are spared. For the
    recovery of a run whose runner was killed; its lock must be free, else a living run is destroyed.
    """
    prefix = mark_prefix.rstrip("/")
    if not prefix:
        raise ValueError("an empty mark would cover every run")
    return _kill_until_none(lambda mark: mark == prefix or mark.startswith(prefix + "/"))


def kill_marked(mark: str) -> int:
    """Kill every process of our uid that carries exactly this mark; return how many."""
    return _kill_until_none(lambda found: found == mark) if mark else 0


def _kill_until_none(is_meant: Callable[[str], bool]) -> int:
    killed: set[tuple[int, int]] = set()
    give_up = time.monotonic() + _PATIENCE_S
    while found := _find_marked(is_meant):
        killed.update((stat.pid, stat.started) for stat in found)
        if time.monotonic() > give_up:
            break
        kill_processes(found, number=signal.SIGKILL)
        time.sleep(0.002)
    return len(killed)


def _find_marked(is_meant: Callable[[str], bool]) -> list[Stat]:
    spared = _ancestors()
    found: list[Stat] = []
    for pid in procfs.list_pids():
        if pid in spared:
            continue
        mark = procfs.read_mark(pid)
        if mark is None or not is_meant(mark) or not _is_ours(pid):
            continue
        stat = procfs.read_stat(pid)
        if stat is not None and stat.state not in "ZX":
            found.append(stat)
    return found


def _is_ours(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.getuid()  # noqa: PTH116 -- a kernel file
    except OSError:
        return False


def _ancestors() -> set[int]:
    spared: set[int] = set()
    pid = os.getpid()
    while pid > 1 and pid not in spared:
        spared.add(pid)
        stat = procfs.read_stat(pid)
        pid = stat.parent if stat is not None else 0
    return spared
