"""Runs, stages, attempts and events as keys: one change becomes commands of somebody's transaction.

`run:N` is a hash of the run's document, why it is to end, and the last batch of its runner. `stages:N` and
`attempts:N` hold a JSON list for each. Sorted sets of run numbers are the indexes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from cicdctl.plugin_api import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Change,
    OpenAttempt,
    Run,
    RunChanged,
    RunState,
    RunSummary,
    StageChanged,
    StageResult,
    StageState,
    Verdict,
    deployment_rules,
    documents,
    letter_rules,
    next_run,
    run_rules,
)
from cicdctl_redis import deployments, queue
from cicdctl_redis.ledger import Ledger, Transaction

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
    return [("runs",), *((kind, clean(value)) for kind, value in of), *_moving_indexes(run)]


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


def apply_change(change: Transaction, run: Run, item: Change) -> Run:
    """Write one change and its event; give the run as it is afterwards. ValueError when it is impossible."""
    if isinstance(item, RunChanged):
        return _change_run(change, run, item)
    if isinstance(item, StageChanged):
        _change_stage(change, run, item)
    elif isinstance(item, AttemptStarted):
        _start_attempt(change, run.number, item)
    elif isinstance(item, AttemptEnded):
        _end_attempt(change, run.number, clean(item.stage), item.attempt)
    else:
        write_event(change, run.number, item.kind, item.stage, item.detail)
    return run


def _change_run(change: Transaction, run: Run, item: RunChanged) -> Run:
    new = next_run(run, item)
    put_run(change, run, new)
    if new.state is not run.state:
        queue.follow(change, new)
        if new.state is RunState.DONE and new.deploy is not None and _has_begun(change, new.number):
            deployments.write(change, new, deployment_rules.wants_rollback(new))
    kind, detail = run_rules.changed_event(run, new)
    write_event(change, run.number, kind, detail=detail)
    return new


def _has_begun(change: Transaction, run: int) -> bool:
    """Whether a stage was started: what comes from the cache, or was skipped, has changed nothing anywhere."""
    stages = (json.loads(row) for row in change.hash("stages", run).values())
    return bool(change.hash("attempts", run)) or any(row[0] == StageState.RUNNING for row in stages)


def _change_stage(change: Transaction, run: Run, item: StageChanged) -> None:
    name, number, result = clean(item.name), run.number, item.result
    rows = change.hash("stages", number)
    state, verdict, written_by, _, place = json.loads(rows[name]) if name in rows else (None, None, 0, None, len(rows))
    run_rules.check_stage(run, name, item.state, state=state, verdict=verdict, written_by=written_by)
    for attempt in () if result is None else result.attempts:
        _keep_attempt(change, number, name, attempt)
    verdict, document = (None, None)
    if result is not None:
        verdict, document = result.verdict.value, documents.encode(run_rules.bare(result))
    row = [item.state.value, verdict, run.epoch, document, place]
    change.set(("stages", number), name, json.dumps(row))
    if result is None:
        write_event(change, number, "stage_started", name)
    else:
        write_event(change, number, "stage_finished", name, run_rules.stage_facts(result))


def _field(stage: str, number: int) -> str:
    return json.dumps([stage, number])


def _start_attempt(change: Transaction, run: int, item: AttemptStarted) -> None:
    stage = clean(item.stage)
    field = _field(stage, item.number)
    run_rules.check_new_attempt(run, stage, item.number, is_known=field in change.hash("attempts", run))
    log = None if item.log is None else clean(item.log)
    change.set(("attempts", run), field, json.dumps([item.at, log, None]))
    write_event(change, run, "attempt_started", stage, {"number": item.number, "log": log})


def _end_attempt(change: Transaction, run: int, stage: str, attempt: Attempt) -> None:
    field = _field(stage, attempt.number)
    at, log, document = json.loads(change.hash("attempts", run).get(field, "[0, null, true]"))
    run_rules.check_open_attempt(run, stage, attempt.number, is_open=document is None)
    change.set(("attempts", run), field, json.dumps([at, log, documents.encode(attempt)]))
    write_event(change, run, "attempt_finished", stage, run_rules.attempt_facts(attempt))


def _keep_attempt(change: Transaction, run: int, stage: str, attempt: Attempt) -> None:
    """Record an attempt that came with its stage's result; one that already ended stays as it was recorded."""
    field = _field(stage, attempt.number)
    given = [attempt.started_at, None if attempt.log is None else clean(attempt.log), None]
    at, log, document = json.loads(change.hash("attempts", run).get(field, json.dumps(given)))
    if document is None:
        change.set(("attempts", run), field, json.dumps([at, log, documents.encode(attempt)]))


def open_attempts(rows: Mapping[str, str]) -> list[OpenAttempt]:
    """Read the attempts without an end from a hash `attempts:N`."""
    found = []
    for field, row in rows.items():
        (stage, number), (at, log, document) = json.loads(field), json.loads(row)
        if document is None:
            found.append(OpenAttempt(stage=stage, number=number, started_at=at, log=log))
    return sorted(found, key=lambda attempt: (attempt.stage, attempt.number))


def ended_attempts(rows: Mapping[str, str], run: int) -> dict[str, list[Attempt]]:
    """Read the attempts that ended from a hash `attempts:N`: by stage, in order."""
    found: dict[str, list[Attempt]] = {}
    for field, row in sorted(rows.items(), key=lambda item: json.loads(item[0])):
        (stage, _), (_, _, document) = json.loads(field), json.loads(row)
        if document is not None:
            what = f"an attempt of '{stage}' in run #{run}"
            found.setdefault(stage, []).append(documents.decode(document, Attempt, what=what))
    return found


def read_stage(row: str, name: str, run: int, attempts: Sequence[Attempt]) -> StageResult | None:
    """Read a stage's result from a field of `stages:N`; None while it has none."""
    document = json.loads(row)[3]
    if document is None:
        return None
    result = documents.decode(document, StageResult, what=f"stage '{name}' in run #{run}")
    return replace(result, attempts=tuple(attempts))


def summarise(run: Run, stages: Mapping[str, str], attempts: Mapping[str, str]) -> RunSummary:
    """Join a run with the results of its ended stages, in plan order."""
    tries = ended_attempts(attempts, run.number)
    place = {clean(name): index for index, name in enumerate(run.stage_names)}
    names = sorted(stages, key=lambda name: (place.get(name, len(place)), json.loads(stages[name])[4]))
    results = (read_stage(stages[name], name, run.number, tries.get(name, ())) for name in names)
    return RunSummary(run=run, stages=tuple(result for result in results if result is not None))


def forget(change: Transaction, run: Run, ledger: Ledger) -> None:
    """Remove a run that has ended, and its part of the history."""
    for name in indexes_of(run):
        change.write("ZREM", ledger.key(*name), run.number)
    ids = [f"{number}-0" for number in change.ask("LRANGE", ("events", run.number), 0, -1)]
    for at in range(0, len(ids), 1000):
        change.write("XDEL", ledger.key("events"), *ids[at : at + 1000])
    change.unset(("chains",), run.number)
    kinds = ("run", "stages", "attempts", "events")
    change.write("UNLINK", *(ledger.key(kind, run.number) for kind in kinds))
