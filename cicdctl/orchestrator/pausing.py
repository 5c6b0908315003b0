"""Pipelines that a failure holds: which run did it, and how they go on."""

from __future__ import annotations

from collections.abc import Callable, Collection

from cicdctl.errors import Paused
from cicdctl.model import Run, RunFilter, RunState
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


def is_held(run: Run, paused: Collection[str]) -> bool:
    """Whether a run waits for people: for an approval, or because it is among what is paused (empty: everything)."""
    if run.state is RunState.BLOCKED:
        return True
    return run.state is RunState.QUEUED and ("" in paused or run.pipeline in paused)


def refuse_held(run: Run, paused: Collection[str], since: Callable[[str], str]) -> None:
    """Raise Paused for a run that nobody will start before somebody says so; `since` as `since_words`, of a name."""
    if run.state is RunState.BLOCKED:
        raise Paused(f"run #{run.number} waits for an approval", hint=f"cicdctl approve {run.number} lets it start")
    if is_held(run, paused):
        name = "" if "" in paused else run.pipeline
        what = f'pipeline "{name}"' if name else "the queue"
        hint = f"cicdctl resume{f' {name}' if name else ''} lets it go on"
        raise Paused(f"run #{run.number} waits: {what} is paused{since(name)}", hint=hint)
