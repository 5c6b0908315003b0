"""Tells of fixes: what was offered, on which grounds, what was not checked, and how to take it or leave it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cicdctl.errors import UsageError
from cicdctl.fixing.candidate import candidate_diff
from cicdctl.fixing.decisions import ProofCheck
from cicdctl.fixing.forecast import Forecast
from cicdctl.fixing.judging import waiting
from cicdctl.fixing.offer import subject_of
from cicdctl.model.fix_record import FixAttempt, FixOutcome, FixRecord
from cicdctl.model.fixing import Verification
from cicdctl.project import Project
from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_document, print_lines, print_table, say_aside
from cicdctl.reports.text import clean_line, quoted
from cicdctl.units import count, format_duration

_STATUS = {
    FixOutcome.FIXED: 0,
    FixOutcome.WAITING_FOR_APPROVAL: 6,
    FixOutcome.FLAKY: 4,
    FixOutcome.INFRA: 4,
    FixOutcome.CONFIG: 4,
    FixOutcome.PRE_EXISTING: 4,
    FixOutcome.SKIPPED: 4,
    FixOutcome.UNAVAILABLE: 4,
    FixOutcome.CANCELLED: 5,
    FixOutcome.SUPERSEDED: 5,
    FixOutcome.INTERRUPTED: 5,
    FixOutcome.ERROR: 3,
}
_WORDS = {
    FixOutcome.NOT_FIXED: "not fixed",
    FixOutcome.GAVE_UP: "gave up",
    FixOutcome.GUARD_REJECTED: "rejected by a guard",
    FixOutcome.BUDGET: "the budget is used up",
    FixOutcome.UNAVAILABLE: "nothing to repair it with",
    FixOutcome.PRE_EXISTING: "not of this change",
    FixOutcome.WAITING_FOR_APPROVAL: "waits for an approval",
}


def tell_progress(text: str) -> None:
    """Show one line of a fix as it goes on."""
    say_aside(f"  fix: {clean_line(text.replace(chr(10), ' '))}")


def fix_status(record: FixRecord) -> int:
    """0 fixed; 1 not fixed; 3 failed; 4 not attempted; 5 cancelled; 6 waits for an approval."""
    return 1 if record.outcome is None else _STATUS.get(record.outcome, 1)


def print_fix(project: Project, record: FixRecord, *, json: bool = False) -> int:
    """Print what became of a fix. Returns its exit status."""
    if json:
        print_document("fix", fix_document(record))
    else:
        print_lines(ending_lines(record))
    return fix_status(record)


def ending_lines(record: FixRecord) -> list[str]:
    """The offer with its evidence, or the reason why there is none."""
    run = record.run
    if record.commit is None or record.branch is None or record.candidate is None:
        words = _WORDS.get(record.outcome, str(record.outcome)) if record.outcome else f"goes on ({record.state})"
        if record.outcome is FixOutcome.UNAVAILABLE and record.attempts:
            words = "cannot be asked for now, --again tries once more"
        found = [f"no fix of {quoted(record.stage)}: {words}" + (f": {quoted(record.reason)}" if record.reason else "")]
        suggestion = record.result.suggestion if record.result else ""
        if suggestion:
            found.append(f"  Suggested    {quoted(suggestion)}")
        return [*found, f"  cicdctl fix explain {run} shows the diagnosis; cicdctl fix show {record.id} what was tried"]
    candidate = record.candidate
    files = count(len(candidate.files), "file")
    branch = record.branch.removeprefix("refs/heads/")
    lines = [f"fix ready  {branch}   {files}, +{candidate.added} -{candidate.deleted}   {cost_words(record)}"]
    root_cause = record.result.root_cause if record.result else ""
    lines.append(f"  Root cause   {quoted(root_cause)}" if root_cause else f"  Fixed by     {quoted(record.fixer)}")
    if record.verification is not None:
        lines.append(f"  Checked      {checked_words(record.verification)}")
        left_out = [f"{quoted(one.stage)} ({quoted(one.reason)})" for one in record.verification.not_run]
        if left_out:
            lines.append(f"  Not checked  {', '.join(left_out)}")
    lines += [f"  Waits        {one.rule}: {quoted(one.text)}" for one in waiting(record.findings)]
    held = bool(waiting(record.findings))
    last = f"fix approve {run} --finding {waiting(record.findings)[0].rule}" if held else f"fix apply {run}"
    lines.append(f"  cicdctl fix show {run} · fix diff {run} · {last} · fix reject {run}")
    return lines


def cost_words(record: FixRecord) -> str:
    """`estimated $0.21, 41 s`."""
    seconds = (record.finished_at or time.time()) - record.created_at
    money = f"estimated ${record.usage.cost_usd:.2f}, " if record.usage.model else ""
    return f"{money}{format_duration(seconds)}"


def checked_words(verification: Verification) -> str:
    """What was seen, in one line."""
    scope = "whole pipeline" if verification.scope == "full" else "the failing stage alone"
    words = [f"{scope} in a clean checkout"]
    if verification.integrity == "ok":
        words.append(f"same {verification.after.counts.get('executed', 0)} tests")
    elif verification.integrity == "unknown":
        told = verification.after.counts.get("executed")
        words.append("tests not counted" if told is None else f"{told} tests by what the logs say")
    words.append(
        {"reproduced": "fails without it", "skipped": "not tried without it"}.get(verification.flip, verification.flip)
    )
    if verification.repeats > 1:
        words.append(f"passed {verification.repeats} times")
    words += [verification.sandbox if verification.sandbox != "none" else "no sandbox"]
    words += ["with network" if verification.network else "no network"]
    return ", ".join(words)


def print_fixes(records: Sequence[FixRecord], *, json: bool) -> int:
    """List fixes, newest first. Returns exit status 0."""
    if json:
        print_document("fixes", {"fixes": [fix_document(record) for record in records]})
        return 0
    if not records:
        say_aside("no fixes yet; cicdctl fix RUN begins one")
        return 0
    rows = [
        [
            quoted(record.id),
            str(record.outcome or record.state),
            quoted(record.fixer or "-"),
            f"${record.usage.cost_usd:.2f}" if record.usage.model else "-",
            quoted((record.branch or "").removeprefix("refs/heads/") or record.reason, limit=70),
        ]
        for record in records
    ]
    print_table(rows, header=["fix", "outcome", "fixer", "cost", "branch or reason"])
    return 0


def print_shown(project: Project, record: FixRecord, *, json: bool) -> int:
    """Print everything of one fix: times, attempts, findings, evidence. Returns exit status 0."""
    if json:
        print_document("fix", fix_story(project, record))
        return 0
    events = project.fixes.events(record.id)
    lines = [f"fix {quoted(record.id)}  {record.outcome or record.state}  {cost_words(record)}"]
    lines.append(f"  failure      {record.signature[:12]}  {record.category}  run #{record.run}, {record.base[:10]}")
    for attempt in record.attempts:
        lines += _attempt_lines(attempt)
    if record.commit is not None:
        lines += [
            f"  commit       {record.commit[:10]}  {quoted(subject_of(record))}",
            f"  proof        {record.proof}",
        ]
    if record.applied_to is not None:
        lines.append(f"  applied to   {quoted(record.applied_to)}")
    if record.rejection is not None:
        lines.append(f"  rejected     {quoted(record.rejection) or 'no reason given'}")
    lines.append("")
    lines += ending_lines(record)
    lines.append("")
    start = events[0].at if events else record.created_at
    lines += [
        f"  {event.at - start:7.1f}s  {event.kind:<12} {quoted(event.text, limit=140)}".rstrip() for event in events
    ]
    print_lines(lines)
    return 0


def _attempt_lines(attempt: FixAttempt) -> list[str]:
    usage = attempt.usage
    cost = (
        f"  ${usage.cost_usd:.3f}, {count(usage.turns, 'turn')}, {count(usage.checks, 'check')}" if usage.model else ""
    )
    status = attempt.status or "goes on"
    lines = [
        f"  attempt {attempt.number}    {quoted(attempt.fixer)}: {status}{cost}  {quoted(attempt.reason)}".rstrip()
    ]
    for one in attempt.findings:
        place = f" ({quoted(one.file)}:{one.line})" if one.file else ""
        lines.append(f"    {one.level:<14} {one.rule}: {quoted(one.text)}{place}")
    return lines


def print_diff(project: Project, record: FixRecord) -> int:
    """Print the patch as git would. Returns exit status 0, or 1 when there is none."""
    if record.candidate is None:
        say_aside(f"fix {record.id} has no patch: {record.reason or record.state}")
        return 1
    diff = candidate_diff(project.repository, record.candidate)
    if sys.stdout.isatty():
        print_lines([clean_line(line) for line in diff.splitlines()])
    else:
        sys.stdout.buffer.write(diff.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
    return 0


def print_log(project: Project, record: FixRecord, *, transcript: bool) -> int:
    """Print what happened, or with `transcript` what was said to and by a model. Returns exit status 0."""
    if not transcript:
        for event in project.fixes.events(record.id):
            at = time.strftime("%H:%M:%S", time.localtime(event.at))
            print_lines([f"{at}  {event.kind:<12} {quoted(event.text, limit=300)}".rstrip()])
        return 0
    found = False
    for attempt in record.attempts:
        text = project.fixes.document(record.id, f"attempt/{attempt.number}/transcript")
        if text:
            found = True
            print_lines([clean_line(line) for line in text.splitlines()])
    if not found:
        say_aside(f"fix {record.id} has no transcript: no model was asked, or none is kept (fixers.claude.transcript)")
    return 0


def print_patch(project: Project, record: FixRecord, path: Path) -> int:
    """Write the patch to a file that does not exist yet. Returns exit status 0, or 1 when there is no patch."""
    if record.candidate is None:
        say_aside(f"fix {record.id} has no patch: {record.reason or record.state}")
        return 1
    diff = candidate_diff(project.repository, record.candidate)
    try:
        with path.open("xb") as file:
            file.write(diff.encode("utf-8", "surrogateescape"))
    except FileExistsError as error:
        raise UsageError(f'"{path}" exists', hint="name another file, or - for stdout") from error
    except OSError as error:
        raise UsageError(f'"{path}" cannot be written: {error.strerror}') from error
    say_aside(f"git apply {path} applies it")
    return 0


def print_forecast(forecast: Forecast, *, json: bool) -> int:
    """Print what a fix would do. Returns exit status 0, or 4 when it would not be attempted."""
    bundle = forecast.bundle
    able = [one for one in forecast.asked if one[2].answer != "no"]
    if json:
        asked = [{"fixer": name, "kind": kind, **every_field(answer)} for name, kind, answer in forecast.asked]
        body = {"stage": bundle.stage, "category": bundle.category, "signature": bundle.signature}
        print_document("fix_forecast", {**body, "refusal": forecast.refusal, "asked": asked})
    else:
        lines = [
            f"{quoted(bundle.stage)} of run #{bundle.run}: {bundle.category}  {quoted(bundle.category_reason)}".rstrip()
        ]
        if forecast.refusal is not None:
            lines.append(f"  nothing would be done: {quoted(forecast.refusal)}")
        for name, kind, answer in forecast.asked:
            lines.append(f"  {quoted(name)} ({kind}): {answer.answer}  {quoted(answer.reason)}".rstrip())
        if not forecast.asked:
            lines.append("  no fixer is configured, and none is recognised here")
        print_lines(lines)
    return 0 if able and forecast.refusal is None else 4


def print_applied(record: FixRecord) -> int:
    """Say where a fix went. Returns exit status 0."""
    where = (record.applied_to or "files").partition(" ")[0].removeprefix("refs/heads/")
    print_lines([f"fix {record.id} is applied to {quoted(where)}"])
    say_aside(f"cicdctl fix undo {record.id} takes it back")
    return 0


def print_undone(record: FixRecord) -> int:
    """Say that everything is as before. Returns exit status 0."""
    print_lines([f"fix {record.id} is taken back"])
    return 0


def print_decided(record: FixRecord, what: str) -> int:
    """Say what was decided. Returns exit status 0."""
    print_lines([f"fix {record.id} is {what}"])
    held = waiting(record.findings)
    if record.outcome is FixOutcome.WAITING_FOR_APPROVAL and held:
        say_aside(f"{held[0].rule} still waits: {held[0].text}")
    return 0


def print_proof(record: FixRecord, checks: Sequence[ProofCheck], *, json: bool) -> int:
    """Print which claims of a proof hold. Returns 0 when all do, else 1."""
    if json:
        print_document("proof", {"fix": record.id, "checks": [every_field(check) for check in checks]})
    else:
        for check in checks:
            note = f"  ({check.detail})" if check.detail else ""
            print_lines([f"{'holds' if check.holds else 'FAILS'}  {check.claim}{note}"])
    return 0 if all(check.holds for check in checks) else 1


def fix_story(project: Project, record: FixRecord) -> dict[str, Any]:
    """A fix with what happened to it and what it has cost."""
    document = fix_document(record)
    document["events"] = [every_field(event) for event in project.fixes.events(record.id)]
    document["spent_usd"] = round(project.fixes.spent(record.id), 6)
    return document


def fix_document(record: FixRecord) -> dict[str, Any]:
    """A fix, every field present; sets of test ids are lists."""
    document: dict[str, Any] = msgspec.to_builtins(every_field(record))
    return document
