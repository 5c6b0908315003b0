"""Whether a failure may be worked on at all, before anything is spent on it."""

from __future__ import annotations

import time

from cicdctl.config import Config
from cicdctl.git import Repository
from cicdctl.model import Pipeline, Run, StageResult, TriggerKind, Trust, Value, Verdict
from cicdctl.model.fix_record import FixOutcome
from cicdctl.model.fixing import FailureBundle
from cicdctl.planning.names import matches_name
from cicdctl.project import Project
from cicdctl.store import FixJournal

RUN_TRAILER = "Cicdctl-Run:"
DAY_S = 86_400.0


class Refusal(Value, frozen=True, kw_only=True):
    """Why nothing is done. `again` says whether a person who insists may have it all the same."""

    outcome: FixOutcome
    reason: str
    again: bool = True


def refuse_stage(project: Project, config: Config, run: Run, result: StageResult, *, by_hand: bool) -> Refusal | None:
    """Judge by what the operator and the pipeline say; None when it may be worked on."""
    if result.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return _skipped(f'stage "{result.stage}" is {result.verdict}: there is nothing to repair', again=False)
    fix = project.settings.fix
    name = result.stage.partition("[")[0]
    if not project.settings.orchestrator.fixes_failures and not by_hand:
        return _skipped("fixers are switched off (auto_fix_enabled, failure_handling.auto_fix)")
    if fix.mode in ("off", "explain"):
        return _skipped(f'fix.mode is "{fix.mode}"', again=False)
    if not matches_name(fix.stages, name):
        return _skipped(f'fix.stages does not name "{name}"', again=False)
    if matches_name(fix.never_stages, name):
        return _skipped(f'fix.never_stages names "{name}"', again=False)
    branch = (run.ref or "").removeprefix("refs/heads/")
    # Here a lone "*" is every branch, `feature/x` too.
    if run.ref is not None and fix.branches != ("*",) and not matches_name(fix.branches, branch):
        return _skipped(f'fix.branches does not name "{branch}"', again=False)
    pipeline = config.pipeline(run.pipeline)
    unfit = None if pipeline is None else _unfit(pipeline, name)
    if unfit is not None:
        return _skipped(unfit, again=False)
    if run.trust is not Trust.TRUSTED and not by_hand:
        return _skipped("this ref is not trusted: only a person can ask for a fix")
    return None


def _unfit(pipeline: Pipeline, stage: str) -> str | None:
    """Say why a pipeline, or this stage of it, can never be tried again and again."""
    if pipeline.environment is not None:
        return f'pipeline "{pipeline.name}" deploys to an environment'
    if pipeline.approval:
        return f'pipeline "{pipeline.name}" wants an approval for each run'
    if pipeline.trigger.kind is TriggerKind.TAG:
        return f'pipeline "{pipeline.name}" is for tags'
    if any(one.name == stage and one.side_effects for one in pipeline.stages):
        return f'stage "{stage}" has side effects'
    return None


def refuse_loop(repository: Repository, run: Run, *, prefix: str) -> Refusal | None:
    """Keep fixes from fixing fixes."""
    if run.trigger is TriggerKind.FIX:
        return _skipped(f"run #{run.number} belongs to a fix itself", again=False)
    if (run.ref or "").startswith(f"refs/heads/{prefix}"):
        return _skipped(f'"{run.ref}" is a fix that was offered')
    message = repository.commit(run.commit).message
    if not run.snapshot and any(line.startswith(RUN_TRAILER) for line in message.splitlines()):
        return _skipped(f"commit {run.commit[:10]} is a fix itself")
    return None


def refuse_repeated(
    journal: FixJournal, bundle: FailureBundle, run: Run, *, escalate_after: int, own: str
) -> Refusal | None:
    """Judge by what earlier fixes of the same failure came to; `own` is the id of this one."""
    alike = [
        one for one in journal.alike(bundle.signature, time.time() - DAY_S) if one.id != own and one.ref == run.ref
    ]
    rejected = next((one for one in alike if one.rejection is not None), None)
    if rejected is not None:
        return _skipped(
            f"fix {rejected.id} of the same failure was rejected: {rejected.rejection or 'no reason given'}"
        )
    failed = sum(len(one.attempts) for one in alike if one.outcome is not FixOutcome.FIXED)
    if failed >= escalate_after > 0:
        reason = f"{failed} attempts at the same failure within a day came to nothing (escalate_after)"
        return Refusal(outcome=FixOutcome.STUCK, reason=reason)
    return None


def refuse_category(bundle: FailureBundle) -> Refusal | None:
    """Keep hands off what no patch repairs."""
    outcome = {"infra": FixOutcome.INFRA, "config": FixOutcome.CONFIG}.get(bundle.category)
    if outcome is None:
        return None
    return Refusal(outcome=outcome, reason=bundle.category_reason or bundle.category)


def _skipped(reason: str, *, again: bool = True) -> Refusal:
    return Refusal(outcome=FixOutcome.SKIPPED, reason=reason, again=again)
