"""One attempt: a fixer edits a throw-away worktree, and what it did becomes a candidate that the guards look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from cicdctl.fixing.candidate import build_candidate, candidate_diff
from cicdctl.fixing.checking import Desk, add_usage
from cicdctl.fixing.defang import visible
from cicdctl.fixing.evidence import attempt_diff, save_attempt
from cicdctl.fixing.judging import blocks, judge
from cicdctl.fixing.known_fixes import find_known
from cicdctl.fixing.tampering import Seals
from cicdctl.fixing.work import OpenFixer, Work
from cicdctl.model.fix_record import FixAttempt, FixOutcome, FixRecord, FixState
from cicdctl.model.fixing import Candidate, FixRequest, FixResult, FixStatus, FixUsage, GuardFinding, PreviousAttempt

# After its deadline a fixer has this long to notice.
GRACE_S = 5.0

_OUTCOMES = {
    FixStatus.GAVE_UP: FixOutcome.GAVE_UP,
    FixStatus.REFUSED: FixOutcome.REFUSED,
    FixStatus.UNAVAILABLE: FixOutcome.UNAVAILABLE,
}


def choose_fixer(work: Work) -> None:
    """Name who tries next: each command once, then the models as often as they may."""
    if time.monotonic() >= work.deadline:
        work.end(FixOutcome.BUDGET, "the time is up (fix.timeout)")
    following = _following(work)
    if following is None:
        work.end(*_why_over(work))
    number = len(work.record.attempts) + 1
    begun = FixAttempt(number=number, fixer=following.name, started_at=time.time())
    work.advance(
        FixState.PREPARED,
        f"attempt {number}: {following.name}",
        fixer=following.name,
        attempts=(*work.record.attempts, begun),
        candidate=None,
        findings=(),
        result=None,
    )


def _following(work: Work) -> OpenFixer | None:
    tried = [one.fixer for one in work.record.attempts]
    done = [one.fixer for one in work.record.attempts if not one.void]
    for one, answer in work.answers:
        if answer.answer == "no":
            continue
        if not one.is_ai and one.name not in done:
            return one
        if one.is_ai and tried.count(one.name) < work.max_attempts and not _is_over(work, one):
            return one
    return None


def _is_over(work: Work, fixer: OpenFixer) -> bool:
    """Whether more of the same is useless: it gave up, was refused, has no budget, or gets nowhere."""
    own = [one for one in work.record.attempts if one.fixer == fixer.name]
    if own and own[-1].status in _OUTCOMES:
        return True
    return _is_stuck(own) or "budget" in (own[-1].reason if own else "")


def _is_stuck(own: list[FixAttempt]) -> bool:
    signatures = [one.signature for one in own if one.signature]
    return len(signatures) >= 2 and signatures[-1] == signatures[-2]


def _why_over(work: Work) -> tuple[FixOutcome, str]:
    """Say how a fix ends that nobody can go on with: by what the last who tried it came to."""
    if not work.record.attempts:
        return FixOutcome.UNAVAILABLE, "no fixer applies"
    last = work.record.attempts[-1]
    if last.status in _OUTCOMES:
        return _OUTCOMES[last.status], last.reason
    if any(finding.level == "block" for finding in last.findings):
        return FixOutcome.GUARD_REJECTED, last.reason
    if "budget" in last.reason:
        return FixOutcome.BUDGET, last.reason
    if _is_stuck([one for one in work.record.attempts if one.fixer == last.fixer]):
        return FixOutcome.STUCK, f"two attempts came to the same failure: {last.reason}"
    return FixOutcome.NOT_FIXED, last.reason


def lose(work: Work, reason: str, *, signature: str = "", status: FixStatus | None = None) -> None:
    """Write the attempt off, with what later ones can learn from it."""
    *earlier, last = work.record.attempts
    last = replace(
        last,
        status=status or last.status or FixStatus.ERROR,
        reason=reason,
        signature=signature,
        findings=work.record.findings,
        seconds=time.time() - last.started_at,
    )
    work.tell(f"{last.fixer}: {reason}")
    work.advance(FixState.PLANNED, reason, attempts=(*earlier, last), candidate=None, findings=())


def attempt(work: Work) -> None:
    """Let the chosen fixer work, and keep what it made as a candidate; or write the attempt off."""
    fixer = next((one for one in work.fixers if one.name == work.record.fixer), None)
    if fixer is None:
        lose(work, "it is not configured any more")
        return
    known = find_known(work, fixer)
    if known is not None:
        _take_over(work, fixer, known)
        return
    with _worktree(work) as (worktree, commit):
        desk = Desk(work, fixer, worktree, commit)
        work.advance(FixState.APPLYING)
        seals = _seals(work, worktree)
        feedback = None
        for is_last in (False, True):
            result = _without_secrets(work, _ask(work, desk.request(_previous(work), feedback=feedback), fixer))
            broken = seals.broken()
            if broken:
                _keep(work, result, None, ())
                _stop_tampering(work, broken)
                return
            candidate, findings = _look(work, desk, result)
            _keep(work, result, candidate, findings)
            if result.status is not FixStatus.CHANGED or candidate is None:
                lose(work, result.reason or result.summary or str(result.status), status=result.status)
                return
            blocked = blocks(findings)
            if not blocked:
                break
            if is_last or not fixer.is_ai:
                lose(work, f"{blocked[0].rule}: {blocked[0].text}")
                return
            feedback = "\n".join(f"{one.rule}: {one.text} ({one.file}:{one.line})" for one in blocked)
        work.advance(FixState.GUARDED)


def _take_over(work: Work, fixer: OpenFixer, known: FixRecord) -> None:
    """Make the patch of an earlier fix the candidate of this one: guards and verification begin anew."""
    assert known.candidate is not None and known.result is not None
    text = f"{fixer.name} has repaired the same failure of the same files in fix {known.id}: it is not asked again"
    work.tell(text)
    work.advance(FixState.APPLYING, text)
    candidate = replace(known.candidate, base=work.record.base)
    author = FixUsage(model=known.usage.model, endpoint=known.usage.endpoint)
    _keep(work, replace(known.result, usage=author), candidate, judge(work, candidate, fixer))
    work.note(usage=add_usage(work.record.usage, author))
    work.advance(FixState.GUARDED)


def _seals(work: Work, worktree: Path) -> Seals:
    from cicdctl.process import probe_sandbox

    is_shut_off = work.settings.sandbox != "off" and probe_sandbox().bwrap
    return Seals(work.project, worktree, is_shut_off=bool(is_shut_off))


def _stop_tampering(work: Work, broken: Sequence[str]) -> None:
    """Write the attempt off; when the user's own repository was changed, that is the end, and people are told."""
    text = f"{', '.join(broken)} changed while {work.record.fixer} worked"
    finding = GuardFinding(rule="tampering", level="block", text=text[:200])
    work.note(findings=(finding,))
    lose(work, f"tampering: {text}", status=FixStatus.ERROR)
    if any(name.startswith(".git/") for name in broken):
        work.end(FixOutcome.GUARD_REJECTED, f"{text}: look at it before you use git here, unless it was you")


def _ask(work: Work, request: FixRequest, fixer: OpenFixer) -> FixResult:
    """Run the fixer in a thread of its own; what it raises, or that it hangs, is an answer too."""
    answers: list[FixResult] = []

    def run() -> None:
        try:
            answer = fixer.fixer.fix(request)
            if not isinstance(answer, FixResult):
                answer = FixResult(
                    status=FixStatus.ERROR, reason=f"fixer {fixer.name} answered {type(answer).__name__}"
                )
            answers.append(answer)
        except Exception as error:  # a plugin may raise anything: the next fixer is asked
            answers.append(FixResult(status=FixStatus.ERROR, reason=f"fixer {fixer.name} failed: {error!r}"))

    thread = threading.Thread(target=run, name=f"fixer-{fixer.name}", daemon=True)
    thread.start()
    while thread.is_alive() and time.monotonic() < request.deadline + GRACE_S:
        thread.join(0.1)
        if work.cancelled() and not answers:
            thread.join(GRACE_S)
            break
    if not answers:
        return FixResult(status=FixStatus.ERROR, reason=f"fixer {fixer.name} did not end in time")
    return answers[0]


def _without_secrets(work: Work, result: FixResult) -> FixResult:
    """Hide what no text of a fixer may carry into a commit, a notice or the journal, whoever the fixer is."""
    names = ("summary", "root_cause", "suggestion", "reason")
    return replace(result, **{name: work.redactor.text(visible(getattr(result, name))) for name in names})


def _look(work: Work, desk: Desk, result: FixResult) -> tuple[Candidate | None, tuple[GuardFinding, ...]]:
    if result.status is not FixStatus.CHANGED:
        return None, ()
    candidate = build_candidate(
        work.project.repository,
        base=work.record.base,
        base_tree=work.record.base_tree,
        worktree=desk.worktree,
        paths=tuple(result.changed),
    )
    if not candidate.files and not candidate.refused:
        return None, ()
    return candidate, judge(work, candidate, desk.fixer)


def _keep(work: Work, result: FixResult, candidate: Candidate | None, findings: tuple[GuardFinding, ...]) -> None:
    diff = candidate_diff(work.project.repository, candidate) if candidate else ""
    redact = work.redactor.text
    *earlier, last = work.record.attempts
    save_attempt(work.project.fixes, work.record.id, last.number, result, redact(diff))
    last = replace(last, status=result.status, reason=result.reason, findings=findings, usage=result.usage)
    light = replace(result, transcript=())
    work.note(candidate=candidate, findings=findings, result=light, attempts=(*earlier, last))


def _previous(work: Work) -> tuple[PreviousAttempt, ...]:
    return tuple(
        PreviousAttempt(
            fixer=one.fixer,
            diff=attempt_diff(work.project.fixes, work.record.id, one.number),
            signature=one.signature,
            reason=one.reason,
        )
        for one in work.record.attempts[:-1]
    )


@contextmanager
def _worktree(work: Work) -> Iterator[tuple[Path, str]]:
    """Lend a clean worktree at the base, with the command patches that are accepted; and the commit it is at."""
    commit, tree = work.start_point()
    trust = "untrusted"  # whatever a model leaves in it meets no trusted run
    with work.project.open_pool(capacity=1) as pool:
        slot = pool.acquire(commit, tree, trust=trust, own=work.isolates)
        try:
            yield slot.path, commit
        except BaseException:
            slot.release(reusable=False)
            raise
        # Git runs nowhere in it again, and it is never handed on: a fixer may have left anything.
        slot.release(reusable=False)


__all__ = ["attempt", "choose_fixer", "lose"]
