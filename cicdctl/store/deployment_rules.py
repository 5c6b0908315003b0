"""What a deploy leaves in the history of its environment: the same in every store, and pure."""

from __future__ import annotations

import time

from cicdctl.model import Deployment, Run, TriggerKind, Verdict

# A rollback can go back to so many commits of each environment: they stay, whatever becomes of their branches.
COMMITS_KEPT = 10
# A deploy that somebody cancelled is theirs to look after.
_ROLLED_BACK = frozenset({Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR, Verdict.INTERRUPTED})


def deployment_of(run: Run, environment: str, *, replaced: int | None) -> Deployment:
    """Give the record of a deploy that ended; `replaced` is the run of the last good one of the environment."""
    assert run.deploy is not None and run.verdict is not None
    return Deployment(
        environment=environment,
        run=run.number,
        pipeline=run.pipeline,
        commit=run.commit,
        verdict=run.verdict,
        ref=run.ref,
        params=run.params,
        is_partial=run.is_partial,
        started_at=run.started_at,
        ended_at=run.finished_at or time.time(),
        replaced=replaced,
        restores=run.deploy.restores,
        undoes=run.parent if run.trigger is TriggerKind.ROLLBACK else None,
    )


def wants_rollback(run: Run) -> bool:
    """Whether the end of a deploy asks for a rollback."""
    return run.deploy is not None and run.deploy.rolls_back and run.verdict in _ROLLED_BACK and not run.is_partial


def is_rollback(run: Run) -> bool:
    """Whether a run that is queued undoes a deploy: that of the run which is its parent."""
    return run.trigger is TriggerKind.ROLLBACK and run.parent is not None
