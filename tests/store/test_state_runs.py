"""What is recorded of a run comes back, step by step, and impossible steps are refused."""

from __future__ import annotations

import itertools

import pytest

from cicdctl.errors import StoreError
from cicdctl.model import Attempt, RunFilter, RunState, StageResult, TestFailure, TestReport, Verdict
from cicdctl.store import (
    AttemptEnded,
    AttemptStarted,
    Noted,
    RunChanged,
    StageChanged,
    StageState,
    StaleRunner,
    open_state,
)

UNIT = StageResult(
    stage="unit",
    verdict=Verdict.FAILED,
    exit_code=1,
    key="k" * 64,
    components={"inputs": "abc"},
    outputs={"version": "1.2\n3"},
    tests=TestReport(passed=3, failed=1, failures=(TestFailure(name="test_x", line=3),)),
    warnings=("leftover",),
)


def test_one_run_from_begin_to_end(state, a_run):
    run = state.begin(a_run(ref="refs/heads/main", params={"a": "b"}, message="töst", stage_names=("lint", "unit")))
    assert (run.number, run.epoch) == (1, 1)
    attempt = Attempt(
        number=1, verdict=Verdict.FAILED, exit_code=1, started_at=5.0, seconds=2.5, log="logs/1/unit.1.log"
    )
    lint = StageResult(stage="lint", verdict=Verdict.PASSED, cached=True, origin_run=7)

    state.apply([RunChanged(state=RunState.RUNNING, started_at=4.0)], run=1, epoch=1)
    state.apply(
        [
            StageChanged(stage="unit", state=StageState.RUNNING),
            AttemptStarted(stage="unit", number=1, at=5.0, log="logs/1/unit.1.log"),
        ],
        run=1,
        epoch=1,
    )
    assert [opened.stage for opened in state.open_attempts(1)] == ["unit"]
    state.apply(
        [
            AttemptEnded(stage="unit", attempt=attempt),
            StageChanged(result=UNIT),
            StageChanged(result=lint),
            Noted(kind="advice", stage="unit", detail={"text": "look here", "n": 1}),
            RunChanged(state=RunState.FINISHING),
            RunChanged(state=RunState.DONE, verdict=Verdict.FAILED, reason="unit failed", finished_at=9.0),
        ],
        run=1,
        epoch=1,
    )

    seen = state.load(1)
    assert (seen.run.state, seen.run.verdict, seen.run.reason, seen.run.seconds) == (
        "done",
        "failed",
        "unit failed",
        5.0,
    )
    assert (seen.run.message, seen.run.params, seen.run.ref) == ("töst", {"a": "b"}, "refs/heads/main")
    assert [result.stage for result in seen.stages] == ["lint", "unit"]
    assert seen.stages[0] == lint
    assert seen.stages[1].attempts == (attempt,)
    assert (seen.stages[1].tests, seen.stages[1].outputs) == (UNIT.tests, UNIT.outputs)
    assert state.open_attempts(1) == []
    assert [(event.kind, event.stage) for event in state.events(run=1)] == [
        ("run_created", None),
        ("run_started", None),
        ("stage_started", "unit"),
        ("attempt_started", "unit"),
        ("attempt_finished", "unit"),
        ("stage_finished", "unit"),
        ("stage_finished", "lint"),
        ("advice", "unit"),
        ("run_finishing", None),
        ("run_finished", None),
    ]
    assert state.events(run=1)[-1].detail == {"verdict": "failed", "reason": "unit failed"}


def test_it_is_still_there_when_opened_again(state_folder, a_run):
    with open_state(state_folder) as state:
        first = state.begin(a_run())
        state.apply([StageChanged(result=UNIT)], run=1, epoch=1)
    for read_only in (False, True):
        with open_state(state_folder, read_only=read_only) as state:
            assert state.runs(RunFilter()) == [first]
            assert state.load(1).stages[0].key == UNIT.key


POSSIBLE = {
    ("queued", "blocked"), ("queued", "starting"), ("queued", "done"),
    ("blocked", "queued"), ("blocked", "starting"), ("blocked", "done"),
    ("starting", "running"), ("starting", "finishing"), ("starting", "done"),
    ("running", "finishing"), ("running", "done"),
    ("finishing", "done"),
}  # fmt: skip


def test_every_pair_of_states_is_allowed_or_refused(state, a_run):
    for old, new in itertools.product(RunState, RunState):
        verdict = Verdict.PASSED if old is RunState.DONE else None
        run = state.begin(a_run(state=old, verdict=verdict))
        change = RunChanged(state=new, verdict=Verdict.FAILED if new is RunState.DONE else None)
        if (old, new) in POSSIBLE or (old is new and old is not RunState.DONE):
            state.apply([change], run=run.number, epoch=1)
            assert state.load(run.number).run.state is new
        else:
            with pytest.raises(ValueError, match=f"cannot go from '{old}' to '{new}'"):
                state.apply([change], run=run.number, epoch=1)
            assert state.load(run.number).run == run


def test_verdict_belongs_to_done(state, a_run):
    with pytest.raises(ValueError):
        RunChanged(state=RunState.DONE)
    with pytest.raises(ValueError):
        RunChanged(verdict=Verdict.PASSED)
    with pytest.raises(ValueError):
        state.begin(a_run(verdict=Verdict.PASSED))
    with pytest.raises(ValueError):
        state.begin(a_run(state=RunState.DONE))
    assert state.begin(a_run()).number == 1


@pytest.mark.parametrize(
    "impossible",
    [
        StageChanged(result=UNIT),
        StageChanged(stage="unit", state=StageState.RUNNING),
        StageChanged(stage="slow", state=StageState.RUNNING),
        AttemptStarted(stage="unit", number=1, at=0.0),
        AttemptStarted(stage="unit", number=0, at=0.0),
        AttemptEnded(stage="unit", attempt=Attempt(number=1, verdict=Verdict.PASSED)),
        AttemptEnded(stage="unit", attempt=Attempt(number=9, verdict=Verdict.PASSED)),
        RunChanged(state=RunState.QUEUED),
    ],
)
def test_what_cannot_be_undoes_the_whole_batch(state, a_run, impossible):
    state.begin(a_run())
    attempt = Attempt(number=1, verdict=Verdict.FAILED)
    state.apply(
        [
            StageChanged(stage="slow", state=StageState.RUNNING),
            AttemptStarted(stage="unit", number=1, at=0.0),
            AttemptEnded(stage="unit", attempt=attempt),
            StageChanged(result=UNIT),
        ],
        run=1,
        epoch=1,
    )
    before, events = state.load(1), state.events()

    with pytest.raises(ValueError):
        state.apply([Noted(kind="first"), RunChanged(state=RunState.RUNNING), impossible], run=1, epoch=1)

    assert state.load(1) == before
    assert state.events() == events


def test_unknown_run(state):
    with pytest.raises(ValueError, match="no run #5"):
        state.apply([Noted(kind="x")], run=5, epoch=1)
    with pytest.raises(StoreError, match="no run #5"):
        state.take_over(5)
    assert state.load(5) is None
    assert state.load(2**70) is None
    assert state.request_cancel(5, "why") is False
    assert state.cancel_reason(5) is None
    assert state.events(run=5) == []


def test_stale_runner_changes_nothing(state, a_run):
    state.begin(a_run())
    assert state.take_over(1) == 2
    before, events = state.load(1), state.events()

    for change in (StageChanged(result=UNIT), RunChanged(state=RunState.RUNNING), Noted(kind="late")):
        with pytest.raises(StaleRunner):
            state.apply([change], run=1, epoch=1)

    assert state.load(1) == before
    assert state.events() == events
    state.apply([StageChanged(result=UNIT)], run=1, epoch=2)


def test_taken_over_run_starts_again_and_keeps_its_results(state, a_run):
    state.begin(a_run(stage_names=("unit", "docs", "slow")))
    skipped = StageResult(stage="docs", verdict=Verdict.SKIPPED, reason="no docs changed")
    state.apply(
        [
            RunChanged(state=RunState.RUNNING),
            StageChanged(result=UNIT),
            StageChanged(result=skipped),
            StageChanged(stage="slow", state=StageState.RUNNING),
            AttemptStarted(stage="slow", number=1, at=3.0, log="logs/1/slow.1.log"),
        ],
        run=1,
        epoch=1,
    )
    state.request_cancel(1, "enough")

    epoch = state.take_over(1)

    seen = state.load(1)
    assert (seen.run.state, seen.run.epoch, seen.run.cancel_requested) == ("starting", 2, True)
    assert [result.stage for result in seen.stages] == ["unit", "docs"]
    (opened,) = state.open_attempts(1)
    assert (opened.stage, opened.number, opened.started_at, opened.log) == ("slow", 1, 3.0, "logs/1/slow.1.log")
    with pytest.raises(ValueError, match="stage 'unit' of run #1 is already done"):
        state.apply([StageChanged(result=UNIT)], run=1, epoch=epoch)
    dead = Attempt(number=1, verdict=Verdict.INTERRUPTED)
    second = Attempt(number=2, verdict=Verdict.PASSED)
    state.apply(
        [
            AttemptEnded(stage="slow", attempt=dead),
            StageChanged(stage="slow", state=StageState.RUNNING),
            AttemptStarted(stage="slow", number=2, at=4.0),
            StageChanged(result=StageResult(stage="slow", verdict=Verdict.PASSED, attempts=(second,))),
            StageChanged(result=StageResult(stage="docs", verdict=Verdict.PASSED)),
        ],
        run=1,
        epoch=epoch,
    )
    assert state.load(1).stages[2].attempts == (dead, second)
    with pytest.raises(ValueError):
        state.apply([StageChanged(result=skipped)], run=1, epoch=epoch)


@pytest.mark.parametrize("waiting", [RunState.QUEUED, RunState.BLOCKED])
def test_waiting_run_still_waits_when_taken_over(state, a_run, waiting):
    state.begin(a_run(state=waiting))
    assert state.take_over(1) == 2
    assert state.load(1).run.state is waiting


def test_only_interrupted_runs_can_be_resumed(state, a_run):
    for number, verdict in enumerate(Verdict, start=1):
        state.begin(a_run())
        state.request_cancel(number, "enough")
        state.apply(
            [RunChanged(state=RunState.DONE, verdict=verdict, reason="r", finished_at=2.0)], run=number, epoch=1
        )
        if verdict is Verdict.INTERRUPTED:
            assert state.take_over(number) == 2
            run = state.load(number).run
            assert (run.state, run.verdict, run.reason, run.finished_at) == ("starting", None, None, None)
            assert (run.cancel_requested, state.cancel_reason(number)) == (False, None)
        else:
            with pytest.raises(StoreError, match=f"has ended: {verdict}"):
                state.take_over(number)


def test_cancel_keeps_the_first_reason(state, a_run):
    state.begin(a_run())
    assert state.cancel_reason(1) is None
    assert state.request_cancel(1, "superseded by #2") is True
    assert state.request_cancel(1, "by hand") is True
    assert state.cancel_reason(1) == "superseded by #2"
    assert state.load(1).run.cancel_requested
    state.apply([RunChanged(state=RunState.DONE, verdict=Verdict.CANCELLED)], run=1, epoch=1)
    assert state.request_cancel(1, "late") is False
    assert [event.detail for event in state.events() if event.kind == "cancel_requested"] == [
        {"reason": "superseded by #2"}
    ]


def test_text_that_is_no_unicode_is_kept_readable(state, a_run):
    broken = "a\udcffb\0c"
    state.begin(a_run(pipeline=broken, ref=broken, message=broken, params={broken: broken}, stage_names=(broken,)))
    state.apply(
        [
            StageChanged(stage=broken, state=StageState.RUNNING),
            AttemptStarted(stage=broken, number=1, at=0.0, log=broken),
            Noted(kind=broken, stage=broken, detail={broken: [broken]}),
            StageChanged(result=StageResult(stage=broken, verdict=Verdict.PASSED, outputs={broken: broken})),
        ],
        run=1,
        epoch=1,
    )
    state.request_cancel(1, broken)
    seen = state.load(1)
    assert seen.run.pipeline == seen.stages[0].stage == state.cancel_reason(1) == "a?b\0c"
    assert state.runs(RunFilter(pipeline=broken)) == [seen.run]
    assert state.recent_results(broken, broken, 5)[0][1].outputs == {"a?b\0c": "a?b\0c"}
    assert state.events()[-1].detail == {"reason": "a?b\0c"}
