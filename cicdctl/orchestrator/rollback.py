"""Rollbacks: which deployment an environment goes back to, and the run that deploys it again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from cicdctl.errors import CicdError, StoreError, UsageError
from cicdctl.model import Deployment, Run, TriggerKind, Value
from cicdctl.near_words import near_word
from cicdctl.orchestrator.intake import accept, queue_run
from cicdctl.orchestrator.placing import place
from cicdctl.project import Project
from cicdctl.runner import RunRequest
from cicdctl.runner.pins import check_commit
from cicdctl.store.failpoints import reach
from cicdctl.store.queued import Arrival

_log = logging.getLogger("cicdctl.deploys")


class NothingToRollBack(StoreError):
    """There is nothing that an environment could go back to."""


class Rollback(Value, frozen=True, kw_only=True):
    """What is there now, what is to be there again, and the run that brings it about."""

    current: Deployment
    target: Deployment
    request: RunRequest


def find_target(history: Sequence[Deployment]) -> Deployment | None:
    """Return what the newest deployment of a history goes back to, newest first; None when there is nothing.

    That is the last good one that was not rolled back, and after a good one something else than that.
    """
    if not history:
        return None
    current = history[0]
    stands = _standing(history)
    for one in history[1:]:
        is_same = current.is_green and _content(one) == _content(current)
        if one.is_green and _root(one) in stands and not is_same:
            return one
    return None


def _standing(history: Sequence[Deployment]) -> set[int]:
    """Return the runs whose deployments were good in the end: who goes back from one says that it was not."""
    by_run = {one.run: one for one in history}
    stands: set[int] = set()
    for one in reversed(history):
        if one.is_green:
            stands.add(_root(one))
            undone = by_run.get(one.undoes or 0)
            if undone is not None and _root(one) < _root(undone):
                stands.discard(_root(undone))
    return stands


def _root(one: Deployment) -> int:
    """Return the run that first deployed what this one has deployed."""
    return one.restores or one.run


def _content(one: Deployment) -> tuple[str, str, dict[str, str]]:
    return one.pipeline, one.commit, dict(one.params)


def plan_rollback(project: Project, environment: str, *, to: int | None = None, started_by: str = "") -> Rollback:
    """Say what a rollback of an environment does; `to` is the run whose deployment is wanted, by default the last good.

    `started_by` is who wants it, nobody when it comes by itself.

    Raises UsageError for an environment or a run that is none of its good ones, StoreError when there is nothing.
    """
    history = project.state.deployments.of(environment)
    if not history:
        known = known_environments(project)
        if environment in known:
            raise NothingToRollBack(f'nothing was deployed to "{environment}" yet')
        hint = f"environments: {', '.join(known)}" if known else "no pipeline has an environment"
        raise UsageError(f'there is no environment "{environment}"{near_word(environment, known)}', hint=hint)
    target = find_target(history) if to is None else _find_run(history, environment, to)
    if target is None:
        what = f"run #{history[0].run} ({history[0].verdict})"
        raise NothingToRollBack(
            f'nothing to roll back to: no good deployment to "{environment}" before {what}',
            hint=f"cicdctl history --environment {environment} lists them",
        )
    return _plan(project, history[0], target, started_by)


def _find_run(history: Sequence[Deployment], environment: str, number: int) -> Deployment:
    hint = f"cicdctl history --environment {environment} lists them"
    for one in history:
        if one.run == number:
            if one.is_green:
                return one
            how = "is one of some stages only" if one.is_partial else f"is {one.verdict}"
            raise UsageError(f"the deployment of run #{number} {how}", hint=hint)
    raise UsageError(f'run #{number} has not deployed to "{environment}"', hint=hint)


def _plan(project: Project, current: Deployment, target: Deployment, started_by: str) -> Rollback:
    """Make the request. Raises StoreError when the run or its commit is gone."""
    number = _root(target)
    summary = project.state.load(number)
    if summary is None:
        raise NothingToRollBack(f"run #{number} is gone from the history")
    check_commit(project, summary.run)
    request = replace(
        RunRequest.of(summary.run),
        trigger=TriggerKind.ROLLBACK,
        parent=current.run,
        restores=number,
        reuse_run=None,
        fail_on_cache_miss=False,
        started_by=started_by,
    )
    return Rollback(current=current, target=target, request=request)


def known_environments(project: Project) -> list[str]:
    """Return the environments that something was deployed to, or that a pipeline of the working tree names."""
    names = dict.fromkeys(project.state.deployments.current())
    try:
        config = project.configuration.working
    except CicdError:
        config = None
    for pipeline in config.pipelines if config is not None else ():
        if pipeline.environment is not None and "{" not in pipeline.environment:
            names[pipeline.environment] = None
        elif pipeline.environment is not None:
            values = (value for param in pipeline.params for value in (*param.choices, param.default or ""))
            names |= dict.fromkeys(value for value in values if value and pipeline.environment.startswith("{params."))
    return sorted(names)


def queue_rollback(project: Project, rollback: Rollback) -> Run:
    """Queue the run; when this returns it is durable. Raises what `queue_run` raises."""
    return queue_run(project, rollback.request)


def roll_back_due(project: Project) -> Iterator[Run]:
    """Queue the rollback of each deploy that failed and asks for it, once; yield the runs. Raises StoreError.

    It needs no approval: what it deploys had one, and the environment is broken while it waits.
    """
    for number in project.state.deployments.due():
        reach("rollback-due")
        try:
            rollback = _plan_due(project, number)
            commit = project.repository.commit(rollback.request.revision)
            config = project.configuration.at(commit.tree, text=rollback.request.config_text)
        except CicdError as error:
            project.state.deployments.settle(number)
            _tell(project, number, error.message)
            continue
        placing = place(project, rollback.request, commit, config, is_approved=True)
        yield from accept(project, Arrival(placings=(placing,), undoes=number)).runs


def _plan_due(project: Project, number: int) -> Rollback:
    failed = project.state.deployments.of_run(number)
    assert failed is not None
    newest = project.state.deployments.of(failed.environment, limit=1)[0]
    if newest.run != number:
        raise StoreError(f'run #{newest.run} has deployed to "{failed.environment}" meanwhile')
    return plan_rollback(project, failed.environment)


def _tell(project: Project, number: int, why: str) -> None:
    _log.error("run #%d is not rolled back: %s", number, why, extra={"run": number})
    summary = project.state.load(number)
    if summary is not None:
        project.state.tell(summary.run, "escalated", f"it is not rolled back: {why}")
