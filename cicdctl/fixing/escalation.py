"""Tells people when a failure is theirs: once for each failure within six hours."""

from __future__ import annotations

import time

from cicdctl.fixing.defang import defang_line
from cicdctl.fixing.work import Work
from cicdctl.model.fix_record import FixOutcome

QUIET_S = 6 * 3600.0
TAIL_LINES = 20

_FOR_PEOPLE = frozenset(
    {
        FixOutcome.NOT_FIXED,
        FixOutcome.GAVE_UP,
        FixOutcome.REFUSED,
        FixOutcome.BUDGET,
        FixOutcome.GUARD_REJECTED,
        FixOutcome.STUCK,
        FixOutcome.UNAVAILABLE,
        FixOutcome.INFRA,
        FixOutcome.CONFIG,
    }
)


def escalate(work: Work) -> None:
    """Write the notice of a fix that came to nothing, unless the same failure was told of lately."""
    record = work.record
    if record.outcome not in _FOR_PEOPLE or (not record.attempts and record.outcome is FixOutcome.UNAVAILABLE):
        return
    since = time.time() - QUIET_S
    for other in work.project.fixes.alike(record.signature, since):
        if other.id != record.id and other.ref == record.ref and other.outcome in _FOR_PEOPLE:
            return
    work.project.state.tell(work.summary.run, "escalated", notice_of(work))


def notice_of(work: Work) -> str:
    """Return what a person needs to take over: outcome, diagnosis, what was tried, the end of the log."""
    record, bundle = work.record, work.bundle
    lines = [
        f"{record.stage}: {record.outcome}: {record.reason}",
        f"failure {record.signature[:12]}, {record.category}",
    ]
    for one in bundle.diagnostics[:3]:
        place = f"{one.file}:{one.line}: " if one.file else ""
        lines.append(f"{place}{one.message}")
    lines += [f"tried {one.fixer}: {one.reason or one.status}" for one in record.attempts]
    suggestion = record.result.suggestion if record.result else ""
    if suggestion:
        lines.append(f"suggested: {defang_line(suggestion, 200)}")
    lines += bundle.excerpt.splitlines()[-TAIL_LINES:]
    return "\n".join(lines)
