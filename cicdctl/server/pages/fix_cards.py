"""Fixes of a run: what is offered, on which grounds, and how to take it or leave it."""

from __future__ import annotations

from cicdctl.errors import CicdError
from cicdctl.fixing.candidate import candidate_diff
from cicdctl.fixing.judging import waiting
from cicdctl.model import Value
from cicdctl.model.fix_record import FixOutcome, FixRecord
from cicdctl.model.fixing import GuardFinding
from cicdctl.project import Project
from cicdctl.reports.by_hand import shell_word
from cicdctl.reports.fixes import checked_words, cost_words
from cicdctl.reports.text import clean_line, quoted

_MOST_LINES = 1200
_MOST_CHARS = 500
_GOOD = (FixOutcome.FIXED,)
_OPEN = (FixOutcome.WAITING_FOR_APPROVAL,)


class FixCard(Value, frozen=True, kw_only=True):
    """One fix. `diff` are its lines with the class of each; `waiting` the findings that a person has to approve."""

    record: FixRecord
    look: str
    icon: str
    says: str
    branch: str
    cost: str
    checked: str
    diff: tuple[tuple[str, str], ...]
    is_cut: bool
    waiting: tuple[GuardFinding, ...]
    apply: str
    may_reject: bool


def fix_cards(project: Project, run: int) -> tuple[FixCard, ...]:
    """Return the fixes of a run, the newest first."""
    return tuple(_card(project, record) for record in project.fixes.of_run(run))


def _card(project: Project, record: FixRecord) -> FixCard:
    diff = _diff(project, record)
    held = waiting(record.findings)
    is_offered = record.commit is not None and record.rejection is None and not held
    may_apply = is_offered and record.applied_to is None and record.outcome is FixOutcome.FIXED
    return FixCard(
        record=record,
        **_stands(record),
        branch=(record.branch or "").removeprefix("refs/heads/"),
        cost=cost_words(record),
        checked=checked_words(record.verification) if record.verification is not None else "",
        diff=tuple(diff[:_MOST_LINES]),
        is_cut=len(diff) > _MOST_LINES,
        waiting=held,
        apply=f"cicdctl fix apply {quoted(shell_word(record.id))}" if may_apply else "",
        may_reject=record.outcome in (*_GOOD, *_OPEN) and record.rejection is None and record.undo_ref is None,
    )


def _stands(record: FixRecord) -> dict[str, str]:
    if record.outcome is None:
        return {"look": "live", "icon": "spin", "says": record.state.value.replace("_", " ")}
    if record.rejection is not None:
        return {"look": "off", "icon": "stop", "says": "rejected"}
    if record.applied_to is not None:
        return {"look": "ok", "icon": "check", "says": "applied"}
    says = record.outcome.value.replace("_", " ")
    if record.outcome in _GOOD:
        return {"look": "ok", "icon": "check", "says": says}
    return (
        {"look": "ask", "icon": "hand", "says": says}
        if record.outcome in _OPEN
        else {
            "look": "off",
            "icon": "dash",
            "says": says,
        }
    )


def _diff(project: Project, record: FixRecord) -> list[tuple[str, str]]:
    if record.candidate is None:
        return []
    try:
        # The project's own is for one thread only.
        with project.repository.reopen() as repository:
            text = candidate_diff(repository, record.candidate)
    except CicdError as error:
        return [("head", f"the patch cannot be read: {error.message}")]
    lines = [line for line in text.removesuffix("\n").split("\n") if not line.startswith("index ")]
    return [(_kind(line), _shown(line)) for line in lines[: _MOST_LINES + 1]]


def _shown(line: str) -> str:
    text = clean_line(line.encode("utf-8", "surrogateescape"))
    return text if len(text) <= _MOST_CHARS else text[:_MOST_CHARS] + "…"


def _kind(line: str) -> str:
    if line.startswith(("diff ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new mode")):
        return "head"
    return {"+": "plus", "-": "minus", "@": "hunk"}.get(line[:1], "")
