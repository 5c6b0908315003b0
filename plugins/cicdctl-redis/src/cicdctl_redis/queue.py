"""The queue: `queue` holds what waits, `slots` what executes, `chains` whose followers are to come.

What waits is read as a whole: it is ten thousand at most, and a few most often.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from cicdctl.plugin_api import (
    Arrival,
    Outdated,
    Placing,
    Recorded,
    Run,
    RunChanged,
    RunState,
    Value,
    Verdict,
    Waiting,
    documents,
    queue_rules,
)
from cicdctl_redis import deployments, runs
from cicdctl_redis.ledger import Ledger, Transaction

clean = documents.clean
_QUEUE, _SLOTS, _CHAINS = ("queue",), ("slots",), ("chains",)
_DUE = "due"


class Place(Value, frozen=True, kw_only=True):
    """A field of `queue`: the place, and what of its run decides whether it is taken."""

    waiting: Waiting
    pipeline: str
    is_blocked: bool = False


def follow(change: Transaction, run: Run) -> None:
    """A queued run that starts gives its place for a slot; one that ends gives up both."""
    rows = change.hash(*_QUEUE)
    row = rows.get(str(run.number))
    if run.state in (RunState.QUEUED, RunState.BLOCKED):
        if row is not None:
            place = replace(_read(row), is_blocked=run.state is RunState.BLOCKED)
            change.set(_QUEUE, run.number, documents.encode(place))
        return
    if run.state is RunState.DONE:
        change.unset(_SLOTS, run.number)
        if run.verdict is not Verdict.PASSED:
            change.unset(_CHAINS, run.number)
        elif str(run.number) in change.hash(*_CHAINS):
            change.set(_CHAINS, run.number, _DUE)
    elif row is not None and str(run.number) not in change.hash(*_SLOTS):
        waiting = _read(row).waiting
        change.set(_SLOTS, run.number, json.dumps([waiting.group, waiting.environment]))
    change.unset(_QUEUE, run.number)


def ask_to_end(change: Transaction, run: Run, reason: str) -> None:
    """Ask the run's runner to end; asking again keeps the first reason."""
    if not run.cancel_requested:
        runs.put_run(change, run, replace(run, cancel_requested=True))
        change.set(("run", run.number), "cancel_reason", clean(reason))
        runs.write_event(change, run.number, "cancel_requested", detail={"reason": reason})


class RedisQueue:
    """Keeps the contract of `QueueStore`."""

    def __init__(self, ledger: Ledger, tells: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._tells = tells

    def accept(self, arrival: Arrival) -> Recorded | None:
        """See `QueueStore.accept`."""
        return self._ledger.change(lambda change: self._accept(change, arrival), hashes=[_QUEUE, _SLOTS, _CHAINS])

    def _accept(self, change: Transaction, arrival: Arrival) -> Recorded | None:
        if _has_arrived(change, arrival):
            return None
        _mark_seen(change, arrival)
        recorded: list[Run] = []
        superseded: list[Run] = []
        for placing in arrival.placings:
            run = runs.add_run(change, placing.run, tells=self._tells())
            recorded.append(run)
            if run.state is not RunState.DONE:
                superseded += self._enqueue(change, run, placing)
        for run in recorded:
            deployments.link_rollback(change, run)
        return Recorded(runs=tuple(recorded), superseded=tuple(superseded))

    def _enqueue(self, change: Transaction, run: Run, placing: Placing) -> list[Run]:
        queue_rules.check_room(len(change.hash(*_QUEUE)))
        group = None if placing.group is None else clean(placing.group)
        superseded = []
        if group is not None and placing.on_superseded != "queue":
            superseded = self._supersede(change, run, group, running=placing.on_superseded == "cancel")
        place = Place(
            waiting=queue_rules.place(run, placing, group),
            pipeline=run.pipeline,
            is_blocked=run.state is RunState.BLOCKED,
        )
        change.set(_QUEUE, run.number, documents.encode(place))
        if placing.leads:
            change.set(_CHAINS, run.number, "")
        return superseded

    def _supersede(self, change: Transaction, by: Run, group: str, *, running: bool) -> list[Run]:
        ended = []
        for place in sorted(_places(change.hash(*_QUEUE)), key=lambda place: place.waiting.run):
            if place.waiting.group != group:
                continue
            run = _known(change, place.waiting.run)
            now = runs.apply_change(change, run, queue_rules.end_of_superseded(by))
            if self._tells():
                runs.write_transition(change, run.state, now)
            ended.append(now)
        if running:
            for number, row in list(change.hash(*_SLOTS).items()):
                # A deploy that has begun is never cut off in the middle.
                if json.loads(row) == [group, None]:
                    ask_to_end(change, _known(change, int(number)), queue_rules.superseded_by(by))
        return ended

    def claim(self, *, at_once: int, now: float, closed: Collection[str] = ()) -> list[Waiting]:
        """See `QueueStore.claim`."""

        def take(change: Transaction) -> list[Waiting]:
            places = _in_order(change.hash(*_QUEUE))
            fresh = [place.waiting for place in places if queue_rules.is_fresh(place.waiting, now)]
            taken = [(group, environment) for group, environment in map(json.loads, change.hash(*_SLOTS).values())]
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
                _put(change, waiting)
            return claimed

        return self._ledger.change(take, hashes=[_QUEUE, _SLOTS, ("paused",)])

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
            row = change.hash(*_QUEUE).get(str(run))
            if row is not None:
                _put(change, step(_read(row).waiting))
            return row is not None

        return self._ledger.change(move, hashes=[_QUEUE])

    def environments(self) -> list[str]:
        """See `QueueStore.environments`."""
        found = {waiting.environment for waiting in self.waiting() if waiting.environment is not None}
        return sorted(found)

    def claims(self) -> list[Waiting]:
        """See `QueueStore.claims`."""
        return [waiting for waiting in self.waiting() if waiting.claimed_at is not None]

    def waiting(self) -> list[Waiting]:
        """See `QueueStore.waiting`."""
        return [place.waiting for place in _in_order(self._hash(*_QUEUE))]

    def is_idle(self) -> bool:
        """See `QueueStore.is_idle`."""
        key = self._ledger.key
        waits, chains, due = self._ledger.ask(
            ("HLEN", key(*_QUEUE)), ("HVALS", key(*_CHAINS)), ("ZCARD", key("deployments", "due"))
        )
        return not waits and _DUE not in chains and not due

    def going_on(self) -> int:
        """See `QueueStore.going_on`."""
        return len(self._hash(*_SLOTS))

    def due_chains(self) -> list[int]:
        """See `QueueStore.due_chains`."""
        return sorted(int(run) for run, word in self._hash(*_CHAINS).items() if word == _DUE)

    def held(self) -> list[Run]:
        """See `QueueStore.held`."""
        key = self._ledger.key
        active, queued = self._ledger.ask(("ZREVRANGE", key("active"), "0", "-1"), ("HKEYS", key(*_QUEUE)))
        waits = set(queued)
        numbers = [number for number in active if number not in waits][:1000]
        if not numbers:
            return []
        found = self._ledger.ask(*(("HGET", key("run", number), "document") for number in numbers))
        return [
            runs.decode_run(document, number)
            for number, document in zip(numbers, found, strict=True)
            if document is not None
        ]

    def seen(self, source: str) -> dict[str, str]:
        """See `QueueStore.seen`."""
        return self._hash("seen", clean(source))

    def has_delivery(self, source: str, id: str) -> bool:
        """See `QueueStore.has_delivery`."""
        return bool(self._ledger.ask(("EXISTS", self._ledger.key(*_delivery(source, id))))[0])

    def last_fired(self) -> dict[str, float]:
        """See `QueueStore.last_fired`."""
        return {pipeline: float(at) for pipeline, at in self._hash("fired").items()}

    def approve(self, run: int, who: str) -> Run | None:
        """See `QueueStore.approve`."""

        def let_go(change: Transaction) -> Run | None:
            found = runs.read_run(change, run)
            if found is None or found.state is not RunState.BLOCKED:
                return None
            go = RunChanged(state=RunState.QUEUED, reason=f"approved by {who}")
            return runs.apply_change(change, found, go)

        return self._ledger.change(let_go, hashes=runs.hashes_of(run))

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


def _read(row: str) -> Place:
    return documents.decode(row, Place, what="a run that waits")


def _places(rows: Mapping[str, str]) -> list[Place]:
    return [_read(row) for row in rows.values()]


def _in_order(rows: Mapping[str, str]) -> list[Place]:
    return sorted(_places(rows), key=lambda place: (-place.waiting.priority, place.waiting.run))


def _put(change: Transaction, waiting: Waiting) -> None:
    place = _read(change.hash(*_QUEUE)[str(waiting.run)])
    change.set(_QUEUE, waiting.run, documents.encode(replace(place, waiting=waiting)))


def _known(change: Transaction, number: int) -> Run:
    run = runs.read_run(change, number)
    assert run is not None
    return run


def _delivery(source: str, id: str) -> tuple[str, str]:
    return "delivery", json.dumps([clean(source), clean(id)])


def _has_arrived(change: Transaction, arrival: Arrival) -> bool:
    if arrival.after is not None:
        if change.hash(*_CHAINS).get(str(arrival.after)) != _DUE:
            return True
        change.unset(_CHAINS, arrival.after)
    if arrival.undoes is not None and not deployments.take_due(change, arrival.undoes):
        return True
    if arrival.delivery is not None:
        name = _delivery(*arrival.delivery)
        if change.text(*name) is not None:
            return True
        change.put(name, "1", kept_s=int(queue_rules.DELIVERIES_KEPT_S))
    return False


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
