"""What is to be told: news written with what happened, and the letters to notifiers they become."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from cicdctl.kinds import Notice
from cicdctl.model import Run, RunState, TriggerKind, Value, Verdict
from cicdctl.model.history import is_partial
from cicdctl.model.verdict import TRIALS
from cicdctl.store.database import Database
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.failpoints import reach

STARTED, ENDED = "started", "ended"
MOST_FAILED = 500
_LOOK_BACK_RUNS = 1000
# After the clock was set back a letter must not wait for a day.
_LONGEST_WAIT_S = 3600.0


class News(Value, frozen=True, kw_only=True):
    """Something that happened to a run: it `started`, it `ended`, or an event with a `text` of its own.

    `previous` is how the newest earlier run ended that passed or failed, of the same pipeline, ref and params.
    """

    id: int
    run: int
    at: float
    event: str
    previous: Verdict | None = None
    text: str = ""


class Letter(Value, frozen=True, kw_only=True):
    """A notice for one notifier. It waits until `due_at` (Unix seconds), or was given up at `failed_at`.

    Of the letters to a notifier with the same `topic` only the newest is kept; the empty topic keeps all.
    """

    id: int = 0
    notifier: str
    topic: str = ""
    run: int = 0
    tries: int = 0
    due_at: float = 0.0
    failed_at: float | None = None
    error: str | None = None
    notice: Notice


class _Earlier(msgspec.Struct):
    """What makes a run comparable to another."""

    ref: str | None = None
    snapshot: bool = False
    params: dict[str, str] = {}
    options: dict[str, Any] = {}
    trigger: TriggerKind = TriggerKind.MANUAL


def write_news(connection: sqlite3.Connection, run: Run, event: str, text: str = "") -> None:
    """Write what there is to tell, inside the transaction in which it happens."""
    connection.execute(
        "INSERT INTO news (run, at, event, previous, text) VALUES (?, ?, ?, ?, ?)",
        (run.number, time.time(), clean(event), _previous_verdict(connection, run), clean(text)),
    )


def write_transition(connection: sqlite3.Connection, before: RunState | None, run: Run) -> None:
    """Write the news of a run that starts or ends, unless it says nothing of its ref: a part, or a trial."""
    if run.state is before or run.is_partial or run.trigger in TRIALS:
        return
    if run.state is RunState.DONE:
        write_news(connection, run, ENDED)
        if run.trigger is TriggerKind.ROLLBACK and run.verdict is not Verdict.PASSED:
            # Nothing rolls it back again: now somebody has to look.
            where = f'"{run.deploy.environment}"' if run.deploy is not None else "an environment"
            write_news(connection, run, "escalated", f"the rollback of {where} has not passed")
    elif before in (RunState.QUEUED, RunState.BLOCKED) and run.state is not RunState.BLOCKED:
        write_news(connection, run, STARTED)


def _previous_verdict(connection: sqlite3.Connection, run: Run) -> str | None:
    """How the newest earlier run ended that passed or failed; cancelled and skipped ones say nothing."""
    if run.ref is None:
        return None
    rows = connection.execute(
        """SELECT verdict, document FROM run WHERE pipeline = ? AND id < ? AND state = 'done'
           AND verdict IN ('passed', 'failed', 'timed_out', 'error') ORDER BY id DESC LIMIT ?""",
        (clean(run.pipeline), run.number, _LOOK_BACK_RUNS),
    )
    wanted = decode(encode(run), _Earlier, what="this run")
    for verdict, document in rows:
        earlier = decode(document, _Earlier, what="an earlier run")
        if is_partial(earlier.options) or earlier.trigger in TRIALS:
            continue
        if _place(earlier) == _place(wanted):
            return str(verdict)
    return None


def _place(run: _Earlier) -> tuple[str | None, bool, dict[str, str]]:
    return run.ref, run.snapshot, run.params


class Outbox:
    """The letters of one state. Safe from any thread and process; what a call wrote survives a power loss."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def news(self, limit: int = 100) -> list[News]:
        """Give what nobody has made letters of yet, oldest first."""
        rows = self._database.query(
            "SELECT id, run, at, event, previous, text FROM news ORDER BY id LIMIT ?", (max(0, limit),)
        )
        return [
            News(id=row[0], run=row[1], at=row[2], event=row[3], previous=row[4] and Verdict(row[4]), text=row[5])
            for row in rows
        ]

    def spread(self, news: News, letters: Iterable[Letter]) -> None:
        """Put letters in the place of news, once: when somebody else was faster, nothing changes."""
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM news WHERE id = ?", (news.id,)).rowcount:
                return
            for letter in letters:
                _insert(connection, letter)
            reach("outbox-spread")

    def add(self, letter: Letter) -> None:
        """Put one letter there that comes from no run."""
        with self._database.transaction() as connection:
            _insert(connection, letter)

    def is_outdated(self, run: Run) -> bool:
        """Whether a newer run of the same pipeline on the same commit has started, whose state counts."""
        rows = self._database.query(
            """SELECT 1 FROM run WHERE commit_id = ? AND id > ? AND pipeline = ?
               AND state NOT IN ('queued', 'blocked') LIMIT 1""",
            (clean(run.commit), run.number, clean(run.pipeline)),
        )
        return bool(rows)

    def due(self, now: float) -> list[Letter]:
        """Give the letters to send by now, oldest first."""
        return self._letters(
            "failed_at IS NULL AND (due_at <= ? OR due_at > ?) ORDER BY id", (now, now + _LONGEST_WAIT_S)
        )

    def letters(self) -> list[Letter]:
        """Give all letters that wait or were given up, oldest first."""
        return self._letters("1 ORDER BY id", ())

    def next_due_at(self) -> float | None:
        """When the next letter is due, in Unix seconds; 0.0 while there is news; None when nothing waits."""
        found = self._database.query(
            """SELECT CASE WHEN EXISTS (SELECT 1 FROM news) THEN 0.0
               ELSE (SELECT min(due_at) FROM outbox WHERE failed_at IS NULL) END"""
        )[0][0]
        if found is not None and found > time.time() + _LONGEST_WAIT_S:
            return 0.0
        return None if found is None else float(found)

    def remove(self, letter: Letter) -> None:
        """Forget a letter, for example because it arrived."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", (letter.id,))

    def postpone(self, letter: Letter, error: str, due_at: float | None) -> None:
        """Count a failed try; the next is due at `due_at`, None: there is none."""
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
        """Make every letter due now, those given up too, with all their tries; say how many."""
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
