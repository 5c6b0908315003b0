"""Begins runs and carries them out: the one way for the command line, detached runners and Python."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Run, RunState, RunSummary
from cicdctl.project import Project
from cicdctl.runner.availability import list_ignored
from cicdctl.runner.execute import CacheMiss, Runner, check_free_space
from cicdctl.runner.prepare import Prepared, prepare
from cicdctl.runner.recovery import recover, run_lock
from cicdctl.runner.request import RunRequest
from cicdctl.runner.secret_values import required_secrets
from cicdctl.store import lock
from cicdctl.store.failpoints import reach


class Interrupted(KeyboardInterrupt):
    """A signal ended the run; it is recorded as cancelled."""


def run_pipeline(project: Project, request: RunRequest) -> RunSummary:
    """Run a pipeline here and now, to its end.

    Raises ConfigError, UsageError, GitError or StoreError before anything has run; CacheMiss (exit status 7) and
    Interrupted (130) after the run is recorded.
    """
    begin_recovery(project)
    prepared = prepare(project, request)
    secrets = required_secrets(project, prepared.plan)
    check_free_space(project)
    for text in list_ignored(prepared.config, prepared.plan.pipeline):
        project.warn(text)
    return execute_run(project, prepared, begin_run(project, prepared), secrets)


def begin_recovery(project: Project) -> None:
    """Close the books on runs whose runner died, and say so."""
    for run in recover(project):
        project.warn(f"run #{run.number} ({run.pipeline}) was interrupted: its runner died")


def begin_run(project: Project, prepared: Prepared) -> Run:
    """Record a run as queued; its commit is pinned first, so that no gc or force-push can take it away."""
    repository = project.repository
    if repository.work_tree is None or prepared.run.snapshot or repository.head().oid != prepared.run.commit:
        repository.keep(prepared.run.commit)
    reach("commit-pinned")
    run = project.state.begin(prepared.run)
    reach("run-begun")
    if project.plugins.listens("cicdctl_run_queued"):
        project.plugins.announce("cicdctl_run_queued", run=run)
    return run


def execute_run(project: Project, prepared: Prepared, run: Run, secrets: Mapping[str, str]) -> RunSummary:
    """Execute a begun run under its lock and announce its end."""
    held = lock(run_lock(project, run.number), blocking=False)
    if held is None:
        raise StoreError(
            f"run #{run.number} is already being executed", hint=f"cicdctl logs {run.number} -f follows it"
        )
    reach("run-locked")
    with held:
        runner = Runner(project, prepared, run, secrets)
        summary = runner.execute()
        reach("run-recorded")
        project.repository.release(run.commit)
        reach("run-released")
        for text in project.warnings:
            project.warn(text)
        project.plugins.announce("cicdctl_run_finished", summary=summary)
    if runner.has_executed:
        from cicdctl.runner.housekeeping import keep_house

        keep_house(project)
    if runner.interrupted:
        raise Interrupted
    if runner.missed is not None:
        raise CacheMiss(
            f'stage "{runner.missed}" is not in the cache', hint=f"cicdctl explain {run.pipeline} {runner.missed}"
        )
    return summary


def resume_begun(project: Project, number: int) -> RunSummary:
    """Carry out a run that somebody else has queued: what a detached runner does."""
    summary = project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
    run = summary.run
    if run.state is not RunState.QUEUED:
        raise StoreError(f"run #{number} is not waiting: it is {run.verdict or run.state}")
    options = msgspec.convert(
        {"pipeline": run.pipeline, "revision": run.commit, "params": dict(run.params), **run.options}, RunRequest
    )
    prepared = prepare(project, options, as_run=run)
    return execute_run(project, prepared, run, required_secrets(project, prepared.plan))
