"""Starts runners for what waits, as many as may run at once. Everybody may drain, at any time."""

from __future__ import annotations

import logging
import time

from cicdctl.errors import CicdError
from cicdctl.model import Value, Verdict
from cicdctl.orchestrator.intake import follow
from cicdctl.orchestrator.rollback import roll_back_due
from cicdctl.process import own_environ, start_detached
from cicdctl.process.procfs import is_gone
from cicdctl.project import Project
from cicdctl.runner import recover, run_lock
from cicdctl.runner.detach import runner_argv
from cicdctl.runner.environments import is_closed
from cicdctl.runner.recovery import end_unstarted
from cicdctl.store import is_locked, lock_patiently
from cicdctl.store.failpoints import reach
from cicdctl.store.queued import Waiting

MOST_TRIES = 3
_log = logging.getLogger("cicdctl.queue")


class Started(Value, frozen=True, kw_only=True):
    """A runner that was started, and for which run."""

    run: int
    pid: int


def drain(project: Project) -> tuple[Started, ...]:
    """Queue what comes after runs that have ended, then start what may start; return the runners.

    One drain at a time, in whatever process; it is short. Raises StoreError.
    """
    queue = project.state.queue
    if queue.is_idle():
        return ()
    with lock_patiently(project.state_folder / "locks" / "drain"):
        _end_dead(project)
        for number in queue.due_chains():
            try:
                follow(project, number)
            except CicdError as error:
                _log.error("what comes after run #%d is not queued yet: %s", number, error.message)
        for run in roll_back_due(project):
            _log.info("run #%d (%s) rolls back run #%d", run.number, run.pipeline, run.parent)
        started = []
        closed = [name for name in queue.environments() if is_closed(project, name)]
        at_once = project.settings.orchestrator.max_parallel_pipelines
        for waiting in queue.claim(at_once=at_once, now=time.time(), closed=closed):
            found = _start(project, waiting)
            if found is not None:
                started.append(found)
    return tuple(started)


def _end_dead(project: Project) -> None:
    """Give back what runners held that are gone: before they began a new one may start, after it they are lost."""
    for run in recover(project):
        _log.warning("run #%d (%s) was interrupted: its runner died", run.number, run.pipeline)
    for waiting in project.state.queue.claims():
        # No other drain is at work: a claim without a process is of one that died, at the worst after the start. Of
        # two runners of one run the second finds it locked or ended, and goes.
        is_dead = waiting.pid is None or is_gone(waiting.pid)
        if is_dead and is_locked(run_lock(project, waiting.run)) is None:
            project.state.queue.unclaim(waiting.run)


def _start(project: Project, waiting: Waiting) -> Started | None:
    summary = project.state.load(waiting.run)
    if summary is None or summary.run.verdict is not None:
        return None
    run = summary.run
    if waiting.tries >= MOST_TRIES:
        reason = f"its runner was started {MOST_TRIES} times and never began (logs/{run.number}/runner.log)"
        end_unstarted(project, run, reason, verdict=Verdict.INTERRUPTED)
        _log.error("run #%d (%s): %s", run.number, run.pipeline, reason)
        return None
    folder = project.state_folder / "logs" / str(run.number)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    reach("drain-start")
    try:
        pid = start_detached(
            runner_argv(project, run),
            cwd=project.repository.common_dir,
            env=own_environ(project.environ),
            log=folder / "runner.log",
        )
    except OSError as error:
        # No process to be had, or no room: the next drain tries again.
        _log.error("no runner for run #%d: %s", run.number, error.strerror)
        return None
    reach("drain-started")
    project.state.queue.started(run.number, pid)
    _log.info("run #%d (%s) started, pid %d", run.number, run.pipeline, pid, extra={"run": run.number})
    return Started(run=run.number, pid=pid)
