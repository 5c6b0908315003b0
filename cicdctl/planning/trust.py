"""What a run of a ref that nobody vouched for may not do. Rules: docs/security.md."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cicdctl.model import Pipeline, Plan, PlannedStage, Skip, Stage, Trust
from cicdctl.planning.names import matches_name


def trust_of(refs: Sequence[str] | None, ref: str | None) -> Trust:
    """Return the level of a run that a push, a poll or a hook starts on a full ref name.

    `refs` are the operator's globs of short branch and tag names; None, the default, vouches for none.
    """
    for prefix in ("refs/heads/", "refs/tags/"):
        if refs is not None and ref is not None and ref.startswith(prefix):
            return Trust.TRUSTED if matches_name(refs, ref[len(prefix) :]) else Trust.UNTRUSTED
    return Trust.UNTRUSTED


def restrict(pipeline: Pipeline, *, network: bool) -> Pipeline:
    """Return an untrusted pipeline as it may run: no secrets, in a sandbox, no network unless the operator lets it."""
    return replace(pipeline, stages=tuple(_restricted(stage, network=network) for stage in pipeline.stages))


def _restricted(stage: Stage, *, network: bool) -> Stage:
    return replace(stage, secrets=(), sandbox="required", network=stage.network and network)


def restrictions(pipeline: Pipeline, *, network: bool) -> tuple[str, ...]:
    """Return in words what `restrict` and `withhold` take from this pipeline."""
    stages = pipeline.stages
    found = []
    if secrets := sorted({name for stage in stages for name in stage.secrets}):
        found.append(f"secrets are withheld: {', '.join(secrets)}")
    if not network and any(stage.network for stage in stages):
        found.append("stages have no network (orchestrator.trust.network)")
    return tuple(f"this ref is not trusted: {text}" for text in found)


def withhold(plan: Plan, why: str = "this ref is not trusted") -> Plan:
    """Skip what such a run never does: stages with side effects, and pipelines of an environment."""
    if plan.pipeline.environment is not None:
        reason = f'it deploys to "{plan.pipeline.environment}", and {why}'
        return replace(plan, skip=plan.skip or Skip(reason=reason))
    return replace(plan, stages=tuple(_withheld(planned, why) for planned in plan.stages))


def _withheld(planned: PlannedStage, why: str) -> PlannedStage:
    if planned.skip is not None or not planned.stage.side_effects:
        return planned
    return replace(planned, skip=Skip(reason=f"it has side effects, and {why}"))
