"""What one needs first after a failure: how it ended, the last lines, the tests that failed, the way back in."""

from __future__ import annotations

import re
import signal
from contextlib import suppress

from cicdctl.model import RunSummary, StageResult, TestFailure, Value
from cicdctl.project import Project
from cicdctl.reports.by_hand import shell_command
from cicdctl.reports.lines import broke
from cicdctl.server.pages.forge import Forge
from cicdctl.server.pages.log_part import LogLine, read_tail
from cicdctl.server.pages.stages import StageView

MOST_CARDS = 12
MOST_TESTS = 50
_SIGNAL = re.compile(r"signal (\d{1,3})")


class FailedTest(Value, frozen=True, kw_only=True):
    """A failed test; `href` is its line on the forge, empty where that is not known."""

    failure: TestFailure
    place: str
    href: str = ""


class FailureCard(Value, frozen=True, kw_only=True):
    """One failed stage. `ended` are facts such as `exit 1` and `signal 9 (SIGKILL)`."""

    stage: StageView
    result: StageResult
    ended: tuple[str, ...]
    tail: tuple[LogLine, ...]
    tests: tuple[FailedTest, ...]
    more_tests: int
    by_hand: str


def failure_cards(
    project: Project, summary: RunSummary, stages: tuple[StageView, ...], forge: Forge
) -> tuple[FailureCard, ...]:
    """Return the cards of the stages that made a run fail, in their order."""
    by_id = {stage.id: stage for stage in stages}
    return tuple(
        _card(project, summary, by_id[result.stage], result, forge) for result in broke(summary.stages)[:MOST_CARDS]
    )


def _card(project: Project, summary: RunSummary, stage: StageView, result: StageResult, forge: Forge) -> FailureCard:
    failures = result.tests.failures[:MOST_TESTS] if result.tests else ()
    return FailureCard(
        stage=stage,
        result=result,
        ended=tuple(ended_words(result)),
        tail=read_tail(project, summary, stage),
        tests=tuple(_test(summary, failure, forge) for failure in failures),
        more_tests=(result.tests.failed - len(failures)) if result.tests else 0,
        by_hand=shell_command(summary.run.number, result.stage),
    )


def ended_words(result: StageResult) -> list[str]:
    """Say how a stage ended: its exit status, or the signal that ended it."""
    found = [f"exit {result.exit_code}"] if result.exit_code is not None else []
    reason = (result.attempts[-1].reason if result.attempts else None) or result.reason or ""
    killed = _SIGNAL.search(reason)
    number = int(killed[1]) if killed else (result.exit_code or 0) - 128
    # A shell says 128 and the number of the signal that ended what it ran.
    if killed or 0 < number < 65:
        name = ""
        with suppress(ValueError):
            name = f" ({signal.Signals(number).name})"
        if killed or name:
            found.append(f"signal {number}{name}")
    return found


def _test(summary: RunSummary, failure: TestFailure, forge: Forge) -> FailedTest:
    place = ":".join(str(part) for part in (failure.file, failure.line) if part)
    link = "" if summary.run.snapshot else forge.line(summary.run.commit, failure.file, failure.line)
    return FailedTest(failure=failure, place=place, href=link)
