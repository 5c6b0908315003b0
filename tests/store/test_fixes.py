"""The journal of fixes: fenced writes, evidence, and money that two processes cannot spend twice."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from cicdctl.model.fix_record import FixOutcome, FixRecord, FixState
from cicdctl.store.fixes import FixJournal, StaleFix, open_fixes


@pytest.fixture
def journal(tmp_path: Path):
    journal = open_fixes(tmp_path / "state")
    yield journal
    journal.close()


def new(journal: FixJournal, run: int = 42, stage: str = "unit", **fields) -> FixRecord:
    return journal.open(FixRecord(id="", run=run, stage=stage, state=FixState.CAPTURED, created_at=1000.0, **fields))


def test_ids_count_up(journal):
    """The second fix of a stage has a number in its id."""
    assert [new(journal).id, new(journal).id, new(journal, stage="lint").id] == ["42/unit", "42/unit~2", "42/lint"]
    assert [record.id for record in journal.of_run(42, "unit")] == ["42/unit~2", "42/unit"]


def test_states_become_events(journal):
    """Each new state is an event; saving within a state is none unless something is told."""
    record = new(journal)
    journal.save(replace(record, state=FixState.TRIAGED), "code: a test failed")
    journal.save(replace(record, state=FixState.TRIAGED, signature="abc"))
    journal.save(replace(record, state=FixState.DONE, outcome=FixOutcome.FLAKY, signature="abc"))
    assert [event.kind for event in journal.events(record.id)] == ["captured", "triaged", "done"]
    assert journal.unfinished() == []
    assert journal.alike("abc", 0.0)[0].outcome is FixOutcome.FLAKY
    assert journal.alike("", 0.0) == []


def test_who_was_taken_over_changes_nothing(journal):
    """A process that lost its fix cannot write any more."""
    record = new(journal)
    taken = journal.take_over(record.id)
    with pytest.raises(StaleFix):
        journal.save(replace(record, state=FixState.TRIAGED))
    assert journal.load(record.id).state is FixState.CAPTURED
    journal.save(replace(taken, state=FixState.TRIAGED))


def test_outcome_only_when_done(journal):
    """The impossible is refused before it is written."""
    with pytest.raises(ValueError, match="outcome"):
        journal.save(replace(new(journal), outcome=FixOutcome.FIXED))


def test_documents(journal):
    """Evidence is kept by name; text that no database holds loses only what cannot be held."""
    record = new(journal)
    journal.put_document(record.id, "proof", "{}")
    journal.put_document(record.id, "proof", '{"a": 1}')
    journal.put_document(record.id, "bundle", "half a pair: \ud800")
    assert journal.document(record.id, "proof") == '{"a": 1}'
    assert journal.document(record.id, "bundle") == "half a pair: ?"
    assert journal.documents(record.id) == ["bundle", "proof"]
    assert journal.document(record.id, "diff") is None


def test_limits_hold_across_connections(journal, tmp_path):
    """Eight connections that book at once get exactly as much as the day has."""
    granted: list[int] = []

    def book(number: int) -> None:
        other = open_fixes(tmp_path / "state")
        for _ in range(5):
            booked = other.reserve(f"{number}/unit", 0.5, fix_limit=100.0, day_limit=6.0)
            if booked is not None:
                granted.append(booked)
        other.close()

    threads = [threading.Thread(target=book, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == len(set(granted)) == 12
    assert journal.spent() == 6.0
    journal.settle(granted[0], 0.1)
    assert journal.spent() == pytest.approx(5.6)
    assert journal.reserve("9/unit", 0.4, fix_limit=1.0, day_limit=6.0) is not None
    assert journal.reserve("9/unit", 0.7, fix_limit=1.0, day_limit=100.0) is None
    assert journal.spent("9/unit") == pytest.approx(0.4)
