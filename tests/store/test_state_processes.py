"""Many processes write one state: numbers are unique and nobody hears of a locked database."""

from __future__ import annotations

import sqlite3
import time

import pytest

from cicdctl.model import RunFilter
from cicdctl.store import check_state, open_state

WRITE = """
import sys, time
from pathlib import Path
import cicdctl.store.database as database
from cicdctl.model import *
from cicdctl.store import *
folder, count, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
database.CHECKPOINT_BYTES = 40_000
end = time.monotonic() + seconds
done = 0
while done < count or time.monotonic() < end:
    with open_state(folder) as state:
        for _ in range(5):
            run = state.begin(
                Run(number=0, pipeline=sys.argv[4], commit="c", tree="t", trigger=TriggerKind.MANUAL, state="starting"))
            state.apply([StageChanged(result=StageResult(stage="unit", verdict=Verdict.PASSED, key=str(run.number))),
                         RunChanged(state=RunState.DONE, verdict=Verdict.PASSED)], run=run.number, epoch=1)
            assert state.load(run.number).stages[0].key == str(run.number)
            print(run.number, flush=True)
            done += 1
"""


def write_at_once(state_folder, start_python, *, processes: int, count: int, seconds: float) -> list[int]:
    started = [start_python(WRITE, state_folder, count, seconds, f"p{index}") for index in range(processes)]
    outputs = [process.communicate(timeout=seconds + 60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return [int(line) for output in outputs for line in output.split()]


def test_eight_processes_begin_and_end_runs(state_folder, start_python):
    given = write_at_once(state_folder, start_python, processes=8, count=10, seconds=0)
    assert sorted(given) == list(range(1, 81))
    assert check_state(state_folder) == "ok"
    with open_state(state_folder) as state:
        assert len(state.runs(RunFilter(limit=100, active=False))) == 80
        assert [event.id for event in state.events()] == list(range(1, 241))


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_eight_processes_for_long(state_folder, start_python):
    given = write_at_once(state_folder, start_python, processes=8, count=10, seconds=120)
    print(len(given), "runs")
    assert sorted(given) == list(range(1, len(given) + 1))
    assert check_state(state_folder) == "ok"


def test_readers_see_whole_transactions_while_others_write(state_folder, start_python):
    open_state(state_folder).close()
    process = start_python(WRITE, state_folder, 40, 0, "p")
    seen = 0
    while process.poll() is None:
        with open_state(state_folder, read_only=True) as reader:
            for run in reader.runs(RunFilter(active=False, limit=3)):
                summary = reader.load(run.number)
                assert len(summary.stages) == 1
                seen += 1
    assert process.returncode == 0
    assert seen


def test_reader_that_lingers_does_not_stop_writers(state_folder, a_run):
    """A checkpoint cannot finish under an old reader; commits go on without waiting for it."""
    with open_state(state_folder) as state:
        state.begin(a_run())
        reader = sqlite3.connect(state_folder / "state.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM run").fetchall()
        state._database._checkpoint_at = 1
        start = time.monotonic()
        for _ in range(20):
            state.begin(a_run())
        assert time.monotonic() - start < 3
        assert reader.execute("SELECT count(*) FROM run").fetchall() == [(1,)]
        reader.close()
        wal = state_folder / "state.db-wal"
        state._database._checkpoint_at = 1
        state.begin(a_run())
        assert wal.stat().st_size == 0


def test_foreign_program_that_holds_the_file_is_named_as_such(state_folder, a_run):
    from cicdctl.errors import StoreError

    with open_state(state_folder) as state:
        state._database._connection.execute("PRAGMA busy_timeout=50")
        foreign = sqlite3.connect(state_folder / "state.db", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="in use by a program that is not cicdctl"):
            state.begin(a_run())
        foreign.execute("ROLLBACK")
        foreign.close()
        assert state.begin(a_run()).number == 1
