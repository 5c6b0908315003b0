"""A server elsewhere for Python programs: trigger its pipelines and look at its state, by the methods used here."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from cicdctl.errors import Paused, StoreError
from cicdctl.model import Run, RunFilter, RunState, RunSummary
from cicdctl.orchestrator.workflows import in_thread
from cicdctl.project_config import Invocation
from cicdctl.python_api import OrchestratorState, PipelineResult, read_state
from cicdctl.remote.client import TOKEN_VARIABLE, Unreachable
from cicdctl.remote.project import RemoteProject
from cicdctl.remote.values import read_run

POLL_S = 0.25
PATIENCE_S = 120.0


class RemoteOrchestrator:
    """What `cicdctl serve` at `server` does, as `CICDOrchestrator` has it. Every method is safe from any thread.

    `token` is one of that server's, by default what `CICDCTL_TOKEN` holds. Raises UsageError for an address that is
    none, and in each method for what the token does not grant; StoreError when the server does not answer.
    """

    def __init__(self, server: str, *, token: str | None = None) -> None:
        environ = dict(os.environ)
        if token is not None:
            environ[TOKEN_VARIABLE] = token
        self._invocation = Invocation(server=server, environ=environ)
        self._open().close()

    def trigger_pipeline(
        self,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        revision: str = "HEAD",
        wait: bool = True,
        timeout: float | None = None,
    ) -> PipelineResult:
        """Queue a run and return how it ended; with `wait=False` at once. See `CICDOrchestrator.trigger_pipeline`.

        While it waits the server may be started anew. Raises TimeoutError, and Paused when the run waits for an
        approval or its queue is paused; the run stays queued then.
        """
        body = {"rev": revision, "params": {key: str(value) for key, value in (params or {}).items()}}
        with self._open() as project:
            told = project.client.post(f"/trigger/{quote(name, safe='')}", body, key=secrets.token_hex(16))
            run = read_run(told["run"])
            if not wait:
                return PipelineResult(run=run)
            summary = self._wait(project, run.number, timeout)
        return PipelineResult(run=summary.run, stages=summary.stages)

    async def trigger_pipeline_async(
        self, name: str, params: Mapping[str, str] | None = None, **options: Any
    ) -> PipelineResult:
        """Do as `trigger_pipeline` without blocking the event loop, in a thread of its own."""
        call = partial(self.trigger_pipeline, name, params, **options)
        return await asyncio.wrap_future(in_thread(call, name=f"trigger-{name}", daemon=True))

    def get_state(self) -> OrchestratorState:
        """Return what runs, what waits, and how each pipeline ended last."""
        with self._open() as project:
            return read_state(project)

    def is_pipeline_running(self, name: str) -> bool:
        """Whether a run of this pipeline goes on or waits."""
        with self._open() as project:
            return bool(project.state.runs(RunFilter(pipeline=name, active=True, limit=1)))

    def get_pipeline_history(self, name: str, limit: int = 10) -> list[Run]:
        """Return the latest runs of a pipeline, the newest first, those that go on among them."""
        with self._open() as project:
            return project.state.runs(RunFilter(pipeline=name, limit=limit))

    def _open(self) -> RemoteProject:
        return RemoteProject(self._invocation)

    @staticmethod
    def _wait(project: RemoteProject, number: int, timeout_s: float | None) -> RunSummary:
        began = heard_at = time.monotonic()
        while True:
            now = time.monotonic()
            if timeout_s is not None and now - began >= timeout_s:
                raise TimeoutError(f"run #{number} has not ended after {timeout_s:g} s")
            try:
                summary = project.state.load(number)
            except Unreachable:
                if now - heard_at > PATIENCE_S:
                    raise
                time.sleep(POLL_S)
                continue
            heard_at = now
            if summary is None:
                raise StoreError(f"there is no run #{number}")
            if summary.run.verdict is not None:
                return summary
            if summary.run.state is RunState.BLOCKED:
                raise Paused(f"run #{number} waits for an approval", hint=f"cicdctl approve {number} lets it start")
            if summary.run.state is RunState.QUEUED and {"", summary.run.pipeline} & project.state.queue.paused():
                raise Paused(f"run #{number} waits: its queue is paused", hint="cicdctl resume lets it go on")
            time.sleep(POLL_S)
