"""One change becomes rows and an event, inside somebody's transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from cicdctl.model import Attempt, Run, RunState, Verdict
from cicdctl.store import run_rules
from cicdctl.store.changes import AttemptEnded, AttemptStarted, Change, RunChanged, StageChanged, next_run
from cicdctl.store.documents import clean, decode, encode
from cicdctl.store.sqlite_deployments import write_deployment

_NOTHING: Mapping[str, Any] = {}


def read_run(connection: sqlite3.Connection, number: int) -> Run | None:
    """Read one run; None when there is none."""
    row = connection.execute("SELECT document FROM run WHERE id = ?", (number,)).fetchone()
    return None if row is None else decode(row[0], Run, what=f"run #{number}")


def write_run(connection: sqlite3.Connection, run: Run) -> None:
    """Bring the run's row up to date; its columns are copies of what its document says, for the indexes."""
    connection.execute(
        "UPDATE run SET state = ?, verdict = ?, epoch = ?, document = ? WHERE id = ?",
        (run.state, run.verdict, run.epoch, encode(run), run.number),
    )


def write_event(
    connection: sqlite3.Connection, run: int, kind: str, stage: str | None = None, detail: Mapping[str, Any] = _NOTHING
) -> None:
    """Append to the history."""
    connection.execute(
        "INSERT INTO event (run, at, kind, stage, detail) VALUES (?, ?, ?, ?, ?)",
        (run, time.time(), clean(kind), None if stage is None else clean(stage), encode(detail)),
    )


def apply_change(connection: sqlite3.Connection, run: Run, change: Change) -> Run:
    """Write one change and its event; give the run as it is afterwards. ValueError when it is impossible."""
    if isinstance(change, RunChanged):
        return _change_run(connection, run, change)
    if isinstance(change, StageChanged):
        _change_stage(connection, run, change)
    elif isinstance(change, AttemptStarted):
        _start_attempt(connection, run.number, change)
    elif isinstance(change, AttemptEnded):
        _end_attempt(connection, run.number, clean(change.stage), change.attempt)
    else:
        write_event(connection, run.number, change.kind, change.stage, change.detail)
    return run


def _change_run(connection: sqlite3.Connection, run: Run, change: RunChanged) -> Run:
    new = next_run(run, change)
    write_run(connection, new)
    if new.state is not run.state:
        _leave_queue(connection, new)
        if new.state is RunState.DONE and new.deploy is not None:
            write_deployment(connection, new)
    kind, detail = run_rules.changed_event(run, new)
    write_event(connection, run.number, kind, detail=detail)
    return new


def _leave_queue(connection: sqlite3.Connection, run: Run) -> None:
    """A queued run that starts gives its place in the queue for a slot; one that ends gives up both."""
    if run.state in (RunState.QUEUED, RunState.BLOCKED):
        return
    if run.state is not RunState.DONE:
        connection.execute(
            "INSERT OR IGNORE INTO group_slot SELECT run, group_name, environment FROM queue WHERE run = ?",
            (run.number,),
        )
    else:
        connection.execute("DELETE FROM group_slot WHERE run = ?", (run.number,))
        if run.verdict is Verdict.PASSED:
            connection.execute("UPDATE chain SET due = 1 WHERE run = ?", (run.number,))
        else:
            connection.execute("DELETE FROM chain WHERE run = ?", (run.number,))
    connection.execute("DELETE FROM queue WHERE run = ?", (run.number,))


def _change_stage(connection: sqlite3.Connection, run: Run, change: StageChanged) -> None:
    name, number = clean(change.name), run.number
    row = connection.execute(
        "SELECT state, verdict, epoch FROM stage WHERE run = ? AND name = ?", (number, name)
    ).fetchone()
    state, verdict, written_by = row or (None, None, 0)
    run_rules.check_stage(run, name, change.state, state=state, verdict=verdict, written_by=written_by)
    result = change.result
    for attempt in () if result is None else result.attempts:
        _keep_attempt(connection, number, name, attempt)
    verdict, document = (None, None) if result is None else (result.verdict, encode(run_rules.bare(result)))
    connection.execute(
        """INSERT INTO stage (run, name, state, verdict, epoch, document) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (run, name) DO UPDATE SET state = excluded.state, verdict = excluded.verdict,
           epoch = excluded.epoch, document = excluded.document""",
        (number, name, change.state, verdict, run.epoch, document),
    )
    if result is None:
        write_event(connection, number, "stage_started", name)
    else:
        write_event(connection, number, "stage_finished", name, run_rules.stage_facts(result))


def _start_attempt(connection: sqlite3.Connection, run: int, change: AttemptStarted) -> None:
    stage = clean(change.stage)
    known = connection.execute(
        "SELECT 1 FROM attempt WHERE run = ? AND stage = ? AND number = ?", (run, stage, change.number)
    ).fetchone()
    run_rules.check_new_attempt(run, stage, change.number, is_known=known is not None)
    log = None if change.log is None else clean(change.log)
    connection.execute(
        "INSERT INTO attempt (run, stage, number, started_at, log) VALUES (?, ?, ?, ?, ?)",
        (run, stage, change.number, change.at, log),
    )
    write_event(connection, run, "attempt_started", stage, {"number": change.number, "log": log})


def _end_attempt(connection: sqlite3.Connection, run: int, stage: str, attempt: Attempt) -> None:
    changed = connection.execute(
        """UPDATE attempt SET verdict = ?, document = ?
           WHERE run = ? AND stage = ? AND number = ? AND verdict IS NULL""",
        (attempt.verdict, encode(attempt), run, stage, attempt.number),
    ).rowcount
    run_rules.check_open_attempt(run, stage, attempt.number, is_open=changed > 0)
    write_event(connection, run, "attempt_finished", stage, run_rules.attempt_facts(attempt))


def _keep_attempt(connection: sqlite3.Connection, run: int, stage: str, attempt: Attempt) -> None:
    """Record an attempt that came with its stage's result; one that already ended stays as it was recorded."""
    connection.execute(
        """INSERT INTO attempt (run, stage, number, started_at, log, verdict, document) VALUES (?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (run, stage, number) DO UPDATE SET verdict = excluded.verdict, document = excluded.document
           WHERE attempt.verdict IS NULL""",
        (
            run,
            stage,
            attempt.number,
            attempt.started_at,
            None if attempt.log is None else clean(attempt.log),
            attempt.verdict,
            encode(attempt),
        ),
    )
