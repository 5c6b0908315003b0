"""Pipelines and stages from what was read: everything that depends on neighbours and on other sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cicdctl.config.settings import OrchestratorSettings
from cicdctl.model.definition import Pipeline, Stage, Trigger
from cicdctl.model.verdict import TriggerKind


def make_pipelines(
    pipelines: Mapping[str, dict[str, Any]], orchestrator: OrchestratorSettings
) -> tuple[Pipeline, ...]:
    """Fill in what a file leaves out: needs, cache, side effects, workspace and time limits."""
    return tuple(_pipeline(name, fields, orchestrator) for name, fields in pipelines.items())


def _pipeline(name: str, fields: dict[str, Any], orchestrator: OrchestratorSettings) -> Pipeline:
    trigger = fields.get("trigger", Trigger())
    side_effects = fields.get("side_effects", False)
    changes_world = side_effects or "environment" in fields or trigger.kind is TriggerKind.TAG
    defaults = {
        "cache": fields.get("cache", not changes_world),
        "side_effects": side_effects,
        "workspace": "incremental" if orchestrator.optimization.incremental_builds else "clean",
    }
    stages = []
    before: tuple[str, ...] = ()
    for stage_name, stage in fields["stages"].items():
        stages.append(_stage(stage_name, stage, before, defaults))
        before = (stage_name,)
    kept = {key: value for key, value in fields.items() if key not in ("stages", "cache")}
    kept.setdefault("timeout_s", orchestrator.timeouts.get(name))
    return Pipeline(name=name, stages=tuple(stages), **kept)


def _stage(name: str, fields: dict[str, Any], before: tuple[str, ...], defaults: dict[str, Any]) -> Stage:
    filled = {"needs": before, **defaults, **fields}
    if filled["side_effects"]:
        # A deploy is never served from the cache, whatever the pipeline's default says.
        filled["cache"] = False
    return Stage(name=name, **filled)
