"""Runs of one place: the same pipeline on the same branch with the same parameters, which can be compared."""

from __future__ import annotations

from cicdctl.model import Run, RunFilter, TriggerKind, Verdict
from cicdctl.project import Project

RED = (Verdict.FAILED, Verdict.TIMED_OUT)
_TELLING = (*RED, Verdict.PASSED, Verdict.ERROR)


def runs_of_place(project: Project, run: Run, *, limit: int = 200) -> list[Run]:
    """Return the runs of the same place up to this one that say something of the code, the newest first."""
    found = project.state.runs(RunFilter(pipeline=run.pipeline, active=False, trials=False, limit=limit))
    return [
        one
        for one in found
        if one.number <= run.number
        and one.verdict in _TELLING
        and not one.is_partial
        and (one.ref, one.params, one.snapshot) == (run.ref, run.params, run.snapshot)
        and one.trigger is not TriggerKind.ROLLBACK
    ]
