"""A plan: which stages of a pipeline will run on one commit, in what order, and which will not and why."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.model.definition import Pipeline, Stage
from cicdctl.model.values import Value


class Skip(Value, frozen=True, kw_only=True):
    """Why a stage or run does not execute, in the reader's words: `branch "x" is not one of main`."""

    reason: str


class PlannedStage(Value, frozen=True, kw_only=True):
    """One stage, or one matrix cell of it. `id` is unique in the plan: `unit` or `unit[python=3.11]`.

    `given`: the run starts after it and never executes it, but builds on what an earlier pass of it left.
    """

    id: str
    stage: Stage
    cell: Mapping[str, str] = {}
    needs: tuple[str, ...] = ()
    skip: Skip | None = None
    given: bool = False


class Plan(Value, frozen=True, kw_only=True):
    """`stages` in an order in which each comes after all that it needs."""

    pipeline: Pipeline
    stages: tuple[PlannedStage, ...]
    params: Mapping[str, str] = {}
    skip: Skip | None = None
