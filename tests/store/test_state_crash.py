"""Whatever was acknowledged is there after kill -9, and the file is whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from cicdctl.model import RunFilter
from cicdctl.store import check_state, open_state

WRITE = """
import sys
from pathlib import Path
import cicdctl.store.database as database
from cicdctl.model import *
from cicdctl.store import *
from cicdctl.store import failpoints
folder, checkpoint, failpoint = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
database.CHECKPOINT_BYTES = checkpoint
failpoints.arm(failpoint, folder)
state = open_state(folder)
print("open", flush=True)
while True:
    run = state.begin(Run(number=0, pipeline="build", commit="c", tree="t", trigger=TriggerKind.MANUAL, state="starting"))
    print("begun", run.number, flush=True)
    attempt = Attempt(number=1, verdict=Verdict.PASSED)
    state.apply([AttemptStarted(stage=name, number=1, at=1.0) for name in "abc"], run=run.number, epoch=1)
    state.apply(
        [StageChanged(result=StageResult(stage=name, verdict=Verdict.PASSED, attempts=(attempt,), summary="x" * 2000))
         for name in "abc"] + [RunChanged(state=RunState.DONE, verdict=Verdict.PASSED)],
        run=run.number, epoch=1)
    print("done", run.number, flush=True)
"""


def kill_at_random(state_folder: Path, start_python, *, rounds: int, seed: int, checkpoint: int) -> int:
    moments = random.Random(seed)
    begun: set[int] = set()
    done: set[int] = set()
    for _ in range(rounds):
        process = start_python(WRITE, state_folder, checkpoint, "")
        assert process.stdout.readline() == "open\n"
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        for line in process.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                word, number = line.split()
                {"begun": begun, "done": done}[word].add(int(number))
        process.wait()
        assert check_state(state_folder) == "ok"
        with open_state(state_folder) as state:
            runs = {run.number: run for run in state.runs(RunFilter(limit=100_000))}
            assert begun <= set(runs)
            assert sorted(runs) == list(range(1, len(runs) + 1))
            for number in done:
                assert runs[number].verdict == "passed"
            for run in list(runs.values())[:20]:
                stages = state.load(run.number).stages
                assert len(stages) == (3 if run.verdict else 0)
                assert all(len(stage.attempts) == 1 for stage in stages)
                assert len(state.open_attempts(run.number)) in ((0,) if run.verdict else (0, 3))
    return len(done)


def test_nothing_acknowledged_is_lost(state_folder, start_python):
    assert kill_at_random(state_folder, start_python, rounds=8, seed=1, checkpoint=30_000) > 0


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_nothing_acknowledged_is_lost_in_two_hundred_kills(state_folder, start_python):
    print(kill_at_random(state_folder, start_python, rounds=200, seed=time.time_ns(), checkpoint=60_000), "runs done")


@pytest.mark.parametrize(
    ("failpoint", "events"),
    [
        ("state_before_commit:1", 0),
        ("state_after_commit:1", 1),
        ("state_before_commit:2", 1),
        ("state_after_commit:2", 4),
    ],
)
def test_vanishing_around_a_commit(state_folder, start_python, failpoint, events):
    with open_state(state_folder):
        (state_folder / "failpoints-allowed").touch()
    process = start_python(WRITE, state_folder, 4 << 20, failpoint)
    assert process.wait(30) == 137
    assert check_state(state_folder) == "ok"
    with open_state(state_folder) as state:
        assert len(state.events()) == events


def test_failpoints_need_their_marker(state_folder, start_python):
    process = start_python(WRITE, state_folder, 4 << 20, "state_after_commit")
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[-1] == "done 2\n"
    assert process.poll() is None
