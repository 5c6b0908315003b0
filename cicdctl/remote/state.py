"""The state of a server, with as much of the `StateStore` contract as commands that look need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cicdctl.model import Deployment, Run, RunFilter, RunSummary
from cicdctl.remote.client import Client, NotThere
from cicdctl.remote.logs import LogCopies
from cicdctl.remote.values import read_deployment, read_open_attempts, read_run, read_summary
from cicdctl.store import OpenAttempt

PAGE = 200


class RemoteState:
    """Every method asks the server anew. Raises StoreError and UsageError, as the server says."""

    def __init__(self, client: Client, logs: LogCopies) -> None:
        self._client = client
        self._logs = logs
        self._told: dict[int, Mapping[str, Any]] = {}
        self.queue = RemoteQueue(client)
        self.deployments = RemoteDeployments(client, self)

    def runs(self, wanted: RunFilter) -> list[Run]:
        """See `StateStore.runs`."""
        query: dict[str, object] = {
            "pipeline": wanted.pipeline,
            "commit": wanted.commit,
            "verdict": None if wanted.verdict is None else wanted.verdict.value,
            "active": None if wanted.active is None else str(wanted.active).lower(),
            "fixes": "true" if wanted.fixes and wanted.trials else None,
        }
        found: list[Run] = []
        before = wanted.before
        while len(found) < wanted.limit:
            page = {**query, "before": before, "limit": min(PAGE, wanted.limit - len(found))}
            told = self._client.get("/api/runs", page)["runs"]
            found += [read_run(one) for one in told]
            if len(told) < min(PAGE, wanted.limit):
                break
            before = found[-1].number
        return found

    def load(self, number: int) -> RunSummary | None:
        """See `StateStore.load`. Brings the logs that are wanted."""
        try:
            told = self._client.get(f"/api/runs/{number}")
        except NotThere:
            return None
        summary = read_summary(told)
        self._told = {number: told}
        self._logs.bring(summary, read_open_attempts(told))
        return summary

    def open_attempts(self, number: int) -> list[OpenAttempt]:
        """See `StateStore.open_attempts`: as of the last look at the run."""
        return read_open_attempts(self.told(number))

    def latest_per_pipeline(self, limit: int) -> dict[str, list[Run]]:
        """See `StateStore.latest_per_pipeline`."""
        told = self._client.get("/api/pipelines", {"limit": limit})["pipelines"]
        return {one["name"]: [read_run(run) for run in one["runs"]] for one in told if one["runs"]}

    def told(self, number: int) -> Mapping[str, Any]:
        """Return all that the server says of a run, as `GET /api/runs/{number}` has it, of the last look."""
        return self._told.get(number) or self._client.get(f"/api/runs/{number}")


class RemoteQueue:
    """The queue of a server, to look at."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def paused(self) -> frozenset[str]:
        """See `QueueStore.paused`."""
        return frozenset(self._client.get("/api/queue")["paused"])

    def paused_by(self) -> dict[str, int | None]:
        """Return what is paused, and the run whose failure did it; None where a person did."""
        told = self._client.get("/api/queue")
        return {name: told["paused_by"].get(name) for name in told["paused"]}


class RemoteDeployments:
    """What a server has deployed."""

    def __init__(self, client: Client, state: RemoteState) -> None:
        self._client = client
        self._state = state

    def current(self) -> dict[str, Deployment]:
        """See `DeploymentStore.current`."""
        told = self._client.get("/api/environments")["environments"]
        return {one["environment"]: read_deployment(one) for one in told}

    def of(self, environment: str, *, limit: int = 1000) -> list[Deployment]:
        """See `DeploymentStore.of`."""
        told = self._client.get(f"/api/environments/{quote(environment, safe='')}", {"limit": limit})
        return [read_deployment(one) for one in told["deployments"]]

    def of_run(self, run: int) -> Deployment | None:
        """See `DeploymentStore.of_run`."""
        told = self._state.told(run).get("deployment")
        return read_deployment(told) if told else None
