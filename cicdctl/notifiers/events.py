"""Which events the end of a run is, given how the run before it ended. Pure."""

from __future__ import annotations

from cicdctl.model import Run, Verdict
from cicdctl.notifiers.text import branch_of
from cicdctl.planning.names import matches_name

RED = frozenset({Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR})
# Told by `cicdctl notify test`; it is of no run.
TEST_EVENT = "test"
FOR_PEOPLE = frozenset({"approval_needed", "fix_proposed", "escalated", "culprit"})
BAD_NEWS = frozenset({"broken", "still_failing", "failed"})


def events_of(verdict: Verdict, previous: Verdict | None, *, is_flaky: bool, is_followed: bool) -> tuple[str, ...]:
    """Return what the end of a run is called, the most telling name first; empty for what says nothing of the code.

    `previous` is the newest earlier run of the same pipeline and ref that passed or failed, None when there was
    none: the first failure breaks. `is_followed` is false for a run on no ref, which has no run before it.
    """
    was_red = previous in RED
    if verdict is Verdict.PASSED:
        return (*("fixed",) * (was_red and is_followed), *("flaky",) * is_flaky, "passed")
    if verdict in RED:
        change = "still_failing" if was_red else "broken"
        return (*(change,) * is_followed, "failed")
    return ()


def wants(on: tuple[str, ...], pipelines: tuple[str, ...], branches: tuple[str, ...], run: Run) -> frozenset[str]:
    """Return the events of this run that somebody wants who chose them with these keys of `[notifiers.NAME]`."""
    if pipelines and not matches_name(pipelines, run.pipeline):
        return frozenset()
    branch = branch_of(run.ref)
    if branches and (branch is None or not matches_name(branches, branch)):
        return frozenset()
    return frozenset(on)


def choose(events: tuple[str, ...], wanted: frozenset[str], *, tells_failures: bool = True) -> str | None:
    """Return the one event to tell: the first of `events` that is wanted. One run is never told twice."""
    for event in events:
        if event in wanted and (tells_failures or event not in BAD_NEWS):
            return event
    return None
