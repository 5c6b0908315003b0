"""What the guards say of a candidate, under the operator's policy, with what people have approved."""

from __future__ import annotations

from msgspec.structs import replace

from cicdctl.fixing.guards import GuardPolicy, check_guards
from cicdctl.fixing.work import OpenFixer, Work
from cicdctl.model.fixing import Candidate, GuardFinding


def judge(work: Work, candidate: Candidate, fixer: OpenFixer) -> tuple[GuardFinding, ...]:
    """Return what every guard finds; all texts are redacted. What was approved before stays approved."""
    settings = work.settings
    defaults = GuardPolicy()
    policy = GuardPolicy(
        protected=settings.protected_paths,
        allowed=settings.allow_paths,
        scripts=tuple(work.scripts),
        fixer=fixer.name,
        kind=fixer.fixer.kind,
        fixer_paths=fixer.settings.paths,
        max_files=settings.max_files or defaults.max_files,
        max_lines=settings.max_lines or defaults.max_lines,
        max_bytes=settings.max_size_bytes or defaults.max_bytes,
    )
    found = check_guards(candidate, work.project.repository, bundle=work.bundle, policy=policy, redactor=work.redactor)
    approved = {(one.rule, one.file): one for one in work.record.findings if one.approved_by is not None}
    return tuple(_approved(one, approved.get((one.rule, one.file))) for one in found)


def blocks(findings: tuple[GuardFinding, ...]) -> tuple[GuardFinding, ...]:
    """Return what stops a candidate for good."""
    return tuple(one for one in findings if one.level == "block")


def waiting(findings: tuple[GuardFinding, ...]) -> tuple[GuardFinding, ...]:
    """Return what a person has to approve before the candidate may be applied."""
    return tuple(one for one in findings if one.level == "needs_approval" and one.approved_by is None)


def _approved(finding: GuardFinding, earlier: GuardFinding | None) -> GuardFinding:
    if earlier is None or finding.level != "needs_approval":
        return finding
    return replace(finding, approved_by=earlier.approved_by, approved_at=earlier.approved_at)
