"""What forges have told: acknowledged once it is here, done once git was looked at because of it.

Always in the state folder of the repository, wherever runs are kept.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cicdctl.model import Value
from cicdctl.store.database import Database
from cicdctl.store.database_open import open_database, open_reader
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.queue_rules import DELIVERIES_KEPT_S

MOST_WAITING = 10_000
_PRUNED_AT_ONCE = 1000
_PRUNE_EVERY_S = 60.0

Fate = Literal["waiting", "ignored", "repeated", "full"]


class RefHint(Value, frozen=True, kw_only=True):
    """A ref that has moved, as the forge says: hex ids, None where it did not or does not exist."""

    ref: str
    old: str | None
    new: str | None


class Delivery(Value, frozen=True, kw_only=True):
    """What is kept of a delivery. `id` names it at the forge, empty: nothing does; `event` is the forge's word.

    `more` is how many refs there were beyond the `hints`. `options` are push options. `ignored` says why it starts
    nothing.
    """

    forge: str
    id: str
    event: str
    hints: tuple[RefHint, ...] = ()
    more: int = 0
    options: tuple[str, ...] = ()
    ignored: str | None = None


class Receipt(Value, frozen=True, kw_only=True):
    """What became of a delivery, and its number here: None when it is `repeated`, or the queue is `full`."""

    fate: Fate
    number: int | None = None


class Told(Value, frozen=True, kw_only=True):
    """A delivery as it is remembered. Times are Unix seconds; `done_at`: when git had been looked at."""

    number: int
    at: float
    state: Literal["waiting", "done", "ignored"]
    done_at: float | None
    delivery: Delivery


class DeliveryStore:
    """Safe from any thread and process; what a call wrote survives a power loss. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pruned_at = float("-inf")

    def close(self) -> None:
        """Release it; calling it again does nothing."""
        self._database.close()

    def accept(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        """Record deliveries, all in one transaction; what the forge sent before, within 7 days, is not recorded twice.

        What waits beyond `MOST_WAITING` is not recorded either.
        """
        now = time.time()
        receipts: list[Receipt] = []
        with self._database.transaction() as connection:
            self._prune(connection, now)
            sql = "SELECT count(*) FROM webhook WHERE state = 'waiting'"
            room = MOST_WAITING - connection.execute(sql).fetchone()[0]
            for delivery in deliveries:
                if delivery.ignored is None and room <= 0:
                    receipts.append(Receipt(fate="full"))
                    continue
                number = _insert(connection, delivery, now)
                if number is None:
                    receipts.append(Receipt(fate="repeated"))
                    continue
                room -= delivery.ignored is None
                receipts.append(Receipt(fate="waiting" if delivery.ignored is None else "ignored", number=number))
        return receipts

    def newest_waiting(self) -> int | None:
        """Give the number of the newest delivery that waits: a look that begins after this serves all up to it."""
        found = self._database.query("SELECT max(id) FROM webhook WHERE state = 'waiting'")[0][0]
        return None if found is None else int(found)

    def finish(self, up_to: int) -> int:
        """Note that git was looked at for all that wait up to this number; say how many there were."""
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE webhook SET state = 'done', done_at = ? WHERE state = 'waiting' AND id <= ?",
                (time.time(), up_to),
            ).rowcount

    def with_options(self, up_to: int) -> list[Delivery]:
        """Give those that wait, up to this number, whose author pushed with options, oldest first."""
        rows = self._database.query(
            """SELECT document FROM webhook
               WHERE state = 'waiting' AND id <= ? AND document LIKE '%"options"%' ORDER BY id""",
            (up_to,),
        )
        return [_delivery(document) for (document,) in rows]

    def last_genuine_at(self) -> float | None:
        """Give when a push or a ping was last told, in Unix seconds; None when none was within 7 days."""
        rows = self._database.query(
            """SELECT at FROM webhook WHERE reason IS NULL OR reason IN ('ping', 'test') ORDER BY at DESC LIMIT 1"""
        )
        return float(rows[0][0]) if rows else None

    def waiting(self) -> int:
        """Count those that wait."""
        return int(self._database.query("SELECT count(*) FROM webhook WHERE state = 'waiting'")[0][0])

    def last_by_forge(self) -> dict[str, float]:
        """Give when each forge last told anything, within 7 days."""
        return dict(self._database.query("SELECT forge, max(at) FROM webhook GROUP BY forge"))

    def newest(self, limit: int) -> list[Told]:
        """List the newest deliveries first."""
        rows = self._database.query(
            "SELECT id, at, state, done_at, document FROM webhook ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [
            Told(number=number, at=at, state=state, done_at=done_at, delivery=_delivery(document))
            for number, at, state, done_at, document in rows
        ]

    def _prune(self, connection: sqlite3.Connection, now: float) -> None:
        """Forget a few old ones; soon again as long as there are more."""
        if now - self._pruned_at < _PRUNE_EVERY_S and now >= self._pruned_at:
            return
        gone = connection.execute(
            """DELETE FROM webhook WHERE id IN
               (SELECT id FROM webhook WHERE at < ? AND state <> 'waiting' ORDER BY at LIMIT ?)""",
            (now - DELIVERIES_KEPT_S, _PRUNED_AT_ONCE),
        ).rowcount
        self._pruned_at = now if gone < _PRUNED_AT_ONCE else float("-inf")


def open_deliveries(folder: Path, *, read_only: bool = False) -> DeliveryStore:
    """Open what lies beside the state of a repository. Raises StoreError."""
    return DeliveryStore(open_reader(folder) if read_only else open_database(folder))


def _insert(connection: sqlite3.Connection, delivery: Delivery, now: float) -> int | None:
    state = "waiting" if delivery.ignored is None else "ignored"
    cursor = connection.execute(
        """INSERT INTO webhook (forge, delivery, at, event, state, reason, document)
           VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
        (delivery.forge, clean(delivery.id), now, clean(delivery.event), state, delivery.ignored, encode(delivery)),
    )
    return cursor.lastrowid if cursor.rowcount else None


def _delivery(document: str) -> Delivery:
    return decode(document, Delivery, what="a delivery")
