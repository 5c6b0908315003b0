"""The queue of one repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

from msgspec.structs import replace

from cicdctl.plugin_api import (
    Arrival,
    Delivered,
    Recorded,
    Run,
    RunChanged,
    RunState,
    Slot,
    Waiting,
    documents,
    queue_rules,
)
from cicdctl_redis import records
from cicdctl_redis.arrivals import accept, delivery_key
from cicdctl_redis.changes import apply_change
from cicdctl_redis.ledger import Ledger, Transaction
from cicdctl_redis.places import CHAINS, DUE, QUEUE, SLOTS, in_order, put, read

clean = documents.clean


class RedisQueue:
    """Keeps the contract of `QueueStore`."""

    def __init__(self, ledger: Ledger, tells: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._tells = tells

    def accept(self, arrival: Arrival) -> Recorded | None:
        """See `QueueStore.accept`."""
        return self._ledger.change(
            lambda change: accept(change, arrival, tells=self._tells()), hashes=[QUEUE, SLOTS, CHAINS]
        )

    def claim(self, *, at_once: int, now: float, closed: Collection[str] = ()) -> list[Waiting]:
        """See `QueueStore.claim`."""

        def take(change: Transaction) -> list[Waiting]:
            places = in_order(change.hash(*QUEUE))
            fresh = [place.waiting for place in places if queue_rules.is_fresh(place.waiting, now)]
            taken = [(group, environment) for group, environment in map(json.loads, change.hash(*SLOTS).values())]
            claimed = queue_rules.choose(
                (
                    (place.waiting, place.pipeline)
                    for place in places
                    if not place.is_blocked and not queue_rules.is_fresh(place.waiting, now)
                ),
                [*taken, *((waiting.group, waiting.environment) for waiting in fresh)],
                at_once=at_once,
                now=now,
                closed=closed,
                paused=change.hash("paused"),
            )
            for waiting in claimed:
                put(change, waiting)
            return claimed

        return self._ledger.change(take, hashes=[QUEUE, SLOTS, ("paused",)])

    def started(self, run: int, pid: int) -> None:
        """See `QueueStore.started`."""
        self._move(run, lambda waiting: replace(waiting, tries=waiting.tries + 1, pid=pid))

    def unclaim(self, run: int) -> None:
        """See `QueueStore.unclaim`."""
        self._move(run, lambda waiting: replace(waiting, claimed_at=None, pid=None))

    def give_back(self, run: int) -> bool:
        """See `QueueStore.give_back`."""
        return self._move(run, lambda waiting: replace(waiting, claimed_at=None, pid=None, tries=waiting.tries - 1))

    def _move(self, run: int, step: Callable[[Waiting], Waiting]) -> bool:
        def move(change: Transaction) -> bool:
            row = change.hash(*QUEUE).get(str(run))
            if row is not None:
                put(change, step(read(row).waiting))
            return row is not None

        return self._ledger.change(move, hashes=[QUEUE])

    def environments(self) -> list[str]:
        """See `QueueStore.environments`."""
        found = {waiting.environment for waiting in self.waiting() if waiting.environment is not None}
        return sorted(found)

    def claims(self) -> list[Waiting]:
        """See `QueueStore.claims`."""
        return [waiting for waiting in self.waiting() if waiting.claimed_at is not None]

    def waiting(self) -> list[Waiting]:
        """See `QueueStore.waiting`."""
        return [place.waiting for place in in_order(self._hash(*QUEUE))]

    def is_idle(self) -> bool:
        """See `QueueStore.is_idle`."""
        key = self._ledger.key
        waits, chains, due = self._ledger.ask(
            ("HLEN", key(*QUEUE)), ("HVALS", key(*CHAINS)), ("ZCARD", key("deployments", "due"))
        )
        return not waits and DUE not in chains and not due

    def going_on(self) -> int:
        """See `QueueStore.going_on`."""
        return len(self._hash(*SLOTS))

    def slots(self) -> list[Slot]:
        """See `QueueStore.slots`."""
        rows = sorted((int(run), *json.loads(row)) for run, row in self._hash(*SLOTS).items())
        return [Slot(run=run, group=group, environment=environment) for run, group, environment in rows]

    def due_chains(self) -> list[int]:
        """See `QueueStore.due_chains`."""
        return sorted(int(run) for run, word in self._hash(*CHAINS).items() if word == DUE)

    def held(self) -> list[Run]:
        """See `QueueStore.held`."""
        key = self._ledger.key
        active, queued = self._ledger.ask(("ZREVRANGE", key("active"), "0", "-1"), ("HKEYS", key(*QUEUE)))
        waits = set(queued)
        numbers = [number for number in active if number not in waits][:1000]
        if not numbers:
            return []
        found = self._ledger.ask(*(("HGET", key("run", number), "document") for number in numbers))
        return [
            records.decode_run(document, number)
            for number, document in zip(numbers, found, strict=True)
            if document is not None
        ]

    def seen(self, source: str) -> dict[str, str]:
        """See `QueueStore.seen`."""
        return self._hash("seen", clean(source))

    def delivered(self, source: str, id: str) -> Delivered | None:
        """See `QueueStore.delivered`."""
        text = self._ledger.ask(("GET", self._ledger.key(*delivery_key(source, id))))[0]
        return None if text is None else documents.decode(text, Delivered, what="a delivery")

    def last_fired(self) -> dict[str, float]:
        """See `QueueStore.last_fired`."""
        return {pipeline: float(at) for pipeline, at in self._hash("fired").items()}

    def approve(self, run: int, who: str) -> Run | None:
        """See `QueueStore.approve`."""

        def let_go(change: Transaction) -> Run | None:
            found = records.read_run(change, run)
            if found is None or found.state is not RunState.BLOCKED:
                return None
            go = RunChanged(state=RunState.QUEUED, reason=f"approved by {who}")
            return apply_change(change, found, go)

        return self._ledger.change(let_go, hashes=records.hashes_of(run))

    def pause(self, pipeline: str = "") -> bool:
        """See `QueueStore.pause`."""

        def hold(change: Transaction) -> bool:
            if clean(pipeline) in change.hash("paused"):
                return False
            change.set(("paused",), clean(pipeline), "1")
            return True

        return self._ledger.change(hold, hashes=[("paused",)])

    def resume(self, pipeline: str = "") -> bool:
        """See `QueueStore.resume`."""
        return self._ledger.change(lambda change: change.unset(("paused",), clean(pipeline)), hashes=[("paused",)])

    def paused(self) -> frozenset[str]:
        """See `QueueStore.paused`."""
        return frozenset(self._hash("paused"))

    def _hash(self, *name: object) -> dict[str, str]:
        found: dict[str, str] = self._ledger.ask(("HGETALL", self._ledger.key(*name)))[0]
        return found
