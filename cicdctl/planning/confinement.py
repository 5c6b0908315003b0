"""What a run may do that only finds out whether a fix is good: nothing that reaches beyond its worktree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from cicdctl.model import Pipeline, Plan, PlannedStage, Skip, Stage, Value
from cicdctl.planning.names import matches_name


class Confinement(Value, frozen=True, kw_only=True):
    """The sandbox that stages get, and the globs of stages that keep their network or their secrets in it."""

    sandbox: Literal["off", "auto", "required"] = "required"
    network_stages: tuple[str, ...] = ()
    secret_stages: tuple[str, ...] = ()
    keeps_network: bool = False  # there is no sandbox that could take it away


def confine(pipeline: Pipeline, how: Confinement) -> Pipeline:
    """Return a pipeline as the candidate of a model may run it: no secrets, in a sandbox, no network."""

    def confined(stage: Stage) -> Stage:
        return replace(
            stage,
            secrets=stage.secrets if matches_name(how.secret_stages, stage.name) else (),
            sandbox=how.sandbox,
            network=stage.network and (how.keeps_network or matches_name(how.network_stages, stage.name)),
        )

    return replace(pipeline, stages=tuple(map(confined, pipeline.stages)))


def as_check(plan: Plan, pipeline: Pipeline, secret_stages: Sequence[str] | None) -> Plan:
    """Return a plan that only judges: nothing of earlier runs lies about, and what must not run is skipped.

    That is: pipelines that deploy, stages with side effects, and those that miss their secrets. `pipeline` is the one
    that was written; `secret_stages` the globs of stages that get their secrets, None: all do.
    """
    if plan.pipeline.environment is not None:
        return replace(plan, skip=plan.skip or Skip(reason="it deploys to an environment"))
    wanting = {
        stage.name
        for stage in pipeline.stages
        if stage.secrets and secret_stages is not None and not matches_name(secret_stages, stage.name)
    }

    def judging(planned: PlannedStage) -> PlannedStage:
        reason = None
        if planned.stage.side_effects:
            reason = "side effects"
        elif planned.stage.name in wanting:
            reason = "it needs secrets (fix.secret_stages)"
        skip = planned.skip or (Skip(reason=reason) if reason else None)
        return replace(planned, stage=replace(planned.stage, workspace="clean"), skip=skip)

    return replace(plan, stages=tuple(map(judging, plan.stages)))
