"""What is known of a commit before it is run, and what its run says of it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from cicdctl.errors import ConfigError, GitError, UsageError
from cicdctl.git import Commit
from cicdctl.model import PlannedStage, RunFilter, RunSummary, Value, Verdict
from cicdctl.project import Project
from cicdctl.runner.bisect.span import LOOK_BACK
from cicdctl.runner.bisect.values import Answer, Tried
from cicdctl.runner.inspection import inspect
from cicdctl.runner.prepare import Prepared, prepare
from cicdctl.runner.request import RunRequest
from cicdctl.runner.secret_values import known_secrets

BROKEN = (Verdict.FAILED, Verdict.TIMED_OUT)


class Look(Value, frozen=True, kw_only=True):
    """A commit before it is run. `tried` when that needs no run: it passed before, or cannot be judged.

    `failed_in` are runs in which the stage failed with the same key.
    """

    commit: Commit
    stages: tuple[str, ...] = ()
    prepared: Prepared | None = None
    tried: Tried | None = None
    failed_in: tuple[int, ...] = ()


def targets(prepared: Prepared, stage: str) -> list[PlannedStage]:
    """Return the cells of a stage in a plan, or the one that is named."""
    return [planned for planned in prepared.plan.stages if stage in (planned.id, planned.stage.name)]


def look_at(
    project: Project, request: RunRequest, oid: str, stage: str, failures: Mapping[str, tuple[int, ...]]
) -> Look:
    """Look at one commit of the span. A commit whose configuration is broken, or lacks the stage, cannot be judged.

    Raises PluginError and StoreError. `failures` are the failed runs by key.
    """
    commit = project.repository.commit(oid)
    try:
        prepared = prepare(project, replace(request, revision=oid))
        judged = [planned for planned in targets(prepared, stage) if planned.skip is None]
        refusal = prepared.plan.skip or (None if judged else targets(prepared, stage)[0].skip)
        if refusal is not None:
            return Look(commit=commit, tried=cannot_judge(commit, refusal.reason))
    except (ConfigError, UsageError, GitError) as error:
        return Look(commit=commit, tried=cannot_judge(commit, error.message))
    stages = tuple(planned.id for planned in judged)
    names = [name for planned in prepared.plan.stages for name in planned.stage.secrets]
    seen = [
        seen for seen in inspect(project, prepared, secrets=known_secrets(project, names)) if seen.planned.id in stages
    ]
    hits = [one.hit for one in seen if one.hit is not None]
    if len(hits) == len(stages):
        tried = Tried(commit=commit, answer=Answer.GOOD, run=hits[0].origin_run, is_free=True, reason="cached")
        return Look(commit=commit, stages=stages, prepared=prepared, tried=tried)
    failed = {number for one in seen if not one.unknown for number in failures.get(one.identity.key, ())}
    return Look(commit=commit, stages=stages, prepared=prepared, failed_in=tuple(sorted(failed)))


def cannot_judge(commit: Commit, reason: str) -> Tried:
    """Return what is said of a commit that cannot even be run."""
    return Tried(commit=commit, answer=Answer.SKIPPED, is_free=True, reason=reason.partition("\n")[0])


def judge_run(look: Look, summary: RunSummary) -> Tried:
    """Return what a run says of its commit: bad when a cell failed, good when all passed, else it cannot tell."""
    run = summary.run
    tried = Tried(commit=look.commit, answer=Answer.GOOD, run=run.number, seconds=run.seconds)
    found = [result for result in summary.stages if result.stage in look.stages]
    broken = next((result for result in found if result.verdict in BROKEN), None)
    if broken is not None:
        return replace(tried, answer=Answer.BAD, reason=broken.reason or broken.verdict.value)
    if len(found) == len(look.stages) and all(result.verdict is Verdict.PASSED for result in found):
        if any(result.flaky for result in found):
            tried = replace(tried, failed_in=(run.number,))
        return tried
    other = next((result for result in found if result.verdict is not Verdict.PASSED), None)
    how = run.verdict.value if run.verdict else run.state.value
    return replace(tried, answer=Answer.SKIPPED, reason=(other and other.reason) or run.reason or how)


class Recorded(Value, frozen=True, kw_only=True):
    """What the state remembers: the trees that were run, and the runs in which the stage failed, by its key."""

    trees: frozenset[str]
    failures: Mapping[str, tuple[int, ...]]


def recorded(project: Project, pipeline: str, stages: tuple[str, ...]) -> Recorded:
    """Read what the newest runs of a pipeline say of a stage."""
    runs = project.state.runs(RunFilter(pipeline=pipeline, active=False, limit=LOOK_BACK))
    failures: dict[str, tuple[int, ...]] = {}
    for stage in stages:
        for number, result in project.state.recent_results(pipeline, stage, LOOK_BACK):
            if result.verdict in BROKEN and result.key is not None:
                failures[result.key] = (*failures.get(result.key, ()), number)
    return Recorded(trees=frozenset(run.tree for run in runs), failures=failures)
