"""Makes a verified candidate an offer: one commit with its proof, on a branch that nobody else holds."""

from __future__ import annotations

import json
import re
import time

from cicdctl.errors import GitError
from cicdctl.fixing.defang import defang, defang_line
from cicdctl.fixing.evidence import PROOF
from cicdctl.fixing.going_out import apply_by_itself, push_branch
from cicdctl.fixing.judging import waiting
from cicdctl.fixing.proof import digest_of, make_proof
from cicdctl.fixing.work import Work
from cicdctl.git import RefMoved
from cicdctl.git.commit import write_commit
from cicdctl.git.notes import append_note
from cicdctl.model.fix_record import FixOutcome, FixRecord, FixState
from cicdctl.model.fixing import TestInventory

NOTES_REF = "refs/notes/cicdctl"
AUTHOR = ("cicdctl fix", "cicdctl@localhost")
_MOST_SUFFIXES = 100


def make_commit(work: Work) -> None:
    """Store the proof, make the commit that names it, and give it a branch. Done twice it makes the same commit."""
    record, journal = work.record, work.project.fixes
    if record.commit_at is None:
        work.note(commit_at=float(int(time.time())))
        record = work.record
    assert record.candidate is not None and record.commit_at is not None
    fixer = work.fixer
    proof = make_proof(
        record,
        ended_at=record.commit_at,
        config_sha256=work.config_sha256,
        kind=fixer.fixer.kind if fixer else "command",
        version=fixer.fixer.version if fixer else "",
    )
    journal.put_document(record.id, PROOF, proof)
    name, email = _author(work.settings.author)
    commit = write_commit(
        work.project.repository,
        record.candidate.tree,
        [record.base],
        commit_message(
            work.record,
            digest_of(proof),
            version=fixer.fixer.version if fixer else "",
            max_attempts=work.max_attempts,
        ),
        name=name,
        email=email,
        time_s=int(record.commit_at),
    )
    branch = _make_branch(work, commit)
    work.advance(FixState.PUBLISHED, branch, commit=commit, branch=branch, proof=digest_of(proof))


def _make_branch(work: Work, commit: str) -> str:
    """Create the branch by compare-and-swap from "absent"; ours already there is fine, another's gets us a suffix."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", work.record.stage).strip("-") or "stage"
    plain = f"refs/heads/{work.settings.branch_prefix}{work.record.run}-{slug}"
    for number in range(1, _MOST_SUFFIXES):
        name = plain if number == 1 else f"{plain}-{number}"
        try:
            work.project.repository.ref_store.swap(name, None, commit, is_own=True)
        except RefMoved:
            if work.project.repository.ref_store.read(name) != commit:
                continue
        return name
    raise GitError(f"{plain!r} and {_MOST_SUFFIXES} names like it are taken", hint="delete fixes that nobody wants")


def publish(work: Work) -> None:
    """Tell people, and end: the fix is there, and maybe a finding waits for a person."""
    record = work.record
    branch = (record.branch or "").removeprefix("refs/heads/")
    work.project.state.tell(work.summary.run, "fix_proposed", f"{branch}: {subject_of(record)}")
    if work.settings.notes:
        _note_proof(work)
    push_branch(work)
    held = waiting(record.findings)
    if held:
        work.end(FixOutcome.WAITING_FOR_APPROVAL, f"{held[0].rule}: {held[0].text}")
    apply_by_itself(work)
    work.end(FixOutcome.FIXED, subject_of(work.record))


def _note_proof(work: Work) -> None:
    """Leave the proof's digest as a git note of the commit, in the shape of those that runs leave; once."""
    record = work.record
    assert record.commit is not None and record.commit_at is not None
    facts = {"timestamp": str(int(record.commit_at)), "agent": "cicdctl", "v": 0, "fix": record.id}
    facts |= {"proof": record.proof, "base": record.base}
    line = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    append_note(work.project.repository, NOTES_REF, record.commit, line)


def subject_of(record: FixRecord) -> str:
    """Return the first line of the commit."""
    result = record.result
    what = defang_line((result.summary if result else "") or f"what {record.fixer} repairs", 60)
    stage = defang_line(record.stage, 40)
    return f"fix({stage}): {what}"


def commit_message(record: FixRecord, proof: str, *, version: str, max_attempts: int) -> str:
    """Return the message: a template; what a model says is quoted, defanged, and at most ten lines."""
    result, verification = record.result, record.verification
    lines = [subject_of(record), ""]
    said = defang((result.root_cause if result else "") or "").splitlines()
    if said:
        lines += [*(f"> {line}".rstrip() for line in said), ""]
    model = f" ({record.usage.model})" if record.usage.model else ""
    own = sum(1 for one in record.attempts if one.fixer == record.fixer)
    of = f", attempt {own}/{max_attempts}" if record.usage.model else ""
    lines += [
        f"Cicdctl-Run: {record.run}",
        f"Cicdctl-Stage: {record.stage}",
        f"Cicdctl-Base: {record.base}",
        f"Cicdctl-Fixer: {record.fixer}/{version}{model}{of}",
    ]
    if verification is not None:
        names = " ".join(one.name for one in verification.stages) or "nothing"
        lines.append(
            f"Cicdctl-Verified: {names}; {tests_in_words(verification.before, verification.after)}; "
            f"{verification.sandbox}, {'network' if verification.network else 'no network'}"
        )
    lines.append(f"Cicdctl-Proof: {proof}")
    return "\n".join(lines)


def tests_in_words(before: TestInventory, after: TestInventory) -> str:
    """Say how many tests ran, and how many before."""
    if after.source == "none":
        return "tests not counted"
    text = f"tests {after.counts.get('passed', 0)}/{after.counts.get('executed', 0)}"
    return f"{text} (baseline {before.counts.get('executed', 0)})" if before.source != "none" else text


def _author(configured: str | None) -> tuple[str, str]:
    found = re.fullmatch(r"\s*([^<>]+?)\s*<([^<>]+)>\s*", configured or "")
    return (found[1], found[2]) if found else AUTHOR
