"""Carries out runs that have begun: the one way for the command line, detached runners and Python."""

from __future__ import annotations

from contextlib import suppress

from cicdctl.errors import CicdError, StoreError
from cicdctl.model import RunState, RunSummary, Verdict
from cicdctl.project import Project
from cicdctl.runner.begin import Begun, begin, examine_first
from cicdctl.runner.environments import NotEntered, StillClosed, enter
from cicdctl.runner.execute import CacheMiss, Runner
from cicdctl.runner.pins import let_go
from cicdctl.runner.prepare import prepare
from cicdctl.runner.recovery import close_books, end_unstarted, run_lock
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
    return execute_run(project, begin(project, request))


def resume_begun(project: Project, number: int) -> RunSummary:
    """Carry out a run that somebody else has queued: what a detached runner does.

    Raises what `run_pipeline` raises; a run that cannot be carried out is recorded as an error before.
    """
    summary = project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
    run = summary.run
    if run.state is not RunState.QUEUED:
        raise StoreError(f"run #{number} is not waiting: it is {run.verdict or run.state}")
    try:
        prepared = prepare(project, RunRequest.of(run), as_run=run)
        examine_first(project, prepared.config)
        begun = Begun(run=run, prepared=prepared, secrets=required_secrets(project, prepared.plan))
    except CicdError as error:
        end_unstarted(project, run, error.message)
        raise
    return execute_run(project, begun)


def execute_run(project: Project, begun: Begun) -> RunSummary:
    """Execute a begun run under its lock and announce its end."""
    run = begun.run
    held = lock(run_lock(project, run.number), blocking=False)
    if held is None:
        raise StoreError(
            f"run #{run.number} is already being executed", hint=f"cicdctl logs {run.number} -f follows it"
        )
    reach("run-locked")
    with held:
        fresh = project.state.load(run.number)
        if fresh is None or fresh.run.state is not RunState.QUEUED or fresh.run.epoch != run.epoch:
            raise StoreError(f"run #{run.number} was ended before it began", hint=f"cicdctl show {run.number}")
        if begun.secrets:
            from cicdctl.masking import Masker

            project.mask = Masker(begun.secrets).text
        project.configuration.put_in_force(begun.prepared.settings)
        runner = Runner(project, begun)
        try:
            with enter(project, run):
                summary = runner.execute()
        except StillClosed:
            raise
        except NotEntered as error:
            summary = RunSummary(run=close_books(project, run, Verdict.CANCELLED, error.message))
        except BaseException as error:
            _record_failure(project, begun, error)
            raise
        reach("run-recorded")
        let_go(project, run.commit)
        reach("run-released")
        project.tell_warnings()
        project.plugins.announce("cicdctl_run_finished", summary=summary)
    if runner.interrupted:
        raise Interrupted
    if runner.has_executed:
        from cicdctl.runner.housekeeping import keep_house

        keep_house(project)
    if runner.missed is not None:
        raise CacheMiss(
            f'stage "{runner.missed}" is not in the cache', hint=f"cicdctl explain {run.pipeline} {runner.missed}"
        )
    return summary


def _record_failure(project: Project, begun: Begun, error: BaseException) -> None:
    """Record a run that we could not carry through; what cannot even be recorded is found by the next command."""
    if isinstance(error, KeyboardInterrupt):
        verdict, reason = Verdict.CANCELLED, "interrupted"
    else:
        verdict, reason = Verdict.ERROR, error.message if isinstance(error, CicdError) else f"cicdctl failed: {error!r}"
    with suppress(CicdError, OSError):
        close_books(project, begun.run, verdict, reason)
