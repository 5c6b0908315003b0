"""What follows a red run of the queue: a fix, a pause, a word to people, a search for the culprit."""

from __future__ import annotations

import logging
import time

from cicdctl.errors import CicdError
from cicdctl.model import Run, RunFilter, RunSummary
from cicdctl.model.fix_record import FixOutcome
from cicdctl.model.verdict import TRIALS
from cicdctl.orchestrator.culprit import look_for_culprit
from cicdctl.orchestrator.fix_starts import go_on_with_fixes, may_go_on, start_fix_process, wants_fix
from cicdctl.orchestrator.pausing import holder_of, holds, let_go_on
from cicdctl.orchestrator.places import RED, events_of, runs_of_place
from cicdctl.project import Project
from cicdctl.runner import run_lock
from cicdctl.store import Noted, lock, lock_patiently

# Events: the runner leaves the first with the failure; the second says that it is dealt with.
DUE, DONE = "failure_due", "failure_settled"
ESCALATED = "escalated"
# People know that a pipeline waits for them.
PAUSE_TOLD = "pause_told"
# Older ones are history, see `lost`.
FRESH_S = 3600.0
# By then a fix that was started has written down that it began.
BEGUN_S = 60.0
_log = logging.getLogger("cicdctl.failures")


def after_failure(project: Project, summary: RunSummary) -> None:
    """Do what the operator wants after a failure. Each part by itself: one that fails is told, the others are done.

    The caller holds the run's lock, and is the only one to do it.
    """
    run = summary.run
    if run.verdict not in RED or run.trigger in TRIALS or run.is_partial:
        return
    for part in (_escalate, look_for_culprit, _repair, _note_done):
        try:
            part(project, summary)
        except (CicdError, OSError) as error:
            _log.error("after run #%d: %s", run.number, error)
            project.warn(f"after run #{run.number}: {error}")


def catch_up(project: Project) -> None:
    """Do after recent failures what a process was killed over: its runner, the search for the culprit, its fix."""
    for verdict in RED:
        for run in project.state.runs(RunFilter(verdict=verdict, trials=False, limit=20)):
            if run.finished_at is not None and 0 <= time.time() - run.finished_at < FRESH_S:
                _catch_up_with(project, run)
    go_on_with_fixes(project)
    for pipeline in project.state.queue.paused():
        holder = holder_of(project, pipeline) if pipeline else None
        if holder is not None and _is_left(project, holder):
            fixed = any(one.outcome is FixOutcome.FIXED for one in project.fixes.of_run(holder.number))
            settle_pause(project, holder.number, is_fixed=fixed)


def _is_left(project: Project, run: Run) -> bool:
    """Whether the fix that was to let a pipeline go on, or to say that it waits, is over and has done neither."""
    kinds = {event.kind for event in events_of(project, run.number)}
    if DONE not in kinds or PAUSE_TOLD in kinds or run.finished_at is None:
        return False
    from cicdctl.fixing.sessions import is_worked_on

    fixes = project.fixes.of_run(run.number)
    if is_worked_on(project, run) or any(may_go_on(one) for one in fixes):
        return False
    return bool(fixes) or time.time() - run.finished_at > BEGUN_S


def _catch_up_with(project: Project, run: Run) -> None:
    kinds = {event.kind for event in events_of(project, run.number)}
    if DUE in kinds and DONE not in kinds:
        held = lock(run_lock(project, run.number), blocking=False)
        if held is None:
            return  # its runner is at it
        with held:
            summary = project.state.load(run.number)
            if summary is not None and all(event.kind != DONE for event in events_of(project, run.number)):
                after_failure(project, summary)
    elif DONE in kinds:
        from cicdctl.orchestrator.culprit_search import search_again

        search_again(project, run)


def _note_done(project: Project, summary: RunSummary) -> None:
    project.state.apply([Noted(kind=DONE)], run=summary.run.number, epoch=summary.run.epoch)


def _repair(project: Project, summary: RunSummary) -> None:
    """Begin a fix, which lets the queue go on when it repairs the failure; else people have to."""
    if wants_fix(project, summary):
        start_fix_process(project, summary)
    elif holds(project, summary.run):
        tell_paused(project, summary.run)


def tell_paused(project: Project, run: Run) -> None:
    """Tell people that a pipeline waits for them."""
    text = f"{run.pipeline} is paused after #{run.number}; cicdctl resume {run.pipeline} lets it go on"
    _log.warning(text)
    project.warn(text)
    project.state.tell(run, ESCALATED, text)
    project.state.apply([Noted(kind=PAUSE_TOLD)], run=run.number, epoch=run.epoch)


def settle_pause(project: Project, number: int, *, is_fixed: bool) -> None:
    """After a fix: let the queue go on that its run has paused, or say that it waits."""
    summary = project.state.load(number)
    if summary is None or not holds(project, summary.run):
        return
    if is_fixed:
        let_go_on(project, summary.run.pipeline)
    else:
        tell_paused(project, summary.run)


def _escalate(project: Project, summary: RunSummary) -> None:
    """Ask people when a branch has been red so often in a row; once, until it was green again."""
    run = summary.run
    wanted = project.settings.orchestrator.failure_handling.escalate_after
    # Of two that end at once only one may find that nobody was asked yet.
    with lock_patiently(project.state_folder / "locks" / "escalation"):
        in_a_row: list[int] = []
        for one in runs_of_place(project, run, is_newest=False):
            if one.verdict not in RED:
                break
            in_a_row.append(one.number)
        if len(in_a_row) < wanted:
            return
        was_asked = any(event.kind == ESCALATED for number in in_a_row for event in events_of(project, number))
        if not was_asked:
            times = f"{len(in_a_row)} times in a row" if len(in_a_row) > 1 else "once"
            text = f"{run.pipeline} has failed {times} on {run.ref or run.commit[:10]}"
            _log.warning(text)
            project.state.tell(run, ESCALATED, text)
        # Each later one bears the mark too, so that it is never out of sight.
        project.state.apply([Noted(kind=ESCALATED)], run=run.number, epoch=run.epoch)
