"""Runs as they are remembered, and the events that led them there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cicdctl.model.deployment import Deploy
from cicdctl.model.result import StageResult
from cicdctl.model.values import Value
from cicdctl.model.verdict import TRIALS, RunState, TriggerKind, Trust, Verdict


def is_partial(options: Mapping[str, Any]) -> bool:
    """Whether the options of a run ask for some of its stages only."""
    return any(options.get(name) for name in ("only", "start", "until"))


class Run(Value, frozen=True, kw_only=True):
    """One execution of one pipeline on one commit. Times are Unix seconds; `epoch` fences its runner.

    `commit` and `tree` are hex ids. `base` is the commit it is compared with for path conditions.
    `stage_names` is the plan's order; `needs` has, by the name of a stage, those it waits for, where a matrix is
    one name. `snapshot` says the commit was made from a dirty working tree.
    `deploy` is None for a run that deploys to no environment. `started_by` is who asked for it, the name of a token
    or of an account; empty for what started by itself.
    """

    number: int
    pipeline: str
    commit: str
    tree: str
    trigger: TriggerKind
    state: RunState
    verdict: Verdict | None = None
    reason: str | None = None
    ref: str | None = None
    base: str | None = None
    snapshot: bool = False
    trust: Trust = Trust.TRUSTED
    params: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    message: str = ""
    author: str = ""
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    epoch: int = 0
    parent: int | None = None
    cancel_requested: bool = False
    stage_names: tuple[str, ...] = ()
    needs: Mapping[str, tuple[str, ...]] = {}
    deploy: Deploy | None = None
    started_by: str = ""

    @property
    def is_partial(self) -> bool:
        """Whether only some stages were asked for: it says nothing of the whole pipeline."""
        return is_partial(self.options)

    @property
    def seconds(self) -> float:
        """How long it has executed; 0 before it started or while it has no end."""
        if self.started_at is None or self.finished_at is None:
            return 0.0
        return max(0.0, self.finished_at - self.started_at)


class RunSummary(Value, frozen=True, kw_only=True):
    """A run with the results of its stages, in plan order."""

    run: Run
    stages: tuple[StageResult, ...] = ()


class RunFilter(Value, frozen=True, kw_only=True):
    """Which runs to list, newest first; None means any. `ref` is a full name; `before` pages by run number.

    Without `fixes` those that try a fix are left out, without `trials` all that say nothing of what their ref holds.
    """

    pipeline: str | None = None
    commit: str | None = None
    tree: str | None = None
    ref: str | None = None
    verdict: Verdict | None = None
    active: bool | None = None
    before: int | None = None
    fixes: bool = True
    trials: bool = True
    limit: int = 20

    @property
    def left_out(self) -> frozenset[TriggerKind]:
        """The kinds of runs that are not listed."""
        if not self.trials:
            return TRIALS
        return frozenset() if self.fixes else frozenset({TriggerKind.FIX})


class Event(Value, frozen=True, kw_only=True):
    """One transition. `id` rises without gaps in reading order; `kind` such as `stage_finished`."""

    id: int
    run: int
    at: float
    kind: str
    stage: str | None = None
    detail: Mapping[str, Any] = {}
