"""One change of a run becomes commands of somebody's transaction."""

from __future__ import annotations

import json

from cicdctl.plugin_api import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Change,
    Run,
    RunChanged,
    RunState,
    StageChanged,
    StageState,
    deployment_rules,
    documents,
    next_run,
    run_rules,
)
from cicdctl_redis import deployments, places
from cicdctl_redis.ledger import Transaction
from cicdctl_redis.records import put_run, write_event

clean = documents.clean


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
        places.follow(change, new)
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
