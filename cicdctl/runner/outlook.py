"""What a run would do: for each stage run, cached or skipped, and why. Executes no stage, records nothing."""

from __future__ import annotations

from typing import Literal

from cicdctl.model import Plan, Value
from cicdctl.project import Project
from cicdctl.runner.inspection import inspect
from cicdctl.runner.prepare import Prepared, prepare, release_snapshot
from cicdctl.runner.request import RunRequest
from cicdctl.runner.secret_values import known_secrets


class StageForecast(Value, frozen=True, kw_only=True):
    """One stage: what would become of it, and the reason."""

    stage: str
    needs: tuple[str, ...]
    outcome: Literal["run", "cached", "skip"]
    reason: str
    key: str | None = None
    origin_run: int | None = None


class Forecast(Value, frozen=True, kw_only=True):
    """A plan with what would become of its stages. `snapshot`: `commit` is one of an edited working tree."""

    plan: Plan
    commit: str
    snapshot: bool
    stages: tuple[StageForecast, ...]


def forecast(project: Project, request: RunRequest) -> Forecast:
    """Look ahead. Secrets that are not set are no error here; their stages then count as new."""
    prepared = prepare(project, request)
    try:
        return _look_ahead(project, prepared)
    finally:
        release_snapshot(project, prepared)


def _look_ahead(project: Project, prepared: Prepared) -> Forecast:
    names = [name for planned in prepared.plan.stages for name in planned.stage.secrets]
    secrets = known_secrets(project, names)
    stages = []
    for seen in inspect(project, prepared, secrets=secrets):
        planned, hit = seen.planned, seen.hit
        skip = prepared.plan.skip or planned.skip
        if skip is not None:
            outcome, reason = "skip", skip.reason
        elif hit is not None:
            outcome, reason = "cached", f"passed in #{hit.origin_run}"
        elif planned.given:
            outcome, reason = (
                "skip",
                "the run starts after it"
                + ("; its artifacts are needed and not in the cache" if planned.stage.artifacts else ""),
            )
        elif seen.unknown:
            outcome, reason = "run", f'"{seen.unknown[0]}" runs first; cached after all if it leaves the same artifacts'
        elif not planned.stage.cache or planned.stage.side_effects:
            outcome, reason = "run", "never cached: it has side effects or cache = false"
        elif planned.stage.workspace == "incremental":
            outcome, reason = "run", "never cached: its workspace is incremental"
        else:
            outcome, reason = "run", "no earlier pass with these inputs"
        stages.append(
            StageForecast(
                stage=planned.id,
                needs=planned.needs,
                outcome=outcome,  # type: ignore[arg-type]
                reason=reason,
                key=None if seen.unknown or skip else seen.identity.key,
                origin_run=hit.origin_run if hit else None,
            )
        )
    return Forecast(
        plan=prepared.plan, commit=prepared.run.commit, snapshot=prepared.run.snapshot, stages=tuple(stages)
    )
