"""Cancels a run: a row that its runner sees within 250 ms, or its end where no runner ever started."""

from __future__ import annotations

import time

from cicdctl.errors import UsageError
from cicdctl.model import RunState, Verdict
from cicdctl.project import Project
from cicdctl.runner.pins import let_go
from cicdctl.runner.recovery import recover, run_lock
from cicdctl.store import RunChanged, lock

PATIENCE_S = 60.0


def cancel_run(project: Project, number: int, reason: str, *, wait: bool) -> str:
    """Ask for the end of a run and, with `wait`, see it through. Raises UsageError when it has ended already."""
    if not project.state.request_cancel(number, reason):
        raise UsageError(f"run #{number} has ended already", hint=f"cicdctl show {number}")
    if _end_queued(project, number, reason):
        return f"#{number} cancelled before it started"
    end = time.monotonic() + (PATIENCE_S if wait else 0.0)
    while True:
        recover(project)
        summary = project.state.load(number)
        if summary is not None and summary.run.state is RunState.DONE:
            return f"#{number} {summary.run.verdict}"
        if time.monotonic() >= end:
            return f"#{number} was asked to end"
        time.sleep(0.1)


def _end_queued(project: Project, number: int, reason: str) -> bool:
    """End a run that no runner has taken up, under its lock so that none does meanwhile."""
    held = lock(run_lock(project, number), blocking=False)
    if held is None:
        return False
    with held:
        summary = project.state.load(number)
        if summary is None or summary.run.state not in (RunState.QUEUED, RunState.BLOCKED):
            return False
        epoch = project.state.take_over(number)
        change = RunChanged(state=RunState.DONE, verdict=Verdict.CANCELLED, reason=reason, finished_at=time.time())
        project.state.apply([change], run=number, epoch=epoch)
        let_go(project, summary.run.commit)
        return True
