"""What a fixer is given in one attempt: where it may write, what it may spend, and a way to try what it made."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import CicdError
from cicdctl.fixing.bundle import capture_failure, read_log
from cicdctl.fixing.candidate import build_candidate
from cicdctl.fixing.capture import distil
from cicdctl.fixing.paths import PathRules
from cicdctl.fixing.work import OpenFixer, Work, stage_of
from cicdctl.model import Verdict
from cicdctl.model.fixing import CheckOutcome, FixRequest, FixUsage, PreviousAttempt

CHECK_HEAD_CHARS, CHECK_TAIL_CHARS = 2_000, 6_000


class Desk:
    """One attempt's place to work. Used from the fixer's thread."""

    def __init__(self, work: Work, fixer: OpenFixer, worktree: Path, commit: str) -> None:
        self.worktree = worktree
        self.fixer = fixer
        self.written: set[str] = set()
        self.checks = 0
        self._work = work
        self._commit = commit
        self._bookings: list[int] = []
        self._deadline = float("inf")
        self._rules = PathRules(
            worktree, protected=work.settings.protected_paths, allowed=work.settings.allow_paths, scripts=work.scripts
        )

    def request(self, previous: tuple[PreviousAttempt, ...], *, feedback: str | None) -> FixRequest:
        """Return what the fixer is asked."""
        work, settings = self._work, self.fixer.settings
        limit_s = settings.timeout_s or work.settings.timeout_s
        self._deadline = min(work.deadline, time.monotonic() + limit_s)
        return FixRequest(
            bundle=work.bundle,
            worktree=self.worktree,
            attempt=sum(1 for one in work.record.attempts if one.fixer == self.fixer.name),
            max_attempts=work.max_attempts if self.fixer.is_ai else 1,
            deadline=self._deadline,
            budget=self.fixer.budget,
            check=self.check,
            report=work.tell,
            cancelled=work.cancelled,
            may_write=self.may_write,
            reserve=self.reserve,
            settle=self.settle,
            log=self._log,
            redact=work.redactor.text,
            distil=lambda output: distil(output, work.redactor, limit=CHECK_HEAD_CHARS + CHECK_TAIL_CHARS),
            allowed_paths=settings.paths,
            feedback=feedback,
            previous=previous,
        )

    def may_write(self, path: str) -> None:
        """Raise EditRefused for a path that guards protect; one that may be written is part of the candidate."""
        self._rules.may_write(path)
        self.written.add(path)

    def check(self) -> CheckOutcome:
        """Run the failing stage on the files as they are now, as a run of its own."""
        work, record = self._work, self._work.record
        self.checks += 1
        candidate = build_candidate(
            work.project.repository,
            base=record.base,
            base_tree=record.base_tree,
            worktree=self.worktree,
            paths=tuple(sorted(self.written)),
        )
        commit = work.commit_of(candidate.tree)
        purpose = f"check/{len(record.attempts)}/{self.checks}"
        try:
            summary = work.run_stages(
                purpose,
                commit,
                stages=(record.stage,),
                confined=self.fixer.is_ai,
                may_reuse=True,
                # Nobody waits for a check of an attempt that is over, and the next one is not run beside it.
                deadline=self._deadline,
            )
        except CicdError as error:
            return CheckOutcome(passed=False, text=work.redactor.text(f"the check could not run: {error.message}"))
        result = stage_of(summary, record.stage)
        if result is None or result.verdict is Verdict.CANCELLED:
            return CheckOutcome(passed=False, text="check_timeout: it did not end in time", run=summary.run.number)
        if result.verdict.is_green:
            passed = result.verdict is Verdict.PASSED
            text = f"passed in {result.seconds:.1f} s" if passed else f"skipped: {result.reason}"
            return CheckOutcome(passed=passed, text=text, run=summary.run.number)
        bundle = capture_failure(work.project, summary, result)
        return CheckOutcome(passed=False, text=_shorten(bundle.excerpt), run=summary.run.number)

    def reserve(self, usd: float) -> bool:
        """Book what the next call may cost, in the journal, so that no two processes spend the same money."""
        budget = self.fixer.budget
        booked = self._work.project.fixes.reserve(
            self._work.record.id, usd, fix_limit=budget.cost_usd, day_limit=budget.day_usd
        )
        if booked is not None:
            self._bookings.append(booked)
        return booked is not None

    def settle(self, reserved: float, usage: FixUsage) -> None:
        """Replace the last booking by what the call has cost."""
        if self._bookings:
            self._work.project.fixes.settle(self._bookings.pop(), usage.cost_usd)
        self._work.note(usage=add_usage(self._work.record.usage, usage))

    def _log(self, stage: str) -> str | None:
        return read_log(self._work.project, self._work.summary, stage, self._work.redactor)


def add_usage(total: FixUsage, more: FixUsage) -> FixUsage:
    """Return the sum; model and endpoint are the latest."""
    return replace(
        total,
        turns=total.turns + more.turns,
        checks=total.checks + more.checks,
        input_tokens=total.input_tokens + more.input_tokens,
        output_tokens=total.output_tokens + more.output_tokens,
        cache_read_tokens=total.cache_read_tokens + more.cache_read_tokens,
        cache_write_tokens=total.cache_write_tokens + more.cache_write_tokens,
        cost_usd=total.cost_usd + more.cost_usd,
        model=more.model or total.model,
        endpoint=more.endpoint or total.endpoint,
        request_ids=(*total.request_ids, *more.request_ids)[-200:],
    )


def _shorten(text: str) -> str:
    if len(text) <= CHECK_HEAD_CHARS + CHECK_TAIL_CHARS:
        return text
    dropped = len(text) - CHECK_HEAD_CHARS - CHECK_TAIL_CHARS
    return f"{text[:CHECK_HEAD_CHARS]}\n[… {dropped} characters left out …]\n{text[-CHECK_TAIL_CHARS:]}"
