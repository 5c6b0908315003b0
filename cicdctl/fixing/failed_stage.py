"""Finds the stage that a failure is about."""

from __future__ import annotations

from cicdctl.errors import StoreError, UsageError
from cicdctl.model import RunState, RunSummary, StageResult, Verdict
from cicdctl.near_words import near_word
from cicdctl.project import Project

_FAILED = (Verdict.FAILED, Verdict.TIMED_OUT)
_LOOKED_INTO = (*_FAILED, Verdict.ERROR)


def find_failed(project: Project, number: int, stage: str | None) -> tuple[RunSummary, StageResult]:
    """Return a run and the stage of it that failed: the one named, else the first to blame.

    That is one that failed by itself, before one that could not run, and one that must not fail before one that may.
    Raises StoreError when there is no such run, UsageError when nothing of it failed.
    """
    summary = project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
    if stage is not None:
        known = [one.stage for one in summary.stages]
        result = next((one for one in summary.stages if one.stage == stage), None)
        if result is None:
            raise UsageError(f'run #{number} has no stage "{stage}"{near_word(stage, known)}')
    else:
        failed = [one for one in summary.stages if one.verdict in _LOOKED_INTO]
        failed.sort(key=lambda one: (one.allowed_failure, one.verdict is Verdict.ERROR))
        result = next(iter(failed), None)
        if result is None:
            how = "goes on" if summary.run.state is not RunState.DONE else f"is {summary.run.verdict}"
            raise UsageError(f"no stage of run #{number} failed: it {how}", hint=f"cicdctl show {number} shows it")
    if result.verdict not in _LOOKED_INTO:
        raise UsageError(f'stage "{result.stage}" of run #{number} did not fail: it is {result.verdict}')
    return summary, result


def find_repairable(project: Project, number: int, stage: str | None) -> tuple[RunSummary, StageResult]:
    """Return what `find_failed` finds, if a fix of it may begin: the run has ended, and the stage failed by itself.

    Raises StoreError and UsageError.
    """
    summary, result = find_failed(project, number, stage)
    if summary.run.state is not RunState.DONE:
        raise UsageError(f"run #{number} goes on", hint=f"cicdctl logs {number} -f follows it")
    if result.verdict not in _FAILED:
        raise UsageError(f'stage "{result.stage}" of run #{number} did not fail: it is {result.verdict}')
    if result.allowed_failure:
        raise UsageError(f'stage "{result.stage}" of run #{number} may fail (allow_failure)')
    return summary, result
