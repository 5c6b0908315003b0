"""Places in the queue: `queue` holds what waits, `slots` what executes, `chains` whose followers are to come.

What waits is read as a whole: it is ten thousand at most, and a few most often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec.structs import replace

from cicdctl.plugin_api import Run, RunState, Value, Verdict, Waiting, documents
from cicdctl_redis import records
from cicdctl_redis.ledger import Transaction

clean = documents.clean
QUEUE, SLOTS, CHAINS = ("queue",), ("slots",), ("chains",)
DUE = "due"


class Place(Value, frozen=True, kw_only=True):
    """A field of `queue`: the place, and what of its run decides whether it is taken."""

    waiting: Waiting
    pipeline: str
    is_blocked: bool = False


def read(row: str) -> Place:
    return documents.decode(row, Place, what="a run that waits")


def all_places(rows: Mapping[str, str]) -> list[Place]:
    return [read(row) for row in rows.values()]


def in_order(rows: Mapping[str, str]) -> list[Place]:
    return sorted(all_places(rows), key=lambda place: (-place.waiting.priority, place.waiting.run))


def put(change: Transaction, waiting: Waiting) -> None:
    place = read(change.hash(*QUEUE)[str(waiting.run)])
    change.set(QUEUE, waiting.run, documents.encode(replace(place, waiting=waiting)))


def known_run(change: Transaction, number: int) -> Run:
    run = records.read_run(change, number)
    assert run is not None
    return run


def follow(change: Transaction, run: Run) -> None:
    """A queued run that starts gives its place for a slot; one that ends gives up both."""
    rows = change.hash(*QUEUE)
    row = rows.get(str(run.number))
    if run.state in (RunState.QUEUED, RunState.BLOCKED):
        if row is not None:
            place = replace(read(row), is_blocked=run.state is RunState.BLOCKED)
            change.set(QUEUE, run.number, documents.encode(place))
        return
    if run.state is RunState.DONE:
        change.unset(SLOTS, run.number)
        if run.verdict is not Verdict.PASSED:
            change.unset(CHAINS, run.number)
        elif str(run.number) in change.hash(*CHAINS):
            change.set(CHAINS, run.number, DUE)
    elif row is not None and str(run.number) not in change.hash(*SLOTS):
        waiting = read(row).waiting
        change.set(SLOTS, run.number, json.dumps([waiting.group, waiting.environment]))
    change.unset(QUEUE, run.number)


def ask_to_end(change: Transaction, run: Run, reason: str) -> None:
    """Ask the run's runner to end; asking again keeps the first reason."""
    if not run.cancel_requested:
        records.put_run(change, run, replace(run, cancel_requested=True))
        change.set(("run", run.number), "cancel_reason", clean(reason))
        records.write_event(change, run.number, "cancel_requested", detail={"reason": reason})
