"""A hundred idle repositories in one process, looked at every 5 s.

`python -m pytest -m campaign tests/campaigns/test_many_idle.py -s` prints what it takes.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

COUNT = 100
SECONDS = 30.0
CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
"""


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_idle_watch_of_a_hundred(make_project, tmp_path):
    """Prints the share of one core, memory and the time until all are watched; then all still notice a commit."""
    first = make_project(config=CONFIG)
    folders = [tmp_path / f"copy{number}" for number in range(COUNT)]
    for folder in folders:
        shutil.copytree(first.path, folder)
    file = tmp_path / "ci.toml"
    file.write_text(
        '[orchestrator]\npolling_interval = 5\ntrust = { refs = ["**"] }\n'
        + "".join(f'[[projects]]\nrepository = "{folder}"\n' for folder in folders)
    )
    began = time.monotonic()
    process = first.start("watch", "--config", str(file))
    locks = [folder / ".git/cicdctl/locks/orchestrator" for folder in folders]
    while not all(lock.exists() for lock in locks):
        assert process.poll() is None and time.monotonic() - began < 120
        time.sleep(0.05)
    ready_s = time.monotonic() - began
    time.sleep(10)
    before = _cpu_s(process.pid)
    time.sleep(SECONDS)
    share = (_cpu_s(process.pid) - before) / SECONDS
    memory = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmRSS" in line)
    print(f"idle, {COUNT} repositories every 5 s: {share * 100:.2f} % of a core; ready after {ready_s:.1f} s; {memory}")
    first.path = folders[-1]
    first.commit("second")
    state = folders[-1] / ".git/cicdctl/logs/1"
    while not state.exists():
        assert time.monotonic() - began < 300
        time.sleep(0.05)
    first.cicdctl("drain").passes()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
