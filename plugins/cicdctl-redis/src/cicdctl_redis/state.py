"""The state of one repository in Redis: the contract of `StateStore`, and what becomes of a run without its server."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from cicdctl.plugin_api import (
    Change,
    Event,
    GreenFloor,
    OpenAttempt,
    Places,
    Run,
    RunFilter,
    RunState,
    RunSummary,
    StageResult,
    StaleRunner,
    StoreError,
    run_rules,
)
from cicdctl_redis import history, records, results
from cicdctl_redis.changes import apply_change
from cicdctl_redis.deployments import RedisDeployments
from cicdctl_redis.faults import Amnesia, Unreachable
from cicdctl_redis.journal import Batch, Journal, advance
from cicdctl_redis.ledger import Ledger, Transaction
from cicdctl_redis.outbox import RedisOutbox
from cicdctl_redis.places import ask_to_end
from cicdctl_redis.plugin import RedisOptions
from cicdctl_redis.queue import RedisQueue

_log = logging.getLogger("cicdctl.redis")
_GONE = (Unreachable, Amnesia)


class RedisState:
    """Keeps the contract of `StateStore`. What the process of a run cannot tell the server goes into a journal.

    A run goes on that way, with its epoch, while the server is away; whoever comes next on this host tells it.
    """

    def __init__(self, options: RedisOptions, places: Places) -> None:
        self.tells = False
        self._ledger = Ledger(options, places)
        self._ledger.settle = self._tell_all
        self._journal = Journal(places.state)
        self._own: dict[int, RunSummary] = {}
        self._queue = RedisQueue(self._ledger, lambda: self.tells)
        self._outbox = RedisOutbox(self._ledger)
        self._deployments = RedisDeployments(self._ledger)

    @property
    def queue(self) -> RedisQueue:
        """See `StateStore.queue`."""
        return self._queue

    @property
    def outbox(self) -> RedisOutbox:
        """See `StateStore.outbox`."""
        return self._outbox

    @property
    def deployments(self) -> RedisDeployments:
        """See `StateStore.deployments`."""
        return self._deployments

    @property
    def files(self) -> tuple[Path, ...]:
        """See `StateStore.files`."""
        return (self._ledger.stamp.path,)

    def begin(self, run: Run) -> Run:
        """See `StateStore.begin`."""
        begun = self._ledger.change(lambda change: records.add_run(change, run, tells=self.tells))
        self._own[begun.number] = RunSummary(run=begun)
        return begun

    def apply(self, changes: Sequence[Change], *, run: int, epoch: int) -> None:
        """See `StateStore.apply`."""
        batch = Batch(epoch=epoch, changes=tuple(changes))
        try:
            if self._journal.has(run):
                self._refuse_rest()
                self._tell(run)
            after = self._apply(batch, run)
        except _GONE:
            own = self._own.get(run)
            if own is None or own.run.epoch != epoch:
                raise  # it is not this process that carries it out
            after = advance(own, batch.changes)
            if not self._journal.has(run):
                _log.warning("run #%d goes on without its server", run, extra={"run": run})
            with self._journal.held():
                self._journal.append(run, batch)
        self._own[run] = after

    def _apply(self, batch: Batch, number: int) -> RunSummary:
        def write(change: Transaction) -> RunSummary:
            run = run_rules.fenced(records.read_run(change, number), number, batch.epoch)
            if change.hash("run", number).get("batch") != batch.id:
                before = run.state
                for item in batch.changes:
                    run = apply_change(change, run, item)
                if self.tells:
                    records.write_transition(change, before, run)
                change.set(("run", number), "batch", batch.id)
            return results.summarise(run, change.hash("stages", number), change.hash("attempts", number))

        return self._ledger.change_now(write, hashes=records.hashes_of(number))

    def _refuse_rest(self) -> None:
        if self._ledger.rests:
            raise Unreachable(f"{self._ledger.server} was away a moment ago")

    def _tell_all(self) -> None:
        """Tell the server what runs have done while it was away, before anything else is asked."""
        for run in self._journal.runs():
            self._tell(run)

    def _tell(self, run: int) -> None:
        with self._journal.held():
            last = self._ledger.send(("HGET", self._ledger.key("run", run), "batch"))[0]
            try:
                batches = self._journal.batches(run)
                told = [place for place, batch in enumerate(batches) if batch.id == last]
                for batch in batches[told[0] + 1 if told else 0 :]:
                    self._apply(batch, run)
            except (StaleRunner, ValueError) as error:
                aside = self._journal.set_aside(run)
                _log.error("what run #%d did is not recorded: %s; it is kept in %s", run, error, aside)
                return
            self._journal.drop(run)
            _log.info("what run #%d did without its server is recorded", run, extra={"run": run})

    def tell(self, run: Run, event: str, text: str) -> None:
        """See `StateStore.tell`."""
        if self.tells:
            self._ledger.change(lambda change: records.write_news(change, run, event, text))

    def runs(self, wanted: RunFilter) -> list[Run]:
        """See `StateStore.runs`."""
        return history.find_runs(self._ledger, wanted)

    def load(self, number: int) -> RunSummary | None:
        """See `StateStore.load`."""
        key = self._ledger.key
        try:
            document, stages, attempts = self._ledger.ask(
                ("HGET", key("run", number), "document"),
                ("HGETALL", key("stages", number)),
                ("HGETALL", key("attempts", number)),
            )
        except _GONE:
            if self._journal.has(number) and number in self._own:
                return self._own[number]
            raise
        return None if document is None else results.summarise(records.decode_run(document, number), stages, attempts)

    def events(self, *, run: int | None = None, after: int = 0, limit: int = 1000) -> list[Event]:
        """See `StateStore.events`."""
        stream = self._ledger.key("events")
        if limit < 1:
            return []
        if run is None:
            found = self._ledger.ask(("XRANGE", stream, f"{max(0, after)}-1", "+", "COUNT", str(limit)))[0]
        else:
            numbers = self._ledger.ask(("LRANGE", self._ledger.key("events", run), "0", "-1"))[0]
            wanted = [number for number in numbers if int(number) > after][:limit]
            if not wanted:
                return []
            found = [
                entry
                for entries in self._ledger.ask(*(("XRANGE", stream, f"{one}-0", f"{one}-0") for one in wanted))
                for entry in entries
            ]
        return [_event(name, fields) for name, fields in found]

    def newest_event(self) -> int:
        """See `StateStore.newest_event`."""
        return int(self._ledger.ask(("HGET", self._ledger.key("counters"), "event"))[0] or 0)

    def take_over(self, number: int) -> int:
        """See `StateStore.take_over`."""

        def take(change: Transaction) -> RunSummary:
            before = records.read_run(change, number)
            run = run_rules.taken_over(before, number)
            assert before is not None
            records.put_run(change, before, run)
            if not run.cancel_requested:
                change.unset(("run", number), "cancel_reason")
            records.write_event(change, number, "run_taken_over", detail={"epoch": run.epoch})
            return results.summarise(run, change.hash("stages", number), change.hash("attempts", number))

        self._own[number] = self._ledger.change(take, hashes=records.hashes_of(number))
        return self._own[number].run.epoch

    def request_cancel(self, number: int, reason: str) -> bool:
        """See `StateStore.request_cancel`."""

        def ask(change: Transaction) -> bool:
            run = records.read_run(change, number)
            if run is None or run.state is RunState.DONE:
                return False
            ask_to_end(change, run, reason)
            return True

        return self._ledger.change(ask, hashes=records.hashes_of(number))

    def cancel_reason(self, number: int) -> str | None:
        """See `StateStore.cancel_reason`. While the server is away nobody can ask a run of this process to end."""
        try:
            if number in self._own:
                self._refuse_rest()
            reason: str | None = self._ledger.ask(("HGET", self._ledger.key("run", number), "cancel_reason"))[0]
        except _GONE:
            if number not in self._own:
                raise
            return None
        return reason

    def open_attempts(self, number: int) -> list[OpenAttempt]:
        """See `StateStore.open_attempts`."""
        return results.open_attempts(self._ledger.ask(("HGETALL", self._ledger.key("attempts", number)))[0])

    def recent_results(self, pipeline: str, stage: str, limit: int) -> list[tuple[int, StageResult]]:
        """See `StateStore.recent_results`."""
        return history.recent_results(self._ledger, pipeline, stage, limit)

    def latest_per_pipeline(self, limit: int) -> dict[str, list[Run]]:
        """See `StateStore.latest_per_pipeline`."""
        return history.latest_per_pipeline(self._ledger, limit)

    def green_floor(self) -> GreenFloor:
        """See `StateStore.green_floor`."""
        return history.green_floor(self._ledger)

    def prune(self, keep_last: int, max_age_s: float | None = None, *, keep: Collection[int] = ()) -> list[int]:
        """See `StateStore.prune`."""
        return history.prune(self._ledger, keep_last, max_age_s, {*keep, *self._deployments.runs()})

    def close(self) -> None:
        """See `StateStore.close`."""
        try:
            if self._journal.runs() and not self._ledger.rests:
                self._tell_all()
        except StoreError as error:
            _log.warning("what runs did without their server is not recorded yet: %s", error.message)
        self._ledger.close()


def _event(name: str, fields: dict[str, str]) -> Event:
    run, at, kind, stage, detail = json.loads(fields["fact"])
    return Event(id=int(name.partition("-")[0]), run=run, at=at, kind=kind, stage=stage, detail=detail)
