"""The durable queue: what arrives is recorded once, waits in order, and is claimed for a runner."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Run, RunState, Verdict
from cicdctl.store.changes import RunChanged
from cicdctl.store.database import Database
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.failpoints import reach
from cicdctl.store.queued import Arrival, Outdated, Placing, Recorded, Waiting
from cicdctl.store.sqlite_changes import apply_change, read_run, write_event, write_run
from cicdctl.store.sqlite_deployments import link_rollbacks, take_due
from cicdctl.store.sqlite_outbox import write_transition

MOST_WAITING = 10_000
# A runner that was started has the run's lock long before; else another one is started.
BOOT_S = 30.0
DELIVERIES_KEPT_S = 7 * 24 * 3600.0
_PAUSED = "paused/"

def insert_run(connection: sqlite3.Connection, run: Run, *, tells: bool) -> Run:
    """Write a new run and its event; return it with its number and epoch 1."""
    if (run.state is RunState.DONE) != (run.verdict is not None):
        raise ValueError("a run has a verdict when it is done, and only then")
    run = msgspec.structs.replace(run, number=0, epoch=1)
    number = connection.execute(
        """INSERT INTO run (pipeline, commit_id, tree, state, verdict, epoch, created_at, document)
           VALUES (?, ?, ?, ?, ?, ?, ?, '')""",
        (clean(run.pipeline), clean(run.commit), clean(run.tree), run.state, run.verdict, run.epoch, run.created_at),
    ).lastrowid
    assert number is not None
    run = msgspec.structs.replace(run, number=number)
    connection.execute("UPDATE run SET document = ? WHERE id = ?", (encode(run), number))
    detail = {"pipeline": run.pipeline, "state": run.state, "trigger": run.trigger}
    write_event(connection, number, "run_created", detail=detail)
    if tells:
        write_transition(connection, RunState.QUEUED, run)
    return run


class Queue:
    """The queue of one state. Safe from any thread and process; what a call wrote survives a power loss."""

    def __init__(self, database: Database, *, tells: bool = False) -> None:
        self._database = database
        self._tells = tells

    def accept(self, arrival: Arrival) -> Recorded | None:
        """Record an arrival; None when it had arrived before.

        Raises Outdated when a value of `seen` or `fired` is not the known one, StoreError when the queue is full.
        """
        with self._database.transaction() as connection:
            if _has_arrived(connection, arrival):
                return None
            _mark_seen(connection, arrival)
            runs, superseded = [], []
            for placing in arrival.placings:
                run = insert_run(connection, placing.run, tells=self._tells)
                runs.append(run)
                if run.state is not RunState.DONE:
                    superseded += self._enqueue(connection, run, placing)
            link_rollbacks(connection, runs)
            reach("queue-accept")
        return Recorded(runs=tuple(runs), superseded=tuple(superseded))

    def _enqueue(self, connection: sqlite3.Connection, run: Run, placing: Placing) -> list[Run]:
        waiting = connection.execute("SELECT count(*) FROM queue").fetchone()[0]
        if waiting >= MOST_WAITING:
            raise StoreError(f"the queue is full: {waiting} runs wait", hint="cicdctl cancel ends one that waits")
        group = None if placing.group is None else clean(placing.group)
        superseded = []
        if group is not None and placing.on_superseded != "queue":
            superseded = self._supersede(connection, run, group, running=placing.on_superseded == "cancel")
        connection.execute(
            "INSERT INTO queue (run, priority, group_name, queued_at, tries, environment) VALUES (?, ?, ?, ?, 0, ?)",
            (run.number, placing.priority, group, time.time(), run.deploy and clean(run.deploy.environment)),
        )
        if placing.leads:
            connection.execute("INSERT INTO chain (run, due) VALUES (?, 0)", (run.number,))
        return superseded

    def _supersede(self, connection: sqlite3.Connection, by: Run, group: str, *, running: bool) -> list[Run]:
        """End what waits in the group; with `running` ask for the end of what executes, too."""
        reason = f"superseded by #{by.number}"
        ended = []
        for (number,) in connection.execute("SELECT run FROM queue WHERE group_name = ?", (group,)).fetchall():
            run = read_run(connection, number)
            assert run is not None
            change = RunChanged(state=RunState.DONE, verdict=Verdict.CANCELLED, reason=reason, finished_at=time.time())
            now = apply_change(connection, run, change)
            if self._tells:
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
        """Take what may start now: by priority, then by number, `at_once` runs in all, one of each group and
        environment, none to the `closed` environments.

        The caller starts a runner for each; one that has not begun after `BOOT_S` is claimed again.
        """
        with self._database.transaction() as connection:
            paused = _paused(connection)
            if "" in paused:
                return []
            fresh = "claimed_at > ? AND claimed_at <= ?", (now - BOOT_S, now + BOOT_S)
            taken = connection.execute(
                f"""SELECT group_name, environment FROM group_slot
                    UNION ALL SELECT group_name, environment FROM queue WHERE {fresh[0]}""",
                fresh[1],
            ).fetchall()
            free = at_once - len(taken)
            busy = {group for group, _ in taken if group is not None}
            deploying = {*closed, *(environment for _, environment in taken if environment is not None)}
            claimed: list[Waiting] = []
            rows = connection.execute(
                f"""SELECT {_COLUMNS}, pipeline FROM queue JOIN run ON run.id = queue.run
                    WHERE state = 'queued' AND (claimed_at IS NULL OR NOT ({fresh[0]}))
                    ORDER BY priority DESC, run""",
                fresh[1],
            )
            while free > len(claimed) and (row := rows.fetchone()) is not None:
                waiting = _waiting(row)
                if waiting.group in busy or waiting.environment in deploying or row[-1] in paused:
                    continue
                if waiting.group is not None:
                    busy.add(waiting.group)
                if waiting.environment is not None:
                    deploying.add(waiting.environment)
                claimed.append(msgspec.structs.replace(waiting, claimed_at=now))
            rows.close()
            connection.executemany(
                "UPDATE queue SET claimed_at = ?, pid = NULL WHERE run = ?",
                [(now, waiting.run) for waiting in claimed],
            )
            reach("queue-claim")
        return claimed

    def started(self, run: int, pid: int) -> None:
        """Note which process was started for a claimed run."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE queue SET tries = tries + 1, pid = ? WHERE run = ?", (pid, run))

    def unclaim(self, run: int) -> None:
        """Give a claim back: the runner is gone before it began."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE queue SET claimed_at = NULL, pid = NULL WHERE run = ?", (run,))

    def give_back(self, run: int) -> bool:
        """Let a run that was claimed wait on, as if nothing had been started for it; False when it is not queued."""
        with self._database.transaction() as connection:
            sql = "UPDATE queue SET claimed_at = NULL, pid = NULL, tries = tries - 1 WHERE run = ?"
            return connection.execute(sql, (run,)).rowcount > 0

    def environments(self) -> list[str]:
        """Give the environments that runs wait for."""
        sql = "SELECT DISTINCT environment FROM queue WHERE environment IS NOT NULL"
        return [row[0] for row in self._database.query(sql)]

    def claims(self) -> list[Waiting]:
        """Give those for which a runner was started that has not begun."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM queue WHERE claimed_at IS NOT NULL")
        return [_waiting(row) for row in rows]

    def waiting(self) -> list[Waiting]:
        """Give what waits, in the order in which it is taken."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM queue ORDER BY priority DESC, run")
        return [_waiting(row) for row in rows]

    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is to come after a run that has passed or a deploy that failed. Cheap."""
        sql = """SELECT EXISTS (SELECT 1 FROM queue) OR EXISTS (SELECT 1 FROM chain WHERE due = 1)
                 OR EXISTS (SELECT 1 FROM deployment WHERE due = 1)"""
        return not self._database.query(sql)[0][0]

    def going_on(self) -> int:
        """Count the runs from the queue that execute."""
        return int(self._database.query("SELECT count(*) FROM group_slot")[0][0])

    def due_chains(self) -> list[int]:
        """Give the runs that have passed and whose followers are not queued yet."""
        return [row[0] for row in self._database.query("SELECT run FROM chain WHERE due = 1 ORDER BY run")]

    def held(self) -> list[Run]:
        """Give the runs that have not ended and do not wait in the queue: somebody executes them, or did."""
        rows = self._database.query(
            """SELECT id, document FROM run WHERE state <> 'done' AND id NOT IN (SELECT run FROM queue)
               ORDER BY id DESC LIMIT 1000"""
        )
        return [decode(document, Run, what=f"run #{number}") for number, document in rows]

    def seen(self, source: str) -> dict[str, str]:
        """Give the refs of a source with the value that was dealt with last."""
        return dict(self._database.query("SELECT ref, oid FROM seen_ref WHERE source = ?", (clean(source),)))

    def has_delivery(self, source: str, id: str) -> bool:
        """Whether this has arrived before."""
        sql = "SELECT 1 FROM delivery WHERE source = ? AND id = ?"
        return bool(self._database.query(sql, (clean(source), clean(id))))

    def last_fired(self) -> dict[str, float]:
        """Give the last firing of each pipeline's schedule, in Unix seconds."""
        return dict(self._database.query("SELECT pipeline, fired_at FROM schedule"))

    def approve(self, run: int, who: str) -> Run | None:
        """Let a run go on that waits for an approval; None when it does not. Event: `run_queued`."""
        with self._database.transaction() as connection:
            found = read_run(connection, run)
            if found is None or found.state is not RunState.BLOCKED:
                return None
            return apply_change(connection, found, RunChanged(state=RunState.QUEUED, reason=f"approved by {who}"))

    def pause(self, pipeline: str = "") -> bool:
        """Start nothing any more, of one pipeline or (empty) of any; False when that is so already."""
        with self._database.transaction() as connection:
            row = (_PAUSED + clean(pipeline), str(time.time()))
            return connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", row).rowcount > 0

    def resume(self, pipeline: str = "") -> bool:
        """Take `pause` back; False when it was not paused."""
        with self._database.transaction() as connection:
            name = _PAUSED + clean(pipeline)
            return connection.execute("DELETE FROM meta WHERE name = ?", (name,)).rowcount > 0

    def paused(self) -> frozenset[str]:
        """Give the pipelines that are paused; the empty name: all."""
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
