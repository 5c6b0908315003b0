"""The outbox: the hashes `news` and `letters`, by number."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from cicdctl.plugin_api import Letter, News, Run, RunState, documents, letter_rules
from cicdctl_redis import records
from cicdctl_redis.ledger import Ledger, Transaction

clean = documents.clean
_NEWS, _LETTERS = ("news",), ("letters",)


class RedisOutbox:
    """Keeps the contract of `OutboxStore`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def news(self, limit: int = 100) -> list[News]:
        """See `OutboxStore.news`."""
        rows = self._ledger.ask(("HGETALL", self._ledger.key(*_NEWS)))[0]
        numbers = sorted(map(int, rows))[: max(0, limit)]
        return [documents.decode(rows[str(number)], News, what="news") for number in numbers]

    def spread(self, news: News, letters: Iterable[Letter]) -> None:
        """See `OutboxStore.spread`."""
        written = tuple(letters)

        def put(change: Transaction) -> None:
            if change.unset(_NEWS, news.id):
                for letter in written:
                    _insert(change, letter)

        self._ledger.change(put, hashes=[_NEWS, _LETTERS])

    def add(self, letter: Letter) -> None:
        """See `OutboxStore.add`."""
        self._ledger.change(lambda change: _insert(change, letter), hashes=[_LETTERS])

    def is_outdated(self, run: Run) -> bool:
        """See `OutboxStore.is_outdated`."""
        key = self._ledger.key
        newer = self._ledger.ask(("ZRANGEBYSCORE", key("commit", clean(run.commit)), f"({run.number}", "+inf"))[0]
        if not newer:
            return False
        found = self._ledger.ask(*(("HGET", key("run", number), "document") for number in newer))
        others = [records.decode_run(row, number) for row, number in zip(found, newer, strict=True) if row is not None]
        waits = (RunState.QUEUED, RunState.BLOCKED)
        return any(other.pipeline == clean(run.pipeline) and other.state not in waits for other in others)

    def due(self, now: float) -> list[Letter]:
        """See `OutboxStore.due`."""
        return [letter for letter in self.letters() if letter_rules.is_due(letter, now)]

    def letters(self) -> list[Letter]:
        """See `OutboxStore.letters`."""
        return _in_order(self._ledger.ask(("HGETALL", self._ledger.key(*_LETTERS)))[0])

    def next_due_at(self) -> float | None:
        """See `OutboxStore.next_due_at`."""
        key = self._ledger.key
        news, letters = self._ledger.ask(("HLEN", key(*_NEWS)), ("HGETALL", key(*_LETTERS)))
        if news:
            return 0.0
        waits = [letter.due_at for letter in _in_order(letters) if letter.failed_at is None]
        return letter_rules.capped_due_at(min(waits, default=None))

    def remove(self, letter: Letter) -> None:
        """See `OutboxStore.remove`."""
        self._ledger.change(lambda change: change.unset(_LETTERS, letter.id), hashes=[_LETTERS])

    def postpone(self, letter: Letter, error: str, due_at: float | None) -> None:
        """See `OutboxStore.postpone`."""

        def move(change: Transaction) -> None:
            row = change.hash(*_LETTERS).get(str(letter.id))
            if row is None:
                return
            found = _read(row)
            after: dict[str, Any] = {"failed_at": time.time()} if due_at is None else {"due_at": due_at}
            _put(change, replace(found, tries=found.tries + 1, error=clean(error), **{"failed_at": None, **after}))
            failed = [one for one in _in_order(change.hash(*_LETTERS)) if one.failed_at is not None]
            failed.sort(key=lambda one: one.failed_at or 0.0, reverse=True)
            for one in failed[letter_rules.MOST_FAILED :]:
                change.unset(_LETTERS, one.id)

        self._ledger.change(move, hashes=[_LETTERS])

    def try_again(self) -> int:
        """See `OutboxStore.try_again`."""

        def renew(change: Transaction) -> int:
            letters = _in_order(change.hash(*_LETTERS))
            for letter in letters:
                _put(change, replace(letter, tries=0, due_at=time.time(), failed_at=None))
            return len(letters)

        return self._ledger.change(renew, hashes=[_LETTERS])


def _read(row: str) -> Letter:
    return documents.decode(row, Letter, what="a notice")


def _in_order(rows: dict[str, str]) -> list[Letter]:
    return [_read(rows[number]) for number in sorted(rows, key=int)]


def _put(change: Transaction, letter: Letter) -> None:
    change.set(_LETTERS, letter.id, documents.encode(letter))


def _insert(change: Transaction, letter: Letter) -> None:
    place = clean(letter.notifier), clean(letter.topic)
    if letter.topic:
        for one in _in_order(change.hash(*_LETTERS)):
            if (one.notifier, one.topic) == place:
                change.unset(_LETTERS, one.id)
    number = change.count("letter")
    fresh = replace(letter, id=number, notifier=place[0], topic=place[1], tries=0, failed_at=None, error=None)
    _put(change, fresh)
