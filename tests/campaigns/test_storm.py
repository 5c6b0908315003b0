"""A thousand triggers from eight processes at once, and an orchestrator with a hundred thousand runs behind it.

`python -m pytest -m campaign tests/campaigns/test_storm.py -s` prints what it took.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cicdctl.model import Run, RunFilter, RunState, TriggerKind, Verdict
from cicdctl.store import check_state, open_state
from cicdctl.store.sqlite_queue import insert_run

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
[orchestrator]
trust = { refs = ["**"] }
"""
TRIGGER = """
import os, sys
from pathlib import Path
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.intake import queue_run
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest
with open_project(Invocation(directory=Path(sys.argv[1]), environ=dict(os.environ))) as project:
    for _ in range(int(sys.argv[2])):
        print(queue_run(project, RunRequest(pipeline="build", revision="HEAD")).number, flush=True)
        drain(project)
"""


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_a_thousand_triggers_from_eight_processes(make_project):
    project = make_project(config=CONFIG)
    began = time.monotonic()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TRIGGER, str(project.path), "125"],
            env=project.env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    told = [int(line) for process in started for line in process.communicate(timeout=600)[0].split()]
    queued_s = time.monotonic() - began
    assert sorted(told) == list(range(1, 1001))
    project.cicdctl("pause").passes()
    with open_state(project.path / ".git/cicdctl") as state:
        ended = len(state.runs(RunFilter(limit=2000, active=False)))
        recorded = len(state.runs(RunFilter(limit=2000)))
    print(f"1,000 triggers from 8 processes: {queued_s:.1f} s, {1000 / queued_s:.0f}/s; {ended} runs ended meanwhile")
    assert recorded == 1000
    project.cicdctl("resume").passes()
    while subprocess.run(
        [sys.executable, "-P", "-m", "cicdctl", "drain"], cwd=project.path, env=project.env, capture_output=True
    ).returncode:
        time.sleep(1)
    with open_state(project.path / ".git/cicdctl") as state:
        runs = state.runs(RunFilter(limit=2000))
    print(f"all ended after {time.monotonic() - began:.0f} s")
    assert [run.verdict for run in runs] == [Verdict.PASSED] * 1000
    assert check_state(project.path / ".git/cicdctl") == "ok"


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_start_with_a_long_history(make_project):
    project = make_project(config=CONFIG)
    project.cicdctl("watch", "--once").passes()
    _fill(project.path / ".git/cicdctl", 100_000)
    began = time.monotonic()
    process = project.start("watch")
    assert process.stderr is not None
    line = process.stderr.readline()
    ready_s = time.monotonic() - began
    process.terminate()
    process.communicate(timeout=20)
    print(f"100,000 runs: ready after {ready_s:.2f} s")
    assert "watching" in line


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_idle_orchestrator(make_project):
    """Prints the share of one core that watching an idle repository takes, over 20 s."""
    project = make_project(config=CONFIG + "polling_interval = 5\n")
    process = project.start("watch")
    time.sleep(3)
    before = _cpu_s(process.pid)
    time.sleep(20)
    share = (_cpu_s(process.pid) - before) / 20
    process.terminate()
    process.communicate(timeout=20)
    print(f"idle, one repository every 5 s: {share * 100:.2f} % of a core")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _fill(folder: Path, count: int) -> None:
    run = Run(
        number=0, pipeline="build", commit="c" * 40, tree="t" * 40, trigger=TriggerKind.COMMIT,
        state=RunState.DONE, verdict=Verdict.PASSED, created_at=time.time(), ref="refs/heads/main",
    )  # fmt: skip
    with open_state(folder) as state, state._database.transaction() as connection:
        for _ in range(count):
            insert_run(connection, run, tells=False)
