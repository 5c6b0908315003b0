"""Finds out what a candidate is worth: the whole pipeline on it, the tests counted, and the fix taken away again."""

from __future__ import annotations

from cicdctl.fixing.attempt import lose
from cicdctl.fixing.bundle import capture_failure, told_inventory
from cicdctl.fixing.inventory import compare_inventories, executed_ids, inventory_of, merge_inventories
from cicdctl.fixing.judging import blocks, judge
from cicdctl.fixing.removed_tests import find_removed_tests
from cicdctl.fixing.work import Work, stage_of
from cicdctl.model import RunFilter, RunSummary, TriggerKind, Verdict
from cicdctl.model.fix_record import FixOutcome, FixState
from cicdctl.model.fixing import FailureBundle, GuardFinding, NotRun, TestInventory, Verification, VerifiedStage

_SANDBOX_ORDER = ("none", "landlock", "container", "bwrap")


def stage_candidate(work: Work) -> None:
    """Let the guards look once more at what is stored, then make it a commit that no branch holds yet."""
    candidate = work.record.candidate
    fixer = work.fixer
    if candidate is None or fixer is None:
        lose(work, "its candidate is gone")
        return
    findings = judge(work, candidate, fixer)
    blocked = blocks(findings)
    if blocked:
        work.note(findings=findings)
        lose(work, f"{blocked[0].rule}: {blocked[0].text}")
        return
    commit = work.commit_of(candidate.tree)
    work.advance(FixState.STAGED, findings=findings, commit=commit)


def verify(work: Work) -> None:
    """Run the failing stage, then everything, then the failing stage without the fix."""
    commit, number = work.record.commit, len(work.record.attempts)
    assert commit is not None
    if work.record.state is FixState.STAGED:
        work.advance(FixState.VERIFYING)
    confined = work.is_confined
    quick = work.run_stages(f"verify/{number}/stage", commit, stages=(work.record.stage,), confined=confined)
    if not _passes(work, quick, "the failing stage still fails"):
        return
    is_full = work.project.settings.orchestrator.optimization.verify_fixes
    runs = [quick]
    if is_full:
        full = work.run_stages(f"verify/{number}/full", commit, confined=confined)
        if not _passes(work, full, "another stage fails"):
            return
        runs.append(full)
    for time in range(2, work.settings.verify.repeat + 1):
        again = work.run_stages(
            f"verify/{number}/repeat/{time}", commit, stages=(work.record.stage,), confined=confined
        )
        if not _passes(work, again, f"it passed, and failed the {time}. time"):
            return
    before, green_tree = _baseline(work)
    after, base = _inventory(work, runs[-1]), _inventory(work, work.summary)
    repository = work.project.repository
    removed = find_removed_tests(repository, green_tree, work.record.base_tree, executed_ids(before))
    integrity, why = compare_inventories(before, after, base=base, removed=removed)
    if before.source == after.source == "none":
        before, after = told_inventory(work.project, work.summary), told_inventory(work.project, runs[-1])
        counted, lost = compare_inventories(before, after)
        # Anybody can print such a line: it may speak against a fix, and never for one.
        integrity, why = ("shrunk", lost) if counted == "shrunk" else (integrity, why)
    if integrity == "shrunk" or (integrity == "unknown" and work.settings.verify.integrity == "required"):
        finding = GuardFinding(rule="inventory", level="block", text=why[:200])
        work.note(findings=(*work.record.findings, finding))
        lose(work, f"inventory: {why}")
        return
    flip = _flip(work, number, confined=confined)
    verification = Verification(
        stages=tuple(
            VerifiedStage(name=one.stage, verdict=one.verdict.value, seconds=one.seconds, run=runs[-1].run.number)
            for one in runs[-1].stages
            if one.verdict is not Verdict.SKIPPED
        ),
        not_run=tuple(
            NotRun(stage=one.stage, reason=one.reason or "skipped")
            for one in runs[-1].stages
            if one.verdict is Verdict.SKIPPED
        ),
        before=before,
        after=after,
        integrity=integrity,
        integrity_reason=why,
        flip=flip,  # type: ignore[arg-type]
        repeats=work.settings.verify.repeat,
        sandbox=_weakest_sandbox(runs[-1]),
        network=not confined or bool(work.settings.network_stages),
        scope="full" if is_full else "partial",
    )
    if flip == "not_reproduced":
        work.note(verification=verification)
        work.end(FixOutcome.FLAKY, "without the fix it passes as well")
    work.advance(FixState.COMMITTED, verification=verification)


def _passes(work: Work, summary: RunSummary, otherwise: str) -> bool:
    """Whether a run is green; else the attempt is lost, with what the log says for the next one."""
    run = summary.run
    if run.verdict in (Verdict.PASSED, Verdict.SKIPPED):
        judged = stage_of(summary, work.record.stage)
        if judged is not None and judged.verdict is Verdict.PASSED:
            return True
        reason = judged.reason if judged else "it is not part of the run"
        lose(work, f"not verified: the failing stage did not run ({reason})")
        return False
    red = [one for one in summary.stages if not one.is_green]
    # One that failed by itself, before those that were ended because of it.
    failed = next((one for one in red if one.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)), next(iter(red), None))
    if failed is None or failed.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        lose(work, f"not verified (#{run.number}): {(failed and failed.reason) or run.reason or run.verdict}")
        return False
    bundle = capture_failure(work.project, summary, failed)
    if work.is_confined and bundle.category == "infra":
        # Neither this attempt nor the next can be proved here, so nothing more is spent.
        how = "what a model wrote runs without network (fix.network_stages) and within limits"
        work.end(FixOutcome.INFRA, f"not verified: {failed.stage}: {bundle.category_reason}; {how} (#{run.number})")
    if failed.stage == work.record.stage and work.fixer is not None and not work.fixer.is_ai:
        _accept_progress(work, bundle)
    what = bundle.diagnostics[0].message if bundle.diagnostics else f"exit {failed.exit_code}"
    lose(work, f"{otherwise}: {failed.stage}: {what} (#{run.number})", signature=bundle.signature)
    return False


def _accept_progress(work: Work, left: FailureBundle) -> None:
    """Let later attempts start from a command's patch that repaired some of what was wrong, or all but what it hid."""
    candidate = work.record.candidate
    if candidate is None or not left.diagnostics or left.signature == work.record.signature:
        return
    known = {(one.tool, one.code, one.file, one.message) for one in work.bundle.diagnostics}
    same = [one for one in left.diagnostics if (one.tool, one.code, one.file, one.message) in known]
    if len(same) < len(known):
        work.note(accepted=(*work.record.accepted, candidate.tree))


def _inventory(work: Work, summary: RunSummary) -> TestInventory:
    return merge_inventories([inventory_of(work.project, one) for one in summary.stages])


def _baseline(work: Work) -> tuple[TestInventory, str]:
    """The tests of the last green run of this pipeline, else of the failed run; and the tree they ran on."""
    run = work.summary.run
    for earlier in work.project.state.runs(
        RunFilter(pipeline=run.pipeline, verdict=Verdict.PASSED, before=run.number, limit=20)
    ):
        if earlier.trigger is TriggerKind.FIX or earlier.is_partial or earlier.params != run.params:
            continue
        summary = work.project.state.load(earlier.number)
        if summary is not None:
            found = _inventory(work, summary)
            if found.source != "none":
                return found, earlier.tree
    return _inventory(work, work.summary), run.tree


def _flip(work: Work, number: int, *, confined: bool) -> str:
    """Run the failing stage without the fix: it has to fail as it did."""
    if not work.settings.verify.flip:
        return "skipped"
    commit, _ = work.start_point()
    summary = work.run_stages(f"verify/{number}/flip", commit, stages=(work.record.stage,), confined=confined)
    result = stage_of(summary, work.record.stage)
    if result is None or result.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return "not_reproduced"
    if work.record.accepted:  # part of it is repaired: it fails in another way
        return "reproduced"
    same = capture_failure(work.project, summary, result).signature == work.record.signature
    return "reproduced" if same else "not_reproduced"


def _weakest_sandbox(summary: RunSummary) -> str:
    levels = [one.attempts[-1].sandbox for one in summary.stages if one.attempts]
    known = [level for level in levels if level in _SANDBOX_ORDER]
    return min(known, key=_SANDBOX_ORDER.index) if known and len(known) == len(levels) else "none"
