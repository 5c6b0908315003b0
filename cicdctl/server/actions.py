"""What people do with runs and pipelines, by whatever door they come: each is durable when it returns."""

from __future__ import annotations

from collections.abc import Mapping

from cicdctl.errors import StoreError, UsageError
from cicdctl.model import Run, TriggerKind
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.intake import queue_run
from cicdctl.orchestrator.pausing import let_go_on
from cicdctl.runner import RunRequest
from cicdctl.runner.cancel import cancel_run
from cicdctl.server.site import Site


def start_run(site: Site, pipeline: str, revision: str, params: Mapping[str, str]) -> Run:
    """Queue a run of a commit. Raises ConfigError, UsageError, GitError, StoreError."""
    if not revision or revision.startswith("-"):
        raise UsageError(f'"{revision}" is no revision')
    wanted = RunRequest(pipeline=pipeline, revision=revision, params=params, trigger=TriggerKind.MANUAL)
    with site.open() as project:
        run = queue_run(project, wanted)
        drain(project)
    return run


def cancel(site: Site, number: int, who: str) -> None:
    """Ask a run to end; one that waits has ended. Raises UsageError when it has ended already."""
    with site.open() as project:
        _require(site, number)
        cancel_run(project, number, f"cancelled by {who}", wait=False)


def approve(site: Site, number: int, who: str) -> None:
    """Let a run start that waits for an approval. Raises UsageError when it waits for none."""
    with site.open() as project:
        run = _require(site, number)
        if project.state.queue.approve(number, who) is None:
            raise UsageError(f"run #{number} waits for no approval: it is {run.verdict or run.state}")
        drain(project)


def pause(site: Site, pipeline: str = "") -> None:
    """Start nothing any more that waits, of one pipeline or (empty) of any."""
    site.project.state.queue.pause(pipeline)


def resume(site: Site, pipeline: str = "") -> None:
    """Let one pipeline, or (empty) the queue, go on."""
    with site.open() as project:
        let_go_on(project, pipeline)
        drain(project)


def _require(site: Site, number: int) -> Run:
    summary = site.project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}")
    return summary.run
