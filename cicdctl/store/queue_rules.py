"""Which runs may start and what becomes of superseded ones: the same in every store, and pure."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Run, RunState, Verdict
from cicdctl.store.changes import RunChanged
from cicdctl.store.queued import Placing, Waiting

MOST_WAITING = 10_000
# A runner that was started has the run's lock long before; else another one is started.
BOOT_S = 30.0
DELIVERIES_KEPT_S = 7 * 24 * 3600.0


def check_room(waiting: int) -> None:
    """Raise StoreError when the queue takes no more."""
    if waiting >= MOST_WAITING:
        raise StoreError(f"the queue is full: {waiting} runs wait", hint="cicdctl cancel ends one that waits")


def place(run: Run, placing: Placing, group: str | None) -> Waiting:
    """Give the place in the queue of a run that was just recorded."""
    return Waiting(
        run=run.number,
        priority=placing.priority,
        group=group,
        queued_at=time.time(),
        claimed_at=None,
        tries=0,
        pid=None,
        environment=None if run.deploy is None else run.deploy.environment,
    )


def superseded_by(run: Run) -> str:
    """Say why an earlier run of the group ends."""
    return f"superseded by #{run.number}"


def end_of_superseded(by: Run) -> RunChanged:
    """Give the end of a run that waited in the group of a newer one."""
    return RunChanged(
        state=RunState.DONE, verdict=Verdict.CANCELLED, reason=superseded_by(by), finished_at=time.time()
    )


def fresh_between(now: float) -> tuple[float, float]:
    """A claim is fresh, its runner may still begin, when it was made after the first and not after the second time."""
    return now - BOOT_S, now + BOOT_S


def is_fresh(waiting: Waiting, now: float) -> bool:
    """Whether somebody has just started a runner for it."""
    after, until = fresh_between(now)
    return waiting.claimed_at is not None and after < waiting.claimed_at <= until


def choose(
    rows: Iterable[tuple[Waiting, str]],
    taken: Collection[tuple[str | None, str | None]],
    *,
    at_once: int,
    now: float,
    closed: Collection[str],
    paused: Collection[str],
) -> list[Waiting]:
    """Take what may start now, see `QueueStore.claim`.

    `rows` are what is queued and not freshly claimed, with the pipelines, in the order in which it is taken; no more
    of it is read than needed. `taken` has group and environment of each run that goes on or was freshly claimed.
    """
    claimed: list[Waiting] = []
    if "" in paused:
        return claimed
    free = at_once - len(taken)
    busy = {group for group, _ in taken if group is not None}
    deploying = {*closed, *(environment for _, environment in taken if environment is not None)}
    if free <= 0:
        return claimed
    for waiting, pipeline in rows:
        if waiting.group in busy or waiting.environment in deploying or pipeline in paused:
            continue
        if waiting.group is not None:
            busy.add(waiting.group)
        if waiting.environment is not None:
            deploying.add(waiting.environment)
        claimed.append(msgspec.structs.replace(waiting, claimed_at=now, pid=None))
        if len(claimed) == free:
            break
    return claimed
