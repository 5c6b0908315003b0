"""Makes the notice of a run: the same facts and words for every notifier, secrets masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cicdctl.kinds import Notice
from cicdctl.model import RunSummary, StageResult, Verdict
from cicdctl.notifiers.events import RED
from cicdctl.notifiers.text import one_line, place_of
from cicdctl.units import count, format_duration

_MOST_STAGES = 10
_WORDS = {
    "broken": "is broken",
    "fixed": "is fixed",
    "still_failing": "still fails",
    "flaky": "passed, but is flaky,",
    "passed": "passed",
    "failed": "failed",
    "started": "started",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
    "skipped": "was skipped",
    "approval_needed": "waits for an approval",
    "fix_proposed": "has a fix to look at",
    "escalated": "needs a person",
    "culprit": "was broken by one commit",
}


def make_notice(
    summary: RunSummary,
    event: str,
    *,
    id: str,
    at: float,
    project: str,
    previous: Verdict | None = None,
    text: str = "",
    culprit: str | None = None,
    mask: Callable[[str], str],
) -> Notice:
    """Return the notice of `event` for a run. `text` are more words about it; each text is masked, then cut.

    `culprit` is the commit that broke it, where that is the event.
    """
    run = summary.run
    place = "the working tree" if run.snapshot else one_line(mask(place_of(run.ref, run.commit)))
    blamed = [result for result in summary.stages if result.verdict in RED and not result.allowed_failure]
    name = one_line(mask(project), 80)
    pipeline = one_line(mask(run.pipeline), 80)
    return Notice(
        event=event,
        title=f"{name}: {pipeline} {_WORDS.get(event, event)} on {place} (#{run.number})",
        text="\n".join(line for line in _lines(summary, blamed, text, mask) if line),
        pipeline=mask(run.pipeline),
        run=run.number,
        id=id,
        at=at,
        project=name,
        # A ref is a name to others, of no use when a part of it is hidden.
        ref=run.ref if run.ref is None or mask(run.ref) == run.ref else None,
        commit=run.commit,
        tree=run.tree,
        verdict=None if run.verdict is None or event == "started" else run.verdict.value,
        previous=None if previous is None else previous.value,
        seconds=round(run.seconds, 3),
        failed=tuple(one_line(mask(result.stage), 100) for result in blamed),
        culprit=culprit,
    )


def _lines(summary: RunSummary, blamed: list[StageResult], text: str, mask: Callable[[str], str]) -> Iterator[str]:
    run = summary.run
    yield one_line(mask(text), 500)
    for result in blamed[:_MOST_STAGES]:
        reason = one_line(mask(result.reason or ""))
        yield f"{one_line(mask(result.stage), 100)}: {result.verdict.value}" + (f", {reason}" if reason else "")
    if len(blamed) > _MOST_STAGES:
        yield f"and {count(len(blamed) - _MOST_STAGES, 'more stage')}"
    if run.reason and not blamed:
        yield one_line(mask(run.reason))
    flaky = [one_line(mask(result.stage), 100) for result in summary.stages if result.flaky]
    if flaky:
        yield f"flaky: {', '.join(flaky[:_MOST_STAGES])}"
    subject = "" if run.snapshot else one_line(mask(run.message), 120)
    author = one_line(mask(run.author.partition(" <")[0]), 60)
    if subject:
        yield f"{run.commit[:10]} {subject}" + (f" ({author})" if author else "")
    took = f"took {format_duration(run.seconds)}; " if run.finished_at is not None else ""
    yield f"{took}cicdctl show {run.number}"
