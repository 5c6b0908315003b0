"""Questions over many runs, answered from the indexes; old runs are forgotten, needed ones never."""

from __future__ import annotations

import sqlite3
import time

import pytest

from cicdctl.model import Attempt, RunFilter, RunState, StageResult, TriggerKind, Verdict
from cicdctl.store import AttemptStarted, RunChanged, StageChanged

only_sqlite = pytest.mark.parametrize("open_store", ["sqlite"], indirect=True)


def result(stage: str, verdict: Verdict = Verdict.PASSED, **fields: object) -> StageResult:
    return StageResult(stage=stage, verdict=verdict, **fields)


def numbers(runs):
    return [run.number for run in runs]


def test_filters_and_pages(state, a_run, finish):
    for index in range(1, 13):
        state.begin(a_run(pipeline="ab"[index % 2], commit=f"{index % 3}" * 40))
        if index % 4:
            finish(index, Verdict.FAILED if index % 3 else Verdict.PASSED)
    assert numbers(state.runs(RunFilter(limit=3))) == [12, 11, 10]
    assert numbers(state.runs(RunFilter(limit=3, before=10))) == [9, 8, 7]
    assert numbers(state.runs(RunFilter(pipeline="a"))) == [12, 10, 8, 6, 4, 2]
    assert numbers(state.runs(RunFilter(commit="0" * 40))) == [12, 9, 6, 3]
    assert numbers(state.runs(RunFilter(active=True))) == [12, 8, 4]
    assert numbers(state.runs(RunFilter(active=False, pipeline="a"))) == [10, 6, 2]
    assert numbers(state.runs(RunFilter(verdict=Verdict.PASSED))) == [9, 6, 3]
    assert state.runs(RunFilter(pipeline="x")) == []
    assert state.runs(RunFilter(limit=0)) == []


def test_latest_of_every_pipeline(state, a_run):
    assert state.latest_per_pipeline(3) == {}
    for index in range(1, 8):
        state.begin(a_run(pipeline="web" if index % 3 else "app"))
    found = state.latest_per_pipeline(2)
    assert {name: numbers(runs) for name, runs in found.items()} == {"app": [6, 3], "web": [7, 5]}
    assert list(found) == ["app", "web"]


def test_trials_are_left_out_on_demand(state, a_run, finish):
    """Each way to ask has an index of its own; none forgets what is not wanted."""
    triggers = [TriggerKind.MANUAL, TriggerKind.FIX, TriggerKind.PUSH, TriggerKind.COMMIT, TriggerKind.BISECT]
    for number, trigger in enumerate(triggers, start=1):
        state.begin(a_run(trigger=trigger))
        finish(number)
    questions = [{}, {"pipeline": "build"}, {"verdict": Verdict.PASSED}, {"commit": "c" * 40}, {"tree": "d" * 40},
                 {"pipeline": "build", "verdict": Verdict.PASSED}, {"active": False}]  # fmt: skip
    for asked in questions:
        assert numbers(state.runs(RunFilter(**asked))) == [5, 4, 3, 2, 1]
        assert numbers(state.runs(RunFilter(fixes=False, **asked))) == [5, 4, 3, 1]
        assert numbers(state.runs(RunFilter(trials=False, limit=1, **asked))) == [4]
        assert numbers(state.runs(RunFilter(trials=False, **asked))) == [4, 1]
    state.begin(a_run(trigger=TriggerKind.FIX))
    assert state.runs(RunFilter(trials=False, active=True)) == []
    assert {name: numbers(runs) for name, runs in state.latest_per_pipeline(9).items()} == {"build": [4, 1]}


def test_a_fix_is_no_last_green_run(state, a_run, finish):
    state.begin(a_run())
    finish(1)
    state.begin(a_run(trigger=TriggerKind.FIX))
    finish(2)
    assert state.green_floor().runs == {1}


def test_recent_results_newest_first_with_attempts(state, a_run, finish):
    attempt = Attempt(number=1, verdict=Verdict.FAILED)
    for number in range(1, 6):
        state.begin(a_run(pipeline="build" if number != 3 else "other"))
        finish(number, result=result("unit", key=str(number), attempts=(attempt,)))
    state.begin(a_run())
    found = state.recent_results("build", "unit", 3)
    assert [(number, item.key) for number, item in found] == [(5, "5"), (4, "4"), (2, "2")]
    assert found[0][1].attempts == (attempt,)
    assert state.recent_results("build", "lint", 3) == []


def test_green_floor_names_what_must_stay(state, a_run, finish):
    def one(pipeline, verdict, key):
        run = state.begin(a_run(pipeline=pipeline))
        stage = result("unit", key=key, manifest=f"m-{key}")
        if verdict is None:
            state.apply([StageChanged(result=stage)], run=run.number, epoch=1)
        else:
            finish(run.number, verdict, result=stage)
        return run.number

    one("a", Verdict.PASSED, "old green")
    green = one("a", Verdict.PASSED, "last green")
    one("a", Verdict.FAILED, "newer red")
    one("b", Verdict.FAILED, "never green")
    active = one("b", None, "active")

    floor = state.green_floor()

    assert floor.runs == {green, active}
    assert floor.keys == {"last green", "active"}
    assert floor.manifests == {"m-last green", "m-active"}


def test_prune_forgets_only_what_nobody_needs(state, a_run, finish):
    now = time.time()
    for number in range(1, 11):
        state.begin(a_run(created_at=now - 100 if number < 8 else now))
        state.apply([AttemptStarted(stage="unit", number=1, at=0.0)], run=number, epoch=1)
        if number != 4:
            finish(number, Verdict.PASSED if number == 3 else Verdict.FAILED, result=result("unit"))
    # 3 is the last green, 4 is active, 5 is asked for, 8 and 9 are young, 10 is the newest.
    assert state.prune(1, 50.0, keep=[5]) == [1, 2, 6, 7]
    assert numbers(state.runs(RunFilter())) == [10, 9, 8, 5, 4, 3]
    assert {event.run for event in state.events()} == {3, 4, 5, 8, 9, 10}
    assert state.prune(1) == [5, 8, 9]
    assert state.prune(5, 0.0) == []
    assert state.begin(a_run()).number == 11


def test_numbers_are_never_given_twice(state, a_run, finish):
    for number in range(1, 4):
        state.begin(a_run())
        finish(number, Verdict.FAILED)
    assert state.prune(0) == [1, 2, 3]
    assert state.begin(a_run()).number == 4
    assert state.events()[0].id > 6


@only_sqlite
def test_prune_of_more_than_one_batch(state, state_folder, a_run):
    state.begin(a_run())
    state.apply([RunChanged(state=RunState.DONE, verdict=Verdict.FAILED)], run=1, epoch=1)
    with sqlite3.connect(state_folder / "state.db") as writer:
        writer.execute(
            """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2499)
               INSERT INTO run (pipeline, commit_id, state, verdict, epoch, created_at, document)
               SELECT pipeline, commit_id, state, verdict, epoch, created_at, document FROM run, n"""
        )
    writer.close()
    gone = state.prune(10)
    assert gone == list(range(1, 2491))
    assert len(state.runs(RunFilter(limit=100))) == 10


@only_sqlite
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, document FROM run WHERE pipeline = 'a' ORDER BY id DESC LIMIT 10",
        "SELECT id, document FROM run WHERE commit_id = 'a' ORDER BY id DESC LIMIT 10",
        "SELECT id, document FROM run WHERE verdict = 'a' ORDER BY id DESC LIMIT 10",
        "SELECT id, document FROM run WHERE state <> 'done' ORDER BY id DESC LIMIT 10",
        "SELECT id FROM event WHERE id > 5 AND run = 3 ORDER BY id LIMIT 10",
        "DELETE FROM run WHERE id = 3",
    ],
)
def test_no_question_reads_a_whole_table(state, state_folder, sql):
    connection = sqlite3.connect(state_folder / "state.db")
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    connection.close()
    assert not any("TEMP B-TREE" in step for step in plan), plan
    assert all(not step.startswith("SCAN") or "run_active" in step for step in plan), plan


@only_sqlite
@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_questions_stay_fast_with_a_hundred_thousand_runs(state, state_folder, a_run, finish):
    for index in range(50):
        state.begin(a_run(pipeline=f"p{index:02}"))
        finish(index + 1, Verdict.PASSED, result=result("unit"))
    with sqlite3.connect(state_folder / "state.db") as writer:
        writer.execute(
            """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
               INSERT INTO run (pipeline, commit_id, state, verdict, epoch, created_at, document)
               SELECT pipeline, commit_id, state, verdict, epoch, created_at, document FROM n, run WHERE run.id <= 50"""
        )
    writer.close()

    def milliseconds(act):
        start = time.perf_counter()
        act()
        return (time.perf_counter() - start) * 1000

    for name, act in {
        "list": lambda: state.runs(RunFilter()),
        "list one pipeline": lambda: state.runs(RunFilter(pipeline="p07")),
        "list active": lambda: state.runs(RunFilter(active=True)),
        "latest of each": lambda: state.latest_per_pipeline(10),
        "floor": state.green_floor,
    }.items():
        best = min(milliseconds(act) for _ in range(5))
        print(f"{name}: {best:.2f} ms")
        assert best < 20, name
