"""Runs of one place: the same pipeline on the same branch with the same parameters, which can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from cicdctl.model import Event, Run, RunFilter, TriggerKind, Verdict
from cicdctl.project import Project

RED = (Verdict.FAILED, Verdict.TIMED_OUT)
# An error says nothing of the code: the machine, the network or the configuration was at fault.
_TELLING = (*RED, Verdict.PASSED)
_ALL_EVENTS = 1_000_000


def runs_of_place(project: Project, run: Run, *, is_newest: bool = True, limit: int = 200) -> list[Run]:
    """Return the runs of the same place that say something of the code, the newest first.

    `is_newest`: up to this one; else those after it, too.
    """
    found = project.state.runs(RunFilter(pipeline=run.pipeline, active=False, trials=False, limit=limit))
    return [
        one
        for one in found
        if (one.number <= run.number or not is_newest)
        and one.verdict in _TELLING
        and not one.is_partial
        and (one.ref, one.params, one.snapshot) == (run.ref, run.params, run.snapshot)
        and one.trigger is not TriggerKind.ROLLBACK
    ]


def events_of(project: Project, number: int) -> Sequence[Event]:
    """Return all that has happened to a run, oldest first."""
    return project.state.events(run=number, limit=_ALL_EVENTS)
