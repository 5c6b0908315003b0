"""The durable queue: what arrives is recorded once, waits in order, and is claimed for a runner."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Sequence

import msgspec

from cicdctl.model import Run, RunState
from cicdctl.store import queue_rules
from cicdctl.store.changes import RunChanged
from cicdctl.store.database import Database
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.failpoints import reach
from cicdctl.store.queue_rules import DELIVERIES_KEPT_S
from cicdctl.store.queued import Arrival, Delivered, Outdated, Placing, Recorded, Slot, Waiting
from cicdctl.store.run_rules import created_facts, new_run
from cicdctl.store.sqlite_changes import apply_change, read_run, write_event, write_run
from cicdctl.store.sqlite_deployments import link_rollbacks, take_due
from cicdctl.store.sqlite_outbox import write_transition

_PAUSED = "paused/"


def insert_run(connection: sqlite3.Connection, run: Run, *, tells: bool) -> Run:
    """Write a new run and its event; return it with its number and epoch 1."""
    run = new_run(run, 0)
    number = connection.execute(
        """INSERT INTO run (pipeline, commit_id, tree, ref, state, verdict, epoch, created_at, document)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')""",
        (
            clean(run.pipeline),
            clean(run.commit),
            clean(run.tree),
            None if run.ref is None else clean(run.ref),
            run.state,
            run.verdict,
            run.epoch,
            run.created_at,
        ),
    ).lastrowid
    assert number is not None
    run = msgspec.structs.replace(run, number=number)
    connection.execute("UPDATE run SET document = ? WHERE id = ?", (encode(run), number))
    write_event(connection, number, "run_created", detail=created_facts(run))
    if tells:
        write_transition(connection, RunState.QUEUED, run)
    return run


class Queue:
    """Keeps the contract of `QueueStore`."""

    def __init__(self, database: Database, *, tells: Callable[[], bool]) -> None:
        self._database = database
        self._tells = tells

    def accept(self, arrival: Arrival) -> Recorded | None:
        """See `QueueStore.accept`."""
        with self._database.transaction() as connection:
            if _has_arrived(connection, arrival):
                return None
            _mark_seen(connection, arrival)
            runs, superseded = [], []
            for placing in arrival.placings:
                run = insert_run(connection, placing.run, tells=self._tells())
                runs.append(run)
                if run.state is not RunState.DONE:
                    superseded += self._enqueue(connection, run, placing)
            link_rollbacks(connection, runs)
            _mark_delivered(connection, arrival, runs)
            reach("queue-accept")
        return Recorded(runs=tuple(runs), superseded=tuple(superseded))

    def _enqueue(self, connection: sqlite3.Connection, run: Run, placing: Placing) -> list[Run]:
        queue_rules.check_room(connection.execute("SELECT count(*) FROM queue").fetchone()[0])
        group = None if placing.group is None else clean(placing.group)
        superseded = []
        if group is not None and placing.on_superseded != "queue":
            superseded = self._supersede(connection, run, group, running=placing.on_superseded == "cancel")
        waiting = queue_rules.place(run, placing, group)
        connection.execute(
            "INSERT INTO queue (run, priority, group_name, queued_at, tries, environment) VALUES (?, ?, ?, ?, 0, ?)",
            (run.number, waiting.priority, group, waiting.queued_at, run.deploy and clean(run.deploy.environment)),
        )
        if placing.leads:
            connection.execute("INSERT INTO chain (run, due) VALUES (?, 0)", (run.number,))
        return superseded

    def _supersede(self, connection: sqlite3.Connection, by: Run, group: str, *, running: bool) -> list[Run]:
        """End what waits in the group; with `running` ask for the end of what executes, too."""
        change, reason = queue_rules.end_of_superseded(by), queue_rules.superseded_by(by)
        ended = []
        for (number,) in connection.execute("SELECT run FROM queue WHERE group_name = ?", (group,)).fetchall():
            run = read_run(connection, number)
            assert run is not None
            now = apply_change(connection, run, change)
            if self._tells():
                write_transition(connection, run.state, now)
            ended.append(now)
        if running:
            # A deploy that has begun is never cut off in the middle.
            sql = "SELECT run FROM group_slot WHERE group_name = ? AND environment IS NULL"
            for (number,) in connection.execute(sql, (group,)).fetchall():
                run = read_run(connection, number)
                assert run is not None
                if not run.cancel_requested:
                    write_run(connection, msgspec.structs.replace(run, cancel_requested=True))
                    connection.execute("UPDATE run SET cancel_reason = ? WHERE id = ?", (reason, number))
                    write_event(connection, number, "cancel_requested", detail={"reason": reason})
        return ended

    def claim(self, *, at_once: int, now: float, closed: Collection[str] = ()) -> list[Waiting]:
        """See `QueueStore.claim`."""
        with self._database.transaction() as connection:
            fresh = "claimed_at > ? AND claimed_at <= ?", queue_rules.fresh_between(now)
            taken = connection.execute(
                f"""SELECT group_name, environment FROM group_slot
                    UNION ALL SELECT group_name, environment FROM queue WHERE {fresh[0]}""",
                fresh[1],
            ).fetchall()
            rows = connection.execute(
                f"""SELECT {_COLUMNS}, pipeline FROM queue JOIN run ON run.id = queue.run
                    WHERE state = 'queued' AND (claimed_at IS NULL OR NOT ({fresh[0]}))
                    ORDER BY priority DESC, run""",
                fresh[1],
            )
            claimed = queue_rules.choose(
                ((_waiting(row), row[-1]) for row in rows),
                taken,
                at_once=at_once,
                now=now,
                closed=closed,
                paused=_paused(connection),
            )
            rows.close()
            connection.executemany(
                "UPDATE queue SET claimed_at = ?, pid = NULL WHERE run = ?",
                [(now, waiting.run) for waiting in claimed],
            )
            reach("queue-claim")
        return claimed

    def started(self, run: int, pid: int) -> None:
        """See `QueueStore.started`."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE queue SET tries = tries + 1, pid = ? WHERE run = ?", (pid, run))

    def unclaim(self, run: int) -> None:
        """See `QueueStore.unclaim`."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE queue SET claimed_at = NULL, pid = NULL WHERE run = ?", (run,))

    def give_back(self, run: int) -> bool:
        """See `QueueStore.give_back`."""
        with self._database.transaction() as connection:
            sql = "UPDATE queue SET claimed_at = NULL, pid = NULL, tries = tries - 1 WHERE run = ?"
            return connection.execute(sql, (run,)).rowcount > 0

    def environments(self) -> list[str]:
        """See `QueueStore.environments`."""
        sql = "SELECT DISTINCT environment FROM queue WHERE environment IS NOT NULL"
        return [row[0] for row in self._database.query(sql)]

    def claims(self) -> list[Waiting]:
        """See `QueueStore.claims`."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM queue WHERE claimed_at IS NOT NULL")
        return [_waiting(row) for row in rows]

    def waiting(self) -> list[Waiting]:
        """See `QueueStore.waiting`."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM queue ORDER BY priority DESC, run")
        return [_waiting(row) for row in rows]

    def is_idle(self) -> bool:
        """See `QueueStore.is_idle`."""
        sql = """SELECT EXISTS (SELECT 1 FROM queue) OR EXISTS (SELECT 1 FROM chain WHERE due = 1)
                 OR EXISTS (SELECT 1 FROM deployment WHERE due = 1)"""
        return not self._database.query(sql)[0][0]

    def going_on(self) -> int:
        """See `QueueStore.going_on`."""
        return int(self._database.query("SELECT count(*) FROM group_slot")[0][0])

    def slots(self) -> list[Slot]:
        """See `QueueStore.slots`."""
        rows = self._database.query("SELECT run, group_name, environment FROM group_slot ORDER BY run")
        return [Slot(run=run, group=group, environment=environment) for run, group, environment in rows]

    def due_chains(self) -> list[int]:
        """See `QueueStore.due_chains`."""
        return [row[0] for row in self._database.query("SELECT run FROM chain WHERE due = 1 ORDER BY run")]

    def held(self) -> list[Run]:
        """See `QueueStore.held`."""
        rows = self._database.query(
            """SELECT id, document FROM run WHERE state <> 'done' AND id NOT IN (SELECT run FROM queue)
               ORDER BY id DESC LIMIT 1000"""
        )
        return [decode(document, Run, what=f"run #{number}") for number, document in rows]

    def seen(self, source: str) -> dict[str, str]:
        """See `QueueStore.seen`."""
        return dict(self._database.query("SELECT ref, oid FROM seen_ref WHERE source = ?", (clean(source),)))

    def delivered(self, source: str, id: str) -> Delivered | None:
        """See `QueueStore.delivered`."""
        rows = self._database.query(
            "SELECT run, detail FROM delivery WHERE source = ? AND id = ? AND at >= ?",
            (clean(source), clean(id), time.time() - DELIVERIES_KEPT_S),
        )
        return Delivered(run=rows[0][0], detail=rows[0][1]) if rows else None

    def last_fired(self) -> dict[str, float]:
        """See `QueueStore.last_fired`."""
        return dict(self._database.query("SELECT pipeline, fired_at FROM schedule"))

    def approve(self, run: int, who: str) -> Run | None:
        """See `QueueStore.approve`."""
        with self._database.transaction() as connection:
            found = read_run(connection, run)
            if found is None or found.state is not RunState.BLOCKED:
                return None
            return apply_change(connection, found, RunChanged(state=RunState.QUEUED, reason=f"approved by {who}"))

    def pause(self, pipeline: str = "") -> bool:
        """See `QueueStore.pause`."""
        with self._database.transaction() as connection:
            row = (_PAUSED + clean(pipeline), str(time.time()))
            return connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", row).rowcount > 0

    def resume(self, pipeline: str = "") -> bool:
        """See `QueueStore.resume`."""
        with self._database.transaction() as connection:
            name = _PAUSED + clean(pipeline)
            return connection.execute("DELETE FROM meta WHERE name = ?", (name,)).rowcount > 0

    def paused(self) -> frozenset[str]:
        """See `QueueStore.paused`."""
        rows = self._database.query("SELECT name FROM meta WHERE name LIKE ?", (_PAUSED + "%",))
        return frozenset(name.removeprefix(_PAUSED) for (name,) in rows)


_COLUMNS = "queue.run, priority, group_name, queued_at, claimed_at, tries, pid, environment"


def _waiting(row: Sequence[object]) -> Waiting:
    return msgspec.convert(dict(zip(Waiting.__struct_fields__, row[:8], strict=True)), Waiting)


def _paused(connection: sqlite3.Connection) -> frozenset[str]:
    rows = connection.execute("SELECT name FROM meta WHERE name LIKE ?", (_PAUSED + "%",)).fetchall()
    return frozenset(name.removeprefix(_PAUSED) for (name,) in rows)


def _has_arrived(connection: sqlite3.Connection, arrival: Arrival) -> bool:
    if arrival.after is not None:
        gone = connection.execute("DELETE FROM chain WHERE run = ? AND due = 1", (arrival.after,)).rowcount
        if not gone:
            return True
    if arrival.undoes is not None and not take_due(connection, arrival.undoes):
        return True
    if arrival.delivery is not None:
        source, name = map(clean, arrival.delivery)
        connection.execute("DELETE FROM delivery WHERE at < ?", (time.time() - DELIVERIES_KEPT_S,))
        new = connection.execute(
            "INSERT OR IGNORE INTO delivery (source, id, at) VALUES (?, ?, ?)", (source, name, time.time())
        ).rowcount
        if not new:
            return True
    return False


def _mark_delivered(connection: sqlite3.Connection, arrival: Arrival, runs: Sequence[Run]) -> None:
    """Remember what a delivery became, so that its repetition gets the same answer."""
    if arrival.delivery is not None and (runs or arrival.detail is not None):
        connection.execute(
            "UPDATE delivery SET run = ?, detail = ? WHERE source = ? AND id = ?",
            (
                runs[0].number if runs else None,
                None if arrival.detail is None else clean(arrival.detail),
                *map(clean, arrival.delivery),
            ),
        )


def _mark_seen(connection: sqlite3.Connection, arrival: Arrival) -> None:
    for (source, ref), (known, now) in arrival.seen.items():
        key = (clean(source), clean(ref))
        row = connection.execute("SELECT oid FROM seen_ref WHERE source = ? AND ref = ?", key).fetchone()
        if (row[0] if row else None) != known:
            raise Outdated
        connection.execute("DELETE FROM seen_ref WHERE source = ? AND ref = ?", key)
        if now is not None:
            connection.execute("INSERT INTO seen_ref (source, ref, oid) VALUES (?, ?, ?)", (*key, now))
    for pipeline, (before, at) in arrival.fired.items():
        row = connection.execute("SELECT fired_at FROM schedule WHERE pipeline = ?", (clean(pipeline),)).fetchone()
        if (row[0] if row else None) != before:
            raise Outdated
        connection.execute("INSERT OR REPLACE INTO schedule (pipeline, fired_at) VALUES (?, ?)", (clean(pipeline), at))
