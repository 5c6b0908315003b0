"""The first steps: what kind of failure it is, whether anybody may and can work on it, and whether it is a flake."""

from __future__ import annotations

from cicdctl.fixing.bundle import capture_failure
from cicdctl.fixing.policy import Refusal, refuse_category, refuse_loop, refuse_repeated, refuse_stage
from cicdctl.fixing.work import Work, stage_of
from cicdctl.git import MissingObject
from cicdctl.model import RunFilter, Verdict
from cicdctl.model.fix_record import FixOutcome, FixState


def triage(work: Work) -> None:
    """Decide by policy, history and the kind of failure; nothing has been run or asked yet."""
    project, run, bundle = work.project, work.summary.run, work.bundle
    config = project.configuration.at(run_tree(work), text=run.options.get("config_text"))
    refusal = (
        refuse_stage(project, config, run, work.result, by_hand=work.options.by_hand)
        or refuse_loop(project.repository, run, prefix=work.settings.branch_prefix)
        or refuse_repeated(
            project.fixes,
            bundle,
            run,
            escalate_after=project.settings.orchestrator.failure_handling.escalate_after,
            own=work.record.id,
        )
        or refuse_category(bundle)
        or _refuse_pre_existing(work)
    )
    if refusal is not None and not (refusal.again and work.options.again):
        work.end(refusal.outcome, refusal.reason)
    work.tell(f"{bundle.category}: {bundle.category_reason}" if bundle.category_reason else bundle.category)
    if all(answer.answer == "no" for _, answer in work.answers):
        # A tool that has nothing to do with this failure is not worth a word.
        told = [(one, answer) for one, answer in work.answers if not answer.reason.endswith("has not complained")]
        reasons = "; ".join(f"{one.name}: {answer.reason}" for one, answer in told)
        work.end(FixOutcome.UNAVAILABLE, reasons or "no fixer is configured")
    work.advance(FixState.TRIAGED, bundle.category_reason, signature=bundle.signature, category=bundle.category)


def run_tree(work: Work) -> str:
    """Return the tree whose configuration counts: that of the commit that failed."""
    return work.summary.run.tree


def check_flakiness(work: Work) -> None:
    """Run the failing stage again on the same commit: a flake needs no repair, and a model would only seem to help."""
    if work.record.state is FixState.TRIAGED:
        work.advance(FixState.FLAKE_CHECK)
    for number in range(1, work.settings.flake_reruns + 1):
        again = work.run_stages(f"flake/{number}", work.record.base, stages=(work.record.stage,), may_reuse=True)
        result = stage_of(again, work.record.stage)
        if result is None or result.verdict in (Verdict.CANCELLED, Verdict.ERROR, Verdict.SKIPPED):
            why = (result.reason if result else None) or again.run.reason or again.run.verdict or "it did not end"
            work.end(FixOutcome.ERROR, f"the failing stage could not be run again: {why}")
        if result.verdict is Verdict.PASSED:
            work.end(FixOutcome.FLAKY, f"it passed when it ran again on the same commit (#{again.run.number})")
        signature = capture_failure(work.project, again, result).signature
        same = "fails the same way" if signature == work.record.signature else "fails in another way"
        work.tell(f"ran again, {same} (not flaky)")
    work.advance(FixState.PLANNED)


def _refuse_pre_existing(work: Work) -> Refusal | None:
    """See whether the branch it will be merged into fails alike: then this change is not to blame."""
    project, run = work.project, work.summary.run
    default = project.repository.default_branch()
    if default is None or run.ref in (None, f"refs/heads/{default}") or not work.bundle.signature:
        return None
    try:
        base = merge_base(work, f"refs/heads/{default}")
    except MissingObject:
        return None
    if base is None or base == run.commit:
        return None
    for earlier in project.state.runs(RunFilter(pipeline=run.pipeline, commit=base, active=False, limit=5)):
        summary = project.state.load(earlier.number)
        result = stage_of(summary, work.record.stage) if summary else None
        if summary is None or result is None or result.verdict is not Verdict.FAILED:
            continue
        if capture_failure(project, summary, result).signature == work.bundle.signature:
            reason = f'it fails alike on "{default}" already (#{earlier.number}): this change is not to blame'
            return Refusal(outcome=FixOutcome.PRE_EXISTING, reason=reason)
    return None


def merge_base(work: Work, other: str) -> str | None:
    """Return the commit at which the failed one left another branch; None when it lies on it."""
    repository = work.project.repository
    tip = repository.ref_store.read(other)
    if tip is None:
        return None
    own = repository.commits_between(f"{tip}..{work.record.base}")
    parents = repository.parents(own[0]) if own else ()
    return parents[0] if parents else None
