"""What people decide of a fix: rejected, approved, or checked for what it claims."""

from __future__ import annotations

import hashlib
import time

import msgspec
from msgspec.structs import replace

from cicdctl.errors import StoreError, UsageError
from cicdctl.fixing.candidate import candidate_diff
from cicdctl.fixing.evidence import PROOF
from cicdctl.fixing.judging import waiting
from cicdctl.fixing.proof import TRAILER, digest_of
from cicdctl.model import Value
from cicdctl.model.fix_record import FixOutcome, FixRecord, FixState
from cicdctl.near_words import near_word
from cicdctl.process import account_name
from cicdctl.project import Project


def reject_fix(project: Project, record: FixRecord, reason: str) -> FixRecord:
    """Remember that nobody wants it, nor another one of the same failure; its branch goes if it is as we made it."""
    if record.state is not FixState.DONE:
        raise UsageError(f"fix {record.id} goes on", hint=f"cicdctl fix show {record.id}")
    if record.undo_ref is not None:
        raise UsageError(f"fix {record.id} is applied", hint=f"cicdctl fix undo {record.id} takes it back first")
    if record.branch is not None and project.repository.ref_store.read(record.branch) == record.commit:
        project.repository.ref_store.swap(record.branch, record.commit, None, is_own=True)
    record = replace(record, rejection=reason)
    project.fixes.save(record, f"rejected: {reason}")
    return record


def approve_finding(project: Project, record: FixRecord, rule: str, *, who: str | None = None) -> FixRecord:
    """Lift the findings of one rule; when none is left, the fix may be applied. `who` is by default the user."""
    held = waiting(record.findings)
    if not any(one.rule == rule for one in held):
        rules = sorted({one.rule for one in held})
        what = f"no finding of fix {record.id} waits for an approval"
        if rules:
            what = f'no finding "{rule}" of fix {record.id} waits{near_word(rule, rules)}'
        raise UsageError(what, hint=f"waiting: {', '.join(rules)}" if rules else "")
    who, now = who or account_name(), time.time()
    findings = tuple(
        replace(one, approved_by=who, approved_at=now) if one in held and one.rule == rule else one
        for one in record.findings
    )
    outcome = FixOutcome.WAITING_FOR_APPROVAL if waiting(findings) else FixOutcome.FIXED
    record = replace(record, findings=findings, outcome=outcome)
    project.fixes.save(record, f"{rule} approved by {who}")
    return record


class ProofCheck(Value, frozen=True, kw_only=True):
    """One claim of a proof, and whether it holds."""

    claim: str
    holds: bool
    detail: str = ""


def verify_proof(project: Project, revision: str) -> tuple[FixRecord, list[ProofCheck]]:
    """Recompute every digest that a fix commit and its proof name. Raises UsageError when it is no fix."""
    commit = project.repository.resolve(revision)
    trailers = dict(line.split(": ", 1) for line in commit.message.splitlines() if line.startswith("Cicdctl-"))
    claimed = trailers.get(TRAILER.removesuffix(":"))
    run, stage = trailers.get("Cicdctl-Run", ""), trailers.get("Cicdctl-Stage", "")
    if claimed is None or not run.isdigit():
        raise UsageError(f"{commit.oid[:10]} is no fix of cicdctl: it has no {TRAILER} trailer")
    records = [one for one in project.fixes.of_run(int(run)) if one.stage == stage]
    for record in records:
        proof = project.fixes.document(record.id, PROOF)
        if proof is not None and (
            record.proof == claimed or digest_of(proof) == claimed or record.commit == commit.oid
        ):
            return record, _check_proof(
                project, record, proof, claimed=claimed, tree=commit.tree, parents=commit.parents
            )
    raise StoreError(f"the proof {claimed} is not kept here", hint="it lies in the repository that made the fix")


def _check_proof(
    project: Project, record: FixRecord, proof: str, *, claimed: str, tree: str, parents: tuple[str, ...]
) -> list[ProofCheck]:
    document = msgspec.json.decode(proof)
    checks = [
        ProofCheck(claim="the proof is the one the commit names", holds=digest_of(proof) == claimed),
        ProofCheck(claim="the commit has the tree that was verified", holds=document.get("tree") == tree),
        ProofCheck(claim="it stands on the commit that failed", holds=parents[:1] == (document.get("base"),)),
    ]
    if record.candidate is not None:
        digest = hashlib.sha256(candidate_diff(project.repository, record.candidate).encode("utf-8", "surrogateescape"))
        same = digest.hexdigest() == document.get("diff_sha256")
        checks.append(ProofCheck(claim="the patch is the one that was judged", holds=same))
    runs = {int(one["run"]) for one in document.get("verification", {}).get("stages", [])}
    for number in sorted(runs):
        summary = project.state.load(number)
        detail = "" if summary else "that run is no longer kept"
        holds = summary is not None and str(summary.run.verdict) == "passed" and summary.run.tree == tree
        checks.append(ProofCheck(claim=f"run #{number} passed on that tree", holds=holds, detail=detail))
    return checks
