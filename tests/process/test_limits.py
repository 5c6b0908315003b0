"""Memory, processes and what the limits here are held by."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cicdctl.process import Limits, Sandbox, probe_limits, probe_sandbox

if TYPE_CHECKING:
    from conftest import Stage

MEGABYTE = 1_000_000
PYTHON = os.path.realpath(sys.executable)
HOG = f"exec {PYTHON} -c 'x = []\nwhile True: x.append(bytearray(b\"x\") * 4_000_000)'"
FORKS = f"""exec {sys.executable} -c '
import os, time
x = bytearray(b"x") * 60_000_000
for _ in range(4):
    if os.fork() == 0:
        time.sleep(0.5)
        os._exit(0)
time.sleep(0.5)'"""


@pytest.mark.parametrize("is_boxed", [False, True])
def test_memory_hog_is_killed_with_the_reason(is_boxed: bool, stage: Stage) -> None:
    how: dict[str, Any] = {}
    if is_boxed and probe_sandbox().bwrap:
        how = {"sandbox": Sandbox(writable=(stage.folder,), readonly=(Path(PYTHON).parent.parent,))}
    ended = stage.run(HOG, limits=Limits(memory_bytes=300 * MEGABYTE), timeout_s=20, backend="tree", **how)

    assert (ended.reason, ended.survivors, ended.enforced_by) == ("memory", 0, "polling")
    assert ended.detail.startswith("memory limit 300.0 MB, peak ")
    assert ended.peak_memory_bytes < 300 * MEGABYTE * 1.6, "25 % on an idle machine"


def test_memory_counts_the_whole_tree(stage: Stage) -> None:
    four = f"for i in 1 2 3 4; do {sys.executable} -c 'import time; x = bytearray(b\"x\") * 60_000_000; time.sleep(9)' & done; wait"
    ended = stage.run(four, limits=Limits(memory_bytes=150 * MEGABYTE), timeout_s=8, backend="tree")

    assert ended.reason == "memory"


def test_shared_pages_are_counted_once(stage: Stage) -> None:
    ended = stage.run(FORKS, limits=Limits(memory_bytes=150 * MEGABYTE), timeout_s=8, backend="tree")

    assert (ended.reason, ended.exit_code) == ("exited", 0)
    assert 60 * MEGABYTE < ended.peak_memory_bytes < 150 * MEGABYTE


def test_peak_and_cpu_are_measured(stage: Stage) -> None:
    # Long enough to be sampled: what the kernel says of a child counts only above the peak of our own process.
    program = "import time; x = bytearray(b\"x\") * 300_000_000; sum(range(2_000_000)); time.sleep(0.5)"
    ended = stage.run(f"{sys.executable} -c '{program}'; true")

    assert 250 * MEGABYTE < ended.peak_memory_bytes < 500 * MEGABYTE
    assert 0.02 < ended.cpu_s < 5
    assert ended.enforced_by == "none"


def test_processes_are_limited_unless_root(stage: Stage) -> None:
    stage.run("sleep 0.05; cat /proc/self/limits", limits=Limits(processes=50))
    row = next(line for line in stage.output.decode().splitlines() if line.startswith("Max processes"))

    if os.geteuid() == 0:
        assert probe_limits().processes in ("none", "cgroup")
    else:
        running = int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
        assert 50 < int(row.split()[2]) <= 50 + running + 500


def test_probe_tells_what_it_found() -> None:
    support = probe_limits()

    assert support.memory in ("cgroup", "polling")
    assert support.cpu in ("cgroup", "affinity")
    assert f"memory by {support.memory}" in support.detail
    if support.memory == "polling":
        assert support.reason
