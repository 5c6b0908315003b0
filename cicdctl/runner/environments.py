"""An environment takes one deploy at a time: its lock, which dies with its holder, and how a run waits for it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cicdctl.config.names import check_name
from cicdctl.config.placeholders import fill_params
from cicdctl.errors import CicdError, StoreError, UsageError
from cicdctl.model import Deploy, Pipeline, Plan, Run, RunFilter, RunState, TriggerKind
from cicdctl.project import Project
from cicdctl.runner.request import RunRequest
from cicdctl.store import is_locked, lock
from cicdctl.store.failpoints import reach

POLL_S = 0.1
# As often as a runner looks whether it is to end.
_CANCEL_POLL_S = 0.25


class NotEntered(CicdError):
    """A run that may not begin any more while it waited for its environment; the message is the reason."""


class StillClosed(StoreError):
    """A run from the queue was started too early: it waits on in the queue."""


def deploy_of(request: RunRequest, pipeline: Pipeline, plan: Plan) -> Deploy | None:
    """Return where a run deploys to, with its parameters filled in. Raises UsageError for a name that is none."""
    if pipeline.environment is None:
        return None
    name = fill_params(pipeline.environment, plan.params)
    complaint = check_name(name)
    if complaint is not None:
        where = f"pipelines.{pipeline.name}.environment"
        raise UsageError(f'{where} is "{name}" with these parameters: {complaint}')
    is_rollback = request.trigger is TriggerKind.ROLLBACK
    # A rollback that fails is told to people. Another one would be the same, or go on through the whole history.
    return Deploy(environment=name, rolls_back=pipeline.rollback and not is_rollback, restores=request.restores)


def environment_lock(project: Project, name: str) -> Path:
    """Return the lock that whoever deploys to an environment holds."""
    return project.state_folder / "locks" / f"environment-{name}.lock"


def is_closed(project: Project, name: str) -> bool:
    """Whether somebody deploys to an environment at this moment."""
    return is_locked(environment_lock(project, name)) is not None


def enter(project: Project, run: Run) -> AbstractContextManager[object]:
    """Return the held lock of the run's environment, waiting for it where nobody else would start the run again.

    Raises StillClosed for a run from the queue; NotEntered when it is to end, or when a rollback has lost its ground.
    """
    if run.deploy is None:
        return nullcontext()
    name = run.deploy.environment
    path = environment_lock(project, name)
    next_look = 0.0
    while (held := lock(path, blocking=False)) is None:
        now = time.monotonic()
        if now >= next_look:
            next_look = now + _CANCEL_POLL_S
            if project.state.queue.give_back(run.number):
                raise StillClosed(f'run #{run.number} waits for environment "{name}"')
            project.warn(f'#{run.number} waits for environment "{name}": {_holder(project, name)} deploys to it')
            reason = project.state.cancel_reason(run.number)
            if reason is not None:
                raise NotEntered(reason)
        time.sleep(POLL_S)
    reach("environment-entered")
    try:
        _check_ground(project, run)
    except BaseException:
        held.release()
        raise
    return held


def _holder(project: Project, name: str) -> str:
    for run in project.state.runs(RunFilter(active=True, limit=1000)):
        waits = run.state in (RunState.QUEUED, RunState.BLOCKED)
        if run.deploy is not None and run.deploy.environment == name and not waits:
            return f"run #{run.number} ({run.pipeline})"
    return "another run"


def _check_ground(project: Project, run: Run) -> None:
    """Refuse a rollback of what is not there any more: it would undo what was deployed meanwhile."""
    if run.trigger is not TriggerKind.ROLLBACK or run.deploy is None:
        return
    current = project.state.deployments.of(run.deploy.environment, limit=1)
    if current and current[0].run != run.parent:
        raise NotEntered(f'superseded: run #{current[0].run} has deployed to "{run.deploy.environment}" meanwhile')
