"""Deploys: what a run does to an environment, and how it is remembered."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.model.values import Value
from cicdctl.model.verdict import Verdict


class Deploy(Value, frozen=True, kw_only=True):
    """That a run deploys, and where to.

    `rolls_back`: when it fails after it began, the last good state is deployed again. `restores` is the run whose
    commit and params a rollback deploys again; the run that it undoes is the rollback's parent.
    """

    environment: str
    rolls_back: bool = False
    restores: int | None = None


class Deployment(Value, frozen=True, kw_only=True):
    """A deploy that has begun and ended, well or not. Times are Unix seconds; the others are numbers of runs.

    `replaced` is the last good one before it. `is_partial`: only some stages ran. `restores` and `undoes` are set
    for a rollback, `rolled_back_by` for what a rollback undoes, as soon as that is queued.
    """

    environment: str
    run: int
    pipeline: str
    commit: str
    verdict: Verdict
    ref: str | None = None
    params: Mapping[str, str] = {}
    is_partial: bool = False
    started_at: float | None = None
    ended_at: float = 0.0
    replaced: int | None = None
    restores: int | None = None
    undoes: int | None = None
    rolled_back_by: int | None = None

    @property
    def is_green(self) -> bool:
        """Whether a rollback may go back to it."""
        return self.verdict is Verdict.PASSED and not self.is_partial
