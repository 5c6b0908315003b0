"""What becomes of a run, a stage and an attempt when they change: the same in every store, and pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Attempt, Run, RunState, StageResult, Verdict
from cicdctl.store.changes import UNFINISHED_VERDICTS, StageState
from cicdctl.store.state import StaleRunner

_EVENT_OF_STATE = {RunState.RUNNING: "run_started", RunState.DONE: "run_finished"}


def new_run(run: Run, number: int) -> Run:
    """Give a run as it is first recorded; ValueError when it is done without a verdict, or the other way round."""
    if (run.state is RunState.DONE) != (run.verdict is not None):
        raise ValueError("a run has a verdict when it is done, and only then")
    return msgspec.structs.replace(run, number=number, epoch=1)


def fenced(run: Run | None, number: int, epoch: int) -> Run:
    """Give the run back to whoever may write it; ValueError when there is none, StaleRunner for an older epoch."""
    if run is None:
        raise ValueError(f"there is no run #{number}")
    if run.epoch != epoch:
        raise StaleRunner(f"run #{number} was taken over by another runner", hint="this one stops; the other goes on")
    return run


def taken_over(run: Run | None, number: int) -> Run:
    """Give the run with the next epoch, see `StateStore.take_over`; the wish to cancel a done one is forgotten too."""
    if run is None:
        raise StoreError(f"there is no run #{number}", hint="`cicdctl runs` lists them")
    if run.state is RunState.DONE and run.verdict is not Verdict.INTERRUPTED:
        raise StoreError(f"run #{number} has ended: {run.verdict}", hint=f"`cicdctl rerun {number}` runs it anew")
    if run.state is RunState.DONE:
        run = msgspec.structs.replace(run, verdict=None, reason=None, finished_at=None, cancel_requested=False)
    waits = run.state in (RunState.QUEUED, RunState.BLOCKED)
    return msgspec.structs.replace(run, epoch=run.epoch + 1, state=run.state if waits else RunState.STARTING)


def created_facts(run: Run) -> Mapping[str, Any]:
    """Give the detail of the event `run_created`."""
    return {"pipeline": run.pipeline, "state": run.state, "trigger": run.trigger}


def changed_event(before: Run, run: Run) -> tuple[str, Mapping[str, Any]]:
    """Give kind and detail of the event of a change from `before` to `run`."""
    if run.state is before.state:
        return "run_changed", {}
    detail = {"verdict": run.verdict, "reason": run.reason} if run.verdict else {}
    return _EVENT_OF_STATE.get(run.state, f"run_{run.state}"), detail


def check_stage(
    run: Run, name: str, new: StageState, *, state: str | None, verdict: str | None, written_by: int
) -> None:
    """Raise ValueError unless a stage may go on to `new`. The rest is its record: `state` None when it has none."""
    if state is None:
        return
    if written_by < run.epoch:
        is_possible = verdict is None or verdict in UNFINISHED_VERDICTS
    else:
        is_possible = state == StageState.RUNNING and new is StageState.DONE
    if not is_possible:
        raise ValueError(f"stage '{name}' of run #{run.number} is already {state}")


def bare(result: StageResult) -> StageResult:
    """Give a result without its attempts: those have records of their own, which outlive the runner."""
    return msgspec.structs.replace(result, attempts=())


def stage_facts(result: StageResult) -> dict[str, Any]:
    """Give the detail of the event `stage_finished`."""
    facts: dict[str, Any] = {"verdict": result.verdict, "seconds": result.seconds}
    for name in ("cached", "flaky", "allowed_failure", "exit_code", "reason", "origin_run"):
        value = getattr(result, name)
        if value is not None and value is not False:
            facts[name] = value
    return facts


def check_new_attempt(run: int, stage: str, number: int, *, is_known: bool) -> None:
    """Raise ValueError unless an attempt may start."""
    if number < 1:
        raise ValueError(f"attempts count from 1, not {number}")
    if is_known:
        raise ValueError(f"attempt {number} of stage '{stage}' of run #{run} is already recorded")


def check_open_attempt(run: int, stage: str, number: int, *, is_open: bool) -> None:
    """Raise ValueError unless an attempt may end."""
    if not is_open:
        raise ValueError(f"attempt {number} of stage '{stage}' of run #{run} is not open")


def attempt_facts(attempt: Attempt) -> dict[str, Any]:
    """Give the detail of the event `attempt_finished`."""
    return {
        "number": attempt.number,
        "verdict": attempt.verdict,
        "exit_code": attempt.exit_code,
        "seconds": attempt.seconds,
    }
