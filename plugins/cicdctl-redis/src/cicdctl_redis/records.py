"""Runs and events as keys, and the indexes that find them.

`run:N` is a hash of the run's document, why it is to end, and the last batch of its runner. Sorted sets of run numbers
are the indexes. A list of numbers for each run leads to its events in the stream of all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cicdctl.plugin_api import Run, RunState, Verdict, documents, letter_rules, run_rules
from cicdctl_redis.ledger import Transaction

clean = documents.clean


def hashes_of(number: int) -> list[Sequence[object]]:
    """Name what a change of a run reads, to be read at once."""
    names = [(kind, number) for kind in ("run", "stages", "attempts")]
    return [*names, ("queue",), ("slots",), ("chains",)]


def read_run(change: Transaction, number: int) -> Run | None:
    """Read one run; None when there is none."""
    document = change.hash("run", number).get("document")
    return None if document is None else decode_run(document, number)


def decode_run(document: str, number: object) -> Run:
    """Read a run from its document."""
    return documents.decode(document, Run, what=f"run #{number}")


def add_run(change: Transaction, run: Run, *, tells: bool) -> Run:
    """Write a new run and its event; return it with its number and epoch 1."""
    run_rules.new_run(run, 0)  # before a number is taken
    run = run_rules.new_run(run, change.count("run"))
    key, number = change.ledger.key, run.number
    change.set(("run", number), "document", documents.encode(run))
    change.write("SADD", key("pipelines"), clean(run.pipeline))
    for name in indexes_of(run):
        change.write("ZADD", key(*name), number, number)
    write_event(change, number, "run_created", detail=run_rules.created_facts(run))
    if tells:
        write_transition(change, RunState.QUEUED, run)
    return run


def put_run(change: Transaction, before: Run, run: Run) -> None:
    """Bring a run and its indexes up to date."""
    change.set(("run", run.number), "document", documents.encode(run))
    old, new = _moving_indexes(before), _moving_indexes(run)
    for name in old - new:
        change.write("ZREM", change.ledger.key(*name), run.number)
    for name in new - old:
        change.write("ZADD", change.ledger.key(*name), run.number, run.number)


def indexes_of(run: Run) -> list[tuple[str, ...]]:
    """Name every index that a run may be in."""
    of = (("pipeline", run.pipeline), ("commit", run.commit), ("tree", run.tree))
    refs = [] if run.ref is None else [("ref", clean(run.ref))]
    return [("runs",), *((kind, clean(value)) for kind, value in of), *refs, *_moving_indexes(run)]


def _moving_indexes(run: Run) -> set[tuple[str, ...]]:
    if run.verdict is None:
        return {("active",)}
    return {("verdict", run.verdict), ("ended", run.verdict, clean(run.pipeline))}


def write_event(
    change: Transaction, run: int, kind: str, stage: str | None = None, detail: Mapping[str, Any] | None = None
) -> None:
    """Append to the history: a stream of all, and a list of those of each run."""
    number = change.count("event")
    place = None if stage is None else clean(stage)
    fact = documents.encode([run, time.time(), clean(kind), place, detail or {}])
    change.write("XADD", change.ledger.key("events"), f"{number}-0", "fact", fact)
    change.write("RPUSH", change.ledger.key("events", run), number)


def write_news(change: Transaction, run: Run, event: str, text: str = "") -> None:
    """Write what there is to tell."""
    number = change.count("news")
    news = letter_rules.News(
        id=number,
        run=run.number,
        at=time.time(),
        event=clean(event),
        previous=None if (word := _previous_verdict(change, run)) is None else Verdict(word),
        text=clean(text),
    )
    change.set(("news",), number, documents.encode(news))


def write_transition(change: Transaction, before: RunState | None, run: Run) -> None:
    """Write the news of a run that starts or ends."""
    for event, text in letter_rules.news_of_transition(before, run):
        write_news(change, run, event, text)


def _previous_verdict(change: Transaction, run: Run) -> str | None:
    if run.ref is None:
        return None
    before: list[tuple[int, str]] = []
    most = letter_rules.LOOK_BACK_RUNS
    for verdict in letter_rules.TELLING_VERDICTS:
        name = ("ended", verdict.value, clean(run.pipeline))
        found = change.ask("ZREVRANGEBYSCORE", name, f"({run.number}", "-inf", "LIMIT", 0, most)
        before += [(int(number), verdict.value) for number in found]
    before = sorted(before, reverse=True)[:most]
    for at in range(0, len(before), 20):  # the one that is comparable is most often the first
        page = before[at : at + 20]
        found = change.ledger.send(*(("HGET", change.ledger.key("run", number), "document") for number, _ in page))
        earlier = [(word, document) for (_, word), document in zip(page, found, strict=True) if document is not None]
        answer = letter_rules.previous_verdict(run, earlier)
        if answer is not None:
            return answer
    return None


def forget(change: Transaction, run: Run, events: Sequence[str]) -> None:
    """Remove a run that has ended, and its part of the history: the events with these numbers."""
    key = change.ledger.key
    for name in indexes_of(run):
        change.write("ZREM", key(*name), run.number)
    ids = [f"{number}-0" for number in events]
    for at in range(0, len(ids), 1000):
        change.write("XDEL", key("events"), *ids[at : at + 1000])
    change.unset(("chains",), run.number)
    kinds = ("run", "stages", "attempts", "events")
    change.write("UNLINK", *(key(kind, run.number) for kind in kinds))
