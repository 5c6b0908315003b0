"""The words and lines a run is told in: pure functions from values to text, shared by every report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from cicdctl.model import Run, RunSummary, StageResult, Verdict
from cicdctl.reports.by_hand import shell_command
from cicdctl.reports.text import quoted
from cicdctl.units import count, format_duration, format_size

ALLOWED = "allowed to fail"

STYLES = {
    "passed": "green",
    "cached": "cyan",
    "failed": "red",
    "timed_out": "red",
    "error": "red",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "skipped": "bright_black",
}
MARKS = {
    "passed": "✓",
    "cached": "✓",
    "failed": "✗",
    "timed_out": "✗",
    "error": "✗",
    "cancelled": "■",
    "interrupted": "■",
    "skipped": "-",
}


def run_title(run: Run) -> str:
    """One line: number, pipeline, where, which commit, first line of its message."""
    where = quoted(short_ref(run.ref)) + " " if run.ref else ""
    what = "working tree" if run.snapshot else where + run.commit[:10]
    first = quoted(run.message.split("\n", 1)[0], limit=60)
    return f"#{run.number} {run.pipeline} on {what}" + (f"  {first}" if first and not run.snapshot else "")


def short_ref(ref: str | None) -> str:
    """`refs/heads/main` → `main`."""
    return (ref or "").removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/remotes/")


def word(result: StageResult) -> str:
    """The one word for how a stage ended; `cached` for a reused pass."""
    return "cached" if result.cached else result.verdict.value


def name_width(stages: Iterable[str]) -> int:
    """The width of the widest name, as it is shown."""
    return max((len(quoted(stage)) for stage in stages), default=0)


def style_of(result: StageResult) -> str:
    """The style of that word: an allowed failure is no red one."""
    return "yellow" if result.allowed_failure else STYLES[word(result)]


def run_style(run: Run) -> str:
    """The style of a run's last line."""
    return STYLES[run.verdict.value] if run.verdict else "bold"


def elapsed_s(run: Run) -> float:
    """How long a run took, or has taken so far; 0 before it started."""
    if run.started_at is None or run.finished_at is not None:
        return run.seconds
    return max(0.0, time.time() - run.started_at)


def age(when: float) -> str:
    """How long ago a time in Unix seconds was, in one unit: `3m`."""
    seconds = max(0.0, time.time() - when)
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit)}{name}"
    return f"{int(seconds // 86400)}d"


def plain_words(text: str, style: str) -> str:
    """Paint nothing."""
    return text


def stage_line(result: StageResult, *, width: int, paint: Callable[[str, str], str] = plain_words) -> str:
    """`unit      passed    3.2s  12 tests` with the name padded to `width`; `paint` is given the word and its style."""
    shown = paint(f"{word(result):<9}", style_of(result))
    return f"{quoted(result.stage):<{width}}  {shown}  {stage_note(result)}".rstrip()


def stage_note(result: StageResult) -> str:
    """What there is to say after the verdict: time, tests, artifacts, flags, the reason."""
    notes: list[str] = []
    if result.cached:
        notes.append(f"from #{result.origin_run}" if result.origin_run else "")
    elif result.attempts:
        notes.append(format_duration(result.seconds))
    if result.tests is not None:
        notes.append(tests_words(result))
    if result.coverage is not None:
        notes.append(f"coverage {result.coverage.percent:.1f} %")
    if result.artifact_count and not result.cached:
        notes.append(f"{count(result.artifact_count, 'artifact')}, {format_size(result.artifact_bytes)}")
    if result.flaky:
        notes.append(f"flaky: passed at attempt {len(result.attempts)}")
    if result.allowed_failure:
        notes.append(ALLOWED)
    if result.reason and not result.cached:
        notes.append(quoted(result.reason))
    return "  ".join(note for note in notes if note)


def tests_words(result: StageResult) -> str:
    """`12 tests` or `12 tests, 2 failed, 1 skipped`."""
    tests = result.tests
    if tests is None:
        return ""
    total = tests.passed + tests.failed + tests.skipped
    extra = [f"{tests.failed} failed"] * bool(tests.failed) + [f"{tests.skipped} skipped"] * bool(tests.skipped)
    return ", ".join([count(total, "test"), *extra])


def run_end(summary: RunSummary, *, running: Iterable[str] = ()) -> str:
    """The last line of a run: verdict, time, how the stages went; `running` names those of one that goes on."""
    run = summary.run
    reason = f" ({quoted(run.reason)})" if run.reason else ""
    ended = {result.stage for result in summary.stages}
    now = [name for name in running if name not in ended]
    counts = [f"{number} {name}" for name, number in count_words(summary.stages)]
    if run.verdict is None:
        waiting = len(set(run.stage_names) - ended - set(now))
        counts += [f"{len(now)} running"] * bool(now) + [f"{waiting} waiting"] * bool(waiting)
        how = f"is {run.state.value}" + (f", {format_duration(elapsed_s(run))} so far" if run.started_at else "")
    else:
        how = f"{run.verdict.value} in {format_duration(run.seconds)}"
    return f"#{run.number} {run.pipeline} {how}{reason}" + (": " + ", ".join(counts) if counts else "")


def count_words(results: Iterable[StageResult]) -> list[tuple[str, int]]:
    """Count the words of the stages, in a fixed order; a failure that is allowed is counted apart."""
    counts: dict[str, int] = {}
    for result in results:
        name = ALLOWED if result.allowed_failure else word(result)
        counts[name] = counts.get(name, 0) + 1
    return [(name, counts[name]) for name in (*STYLES, ALLOWED) if name in counts]


def failure_lines(result: StageResult, run: Run, *, tail: Sequence[str], log: str) -> list[str]:
    """Everything one needs after a failure: what, the tail, the failed tests, the whole log, the way back in."""
    headline = f"{quoted(result.stage)} {result.verdict.value}"
    lines = ["", f"── {headline}: {quoted(result.reason or '')}".rstrip(": ")]
    if result.tests is not None:
        for failure in result.tests.failures[:10]:
            place = f"{failure.file}:{failure.line}" if failure.file and failure.line else failure.file or ""
            lines.append(
                f"  {quoted(place)}  {quoted(failure.name)}: {quoted(failure.message, limit=120)}".rstrip(": ")
            )
        more = result.tests.failed - min(10, len(result.tests.failures))
        if more:
            lines.append(f"  and {count(more, 'more failed test')}")
    lines += [f"  │ {line}" for line in tail]
    if log:
        lines.append(f"  log:   {log}")
    lines.append(f"  again: {shell_command(run.number, result.stage)}")
    return lines


def broke(results: Iterable[StageResult]) -> list[StageResult]:
    """The stages that made a run fail, in order."""
    bad = (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR)
    return [result for result in results if result.verdict in bad and not result.allowed_failure]
