"""Shows logs: whole, the tail, matching lines, or as they grow."""

from __future__ import annotations

from pathlib import Path

from cicdctl.errors import StoreError, UsageError
from cicdctl.model import RunSummary
from cicdctl.project import Project
from cicdctl.reports.following import follow_run
from cicdctl.reports.log_lines import LogView, copy_log, read_lines, show_line
from cicdctl.reports.output import print_document
from cicdctl.reports.stage_names import check_stage
from cicdctl.reports.text import clean_line
from cicdctl.runner.places import log_path
from cicdctl.runner.selection import find_run, find_stage, open_log

MOST_TAIL = 2000  # lines that a server gives at once


def print_log(project: Project, run: str, stage: str, view: LogView) -> int:
    """Print a log. Returns exit status 0. Raises UsageError or StoreError when there is none."""
    if view.follow and (view.json or view.path):
        raise UsageError(f"--follow cannot be used with {'--json' if view.json else '--path'}")
    summary = find_run(project, run)
    check_stage(summary, stage)
    has_ended = summary.run.verdict is not None or any(result.stage == stage for result in summary.stages)
    if view.follow and not has_ended:
        if not project.is_here and stage and _can_be_streamed(view):
            from cicdctl.reports.following_there import follow_log_there

            return follow_log_there(project, summary.run.number, stage, view)
        return follow_run(project, summary.run.number, stage, view)
    name, path = _find_log(project, summary, stage, view.attempt)
    if view.path:
        print(path)
    elif view.json:
        lines = [clean_line(line) for line in read_lines(path, view)]
        print_document("log", {"run": summary.run.number, "stage": name, "path": str(path), "lines": lines})
    elif view.raw and view.tail is None and view.grep is None:
        copy_log(path)
    else:
        for line in read_lines(path, view):
            show_line(line, view)
    return 0


def _can_be_streamed(view: LogView) -> bool:
    """Whether a server's stream has what is wanted. The very bytes, and one attempt, are looked at again and again."""
    return not (view.raw or view.grep or view.attempt) and (view.tail or 0) <= MOST_TAIL


def _find_log(project: Project, summary: RunSummary, stage: str, attempt: int | None) -> tuple[str, Path]:
    """Return a stage and the path of its log, so far when the stage still runs."""
    ended = {result.stage for result in summary.stages}
    if stage not in ended and (stage or not ended):
        for opened in project.state.open_attempts(summary.run.number):
            if stage in ("", opened.stage) and opened.log is not None:
                if attempt is not None and attempt > opened.number:
                    raise UsageError(f'stage "{opened.stage}" is at attempt {opened.number}')
                log = opened.log if attempt is None else log_path(summary.run.number, opened.stage, attempt)
                return opened.stage, project.state_folder / log
        if stage:
            how = "has not started" if summary.run.verdict is None else "did not run"
            raise StoreError(f'stage "{stage}" of run #{summary.run.number} {how}')
    result = find_stage(summary, stage)
    return result.stage, open_log(project, result, attempt)
