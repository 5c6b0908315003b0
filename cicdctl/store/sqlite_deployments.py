"""The history of environments: written with the end of each deploy, asked by rollbacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec.structs import replace

from cicdctl.model import Deployment, Run
from cicdctl.store.database import Database
from cicdctl.store.deployment_rules import COMMITS_KEPT, deployment_of, is_rollback, wants_rollback
from cicdctl.store.documents import clean, decode, encode


def write_deployment(connection: sqlite3.Connection, run: Run) -> None:
    """Record the deploy of a run in the transaction of its end, unless no stage of it has begun.

    A run that was taken over ends again, and is recorded anew.
    """
    assert run.deploy is not None and run.verdict is not None
    if not _has_begun(connection, run.number):
        return
    environment = clean(run.deploy.environment)
    connection.execute("DELETE FROM deployment WHERE run = ?", (run.number,))
    before = connection.execute(
        "SELECT run FROM deployment WHERE environment = ? AND green = 1 ORDER BY id DESC LIMIT 1", (environment,)
    ).fetchone()
    deployment = deployment_of(run, environment, replaced=before[0] if before else None)
    is_due = wants_rollback(run)
    connection.execute(
        "INSERT INTO deployment (run, environment, commit_id, green, due, document) VALUES (?, ?, ?, ?, ?, ?)",
        (run.number, environment, clean(run.commit), deployment.is_green, is_due, encode(deployment)),
    )


def _has_begun(connection: sqlite3.Connection, run: int) -> bool:
    """Whether a stage was started: what comes from the cache, or was skipped, has changed nothing anywhere."""
    return bool(
        connection.execute(
            """SELECT EXISTS (SELECT 1 FROM attempt WHERE run = :run)
               OR EXISTS (SELECT 1 FROM stage WHERE run = :run AND state = 'running')""",
            {"run": run},
        ).fetchone()[0]
    )


def take_due(connection: sqlite3.Connection, run: int) -> bool:
    """Note that the rollback of a failed deploy is seen to; False when somebody else has."""
    return connection.execute("UPDATE deployment SET due = 0 WHERE run = ? AND due = 1", (run,)).rowcount > 0


def link_rollbacks(connection: sqlite3.Connection, runs: Iterable[Run]) -> None:
    """Note with a deployment that a rollback of it is queued."""
    for run in runs:
        if not is_rollback(run):
            continue
        row = connection.execute("SELECT document FROM deployment WHERE run = ?", (run.parent,)).fetchone()
        if row is not None:
            undone = replace(_read(row[0]), rolled_back_by=run.number)
            connection.execute(
                "UPDATE deployment SET due = 0, document = ? WHERE run = ?", (encode(undone), run.parent)
            )


class Deployments:
    """Keeps the contract of `DeploymentStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, environment: str, *, limit: int = 1000) -> list[Deployment]:
        """See `DeploymentStore.of`."""
        sql = "SELECT document FROM deployment WHERE environment = ? ORDER BY id DESC LIMIT ?"
        return [_read(document) for (document,) in self._database.query(sql, (clean(environment), max(0, limit)))]

    def current(self) -> dict[str, Deployment]:
        """See `DeploymentStore.current`."""
        sql = """SELECT document FROM deployment
                 WHERE id IN (SELECT max(id) FROM deployment GROUP BY environment) ORDER BY environment"""
        return {found.environment: found for found in (_read(document) for (document,) in self._database.query(sql))}

    def of_run(self, run: int) -> Deployment | None:
        """See `DeploymentStore.of_run`."""
        rows = self._database.query("SELECT document FROM deployment WHERE run = ?", (run,))
        return _read(rows[0][0]) if rows else None

    def due(self) -> list[int]:
        """See `DeploymentStore.due`."""
        return [row[0] for row in self._database.query("SELECT run FROM deployment WHERE due = 1 ORDER BY id")]

    def settle(self, run: int) -> None:
        """See `DeploymentStore.settle`."""
        with self._database.transaction() as connection:
            take_due(connection, run)

    def runs(self) -> frozenset[int]:
        """See `DeploymentStore.runs`."""
        return frozenset(row[0] for row in self._database.query("SELECT run FROM deployment"))

    def keeps(self, commit: str) -> bool:
        """See `DeploymentStore.keeps`."""
        sql = """SELECT EXISTS (
            SELECT 1 FROM deployment AS mine WHERE commit_id = ? AND green = 1 AND ? > (
                SELECT count(DISTINCT commit_id) FROM deployment AS newer
                WHERE newer.environment = mine.environment AND newer.green = 1 AND newer.id > mine.id))"""
        return bool(self._database.query(sql, (clean(commit), COMMITS_KEPT))[0][0])


def _read(document: str) -> Deployment:
    return decode(document, Deployment, what="a deployment")
