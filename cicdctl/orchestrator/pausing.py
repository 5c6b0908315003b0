"""Pipelines that a failure holds: which run did it, and how they go on."""

from __future__ import annotations

from cicdctl.model import Run, RunFilter
from cicdctl.orchestrator.places import RED, events_of
from cicdctl.project import Project
from cicdctl.store import Noted

# Events of the run whose failure has paused its pipeline.
PAUSED, RESUMED = "queue_paused", "queue_resumed"
_LOOK_BACK = 50


def holder_of(project: Project, pipeline: str) -> Run | None:
    """Return the run whose failure has paused a pipeline that is paused; None when a person did."""
    for run in project.state.runs(RunFilter(pipeline=pipeline, active=False, trials=False, limit=_LOOK_BACK)):
        if run.verdict in RED:
            kinds = [event.kind for event in events_of(project, run.number)]
            if PAUSED in kinds:
                return None if RESUMED in kinds else run
    return None


def holds(project: Project, run: Run) -> bool:
    """Whether this run has paused its pipeline, and it still is."""
    if run.pipeline not in project.state.queue.paused():
        return False
    holder = holder_of(project, run.pipeline)
    return holder is not None and holder.number == run.number


def let_go_on(project: Project, pipeline: str) -> bool:
    """Let a pipeline, or (empty) the queue, go on; False when it was not paused."""
    if not project.state.queue.resume(pipeline):
        return False
    run = holder_of(project, pipeline) if pipeline else None
    if run is not None:
        project.state.apply([Noted(kind=RESUMED)], run=run.number, epoch=run.epoch)
    return True


def since_words(project: Project, pipeline: str) -> str:
    """Say by which failure a pipeline is paused, ` since #4 failed`; empty when a person paused it, or the queue."""
    run = holder_of(project, pipeline) if pipeline else None
    return words_since(run.number if run is not None else None)


def words_since(number: int | None) -> str:
    """Say since which failure something is paused; empty where a person did it."""
    return f" since #{number} failed" if number is not None else ""
