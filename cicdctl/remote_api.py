"""A server elsewhere for Python programs: trigger its pipelines and look at its state, by the methods used here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from cicdctl.project_config import Invocation
from cicdctl.python_api import OrchestratorCalls, PipelineResult
from cicdctl.remote.client import TOKEN_VARIABLE
from cicdctl.remote.project import RemoteProject
from cicdctl.remote.values import read_run
from cicdctl.remote.waiting import wait_for_end


class RemoteOrchestrator(OrchestratorCalls):
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
            summary = wait_for_end(project, run.number, timeout_s=timeout)
        return PipelineResult(run=summary.run, stages=summary.stages)

    def _open(self) -> RemoteProject:
        return RemoteProject(self._invocation)
