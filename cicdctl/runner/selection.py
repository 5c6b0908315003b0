"""Finds the run, stage or log that somebody names."""

from __future__ import annotations

from pathlib import Path

from cicdctl.errors import StoreError, UsageError
from cicdctl.model import RunFilter, RunSummary, StageResult, Verdict
from cicdctl.near_words import near_word
from cicdctl.project import Project


def find_run(project: Project, text: str) -> RunSummary:
    """Return run `42` or `#42`; the latest for empty text. Raises UsageError, or StoreError when there is none."""
    if text.removeprefix("#"):
        number = run_number(text)
    else:
        latest = project.state.runs(RunFilter(limit=1))
        if not latest:
            raise StoreError("there are no runs yet", hint="cicdctl run PIPELINE makes the first")
        number = latest[0].number
    summary = project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
    return summary


def run_number(text: str) -> int:
    """Read `42` or `#42`. Raises UsageError for anything else."""
    number = text.removeprefix("#")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise UsageError(f'"{text}" is no run number', hint="cicdctl history lists them")
    return int(number)


def find_stage(summary: RunSummary, name: str) -> StageResult:
    """Return the result of a stage; for an empty name the first that failed, else the last. Raises UsageError."""
    if not summary.stages:
        raise StoreError(f"no stage of run #{summary.run.number} has ended yet")
    if not name:
        broken = [result for result in summary.stages if result.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)]
        return (broken or [result for result in summary.stages if result.log] or list(summary.stages))[
            -1 if not broken else 0
        ]
    for result in summary.stages:
        if result.stage == name:
            return result
    known = [result.stage for result in summary.stages]
    raise UsageError(
        f'run #{summary.run.number} has no stage "{name}"{near_word(name, known)}', hint="stages: " + ", ".join(known)
    )


def open_log(project: Project, result: StageResult, attempt: int | None = None) -> Path:
    """Return the path of a stage's log: its file, or its blob when the file was pruned. Raises StoreError."""
    relative = result.log
    if attempt is not None:
        relative = next((one.log for one in result.attempts if one.number == attempt), None)
        if relative is None:
            raise UsageError(f'stage "{result.stage}" has no attempt {attempt}')
    if relative is None:
        raise StoreError(f'stage "{result.stage}" left no log: {result.reason or result.verdict.value}')
    path = project.state_folder / relative
    if path.exists():
        return path
    if attempt is None and result.log_digest is not None and project.blobs.has(result.log_digest):
        return Path(project.blobs.files.path(result.log_digest))
    raise StoreError(f'the log of stage "{result.stage}" is gone', hint=f"it was {path}")
