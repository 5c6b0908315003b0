"""The state of one repository in SQLite: the `StateStore` that is always there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from cicdctl.model import Attempt, Event, Run, RunFilter, RunState, RunSummary, StageResult
from cicdctl.store import sqlite_history
from cicdctl.store.ballast import release_ballast
from cicdctl.store.changes import Change
from cicdctl.store.database import FILE, Database
from cicdctl.store.database_errors import DiskFull
from cicdctl.store.database_open import open_database, open_reader
from cicdctl.store.documents import clean, decode
from cicdctl.store.run_rules import fenced, taken_over
from cicdctl.store.sqlite_changes import apply_change, read_run, write_event, write_run
from cicdctl.store.sqlite_deployments import Deployments
from cicdctl.store.sqlite_outbox import Outbox, write_news, write_transition
from cicdctl.store.sqlite_queue import Queue, insert_run
from cicdctl.store.state import GreenFloor, OpenAttempt

_MOST_ROWS = 2**63 - 1
_COLUMNS = ("pipeline", "commit_id", "tree", "ref", "verdict")


class SqliteState:
    """Keeps the contract of `StateStore`."""

    def __init__(self, database: Database, *, tells: bool = False) -> None:
        self._database = database
        self.tells = tells
        self._outbox = Outbox(database)
        self._queue = Queue(database, tells=lambda: self.tells)
        self._deployments = Deployments(database)

    @property
    def queue(self) -> Queue:
        """See `StateStore.queue`."""
        return self._queue

    @property
    def outbox(self) -> Outbox:
        """See `StateStore.outbox`."""
        return self._outbox

    @property
    def deployments(self) -> Deployments:
        """See `StateStore.deployments`."""
        return self._deployments

    @property
    def files(self) -> tuple[Path, ...]:
        """See `StateStore.files`."""
        return self._database.path, self._database.folder / f"{FILE}-wal"

    def begin(self, run: Run) -> Run:
        """See `StateStore.begin`."""
        with self._database.transaction() as connection:
            return insert_run(connection, run, tells=self.tells)

    def apply(self, changes: Sequence[Change], *, run: int, epoch: int) -> None:
        """See `StateStore.apply`."""
        try:
            self._apply(changes, run, epoch)
        except DiskFull:
            # What has happened must be stored; only new runs are refused for want of room.
            if not release_ballast(self._database.folder):
                raise
            self._apply(changes, run, epoch)

    def _apply(self, changes: Sequence[Change], run: int, epoch: int) -> None:
        with self._database.transaction() as connection:
            current = fenced(read_run(connection, run), run, epoch)
            before = current.state
            for change in changes:
                current = apply_change(connection, current, change)
            if self.tells:
                write_transition(connection, before, current)

    def tell(self, run: Run, event: str, text: str) -> None:
        """See `StateStore.tell`."""
        if self.tells:
            with self._database.transaction() as connection:
                write_news(connection, run, event, text)

    def runs(self, wanted: RunFilter) -> list[Run]:
        """See `StateStore.runs`."""
        conditions, values = _conditions(wanted)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._database.query(
            f"SELECT id, document FROM run{where} ORDER BY id DESC LIMIT ?", (*values, max(0, wanted.limit))
        )
        return [decode(document, Run, what=f"run #{number}") for number, document in rows]

    def load(self, number: int) -> RunSummary | None:
        """See `StateStore.load`."""
        if abs(number) > _MOST_ROWS:
            return None
        with self._database.snapshot() as connection:
            run = read_run(connection, number)
            if run is None:
                return None
            stages = connection.execute(
                "SELECT name, document FROM stage WHERE run = ? AND document IS NOT NULL ORDER BY rowid", (number,)
            ).fetchall()
            attempts = connection.execute(
                "SELECT stage, document FROM attempt WHERE run = ? AND document IS NOT NULL ORDER BY stage, number",
                (number,),
            ).fetchall()
        return RunSummary(run=run, stages=_join(run, stages, attempts))

    def events(self, *, run: int | None = None, after: int = 0, limit: int = 1000) -> list[Event]:
        """See `StateStore.events`."""
        condition, values = ("", ()) if run is None else (" AND run = ?", (run,))
        rows = self._database.query(
            f"SELECT id, run, at, kind, stage, detail FROM event WHERE id > ?{condition} ORDER BY id LIMIT ?",
            (after, *values, max(0, limit)),
        )
        return [
            Event(id=row[0], run=row[1], at=row[2], kind=row[3], stage=row[4], detail=msgspec.json.decode(row[5]))
            for row in rows
        ]

    def newest_event(self) -> int:
        """See `StateStore.newest_event`."""
        return int(self._database.query("SELECT ifnull(max(id), 0) FROM event")[0][0])

    def take_over(self, number: int) -> int:
        """See `StateStore.take_over`."""
        with self._database.transaction() as connection:
            run = taken_over(read_run(connection, number), number)
            if not run.cancel_requested:
                connection.execute("UPDATE run SET cancel_reason = NULL WHERE id = ?", (number,))
            write_run(connection, run)
            write_event(connection, number, "run_taken_over", detail={"epoch": run.epoch})
        return run.epoch

    def request_cancel(self, number: int, reason: str) -> bool:
        """See `StateStore.request_cancel`."""
        with self._database.transaction() as connection:
            run = read_run(connection, number)
            if run is None or run.state is RunState.DONE:
                return False
            if not run.cancel_requested:
                write_run(connection, msgspec.structs.replace(run, cancel_requested=True))
                connection.execute("UPDATE run SET cancel_reason = ? WHERE id = ?", (clean(reason), number))
                write_event(connection, number, "cancel_requested", detail={"reason": reason})
        return True

    def cancel_reason(self, number: int) -> str | None:
        """See `StateStore.cancel_reason`."""
        rows = self._database.query("SELECT cancel_reason FROM run WHERE id = ?", (number,))
        return rows[0][0] if rows else None

    def open_attempts(self, number: int) -> list[OpenAttempt]:
        """See `StateStore.open_attempts`."""
        rows = self._database.query(
            """SELECT stage, number, started_at, log FROM attempt WHERE run = ? AND verdict IS NULL
               ORDER BY stage, number""",
            (number,),
        )
        return [OpenAttempt(stage=row[0], number=row[1], started_at=row[2], log=row[3]) for row in rows]

    def recent_results(self, pipeline: str, stage: str, limit: int) -> list[tuple[int, StageResult]]:
        """See `StateStore.recent_results`."""
        return sqlite_history.recent_results(self._database, pipeline, stage, limit)

    def latest_per_pipeline(self, limit: int) -> dict[str, list[Run]]:
        """See `StateStore.latest_per_pipeline`."""
        return sqlite_history.latest_per_pipeline(self._database, limit)

    def green_floor(self) -> GreenFloor:
        """See `StateStore.green_floor`."""
        return sqlite_history.green_floor(self._database)

    def prune(self, keep_last: int, max_age_s: float | None = None, *, keep: Collection[int] = ()) -> list[int]:
        """See `StateStore.prune`."""
        return sqlite_history.prune(self._database, keep_last, max_age_s, {*keep, *self.deployments.runs()})

    def close(self) -> None:
        """See `StateStore.close`."""
        self._database.close()

    def __enter__(self) -> SqliteState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_state(folder: Path, *, read_only: bool = False, tells: bool = False) -> SqliteState:
    """Open the state kept in `folder`, which is created when it is not there.

    `read_only` creates nothing: a repository without state has no runs. `tells` as in `StateStore`. Raises
    StoreError, see `database_open.open_database`.
    """
    return SqliteState(open_reader(folder) if read_only else open_database(folder), tells=tells)


def _conditions(wanted: RunFilter) -> tuple[list[str], list[str | int]]:
    conditions: list[str] = []
    values: list[str | int] = []
    asked = (wanted.pipeline, wanted.commit, wanted.tree, wanted.ref, wanted.verdict)
    for column, value in zip(_COLUMNS, asked, strict=True):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(clean(value))
    if wanted.active is not None:
        conditions.append("state <> 'done'" if wanted.active else "state = 'done'")
    if wanted.left_out:
        conditions.append(f"{sqlite_history.TRIGGER} NOT IN ({', '.join('?' * len(wanted.left_out))})")
        values += sorted(wanted.left_out)
    if wanted.before is not None:
        conditions.append("id < ?")
        values.append(wanted.before)
    return conditions, values


def _join(run: Run, stages: list[tuple[str, str]], attempts: list[tuple[str, str]]) -> tuple[StageResult, ...]:
    tries: dict[str, list[Attempt]] = {}
    for stage, document in attempts:
        attempt = decode(document, Attempt, what=f"an attempt of '{stage}' in run #{run.number}")
        tries.setdefault(stage, []).append(attempt)
    place = {clean(name): index for index, name in enumerate(run.stage_names)}
    results = []
    for name, document in sorted(stages, key=lambda row: place.get(row[0], len(place))):
        result = decode(document, StageResult, what=f"stage '{name}' in run #{run.number}")
        results.append(msgspec.structs.replace(result, attempts=tuple(tries.get(name, ()))))
    return tuple(results)
