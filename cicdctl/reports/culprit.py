"""Tells what a search for a culprit came to: the commit, what it touched, how it fails and how to see that again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cicdctl.git import Commit
from cicdctl.project import Project
from cicdctl.reports.by_hand import run_command, shell_word
from cicdctl.reports.document import run_document
from cicdctl.reports.output import print_document, print_lines, say_aside
from cicdctl.reports.plain import failure_block
from cicdctl.reports.text import quoted
from cicdctl.runner.bisect import Answer, BisectRequest, Ending, Outcome, PathChange
from cicdctl.units import count, format_duration

MOST_PATHS = 12
STATUS = {Ending.FOUND: 0, Ending.NARROWED: 1}  # the others: what was asked for cannot be asked


def print_outcome(project: Project, outcome: Outcome, *, json: bool) -> int:
    """Print the end of a search. Returns 0 when one commit is named, 1 for several, 2 when an end is not as said."""
    if json:
        print_document("bisect", outcome_document(outcome, project.state_folder))
    elif outcome.wrong is not None:
        print_lines(_failure(outcome, project.state_folder))
        message, hint = wrong_words(outcome)
        say_aside(f"error: {message}")
        say_aside(f"hint: {hint}")
    else:
        print_lines(["", *culprit_lines(outcome), *_failure(outcome, project.state_folder), cost_line(outcome)])
    return STATUS.get(outcome.ending, 2)


def culprit_lines(outcome: Outcome) -> list[str]:
    """The culprit with author, subject and paths; or all that it may be."""
    *others, commit = outcome.culprits
    if others:
        reasons = {tried.commit.oid: tried.reason for tried in outcome.tried if tried.answer is Answer.SKIPPED}
        found = [f"one of these {len(outcome.culprits)} is the first bad commit; all but the last cannot be judged:"]
        for one in outcome.culprits:
            why = f"  ({quoted(reasons[one.oid], limit=80)})" if one.oid in reasons else ""
            found.append(f"  {one.oid[:10]}  {_subject(one)}{why}")
        return found
    date = time.strftime("%Y-%m-%d %H:%M", time.gmtime(commit.time))
    merge = merge_words(outcome.request, commit) if len(commit.parents) > 1 else ""
    return [
        f"{commit.oid} is the first bad commit{merge}",
        f"  author   {quoted(commit.author_name)} <{quoted(commit.author_email)}>  {date} UTC",
        f"  subject  {_subject(commit)}",
        *path_lines(outcome.paths),
    ]


def merge_words(request: BisectRequest, commit: Commit) -> str:
    """What it means that the culprit is a merge."""
    if not request.first_parent:
        return "  a merge: each side is good by itself"
    span = f"{commit.oid[:10]}^..{commit.oid[:10]}"
    return (
        f"  a merge; what it brought: cicdctl bisect {shell_word(request.pipeline)} {shell_word(request.stage)} {span}"
    )


def path_lines(paths: Sequence[PathChange]) -> list[str]:
    """`M  src/a.py  +3 -1` for the first dozen."""
    shown = paths[:MOST_PATHS]
    width = max((len(quoted(change.path)) for change in shown), default=0)
    found = []
    for change in shown:
        lines = "" if change.added is None else f"  +{change.added} -{change.removed}"
        found.append(f"  {change.how}  {quoted(change.path):<{width}}{lines}".rstrip())
    more = len(paths) - len(shown)
    return [*found, f"  and {count(more, 'more path')}"] if more else found


def wrong_words(outcome: Outcome) -> tuple[str, str]:
    """What is wrong with the ends that were named, and what to do next."""
    wrong, request = outcome.wrong, outcome.request
    assert wrong is not None
    name = f"{wrong.commit.oid[:10]} ({_subject(wrong.commit)})"
    stage = quoted(request.stage)
    if outcome.ending is Ending.CANNOT_JUDGE:
        return f"{name} cannot be judged: {quoted(wrong.reason)}", "name another commit in its place"
    if outcome.ending is Ending.BAD_IS_GOOD:
        if wrong.is_free:
            return f'{name} is not bad: "{stage}" passed in #{wrong.run}', "--no-cache runs it anew"
        return f'{name} is not bad: "{stage}" passed in #{wrong.run}', "name a commit where it fails: GOOD..BAD"
    if wrong.commit.oid == outcome.span.good.oid:
        return f'{name} is not good: "{stage}" failed in #{wrong.run}', "name an older commit: GOOD..BAD"
    return (
        f'{name}, where the two histories part, is bad already: "{stage}" failed in #{wrong.run}',
        "what was named as good has a repair that the other lacks; name a good commit before this one",
    )


def cost_line(outcome: Outcome) -> str:
    """`8 runs for 40 commits in 32s`, with the flips."""
    free = sum(tried.is_free and tried.answer is Answer.GOOD for tried in outcome.tried)
    flaky = sum(bool(tried.failed_in) and tried.answer is Answer.GOOD for tried in outcome.tried)
    notes = [f"{count(len(outcome.span.parents), 'commit')} in {format_duration(outcome.seconds)}"]
    notes.append(count(outcome.runs, "run"))
    notes += [f"{free} known before"] * bool(free) + [f"{flaky} flaky"] * bool(flaky)
    return ", ".join(notes)


def repeat_line(request: BisectRequest, commit: Commit) -> str:
    """The command that runs the stage on the culprit again."""
    return run_command(request.pipeline, commit.oid[:10], stages=(request.stage,), params=request.params)


def outcome_document(outcome: Outcome, state_folder: Path) -> dict[str, Any]:
    """The whole outcome; `tried` is in the order of the answers."""
    request, span = outcome.request, outcome.span
    wrong = wrong_words(outcome)[0] if outcome.wrong is not None else None
    culprit = outcome.culprits[0] if outcome.ending is Ending.FOUND else None
    return {
        "ending": outcome.ending.value,
        "pipeline": request.pipeline,
        "stage": request.stage,
        "good": span.good.oid,
        "good_run": span.good_run,
        "bad": span.bad.oid,
        "commits": len(span.parents),
        "problem": wrong,
        "culprit": _commit_fields(culprit) if culprit else None,
        "candidates": [_commit_fields(commit) for commit in outcome.culprits],
        "paths": [
            {
                "path": quoted(change.path, limit=5000),
                "how": change.how,
                "added": change.added,
                "removed": change.removed,
            }
            for change in outcome.paths
        ],
        "failure": run_document(outcome.failure) if outcome.failure else None,
        "logs": [
            str(state_folder / result.log)
            for result in (outcome.failure.stages if outcome.failure else ())
            if result.log
        ],
        "again": repeat_line(request, culprit) if culprit else None,
        "tried": [
            {
                "commit": tried.commit.oid,
                "answer": tried.answer.value,
                "run": tried.run,
                "cached": tried.is_free,
                "reason": tried.reason,
                "seconds": round(tried.seconds, 3),
                "failed_in": list(tried.failed_in),
            }
            for tried in outcome.tried
        ],
        "runs": outcome.runs,
        "seconds": round(outcome.seconds, 3),
    }


def _failure(outcome: Outcome, state_folder: Path) -> list[str]:
    if outcome.failure is None:
        return []
    *block, _ = failure_block(outcome.failure, state_folder) or [""]
    again = [f"         {repeat_line(outcome.request, outcome.culprits[-1])}"] if outcome.culprits else []
    return [*block, *again, ""]


def _commit_fields(commit: Commit) -> dict[str, Any]:
    return {
        "commit": commit.oid,
        "author": f"{commit.author_name} <{commit.author_email}>",
        "subject": commit.message.split("\n", 1)[0],
        "time": commit.time,
        "parents": list(commit.parents),
    }


def _subject(commit: Commit) -> str:
    return quoted(commit.message.split("\n", 1)[0], limit=60)
