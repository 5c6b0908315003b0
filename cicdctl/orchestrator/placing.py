"""How a run waits: its concurrency group, its priority, or that it does not run at all and why."""

from __future__ import annotations

import time

from msgspec.structs import replace

from cicdctl.config import Config
from cicdctl.config.placeholders import fill_params
from cicdctl.errors import CicdError, StoreError
from cicdctl.git import Commit
from cicdctl.model import Pipeline, Run, RunState, TriggerKind, Verdict
from cicdctl.project import Project
from cicdctl.runner import RunRequest
from cicdctl.runner.prepare import Prepared, prepare
from cicdctl.runner.variables import branch_and_tag
from cicdctl.store.queued import Placing

# Above all that a pipeline may have: a rollback comes before the next deploy.
FIRST = 10_000
NEEDS_APPROVAL = "waits for an approval"
_BY_ITSELF = frozenset({TriggerKind.COMMIT, TriggerKind.TAG, TriggerKind.AFTER, TriggerKind.SCHEDULE})


def place(
    project: Project,
    request: RunRequest,
    commit: Commit,
    config: Config,
    *,
    skip: str | None = None,
    prepared: Prepared | None = None,
    is_approved: bool = False,
) -> Placing:
    """Return the run of a request, ready to be recorded. `is_approved`: it waits for no approval.

    One that `skip` gives a reason against, whose conditions do not hold or that cannot be carried out is recorded
    as such. Raises StoreError when the state cannot be read.
    """
    try:
        prepared = prepared or prepare(project, request)
    except StoreError:
        raise
    except CicdError as error:
        return place_problem(request, commit, request.pipeline, error)
    pipeline = prepared.plan.pipeline
    run = replace(prepared.run, created_at=time.time(), options={**prepared.run.options, "queued": True})
    if skip is None and prepared.plan.skip is not None:
        skip = prepared.plan.skip.reason
    if skip is not None:
        return place_ended(run, skip)
    if pipeline.approval and not is_approved:
        run = replace(run, state=RunState.BLOCKED, reason=NEEDS_APPROVAL)
    group, policy = _group(pipeline, run)
    return Placing(
        run=run,
        group=group,
        on_superseded=policy,  # type: ignore[arg-type]
        priority=FIRST if run.trigger is TriggerKind.ROLLBACK else pipeline.priority,
        leads=any(other.trigger.after == pipeline.name for other in config.pipelines),
    )


def place_ended(run: Run, reason: str, *, cancelled: bool = False) -> Placing:
    """Return a run that is recorded with the reason why it does not start."""
    verdict = Verdict.CANCELLED if cancelled else Verdict.SKIPPED
    return Placing(run=replace(run, state=RunState.DONE, verdict=verdict, reason=reason, finished_at=time.time()))


def place_problem(request: RunRequest, commit: Commit, pipeline: str, error: CicdError) -> Placing:
    """Return a run that is recorded because it cannot be carried out: a trigger never vanishes without a trace."""
    now = time.time()
    run = Run(
        number=0,
        pipeline=pipeline,
        commit=commit.oid,
        tree=commit.tree,
        trigger=request.trigger,
        state=RunState.DONE,
        verdict=Verdict.ERROR,
        reason=error.message,
        ref=request.ref,
        base=request.base,
        trust=request.trust,
        params=request.params,
        message=commit.message[:4096],
        author=f"{commit.author_name} <{commit.author_email}>",
        created_at=now,
        finished_at=now,
        parent=request.parent,
        started_by=request.started_by,
    )
    return Placing(run=run)


def _group(pipeline: Pipeline, run: Run) -> tuple[str | None, str]:
    """Return the group and what becomes of those before it.

    What starts by itself is of its pipeline and ref, where only the newest waits; what somebody asked for by
    hand waits for nobody.
    """
    rule = pipeline.concurrency
    if rule is None:
        is_alone = run.trigger not in _BY_ITSELF or run.ref is None
        return (None, "queue") if is_alone else (f"ref {pipeline.name} {run.ref}", "cancel-pending")
    branch, _ = branch_and_tag(run.ref)
    facts = {
        "branch": branch or run.ref or "",
        "ref": run.ref or "",
        "pipeline": pipeline.name,
        "environment": run.deploy.environment if run.deploy is not None else "",
    }
    group = rule.group
    for name, value in facts.items():
        group = group.replace("{" + name + "}", value)
    # What a rollback brings back is older than those before it in the group, and takes no place of theirs.
    policy = "queue" if run.trigger is TriggerKind.ROLLBACK else rule.on_superseded
    return f"group {fill_params(group, run.params)}", policy
