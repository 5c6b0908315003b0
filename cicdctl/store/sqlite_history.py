"""Questions over many runs, and forgetting old ones."""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec

from cicdctl.model import Attempt, Run, StageResult
from cicdctl.model.verdict import TRIALS
from cicdctl.store.database import Database
from cicdctl.store.documents import clean, decode
from cicdctl.store.state import GreenFloor

TRIGGER = "json_extract(document, '$.trigger')"
_RECENT_RUNS = 1000
_BATCH = 1000
_BATCH_PAUSE_S = 0.01
_VACUUM_PAGES = 2000

# Hops from name to name over the index; `GROUP BY` or `row_number()` would read every run.
_PIPELINES = """WITH RECURSIVE hop (name) AS (
    SELECT min(pipeline) FROM run
    UNION ALL SELECT (SELECT min(pipeline) FROM run WHERE pipeline > hop.name) FROM hop WHERE hop.name IS NOT NULL
) """


def recent_results(database: Database, pipeline: str, stage: str, limit: int) -> list[tuple[int, StageResult]]:
    """See `StateStore.recent_results`."""
    name = clean(stage)
    with database.snapshot() as connection:
        rows = connection.execute(
            """SELECT stage.run, stage.document FROM
                 (SELECT id FROM run WHERE pipeline = ? ORDER BY id DESC LIMIT ?) AS recent
                 CROSS JOIN stage ON stage.run = recent.id AND stage.name = ?
               WHERE stage.document IS NOT NULL ORDER BY stage.run DESC LIMIT ?""",
            (clean(pipeline), _RECENT_RUNS, name, max(0, limit)),
        ).fetchall()
        found = []
        for number, document in rows:
            attempts = connection.execute(
                "SELECT document FROM attempt WHERE run = ? AND stage = ? AND document IS NOT NULL ORDER BY number",
                (number, name),
            ).fetchall()
            found.append((number, document, attempts))
    return [
        (
            number,
            msgspec.structs.replace(
                decode(document, StageResult, what=f"stage '{stage}' in run #{number}"),
                attempts=tuple(
                    decode(row[0], Attempt, what=f"an attempt of '{stage}' in run #{number}") for row in attempts
                ),
            ),
        )
        for number, document, attempts in found
    ]


def latest_per_pipeline(database: Database, limit: int) -> dict[str, list[Run]]:
    """See `StateStore.latest_per_pipeline`."""
    rows = database.query(
        _PIPELINES
        + """SELECT run.id, run.document FROM hop CROSS JOIN run
             WHERE run.id IN (SELECT id FROM run WHERE pipeline = hop.name AND """
        + f"""{TRIGGER} NOT IN ({", ".join("?" * len(TRIALS))}) ORDER BY id DESC LIMIT ?)
             ORDER BY hop.name, run.id DESC""",
        (*sorted(TRIALS), max(0, limit)),
    )
    found: dict[str, list[Run]] = {}
    for number, document in rows:
        run = decode(document, Run, what=f"run #{number}")
        found.setdefault(run.pipeline, []).append(run)
    return found


def green_floor(database: Database) -> GreenFloor:
    """See `StateStore.green_floor`."""
    with database.snapshot() as connection:
        numbers = connection.execute(
            _PIPELINES
            + f"""SELECT (SELECT id FROM run WHERE pipeline = hop.name AND verdict = 'passed' AND {TRIGGER} <> 'fix'
                         ORDER BY id DESC LIMIT 1) AS newest FROM hop WHERE newest IS NOT NULL
                 UNION SELECT id FROM run WHERE state <> 'done'"""
        ).fetchall()
        documents = [
            (number, document)
            for (number,) in numbers
            for (document,) in connection.execute(
                "SELECT document FROM stage WHERE run = ? AND document IS NOT NULL", (number,)
            )
        ]
    results = [decode(document, StageResult, what=f"a stage in run #{number}") for number, document in documents]
    return GreenFloor(
        runs=frozenset(number for (number,) in numbers),
        keys=frozenset(result.key for result in results if result.key is not None),
        manifests=frozenset(
            digest for result in results for digest in (result.manifest, result.inventory) if digest is not None
        ),
    )


def prune(database: Database, keep_last: int, max_age_s: float | None, keep: Collection[int]) -> list[int]:
    """See `StateStore.prune`."""
    before = float("inf") if max_age_s is None else time.time() - max_age_s
    names = database.query(_PIPELINES + "SELECT name FROM hop WHERE name IS NOT NULL")
    kept = frozenset(keep)
    gone: list[int] = []
    for (pipeline,) in names:
        gone += _prune_pipeline(database, pipeline, max(0, keep_last), before, kept)
    if gone:
        database.vacuum(_VACUUM_PAGES)
    return sorted(gone)


def _prune_pipeline(
    database: Database, pipeline: str, keep_last: int, before: float, keep: frozenset[int]
) -> list[int]:
    gone: list[int] = []
    after = 0
    while True:
        with database.transaction() as connection:
            # Asked again in each batch: a run may have ended, or become the last green one, in between.
            rows = connection.execute(
                """SELECT id FROM run WHERE pipeline = :pipeline AND id > :after AND state = 'done'
                     AND created_at < :before
                     AND (:keep_last = 0 OR id < (SELECT id FROM run WHERE pipeline = :pipeline ORDER BY id DESC
                                                  LIMIT 1 OFFSET :keep_last - 1))
                     AND id <> ifnull((SELECT id FROM run WHERE pipeline = :pipeline AND verdict = 'passed'
                                       ORDER BY id DESC LIMIT 1), 0)
                   ORDER BY id LIMIT :batch""",
                {"pipeline": pipeline, "after": after, "before": before, "keep_last": keep_last, "batch": _BATCH},
            ).fetchall()
            batch = [number for (number,) in rows if number not in keep]
            connection.executemany("DELETE FROM run WHERE id = ?", [(number,) for number in batch])
        gone += batch
        if len(rows) < _BATCH:
            return gone
        after = rows[-1][0]
        time.sleep(_BATCH_PAUSE_S)
