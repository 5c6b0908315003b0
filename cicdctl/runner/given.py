"""What a run with `--from` builds on: stages before it that it does not execute, taken from the cache."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.errors import UsageError
from cicdctl.model import PlannedStage, StageResult, Verdict
from cicdctl.project import Project
from cicdctl.runner.prepare import Prepared


def check_given(project: Project, prepared: Prepared, secrets: Mapping[str, str]) -> None:
    """Raise UsageError for a stage before the start whose artifacts are needed and not in the cache."""
    from cicdctl.runner.inspection import inspect

    for seen in inspect(project, prepared, secrets=secrets):
        planned = seen.planned
        if planned.given and planned.skip is None and seen.hit is None and planned.stage.artifacts:
            raise UsageError(
                f'stage "{planned.id}" has no cached result to start after; its artifacts are needed',
                hint=f"cicdctl run {prepared.plan.pipeline.name} --until {planned.stage.name} makes them",
            )


def stand_in(planned: PlannedStage) -> StageResult:
    """Return the result of a given stage that is not in the cache: fine without artifacts, an error with them."""
    if planned.stage.artifacts:
        return StageResult(
            stage=planned.id, verdict=Verdict.ERROR, reason="its cached result is gone, and the run starts after it"
        )
    return StageResult(stage=planned.id, verdict=Verdict.SKIPPED, reason="the run starts after it")
