"""The journal of fixes: what each is doing, its evidence, and the money it may spend. Always kept here."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import StoreError
from cicdctl.model import Value
from cicdctl.model.fix_record import FixRecord, FixState
from cicdctl.store.database import Database
from cicdctl.store.database_open import open_database, open_reader
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.failpoints import reach

# Ids of equal failures, rejected ones too, are looked for this far back.
_MOST_FOUND = 200


class StaleFix(StoreError):
    """Another process has taken this fix over; whoever gets this must stop and change nothing more."""


class FixEvent(Value, frozen=True, kw_only=True):
    """One thing that happened to a fix: it entered the state `kind`, or was `told` something."""

    id: int
    at: float
    kind: str
    text: str


class FixJournal:
    """Fixes by id, such as `42/unit`; a second one of the same stage is `42/unit~2`.

    Safe from any thread and process; what a call wrote survives a power loss. Raises StoreError.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        """Release it; calling it again does nothing."""
        self._database.close()

    def open(self, record: FixRecord) -> FixRecord:
        """Begin a journal; gives the record with its id and epoch 1, which its process writes with."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT ifnull(max(number), 0) + 1 FROM fix WHERE run = ? AND stage = ?",
                (record.run, clean(record.stage)),
            ).fetchone()
            name = f"{record.run}/{record.stage}"
            record = replace(record, id=name if row[0] == 1 else f"{name}~{row[0]}", epoch=1)
            connection.execute(
                "INSERT INTO fix VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (clean(record.id), record.run, clean(record.stage), row[0], *_columns(record)),
            )
            _write_event(connection, record.id, record.state.value, "")
        reach(f"fix-{record.state.value}")
        return record

    def save(self, record: FixRecord, text: str = "") -> None:
        """Bring a fix up to date, with an event when it entered another state.

        Raises StaleFix, and changes nothing, when `record.epoch` is not the fix's.
        """
        reach("fix-before-save")
        with self._database.transaction() as connection:
            before = connection.execute("SELECT state, epoch FROM fix WHERE id = ?", (clean(record.id),)).fetchone()
            if before is None or before[1] != record.epoch:
                raise StaleFix(f"fix {record.id} was taken over by another process", hint="this one stops")
            connection.execute(
                """UPDATE fix SET state = ?, outcome = ?, epoch = ?, created_at = ?, ref = ?, signature = ?,
                   base_tree = ?, document = ? WHERE id = ?""",
                (*_columns(record), clean(record.id)),
            )
            if before[0] != record.state or text:
                kind = record.state.value if before[0] != record.state else "told"
                _write_event(connection, record.id, kind, text)
        reach(f"fix-{record.state.value}")
        if before[0] == record.state:
            reach(f"fix-{record.state.value}-noted")

    def take_over(self, id: str) -> FixRecord:
        """Raise the epoch of a fix and give it: who holds its lock may write, everybody before may not."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT document FROM fix WHERE id = ?", (clean(id),)).fetchone()
            if row is None:
                raise StoreError(f'there is no fix "{id}"', hint="cicdctl fix list shows them")
            record = decode(row[0], FixRecord, what=f"fix {id}")
            record = replace(record, epoch=record.epoch + 1)
            connection.execute(
                "UPDATE fix SET epoch = ?, document = ? WHERE id = ?", (record.epoch, encode(record), clean(id))
            )
        return record

    def load(self, id: str) -> FixRecord | None:
        """Give one fix; None when there is none."""
        rows = self._database.query("SELECT document FROM fix WHERE id = ?", (clean(id),))
        return decode(rows[0][0], FixRecord, what=f"fix {id}") if rows else None

    def of_run(self, run: int, stage: str | None = None) -> list[FixRecord]:
        """Give the fixes of a run, the newest first."""
        if stage is None:
            return self._records("run = ?", run)
        return self._records("run = ? AND stage = ?", run, clean(stage))

    def latest(self, limit: int = 20) -> list[FixRecord]:
        """Give fixes, the newest first."""
        return self._records("1", limit=limit)

    def unfinished(self) -> list[FixRecord]:
        """Give fixes that have no outcome, the newest first: those that go on, and those whose process died."""
        return self._records("state <> 'done'")

    def alike(self, signature: str, since: float) -> list[FixRecord]:
        """Give fixes of the same failure that began after `since` (Unix seconds), the newest first."""
        return self._records("signature = ? AND created_at >= ?", signature, since) if signature else []

    def events(self, id: str) -> list[FixEvent]:
        """Give what happened to a fix, oldest first."""
        rows = self._database.query("SELECT id, at, kind, text FROM fix_event WHERE fix = ? ORDER BY id", (clean(id),))
        return [FixEvent(id=row[0], at=row[1], kind=row[2], text=row[3]) for row in rows]

    def put_document(self, id: str, name: str, text: str) -> None:
        """Keep a piece of evidence under a name, in the place of an earlier one."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO fix_document VALUES (?, ?, ?)", (clean(id), clean(name), clean(text))
            )

    def document(self, id: str, name: str) -> str | None:
        """Give a piece of evidence; None when there is none."""
        rows = self._database.query("SELECT text FROM fix_document WHERE fix = ? AND name = ?", (clean(id), name))
        return str(rows[0][0]) if rows else None

    def documents(self, id: str) -> list[str]:
        """Give the names of all evidence of a fix."""
        return [
            row[0]
            for row in self._database.query("SELECT name FROM fix_document WHERE fix = ? ORDER BY name", (clean(id),))
        ]

    def reserve(self, id: str, usd: float, *, fix_limit: float, day_limit: float) -> int | None:
        """Book money for one call; None when the fix, or all fixes of the last 24 hours, would go beyond a limit."""
        now = time.time()
        with self._database.transaction() as connection:
            spent = "SELECT ifnull(sum(ifnull(used_usd, reserved_usd)), 0) FROM budget WHERE"
            of_fix = connection.execute(f"{spent} fix = ?", (clean(id),)).fetchone()[0]
            of_day = connection.execute(f"{spent} at > ?", (now - 86_400,)).fetchone()[0]
            if of_fix + usd > fix_limit or of_day + usd > day_limit:
                return None
            cursor = connection.execute(
                "INSERT INTO budget (fix, at, reserved_usd) VALUES (?, ?, ?)", (clean(id), now, usd)
            )
        return cursor.lastrowid

    def settle(self, reservation: int, usd: float) -> None:
        """Say what a booked call really cost."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE budget SET used_usd = ? WHERE id = ?", (usd, reservation))

    def spent(self, id: str | None = None) -> float:
        """Give what a fix has cost in US dollars, or all fixes of the last 24 hours; open bookings count in full."""
        condition, value = ("at > ?", time.time() - 86_400) if id is None else ("fix = ?", clean(id))
        rows = self._database.query(
            f"SELECT ifnull(sum(ifnull(used_usd, reserved_usd)), 0) FROM budget WHERE {condition}", (value,)
        )
        return float(rows[0][0])

    def _records(self, condition: str, *values: str | float, limit: int = _MOST_FOUND) -> list[FixRecord]:
        rows = self._database.query(
            f"SELECT id, document FROM fix WHERE {condition} ORDER BY created_at DESC, rowid DESC LIMIT ?",
            (*values, limit),
        )
        return [decode(document, FixRecord, what=f"fix {id}") for id, document in rows]


def open_fixes(folder: Path, *, read_only: bool = False) -> FixJournal:
    """Open the journal kept in a state folder; `read_only` creates nothing. Raises StoreError."""
    return FixJournal(open_reader(folder) if read_only else open_database(folder))


def _columns(record: FixRecord) -> tuple[str | int | float | None, ...]:
    if (record.state is FixState.DONE) != (record.outcome is not None):
        raise ValueError("a fix has an outcome when it is done, and only then")
    return (
        record.state.value,
        record.outcome.value if record.outcome else None,
        record.epoch,
        record.created_at,
        None if record.ref is None else clean(record.ref),
        record.signature,
        record.base_tree,
        encode(record),
    )


def _write_event(connection: sqlite3.Connection, id: str, kind: str, text: str) -> None:
    connection.execute(
        "INSERT INTO fix_event (fix, at, kind, text) VALUES (?, ?, ?, ?)", (clean(id), time.time(), kind, clean(text))
    )
