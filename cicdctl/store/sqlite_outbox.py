"""The outbox in SQLite: news written with what happened, and letters."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence

from cicdctl.kinds import Notice
from cicdctl.model import Run, RunState, Verdict
from cicdctl.store.database import Database
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.failpoints import reach
from cicdctl.store.letters import (
    LONGEST_WAIT_S,
    LOOK_BACK_RUNS,
    MOST_FAILED,
    TELLING_VERDICTS,
    Letter,
    News,
    capped_due_at,
    news_of_transition,
    previous_verdict,
)

_TELLING = ", ".join(f"'{verdict}'" for verdict in TELLING_VERDICTS)


def write_news(connection: sqlite3.Connection, run: Run, event: str, text: str = "") -> None:
    """Write what there is to tell, inside the transaction in which it happens."""
    connection.execute(
        "INSERT INTO news (run, at, event, previous, text) VALUES (?, ?, ?, ?, ?)",
        (run.number, time.time(), clean(event), _previous_verdict(connection, run), clean(text)),
    )


def write_transition(connection: sqlite3.Connection, before: RunState | None, run: Run) -> None:
    """Write the news of a run that starts or ends, see `news_of_transition`."""
    for event, text in news_of_transition(before, run):
        write_news(connection, run, event, text)


def _previous_verdict(connection: sqlite3.Connection, run: Run) -> str | None:
    if run.ref is None:
        return None
    rows = connection.execute(
        f"""SELECT verdict, document FROM run WHERE pipeline = ? AND id < ? AND state = 'done'
            AND verdict IN ({_TELLING}) ORDER BY id DESC LIMIT ?""",
        (clean(run.pipeline), run.number, LOOK_BACK_RUNS),
    )
    return previous_verdict(run, rows)


class Outbox:
    """Keeps the contract of `OutboxStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def news(self, limit: int = 100) -> list[News]:
        """See `OutboxStore.news`."""
        rows = self._database.query(
            "SELECT id, run, at, event, previous, text FROM news ORDER BY id LIMIT ?", (max(0, limit),)
        )
        return [
            News(id=row[0], run=row[1], at=row[2], event=row[3], previous=row[4] and Verdict(row[4]), text=row[5])
            for row in rows
        ]

    def spread(self, news: News, letters: Iterable[Letter]) -> None:
        """See `OutboxStore.spread`."""
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM news WHERE id = ?", (news.id,)).rowcount:
                return
            for letter in letters:
                _insert(connection, letter)
            reach("outbox-spread")

    def add(self, letter: Letter) -> None:
        """See `OutboxStore.add`."""
        with self._database.transaction() as connection:
            _insert(connection, letter)

    def is_outdated(self, run: Run) -> bool:
        """See `OutboxStore.is_outdated`."""
        rows = self._database.query(
            """SELECT 1 FROM run WHERE commit_id = ? AND id > ? AND pipeline = ?
               AND state NOT IN ('queued', 'blocked') LIMIT 1""",
            (clean(run.commit), run.number, clean(run.pipeline)),
        )
        return bool(rows)

    def due(self, now: float) -> list[Letter]:
        """See `OutboxStore.due`."""
        return self._letters(
            "failed_at IS NULL AND (due_at <= ? OR due_at > ?) ORDER BY id", (now, now + LONGEST_WAIT_S)
        )

    def letters(self) -> list[Letter]:
        """See `OutboxStore.letters`."""
        return self._letters("1 ORDER BY id", ())

    def next_due_at(self) -> float | None:
        """See `OutboxStore.next_due_at`."""
        found = self._database.query(
            """SELECT CASE WHEN EXISTS (SELECT 1 FROM news) THEN 0.0
               ELSE (SELECT min(due_at) FROM outbox WHERE failed_at IS NULL) END"""
        )[0][0]
        return capped_due_at(None if found is None else float(found))

    def remove(self, letter: Letter) -> None:
        """See `OutboxStore.remove`."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", (letter.id,))

    def postpone(self, letter: Letter, error: str, due_at: float | None) -> None:
        """See `OutboxStore.postpone`."""
        failed_at = time.time() if due_at is None else None
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE outbox SET tries = tries + 1, error = ?, due_at = ?, failed_at = ? WHERE id = ?",
                (clean(error), letter.due_at if due_at is None else due_at, failed_at, letter.id),
            )
            connection.execute(
                """DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE failed_at IS NOT NULL
                   ORDER BY failed_at DESC LIMIT -1 OFFSET ?)""",
                (MOST_FAILED,),
            )

    def try_again(self) -> int:
        """See `OutboxStore.try_again`."""
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE outbox SET tries = 0, due_at = ?, failed_at = NULL", (time.time(),)
            ).rowcount

    def _letters(self, condition: str, values: Sequence[float]) -> list[Letter]:
        rows = self._database.query(
            f"SELECT id, notifier, topic, run, tries, due_at, failed_at, error, document FROM outbox WHERE {condition}",
            values,
        )
        return [
            Letter(
                id=row[0],
                notifier=row[1],
                topic=row[2],
                run=row[3],
                tries=row[4],
                due_at=row[5],
                failed_at=row[6],
                error=row[7],
                notice=decode(row[8], Notice, what=f"a notice to '{row[1]}'"),
            )
            for row in rows
        ]


def _insert(connection: sqlite3.Connection, letter: Letter) -> None:
    if letter.topic:
        connection.execute(
            "DELETE FROM outbox WHERE notifier = ? AND topic = ?", (clean(letter.notifier), clean(letter.topic))
        )
    connection.execute(
        """INSERT INTO outbox (notifier, topic, run, tries, due_at, document) VALUES (?, ?, ?, 0, ?, ?)""",
        (clean(letter.notifier), clean(letter.topic), letter.run, letter.due_at, encode(letter.notice)),
    )
