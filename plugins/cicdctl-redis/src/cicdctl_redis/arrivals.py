"""What arrives: recorded whole, once, with what it supersedes."""

from __future__ import annotations

import json

from cicdctl.plugin_api import Arrival, Delivered, Outdated, Placing, Recorded, Run, RunState, documents, queue_rules
from cicdctl_redis import deployments, records
from cicdctl_redis.changes import apply_change
from cicdctl_redis.ledger import Transaction
from cicdctl_redis.places import CHAINS, DUE, QUEUE, SLOTS, Place, all_places, ask_to_end, known_run

clean = documents.clean


def accept(change: Transaction, arrival: Arrival, *, tells: bool) -> Recorded | None:
    """Record an arrival, see `QueueStore.accept`."""
    if _has_arrived(change, arrival):
        return None
    _mark_seen(change, arrival)
    recorded: list[Run] = []
    superseded: list[Run] = []
    for placing in arrival.placings:
        run = records.add_run(change, placing.run, tells=tells)
        recorded.append(run)
        if run.state is not RunState.DONE:
            superseded += _enqueue(change, run, placing, tells=tells)
    for run in recorded:
        deployments.link_rollback(change, run)
    if arrival.delivery is not None:
        delivered = Delivered(run=recorded[0].number if recorded else None, detail=arrival.detail)
        kept_s = int(queue_rules.DELIVERIES_KEPT_S)
        change.put(delivery_key(*arrival.delivery), documents.encode(delivered), kept_s=kept_s)
    return Recorded(runs=tuple(recorded), superseded=tuple(superseded))


def _enqueue(change: Transaction, run: Run, placing: Placing, *, tells: bool) -> list[Run]:
    queue_rules.check_room(len(change.hash(*QUEUE)))
    group = None if placing.group is None else clean(placing.group)
    superseded = []
    if group is not None and placing.on_superseded != "queue":
        superseded = _supersede(change, run, group, tells=tells, running=placing.on_superseded == "cancel")
    place = Place(
        waiting=queue_rules.place(run, placing, group),
        pipeline=run.pipeline,
        is_blocked=run.state is RunState.BLOCKED,
    )
    change.set(QUEUE, run.number, documents.encode(place))
    if placing.leads:
        change.set(CHAINS, run.number, "")
    return superseded


def _supersede(change: Transaction, by: Run, group: str, *, tells: bool, running: bool) -> list[Run]:
    ended = []
    for place in sorted(all_places(change.hash(*QUEUE)), key=lambda place: place.waiting.run):
        if place.waiting.group != group:
            continue
        run = known_run(change, place.waiting.run)
        now = apply_change(change, run, queue_rules.end_of_superseded(by))
        if tells:
            records.write_transition(change, run.state, now)
        ended.append(now)
    if running:
        for number, row in list(change.hash(*SLOTS).items()):
            # A deploy that has begun is never cut off in the middle.
            if json.loads(row) == [group, None]:
                ask_to_end(change, known_run(change, int(number)), queue_rules.superseded_by(by))
    return ended


def _has_arrived(change: Transaction, arrival: Arrival) -> bool:
    if arrival.after is not None:
        if change.hash(*CHAINS).get(str(arrival.after)) != DUE:
            return True
        change.unset(CHAINS, arrival.after)
    if arrival.undoes is not None and not deployments.take_due(change, arrival.undoes):
        return True
    return arrival.delivery is not None and change.text(*delivery_key(*arrival.delivery)) is not None


def _mark_seen(change: Transaction, arrival: Arrival) -> None:
    for (source, ref), (known, now) in arrival.seen.items():
        name, field = ("seen", clean(source)), clean(ref)
        if change.hash(*name).get(field) != known:
            raise Outdated
        if now is None:
            change.unset(name, field)
        else:
            change.set(name, field, now)
    for pipeline, (before, at) in arrival.fired.items():
        last = change.hash("fired").get(clean(pipeline))
        if (None if last is None else float(last)) != before:
            raise Outdated
        change.set(("fired",), clean(pipeline), repr(at))


def delivery_key(source: str, id: str) -> tuple[str, str]:
    return "delivery", json.dumps([clean(source), clean(id)])
