"""Daemons that the peers leave behind become children of the benchmark, which ends them."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 5.0


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends. Raises OSError where the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_orphans() -> None:
    """End every child of this process and what they leave behind in turn, first asked, after `GRACE_S` forced."""
    patience = time.monotonic() + GRACE_S
    while children := children_of(os.getpid()):
        number = signal.SIGTERM if time.monotonic() < patience else signal.SIGKILL
        for pid in children:
            os.kill(pid, number)  # ours until waited for, so the number cannot belong to anyone else
        time.sleep(0.05)
        for pid in children:
            os.waitpid(pid, os.WNOHANG)


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of a process; none when it has ended."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, thread.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
