"""Where the log of a stage is, whether it runs, has run, came from the cache, or has not begun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import UsageError
from cicdctl.model import RunSummary, StageResult, Value
from cicdctl.near_words import near_word
from cicdctl.project import Project
from cicdctl.runner.places import log_path
from cicdctl.runner.selection import open_log

_PAGE = 1000


class StageLog(Value, frozen=True, kw_only=True):
    """The log of attempt `attempt` of `attempts`; both 0: it came from the cache, or there is none.

    `path` None: nothing was written, or not yet. `is_complete`: it grows no more.
    """

    stage: str
    attempt: int
    attempts: int
    path: Path | None
    is_complete: bool


def find_stage_log(project: Project, summary: RunSummary, stage: str, attempt: int | None = None) -> StageLog:
    """Return the log of a stage, by default of its newest attempt.

    Raises UsageError for a stage or an attempt that the run does not have, StoreError when the log is gone.
    """
    result = next((one for one in summary.stages if one.stage == stage), None)
    if result is None and stage not in summary.run.stage_names:
        known = summary.run.stage_names
        raise UsageError(
            f'run #{summary.run.number} has no stage "{stage}"{near_word(stage, known)}',
            hint="stages: " + ", ".join(known),
        )
    opened = [one for one in project.state.open_attempts(summary.run.number) if one.stage == stage]
    if result is not None and not opened:
        return _of_result(project, result, attempt)
    if not opened:
        between = _between_attempts(project, summary.run.number, stage)
        if between is not None and attempt in (None, between.attempt):
            return between
        if attempt is not None and (between is None or not 1 <= attempt < between.attempt):
            raise UsageError(f'stage "{stage}" has no attempt {attempt}')
        if between is not None and attempt is not None:
            path = project.state_folder / log_path(summary.run.number, stage, attempt)
            return replace(between, attempt=attempt, path=path)
        return StageLog(stage=stage, attempt=0, attempts=0, path=None, is_complete=summary.run.verdict is not None)
    newest = opened[-1]
    number = newest.number if attempt is None else attempt
    if not 1 <= number <= newest.number:
        raise UsageError(f'stage "{stage}" has no attempt {number}')
    log = newest.log if number == newest.number else log_path(summary.run.number, stage, number)
    return StageLog(
        stage=stage,
        attempt=number,
        attempts=newest.number,
        path=None if log is None else project.state_folder / log,
        is_complete=number < newest.number,
    )


def _between_attempts(project: Project, run: int, stage: str) -> StageLog | None:
    """Return the log of an attempt that has ended although its stage has not: it is to be tried again, or about to end.

    None when there was none.
    """
    newest: Mapping[str, object] | None = None
    after = 0
    while events := project.state.events(run=run, after=after, limit=_PAGE):
        after = events[-1].id
        for event in events:
            if event.kind == "attempt_started" and event.stage == stage:
                newest = event.detail
        if len(events) < _PAGE:
            break
    if newest is None or not isinstance(newest.get("number"), int):
        return None
    number, log = newest["number"], newest.get("log")
    assert isinstance(number, int)
    path = project.state_folder / str(log) if log else None
    return StageLog(stage=stage, attempt=number, attempts=number, path=path, is_complete=True)


def _of_result(project: Project, result: StageResult, attempt: int | None) -> StageLog:
    newest = result.attempts[-1].number if result.attempts else 0
    if attempt is None or attempt == newest:
        path = None if result.log is None else open_log(project, result)
    elif any(one.number == attempt for one in result.attempts):
        path = open_log(project, result, attempt)
    else:
        raise UsageError(f'stage "{result.stage}" has no attempt {attempt}')
    return StageLog(
        stage=result.stage,
        attempt=newest if attempt is None else attempt,
        attempts=newest,
        path=path,
        is_complete=True,
    )
