"""Connects failures with fixes: hands the engine its fixers, and somebody who runs stages."""

from __future__ import annotations

from collections.abc import Callable

from cicdctl.fixing.failed_stage import find_repairable
from cicdctl.fixing.forecast import Forecast, forecast
from cicdctl.fixing.sessions import start_fix
from cicdctl.fixing.work import FixOptions, Tell
from cicdctl.model.fix_record import FixRecord
from cicdctl.orchestrator.fix_checks import RunChecker
from cicdctl.project import Project
from cicdctl.runner.pins import let_go


def fix_run(
    project: Project,
    number: int,
    stage: str | None,
    *,
    options: FixOptions,
    tell: Tell,
    cancelled: Callable[[], bool],
) -> FixRecord:
    """Fix a failed stage of a run; see `fixing.sessions.start_fix`."""
    from cicdctl.fixing.fixers import open_fixers

    summary, result = find_repairable(project, number, stage)
    try:
        return start_fix(
            project,
            summary,
            result,
            checker=RunChecker(project, summary.run),
            open_fixers=lambda run: open_fixers(project, run, options),
            options=options,
            tell=tell,
            cancelled=cancelled,
        )
    finally:
        # A fix that ended before anything was run would leave the pin of its base: no run is there to release it.
        let_go(project, summary.run.commit)


def forecast_fix(project: Project, number: int, stage: str | None, options: FixOptions) -> Forecast:
    """Say what `fix_run` would do."""
    from cicdctl.fixing.fixers import open_fixers

    summary, result = find_repairable(project, number, stage)
    return forecast(project, summary, result, open_fixers(project, summary.run, options), options)
