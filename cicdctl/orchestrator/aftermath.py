"""What follows a red run of the queue: a fix, a pause, a word to people, a search for the culprit."""

from __future__ import annotations

import logging

from cicdctl.errors import CicdError
from cicdctl.model import Run, RunSummary
from cicdctl.model.verdict import TRIALS
from cicdctl.orchestrator.culprit import look_for_culprit
from cicdctl.orchestrator.fix_starts import start_fix_process, wants_fix
from cicdctl.orchestrator.places import RED, runs_of_place
from cicdctl.project import Project

_log = logging.getLogger("cicdctl.failures")


def after_failure(project: Project, summary: RunSummary) -> None:
    """Do what the operator wants after a failure. Each part by itself: one that fails is told, the others are done."""
    run = summary.run
    if run.verdict not in RED or run.trigger in TRIALS or run.is_partial:
        return
    for part in (_escalate, look_for_culprit, _repair):
        try:
            part(project, summary)
        except (CicdError, OSError) as error:
            _log.error("after run #%d: %s", run.number, error)
            project.warn(f"after run #{run.number}: {error}")


def _repair(project: Project, summary: RunSummary) -> None:
    """Begin a fix, which lets the queue go on when it repairs the failure; else people have to."""
    if wants_fix(project, summary):
        start_fix_process(project, summary)
    elif _has_paused(project, summary.run):
        tell_paused(project, summary.run)


def tell_paused(project: Project, run: Run) -> None:
    """Tell people that a pipeline waits for them."""
    text = f"{run.pipeline} is paused after #{run.number}; cicdctl resume {run.pipeline} lets it go on"
    _log.warning(text)
    project.warn(text)
    project.state.tell(run, "escalated", text)


def settle_pause(project: Project, number: int, *, is_fixed: bool) -> None:
    """After a fix: let the queue go on that its run has paused, or say that it waits."""
    summary = project.state.load(number)
    if summary is None or not _has_paused(project, summary.run):
        return
    if is_fixed:
        project.state.queue.resume(summary.run.pipeline)
    else:
        tell_paused(project, summary.run)


def _has_paused(project: Project, run: Run) -> bool:
    """Whether this run has paused its pipeline, and it still is."""
    if run.pipeline not in project.state.queue.paused():
        return False
    return any(event.kind == "queue_paused" for event in project.state.events(run=run.number))


def _escalate(project: Project, summary: RunSummary) -> None:
    """Ask people when a branch has been red so often in a row; once, until it was green again."""
    run = summary.run
    wanted = project.settings.orchestrator.failure_handling.escalate_after
    in_a_row = 0
    for earlier in runs_of_place(project, run):
        if earlier.verdict not in RED:
            break
        in_a_row += 1
    if in_a_row == wanted > 1:
        text = f"{run.pipeline} has failed {in_a_row} times in a row on {run.ref or run.commit[:10]}"
        _log.warning(text)
        project.state.tell(run, "escalated", text)
